"""Write a report's files."""

from __future__ import annotations

from pathlib import Path

from evaluation.figures import Figures
from evaluation.report.compose import compose
from reports.html import to_html
from reports.markdown import PLOT_FOLDER, to_markdown


def write_report(figures: Figures, folder: Path) -> None:
    """Write report.html, report.md and plots/*.svg into `folder`, which is made if missing.

    The same figures give the same bytes. Files of those names are replaced; plots of an earlier
    report that this one has not are removed.
    """
    document = compose(figures)
    plots = folder / PLOT_FOLDER
    plots.mkdir(parents=True, exist_ok=True)
    for stale in plots.glob("*.svg"):
        stale.unlink()
    for plot in document.plots():
        (plots / f"{plot.name}.svg").write_text(plot.svg, encoding="utf-8")
    (folder / "report.md").write_text(to_markdown(document), encoding="utf-8")
    (folder / "report.html").write_text(to_html(document), encoding="utf-8")
