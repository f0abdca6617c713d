"""`milieu packs`: list the survey packs, and import surveys as packs of one's own."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

from app.errors import OptionInvalid
from app.settings import read_settings
from cli import tables
from cli.console import explained, notes
from cli.packs.output import print_import
from survey_data.cultures import CultureCatalogue, read_catalogue
from survey_data.errors import ImporterUnavailable
from survey_data.importers.placing import check_free, place_pack
from survey_data.importers.report import Imported
from survey_data.importers.subset import read_condition
from survey_data.model import PackManifest
from survey_data.packs import is_pack_id

packs = typer.Typer(rich_markup_mode=None)
imports = typer.Typer(
    help="Make a pack of a survey that you have. Each says what it left out, and why.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
packs.add_typer(imports, name="import")

Out = Annotated[Path, typer.Option("--out", help="Folder of the pack; made if it is absent.")]
PackId = Annotated[str | None, typer.Option("--id", help="Id of the pack.")]
Force = Annotated[bool, typer.Option("--force", help="Replace the pack that is in the folder.")]
Strict = Annotated[bool, typer.Option("--strict", help="End at the first bad value.")]


@packs.callback(invoke_without_command=True)
def list_packs(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List the survey packs with their terms, after validating each whole; or import one.

    Example: milieu packs import table questions.csv shares.csv --out my-packs/mine --id mine …
    """
    if context.invoked_subcommand is not None:
        return
    with explained():
        from cli.surveys import loaded_packs

        tables.print_packs(loaded_packs(read_settings()), as_json=as_json)


@imports.command()
def wvs7(
    file: Annotated[Path, typer.Argument(help="The official respondent-level CSV.")],
    out: Out,
    pack_id: PackId = None,
    unweighted: Annotated[
        bool, typer.Option("--unweighted", help="Everyone counts alike; else by W_WEIGHT.")
    ] = False,
    where: Annotated[
        list[str] | None,
        typer.Option(help="Only people for whom this holds: 'Q262 >= 50'. Repeatable."),
    ] = None,
    min_size: Annotated[
        int, typer.Option(min=1, help="Effective respondents that a country needs.")
    ] = 100,
    strict: Strict = False,
    force: Force = False,
) -> None:
    """Import the World Values Survey, wave 7, all of it or some of its respondents.

    Example: milieu packs import wvs7 wave7.csv --out my-packs/women --where 'Q260 == 2'
    """

    def read(catalogue: CultureCatalogue) -> Imported:
        try:
            from survey_data.importers import wvs7 as importer
            from survey_data.importers.wvs7_respondents import Choice
        except ModuleNotFoundError as exc:
            if exc.name != "polars":
                raise
            raise ImporterUnavailable(
                "This import reads the file with polars, which is not installed. Install Milieu "
                "with the extra 'evaluate'."
            ) from exc
        conditions = tuple(read_condition(text) for text in where or ())
        choice = Choice(weighted=not unweighted, where=conditions, min_size=min_size, strict=strict)
        return importer.import_survey(file, catalogue, choice=choice, pack_id=pack_id)

    _import(read, out, pack_id=pack_id, force=force)


@imports.command()
def globalopinionqa(
    file: Annotated[Path, typer.Argument(help="The published CSV, or JSON lines.")],
    out: Out,
    pack_id: PackId = None,
    strict: Strict = False,
    force: Force = False,
) -> None:
    """Import GlobalOpinionQA: Pew Global Attitudes and World and European Values Surveys.

    Example: milieu packs import globalopinionqa global_opinions.csv --out my-packs/opinions
    """

    def read(catalogue: CultureCatalogue) -> Imported:
        from survey_data.importers import globalopinionqa as importer

        wanted = pack_id or importer.PACK_ID
        return importer.import_survey(file, catalogue, pack_id=wanted, strict=strict)

    _import(read, out, pack_id=pack_id, force=force)


@imports.command()
def culturespa(
    folder: Annotated[Path, typer.Argument(help="The folder of the release.")],
    out: Out,
    pack_id: PackId = None,
    force: Force = False,
) -> None:
    """Import the CultureSPA release: its 259 items as released, to meet the paper's scores.

    Example: milieu packs import culturespa CultureSPA/data --out my-packs/culturespa
    """

    def read(catalogue: CultureCatalogue) -> Imported:
        from survey_data.importers import culturespa_release as importer

        return importer.import_survey(folder, catalogue, pack_id=pack_id or importer.PACK_ID)

    _import(read, out, pack_id=pack_id, force=force)


@imports.command()
def table(
    questions: Annotated[
        Path, typer.Argument(help="CSV or JSON lines: id, topic, text, options, scale.")
    ],
    shares: Annotated[
        Path, typer.Argument(help="CSV: question, culture, option, and share or count.")
    ],
    out: Out,
    pack_id: Annotated[str, typer.Option("--id", help="Id of the pack.")],
    title: Annotated[str, typer.Option(help="What the survey is called.")],
    source: Annotated[str, typer.Option(help="Where the figures are from.")],
    citation: Annotated[str, typer.Option(help="How to cite them.")],
    licence: Annotated[str, typer.Option(help="What may be done with them.")],
    commercial_use: Annotated[
        bool, typer.Option("--commercial-use", help="The licence allows commercial use.")
    ] = False,
    weighted: Annotated[bool, typer.Option("--weighted", help="The figures are weighted.")] = False,
    wording: Annotated[
        Literal["own", "official"], typer.Option(help="Whose wording the questions have.")
    ] = "own",
    years: Annotated[str, typer.Option(help="When people were asked: 2024, or 2023-2024.")] = "",
    force: Force = False,
) -> None:
    """Import any survey from a file of questions and a table of shares or counts.

    Example: milieu packs import table questions.csv shares.csv --out my-packs/staff --id staff
    --title "Staff survey" --source "our intranet" --citation "Us (2024)" --licence "internal"
    --years 2024
    """
    manifest = PackManifest(
        id=pack_id,
        title=title,
        source=source,
        citation=citation,
        weighted=weighted,
        wording=wording,
        licence=licence,
        commercial_use=commercial_use,
        fieldwork={"*": years},
        questions_sha256="",
        shares_sha256="",
    )

    def read(catalogue: CultureCatalogue) -> Imported:
        from survey_data.importers import table as importer

        for option in ("title", "source", "citation", "licence"):
            if not getattr(manifest, option).strip():
                raise OptionInvalid(f"--{option}", "nothing", "a text; a pack must say it")
        if not re.fullmatch(r"(\d{4}(-\d{4})?)?", years):
            raise OptionInvalid("--years", years, "a year or two, such as 2024 or 2023-2024")
        return importer.import_survey(questions, shares, catalogue, manifest=manifest)

    _import(read, out, pack_id=pack_id, force=force)


def _import(
    read: Callable[[CultureCatalogue], Imported], out: Path, *, pack_id: str | None, force: bool
) -> None:
    with explained():
        if pack_id is not None and not is_pack_id(pack_id):
            raise OptionInvalid("--id", pack_id, "lower-case letters, digits and '-'")
        check_free(out, force=force)
        with notes.status("Reading the survey …"):
            imported = read(read_catalogue())
            pack = place_pack(out, imported.pack, force=force)
    print_import(pack, imported.report, out.resolve())
