"""The `milieu` command."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console

from app import cli_tables
from app.errors import AppError
from app.settings import read_settings
from mini_model.weights import WeightsInvalid
from retrieval.errors import RetrievalError
from survey_data.errors import SurveyDataError

EXAMPLES = """
Examples:

  milieu serve

  milieu ask "How important is religion in your life?" --culture DE

  milieu exemplars "Should women work?" --culture Nigeria --k 3

  milieu cultures --json
"""

cli = typer.Typer(
    help="Answer questions as the people of a country answer them." + "\n\n" + EXAMPLES,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
notes = Console(stderr=True)

Culture = Annotated[str, typer.Option("--culture", "-c", help="Code, name or language tag.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@cli.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Default: MILIEU_HOST or 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="Default: MILIEU_PORT or 8000.")] = None,
) -> None:
    """Start the service; with no vLLM server in the settings, on the embedded model.

    Example: milieu serve --port 9000
    """
    given = {"host": host, "port": port}
    with _explained():
        settings = read_settings(
            **{key: value for key, value in given.items() if value is not None}
        )
        # Here, not above: the service's imports take seconds, and the other commands need none.
        from app.serving import run_service

        run_service(settings, notes)


@cli.command()
def ask(
    question: str,
    culture: Culture,
    option: Annotated[list[str] | None, typer.Option("--option", "-o")] = None,
    method: Annotated[str | None, typer.Option(help="plain, persona, icl, …")] = None,
    k: Annotated[int | None, typer.Option("--k", help="Exemplars to show.")] = None,
    url: Annotated[str | None, typer.Option(help="The running service.")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask a running service a question, as the people of a culture.

    Example: milieu ask "Is it ever right to lie?" -c Japan -o Yes -o No
    """
    with _explained():
        from app.asking import ask_service

        settings = read_settings()
        body: dict[str, object] = {"question": question, "culture": culture}
        body |= {"options": option or []}
        body |= {name: value for name, value in (("method", method), ("k", k)) if value is not None}
        reply = ask_service(settings, body, url=url)
        cli_tables.print_answer(reply, as_json=as_json)


@cli.command()
def exemplars(
    question: str,
    culture: Culture,
    k: Annotated[int | None, typer.Option("--k", help="Exemplars to show.")] = None,
    retriever: Annotated[str | None, typer.Option(help="dense, chrf, topic or random.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what would be put before the question, without asking a model.

    Example: milieu exemplars "How much do you trust the police?" -c BR
    """
    with _explained(), notes.status("Loading the encoder and the index …"):
        from app.offline import find_exemplars

        found = find_exemplars(read_settings(), question, culture, k=k, retriever=retriever)
    cli_tables.print_exemplars(found, as_json=as_json)


@cli.command()
def cultures(as_json: AsJson = False) -> None:
    """List the cultures that the loaded surveys cover."""
    with _explained():
        from app.offline import covered_cultures

        cli_tables.print_cultures(covered_cultures(read_settings()), as_json=as_json)


@cli.command()
def packs(as_json: AsJson = False) -> None:
    """List the survey packs with their terms, after validating each whole."""
    with _explained():
        from app.offline import loaded_packs

        cli_tables.print_packs(loaded_packs(read_settings()), as_json=as_json)


@cli.command()
def index() -> None:
    """Build the question index now, rather than when the service starts."""
    with _explained(), notes.status("Encoding the survey questions …"):
        from app.offline import build_index

        built = build_index(read_settings())
    notes.print(f"Index of {built.n_questions} questions in {built.folder}")


def main() -> None:
    """Run the `milieu` command."""
    cli()


@contextmanager
def _explained() -> Iterator[None]:
    """Turn an error that Milieu knows into one message and exit status 2."""
    try:
        yield
    except (AppError, SurveyDataError, RetrievalError, WeightsInvalid) as exc:
        notes.print(f"milieu: {exc}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)
