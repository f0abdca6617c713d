"""The `milieu` command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import typer

from cli.errors import explain_errors
from cli.lazy import LazyCommand, LazyGroup

HELP = """Answer questions the way the people of a country answer them.

Examples:

  milieu serve

  milieu ask "How important is religion in your life?" --culture DE

  milieu exemplars "Should women work?" --culture Nigeria --k 3

  milieu cultures --json

  milieu evaluate --held-out
"""


class Milieu(LazyGroup):
    """All commands; a test checks that their lines match their own help."""

    lazy: ClassVar[Mapping[str, LazyCommand]] = {
        "serve": LazyCommand("cli.service.command:serve", "Start the service."),
        "ask": LazyCommand(
            "cli.service.command:ask", "Ask a running service what the people of a culture answer."
        ),
        "batch": LazyCommand(
            "cli.batch.command:batch", "Ask many questions of many cultures, into a table."
        ),
        "exemplars": LazyCommand(
            "cli.service.command:exemplars", "Show the survey answers nearest to a question."
        ),
        "cultures": LazyCommand(
            "cli.surveys.command:cultures", "List the cultures that the loaded surveys cover."
        ),
        "index": LazyCommand("cli.surveys.command:index", "Build the question index now."),
        "evaluate": LazyCommand(
            "cli.evaluate.command:evaluate", "Measure how close answers come to what people said."
        ),
        "calibrate": LazyCommand(
            "cli.calibrate.command:calibrate",
            "Learn how far the served model's answers can be trusted.",
        ),
        "packs": LazyCommand("cli.packs.command:packs", "List survey packs, or import a survey."),
        "adapters": LazyCommand("cli.adapters.command:adapters", "Manage LoRA adapters."),
        "culturespa": LazyCommand(
            "cli.culturespa.command:culturespa",
            "Train adapters on a model's own culture-aware answers.",
        ),
        "experiments": LazyCommand(
            "cli.experiments.command:experiments", "Run A/B experiments on ways of answering."
        ),
    }

    # Any: Typer keeps its own Click, whose names are private.
    def invoke(self, ctx: Any) -> Any:
        with explain_errors():
            return super().invoke(ctx)


cli = typer.Typer(
    cls=Milieu,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@cli.callback(help=HELP)
def do_nothing() -> None:
    """Do nothing; the command that follows does the work."""


def main() -> None:
    cli()
