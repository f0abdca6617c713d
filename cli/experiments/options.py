"""The options of `milieu experiments` that describe an experiment or its traffic."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated

import typer

from cli.options import CultureNames
from experiments.metrics import Direction, MetricKind


@dataclass(frozen=True, slots=True)
class FourArms:
    """A description of an experiment on the four ways; None takes the default."""

    metric: Annotated[str | None, typer.Option(help="Primary metric; default: helpful.")] = None
    kind: Annotated[
        MetricKind | None, typer.Option(help="Kind of the primary metric; default: proportion.")
    ] = None
    direction: Annotated[
        Direction | None, typer.Option(help="Which values are better; default: higher.")
    ] = None
    smallest_effect: Annotated[
        float | None,
        typer.Option(help="Smallest difference worth having; default for proportions: 0.05."),
    ] = None
    lowest: Annotated[
        float | None, typer.Option(help="Smallest possible value of a mean or rating.")
    ] = None
    highest: Annotated[
        float | None, typer.Option(help="Largest possible value of a mean or rating.")
    ] = None
    quantile: Annotated[
        float | None, typer.Option(help="Which quantile to compare, such as 0.95.")
    ] = None
    hypothesis: Annotated[str | None, typer.Option(help="What you expect, and why.")] = None
    cultures: CultureNames = ()
    guardrails: Annotated[
        tuple[str, ...],
        typer.Option(
            "--guardrail",
            help="What must not get worse, as METRIC:KIND:DIRECTION:MARGIN; KIND is proportion, "
            "mean, mean=0..10, rating=1..5 or quantile=0.95. Repeatable.",
        ),
    ] = ()

    estimate: Annotated[
        bool | None,
        typer.Option(
            "--estimate", help="A fifth arm, 'estimate', that answers by the best source."
        ),
    ] = None

    @property
    def given(self) -> tuple[str, ...]:
        """The options that were given, as they are written."""
        names = [
            field.name for field in fields(self) if getattr(self, field.name) not in (None, ())
        ]
        singular = {"cultures": "culture", "guardrails": "guardrail"}
        return tuple("--" + singular.get(name, name).replace("_", "-") for name in names)


@dataclass(frozen=True, slots=True)
class Traffic:
    """The traffic that an experiment may expect: `rate` for a proportion, else `mean` and `sd`."""

    units_per_day: Annotated[
        float,
        typer.Option(help="Users per day, in its cultures, who give a value of the metric."),
    ]
    rate: Annotated[
        float | None,
        typer.Option("--baseline", help="For a proportion: the expected share under control."),
    ] = None
    mean: Annotated[
        float | None, typer.Option(help="For other metrics: the expected mean under control.")
    ] = None
    sd: Annotated[float | None, typer.Option(help="Standard deviation of a user's value.")] = None
