"""How `milieu packs import` reports what it did."""

from __future__ import annotations

import shlex
from collections import Counter
from pathlib import Path

from cli.console import out
from reports.terminal import print_line
from survey_data.importers.report import ImportReport, PopulationRefused
from survey_data.model import Pack

MAX_SHOWN = 10


def print_import(pack: Pack, report: ImportReport, folder: Path) -> None:
    manifest = pack.manifest
    print_line(out, manifest.title)
    about = [f"Written to {folder}"]
    if manifest.population:
        about.append(f"Population: people with {manifest.population}")
    about += [
        f"{len(pack.questions)} questions, {len(pack.cultures)} countries, "
        f"{report.n_cells_written} cells; {report.n_cells_empty} cells empty",
        f"Rows: {report.n_rows_read} read, {report.n_rows_used} used, "
        f"{report.n_rows_left_out} left out, {report.n_rows_dropped} dropped",
        *(f"Checked: {check}" for check in report.checks),
    ]
    for line in about:
        print_line(out, line, indent=1)
    _print_faults(report)
    _print_refused(report)
    _print_dropped(report)
    print_line(out, f"Licence: {manifest.licence}")
    print_line(out, f"Commercial use: {'yes' if manifest.commercial_use else 'no'}")
    load = f"MILIEU_PACK_FOLDERS={shlex.quote(str(folder.parent))} MILIEU_PACKS={manifest.id}"
    print_line(out, f"To load it: {load} milieu serve")


def _print_faults(report: ImportReport) -> None:
    if not report.faults:
        return
    print_line(out, "Dropped:")
    for tally in report.faults:
        print_line(out, f"{tally.n} x {tally.reason}", indent=1)
    if report.examples:
        print_line(out, "First of them:", indent=1)
    for bad in report.examples[:MAX_SHOWN]:
        print_line(out, str(bad), indent=2)


def _print_refused(report: ImportReport) -> None:
    if not report.populations_refused:
        return
    print_line(out, "Populations left out:")
    for refused in report.populations_refused:
        print_line(out, f"{refused.name}: {refused.reason}{_show_size(refused)}", indent=1)


def _print_dropped(report: ImportReport) -> None:
    if not report.questions_dropped:
        return
    print_line(out, "Questions left out:")
    for reason, n in Counter(reason for _, reason in report.questions_dropped).most_common():
        names = [name for name, why in report.questions_dropped if why == reason]
        more = f" and {n - MAX_SHOWN} more" if n > MAX_SHOWN else ""
        print_line(out, f"{n} x {reason}: {', '.join(names[:MAX_SHOWN])}{more}", indent=1)


def _show_size(refused: PopulationRefused) -> str:
    if refused.n_effective is not None:
        return f" (effective size {refused.n_effective:.1f})"
    return "" if refused.n_cells is None else f" ({refused.n_cells} cells)"
