"""The `milieu` command."""

from __future__ import annotations

from typing import Annotated

import typer

from app.settings import read_settings
from cli import tables
from cli.adapters.command import adapters
from cli.console import explained, notes
from cli.culturespa.command import culturespa
from cli.evaluate.command import evaluate
from cli.experiments.command import experiments
from cli.packs.command import packs

EXAMPLES = """
Examples:

  milieu serve

  milieu ask "How important is religion in your life?" --culture DE

  milieu exemplars "Should women work?" --culture Nigeria --k 3

  milieu cultures --json

  milieu evaluate --held-out
"""

cli = typer.Typer(
    help="Answer questions as the people of a country answer them." + "\n\n" + EXAMPLES,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

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
    with explained():
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
    method: Annotated[str | None, typer.Option(help="plain, icl, adapter+icl, …")] = None,
    adapter: Annotated[str | None, typer.Option(help="auto, none, or the name of one.")] = None,
    user: Annotated[str | None, typer.Option(help="Who is answered, for experiments.")] = None,
    k: Annotated[int | None, typer.Option("--k", help="Exemplars to show.")] = None,
    url: Annotated[str | None, typer.Option(help="The running service.")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask a running service a question, as the people of a culture.

    Example: milieu ask "Is it ever right to lie?" -c Japan -o Yes -o No
    """
    with explained():
        from cli.service_client import ask_service

        settings = read_settings()
        body: dict[str, object] = {"question": question, "culture": culture}
        body |= {"options": option or []}
        given = {"method": method, "adapter": adapter, "k": k, "user": user}
        body |= {name: value for name, value in given.items() if value is not None}
        reply = ask_service(settings, body, url=url)
        tables.print_answer(reply, as_json=as_json)


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
    with explained(), notes.status("Loading the encoder and the index …"):
        from cli.surveys import find_exemplars

        found = find_exemplars(read_settings(), question, culture, k=k, retriever=retriever)
    tables.print_exemplars(found, as_json=as_json)


@cli.command()
def cultures(as_json: AsJson = False) -> None:
    """List the cultures that the loaded surveys cover."""
    with explained():
        from cli.surveys import covered_cultures

        tables.print_cultures(covered_cultures(read_settings()), as_json=as_json)


@cli.command()
def index() -> None:
    """Build the question index now, rather than when the service starts."""
    with explained(), notes.status("Encoding the survey questions …"):
        from cli.surveys import build_index

        built = build_index(read_settings())
    notes.print(f"Index of {built.n_questions} questions in {built.folder}")


cli.add_typer(packs, name="packs")
cli.add_typer(adapters, name="adapters")
cli.add_typer(culturespa, name="culturespa")
cli.add_typer(experiments, name="experiments")
cli.command()(evaluate)


def main() -> None:
    """Run the `milieu` command."""
    cli()
