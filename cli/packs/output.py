"""How `milieu packs` reports an import, or a translation that was added."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from cli.console import out
from reports.terminal import print_line
from survey_data.importers.report import ImportReport, PopulationRefused
from survey_data.model import Pack
from survey_data.packs import NewTranslation

MAX_SHOWN = 10


def print_import(pack: Pack, report: ImportReport, folder: Path) -> None:
    for indent, line in _describe(pack, report, folder):
        print_line(out, line, indent=indent)


def print_translation(translation: NewTranslation) -> None:
    n_worded, left_out = len(translation.wordings), translation.left_out
    print_line(out, f"Written to {translation.file}")
    print_line(out, f"{n_worded} of {n_worded + len(left_out)} questions")
    if left_out:
        print_line(out, f"Left out: {_shorten(left_out)}")


def _describe(pack: Pack, report: ImportReport, folder: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines on a pack, each with its indent."""
    manifest = pack.manifest
    yield 0, manifest.title
    yield 1, f"Written to {folder}"
    if manifest.population:
        yield 1, f"Population: people with {manifest.population}"
    size = f"{len(pack.questions)} questions, {len(pack.cultures)} countries"
    yield 1, f"{size}, {report.n_cells_written} cells; {report.n_cells_empty} cells empty"
    rows = f"Rows: {report.n_rows_read} read, {report.n_rows_used} used"
    yield 1, f"{rows}, {report.n_rows_left_out} left out, {report.n_rows_dropped} dropped"
    yield from ((1, note) for note in report.notes)
    yield from ((1, f"Checked: {check}") for check in report.checks)
    yield from _describe_left_out(report)
    yield 0, f"Licence: {manifest.licence}"
    yield 0, f"Commercial use: {'yes' if manifest.commercial_use else 'no'}"
    yield 0, f"Redistribution: {'yes' if manifest.redistribution else 'no'}"
    load = f"MILIEU_PACK_FOLDERS={shlex.quote(str(folder.parent))} MILIEU_PACKS={manifest.id}"
    yield 0, f"To load it: {load} milieu serve"


def _describe_left_out(report: ImportReport) -> Iterator[tuple[int, str]]:
    if report.faults:
        yield 0, "Dropped:"
        yield from ((1, f"{tally.n} x {tally.reason}") for tally in report.faults)
        if report.examples:
            yield 1, "First of them:"
        yield from ((2, str(bad)) for bad in report.examples[:MAX_SHOWN])
    if report.populations_refused:
        yield 0, "Populations left out:"
    for refused in report.populations_refused:
        yield 1, f"{refused.name}: {refused.reason}{_show_size(refused)}"
    if report.questions_dropped:
        yield 0, "Questions left out:"
    for reason, n in Counter(reason for _, reason in report.questions_dropped).most_common():
        names = [name for name, why in report.questions_dropped if why == reason]
        yield 1, f"{n} x {reason}: {_shorten(names)}"


def _shorten(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_SHOWN} more" if len(names) > MAX_SHOWN else ""
    return ", ".join(names[:MAX_SHOWN]) + more


def _show_size(refused: PopulationRefused) -> str:
    if refused.n_effective is not None:
        return f" (effective size {refused.n_effective:.1f})"
    if refused.n_rows is not None:
        return f" ({refused.n_rows} rows)"
    return "" if refused.n_cells is None else f" ({refused.n_cells} cells)"
