"""Fixtures of the tests of `milieu evaluate`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from evaluation.report import map_plot, plots, sample_plots
from reports.document import Plot

# Of a run that is to draw its plots: the tests of reports look at them.
DRAWS = "test_six_methods_and_five_references_are_reported"


def leave_blank(draw: Callable[..., object], *, width: float, height: float, **of: str) -> Plot:
    """Return a plot with nothing on it."""
    return Plot(
        svg='<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"></svg>', width=1, **of
    )


@pytest.fixture(autouse=True)
def drawn_elsewhere(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the plots of reports blank: drawing takes half of a run's time."""
    if request.node.name != DRAWS:
        for module in (map_plot, plots, sample_plots):
            monkeypatch.setattr(module, "draw_plot", leave_blank)
