"""`milieu packs`: list the survey packs, import surveys as packs of one's own, translate them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cli.lazy import Group, LazyModule
from cli.options import AsJson
from cli.signatures import take_options

if TYPE_CHECKING:
    from cli.packs import jobs
else:
    jobs = LazyModule("cli.packs.jobs")

packs = typer.Typer(cls=Group, rich_markup_mode=None)
import_ = typer.Typer(
    cls=Group,
    help="Make a pack of a survey that you have. Each import reports what it left out, and why.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
packs.add_typer(import_, name="import")

Out = Annotated[Path, typer.Option("--out", help="Folder for the pack; created if missing.")]
PackId = Annotated[str | None, typer.Option("--id", help="Id of the pack.")]
Force = Annotated[bool, typer.Option("--force", help="Replace a pack that is already there.")]
Encoding = Annotated[
    str | None,
    typer.Option(help="Encoding of the text, such as latin-1. UTF-8 and UTF-16 are recognised."),
]
Strict = Annotated[bool, typer.Option("--strict", help="Stop at the first bad value.")]


@dataclass(frozen=True)
class PackStatement:
    """What the manifest of a pack says of its figures."""

    title: Annotated[str, typer.Option(help="Title of the survey.")]
    source: Annotated[str, typer.Option(help="Where the figures come from.")]
    citation: Annotated[str, typer.Option(help="How to cite the figures.")]
    licence: Annotated[str, typer.Option(help="Licence of the figures.")]
    commercial_use: Annotated[
        bool, typer.Option("--commercial-use", help="The licence allows commercial use.")
    ] = False
    redistribution: Annotated[
        bool,
        typer.Option("--redistribution", help="The licence lets anyone hand on all the figures."),
    ] = False
    weighted: Annotated[bool, typer.Option("--weighted", help="The figures are weighted.")] = False
    wording: Annotated[
        Literal["own", "official"],
        typer.Option(help="Whose wording the questions have: yours, or the survey's."),
    ] = "own"
    years: Annotated[str, typer.Option(help="Years of fieldwork: 2024, or 2023-2024.")] = ""


@packs.callback(invoke_without_command=True)
def list_packs(context: typer.Context, as_json: AsJson = False) -> None:
    """List survey packs, or import a survey.

    Without a command, lists the packs with their terms, after validating each whole.

    Example: milieu packs import table questions.csv shares.csv --out my-packs/mine --id mine …
    """
    if context.invoked_subcommand is None:
        jobs.show_packs(as_json=as_json)


@packs.command()
def add_translation(
    folder: Annotated[Path, typer.Argument(help="Folder of the pack.")],
    file: Annotated[Path, typer.Argument(help="JSON lines: id, text, options; one per question.")],
    language: Annotated[str, typer.Option(help="Language of the file: de, zh or pt-BR.")],
) -> None:
    """Add a translation to a pack.

    It is checked against the pack's questions: options stand in the order of a question's own,
    questions may be left out. A translation into the same language is replaced.

    Example: milieu packs add-translation my-packs/lunch lunch-in-german.jsonl --language de
    """
    jobs.run_add_translation(folder, file, language=language)


@import_.command()
def wvs7(
    file: Annotated[
        Path, typer.Argument(help="The official respondent-level file: CSV, .sav or .dta.")
    ],
    out: Out,
    pack_id: PackId = None,
    unweighted: Annotated[
        bool, typer.Option("--unweighted", help="Count everyone alike, without W_WEIGHT.")
    ] = False,
    where: Annotated[
        list[str] | None,
        typer.Option(help="Only respondents that match, such as 'Q262 >= 50'. Repeatable."),
    ] = None,
    min_size: Annotated[
        int, typer.Option(min=1, help="Fewest effective respondents that a country needs.")
    ] = 100,
    encoding: Encoding = None,
    strict: Strict = False,
    force: Force = False,
) -> None:
    """Import the World Values Survey, wave 7, all of it or some of its respondents.

    Example: milieu packs import wvs7 wave7.csv --out my-packs/women --where 'Q260 == 2'
    """
    jobs.import_wvs7(
        jobs.PackTarget(out, pack_id, force),
        file,
        weighted=not unweighted,
        where=where or (),
        min_size=min_size,
        encoding=encoding,
        strict=strict,
    )


@import_.command()
def globalopinionqa(
    file: Annotated[Path, typer.Argument(help="The published CSV file, or JSON lines.")],
    out: Out,
    pack_id: PackId = None,
    encoding: Encoding = None,
    strict: Strict = False,
    force: Force = False,
) -> None:
    """Import GlobalOpinionQA: Pew Global Attitudes and World and European Values Surveys.

    Example: milieu packs import globalopinionqa global_opinions.csv --out my-packs/opinions
    """
    target = jobs.PackTarget(out, pack_id, force)
    jobs.import_globalopinionqa(target, file, encoding=encoding, strict=strict)


@import_.command()
def culturespa(
    folder: Annotated[Path, typer.Argument(help="Folder of the release.")],
    out: Out,
    pack_id: PackId = None,
    force: Force = False,
) -> None:
    """Import the CultureSPA release: its 259 items, to reproduce the paper's scores.

    Example: milieu packs import culturespa CultureSPA/data --out my-packs/culturespa
    """
    jobs.import_culturespa(jobs.PackTarget(out, pack_id, force), folder)


@import_.command()
@take_options()
def table(
    questions: Annotated[
        Path, typer.Argument(help="CSV, .sav, .dta or JSON lines: id, topic, text, options, scale.")
    ],
    shares: Annotated[
        Path,
        typer.Argument(help="CSV, .sav or .dta: question, culture, option, and share or count."),
    ],
    out: Out,
    pack_id: Annotated[str, typer.Option("--id", help="Id of the pack.")],
    statement: PackStatement,
    encoding: Encoding = None,
    force: Force = False,
) -> None:
    """Import any survey from a file of questions and a table of shares or counts.

    Example: milieu packs import table questions.csv shares.csv --out my-packs/staff --id staff
    --title "Staff survey" --source "our intranet" --citation "Us (2024)" --licence "internal"
    --years 2024
    """
    target = jobs.PackTarget(out, pack_id, force)
    jobs.import_table(target, questions, shares, statement, encoding=encoding)
