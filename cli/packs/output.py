"""How `milieu packs import` says what it did."""

from __future__ import annotations

import shlex
from collections import Counter
from pathlib import Path

from cli.console import out
from survey_data.importers.report import ImportReport, PopulationRefused
from survey_data.model import Pack

MAX_SHOWN = 10


def print_import(pack: Pack, report: ImportReport, folder: Path) -> None:
    """Print what was written to `folder`, what was left out and how to load the pack."""
    manifest = pack.manifest
    _say(manifest.title)
    _say(f"Written to {folder}", indent=1)
    if manifest.population:
        _say(f"Population: people with {manifest.population}", indent=1)
    _say(
        f"{len(pack.questions)} questions, {len(pack.cultures)} countries, "
        f"{report.n_cells_written} cells; {report.n_cells_empty} cells empty",
        indent=1,
    )
    _say(
        f"Rows: {report.n_rows_read} read, {report.n_rows_used} used, "
        f"{report.n_rows_left_out} left out, {report.n_rows_dropped} dropped",
        indent=1,
    )
    for check in report.checks:
        _say(f"Checked: {check}", indent=1)
    _print_faults(report)
    _print_refused(report)
    _print_dropped(report)
    _say(f"Licence: {manifest.licence}")
    _say(f"Commercial use: {'yes' if manifest.commercial_use else 'no'}")
    roots = shlex.quote(str(folder.parent))
    _say(f"To load it: MILIEU_PACK_FOLDERS={roots} MILIEU_PACKS={manifest.id} milieu serve")


def _print_faults(report: ImportReport) -> None:
    if not report.faults:
        return
    _say("Dropped:")
    for tally in report.faults:
        _say(f"{tally.n} x {tally.reason}", indent=1)
    if report.examples:
        _say("First of them:", indent=1)
    for bad in report.examples[:MAX_SHOWN]:
        _say(str(bad), indent=2)


def _print_refused(report: ImportReport) -> None:
    if not report.populations_refused:
        return
    _say("Populations left out:")
    for refused in report.populations_refused:
        _say(f"{refused.name}: {refused.reason}{_size(refused)}", indent=1)


def _print_dropped(report: ImportReport) -> None:
    if not report.questions_dropped:
        return
    _say("Questions left out:")
    for reason, n in Counter(reason for _, reason in report.questions_dropped).most_common():
        names = [name for name, why in report.questions_dropped if why == reason]
        more = f" and {n - MAX_SHOWN} more" if n > MAX_SHOWN else ""
        _say(f"{n} x {reason}: {', '.join(names[:MAX_SHOWN])}{more}", indent=1)


def _size(refused: PopulationRefused) -> str:
    if refused.n_effective is not None:
        return f" (effective size {refused.n_effective:.1f})"
    return "" if refused.n_cells is None else f" ({refused.n_cells} cells)"


def _say(text: str, *, indent: int = 0) -> None:
    out.print(f"{'  ' * indent}{text}", highlight=False, soft_wrap=True)
