"""`milieu serve`, `milieu ask` and `milieu exemplars`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from cli.lazy import LazyModule
from cli.options import AsJson, Culture, NShown, Url
from cli.signatures import take_options

if TYPE_CHECKING:
    from cli.service import jobs
else:
    jobs = LazyModule("cli.service.jobs")

Question = Annotated[str, typer.Argument(help="The question, in quotes.")]


@dataclass(frozen=True)
class AskOptions:
    """The body of a request of `/answer`; None and empty are left to the service."""

    question: Question
    culture: Culture
    options: Annotated[
        tuple[str, ...],
        typer.Option("--option", "-o", help="An answer to choose from. Repeatable."),
    ] = ()
    method: Annotated[
        str | None, typer.Option(help="How to answer: plain, icl, adapter+icl, …")
    ] = None
    adapter: Annotated[str | None, typer.Option(help="auto, none, or the name of an adapter.")] = (
        None
    )
    answer_from: Annotated[
        str | None,
        typer.Option(
            help="What the answer may stand on: survey, tables, model, or auto (the best; default)."
        ),
    ] = None
    withhold: Annotated[
        bool,
        typer.Option(
            "--withhold", help="Take what the culture itself answered to this question for unknown."
        ),
    ] = False
    steer: Annotated[
        str | None,
        typer.Option(help="When to answer for the culture: auto (values only), always or never."),
    ] = None
    user: Annotated[str | None, typer.Option(help="Id of the end user, for experiments.")] = None
    k: NShown = None
    elsewhere: Annotated[
        int | None, typer.Option(help="How many other peoples' answers to this question to show.")
    ] = None
    prompt_language: Annotated[
        str | None,
        typer.Option(
            help="Language to speak to the model in: en, de, es, pt, ru, zh, or auto (the "
            "question's)."
        ),
    ] = None


@dataclass(frozen=True)
class ExemplarsOptions:
    """The body of a request of `/v1/exemplars`; None is left to the service."""

    question: Question
    culture: Culture
    k: NShown = None
    retriever: Annotated[
        str | None, typer.Option(help="How to choose them: dense, chrf, topic or random.")
    ] = None


def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; default: MILIEU_HOST or 127.0.0.1.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on; default: MILIEU_PORT or 8000.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Processes that answer; default: MILIEU_WORKERS or 1."),
    ] = None,
) -> None:
    """Start the service.

    Without a vLLM server in the settings, it starts one with the embedded model.

    Example: milieu serve --port 9000
    """
    jobs.start_service(host=host, port=port, workers=workers)


@take_options()
def ask(options: AskOptions, url: Url = None, as_json: AsJson = False) -> None:
    """Ask a running service what the people of a culture answer.

    Example: milieu ask "Is it ever right to lie?" -c Japan -o Yes -o No
    """
    jobs.ask_question(options, url=url, as_json=as_json)


@take_options()
def exemplars(options: ExemplarsOptions, url: Url = None, as_json: AsJson = False) -> None:
    """Show the survey answers nearest to a question.

    These are what a model would be shown before the question; no model is asked. Asks the running
    service; if none runs, looks them up in this process.

    Example: milieu exemplars "How much do you trust the police?" -c BR
    """
    jobs.show_exemplars(options, url=url, as_json=as_json)
