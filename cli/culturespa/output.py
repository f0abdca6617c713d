"""What `milieu culturespa` shows: a bar per step, its outcome, and what to do next."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from adapters.culturespa.recipe import TrainedAdapter
from adapters.culturespa.steps import StepManifest
from cli.console import notes, out
from cli.progress import LINE_EVERY_S, bar_on
from prompting.question_writing import AttemptOutcome
from reports.document import Table
from reports.numbers import decimal
from reports.terminal import print_json, print_line, print_table
from survey_data.split import read_split

if TYPE_CHECKING:
    from cli.culturespa.run import RunAdapter


@contextmanager
def show_step(name: str, *, unit: str) -> Iterator[Bar]:
    """Show the progress of a step: a bar on a terminal, and elsewhere a line now and then."""
    bar = Bar(notes, name, unit=unit)
    if not notes.is_terminal:
        notes.print(f"{name} …", highlight=False)
    try:
        with bar.progress:
            yield bar
    except BaseException:
        if bar.was_told:
            notes.print("What was done is kept; run the same command to go on from there.")
        raise
    bar.end()


class Bar:
    """Progress of one step."""

    def __init__(self, console: Console, name: str, *, unit: str) -> None:
        self._console, self._name, self._unit = console, name, unit
        self.progress = bar_on(console)
        self._task = self.progress.add_task(f"{name}: getting ready", total=None, rate="")
        self._part, self._total, self._done = "", 0, 0
        self._began_s = self._first_s = self._told_s = time.monotonic()
        self._n_first = 0
        self.was_told = False

    def __call__(self, done: int, total: int, /, *, part: str = "") -> None:
        """Show that `done` of `total` are done; see `cli.culturespa.training.OnStep`."""
        now = time.monotonic()
        if not self.was_told or part != self._part:
            # Loading a model does not count towards the rate.
            self._first_s, self._n_first, self._part = now, done, part
        self.was_told, self._done, self._total = True, done, total
        rate = self._format_rate(now)
        what = self._name if part in self._name else f"{self._name} {part}"
        self.progress.update(self._task, description=what, completed=done, total=total, rate=rate)
        if rate and not self._console.is_terminal and now - self._told_s >= LINE_EVERY_S:
            self._console.print(f"{what}: {done} of {total} {self._unit}, {rate}", highlight=False)
            self._told_s = now

    def end(self) -> None:
        """Print how long the step took, if no bar shows it."""
        if self._console.is_terminal:
            return
        took_s = time.monotonic() - self._began_s
        outcome = f"{self._done} of {self._total} {self._unit}" if self.was_told else "done before"
        self._console.print(f"{self._name}: {outcome}, {took_s:.1f} s", highlight=False)

    def _format_rate(self, now: float) -> str:
        took_s, n = now - self._first_s, self._done - self._n_first
        if n < 1 or took_s < 0.5:
            return ""
        return f"{n / took_s:.0f}/s" if n > took_s else f"{took_s / n:.1f} s each"


def print_cards(adapters: Sequence[TrainedAdapter]) -> None:
    """Print the cards of adapters as JSON, each with its folder."""
    cards = [
        {"folder": str(adapter.folder), **adapter.card.model_dump(mode="json")}
        for adapter in adapters
    ]
    print_json(out, cards)


def print_step(name: str, manifest: StepManifest, folder: Path | None = None) -> None:
    """Print the outcome of a step."""
    counts = manifest.counts
    match manifest.step:
        case "generate":
            _print_generated(counts)
        case "filter":
            _print_filtered(counts)
        case "survey":
            out.print(
                f"{name}: {counts['questions']} questions of {manifest.settings['pack']}; "
                f"{counts['held_out']} held out for evaluation"
            )
        case "answer":
            n_cultures = len(manifest.settings["cultures"])
            out.print(
                f"{name}: {counts['answers']} answers of {manifest.settings['model']}, unaware "
                f"and as {n_cultures} cultures; {counts['unreadable']} unreadable"
            )
        case "collect":
            _print_collected(name, manifest)
    if folder is not None:
        print_line(out, f"Written to {folder}")


def print_trained(adapters: Sequence[TrainedAdapter]) -> None:
    """Print what was trained."""
    rows = tuple(
        (
            str(folder),
            ", ".join(card.cultures),
            str(sum(card.n_examples.values())),
            str(card.n_steps),
            f"{decimal(card.losses[0])} → {decimal(card.losses[-1])}",
            f"{decimal(card.label_logprob['before'])} → {decimal(card.label_logprob['after'])}",
        )
        for folder, card in adapters
    )
    columns = ("Folder", "Cultures", "Examples", "Steps", "Loss", "Label")
    print_table(out, Table.of_rows("", columns, rows, texts=(0, 1)))
    out.print("Label: mean log-probability of a trained label, before → after.", style="dim")
    for adapter in adapters:
        for reason, n in adapter.card.left_out.items():
            out.print(f"{adapter.folder}: {n} examples left out, {reason}", style="yellow")


def print_outcomes(outcomes: Sequence[RunAdapter], *, pack: str, from_survey: bool) -> None:
    """Print the adapters of a run, and the commands that come next."""
    print_trained([outcome.adapter for outcome in outcomes])
    entries = [(o.variant, o.entry) for o in outcomes if o.entry is not None]
    if not entries:
        return
    out.print("In the registry; what comes next:")
    # Only of the largest share, and no control: the others are for comparison.
    largest = max(variant.ratio for variant, _ in entries)
    sets: dict[str, list[str]] = {}
    for variant, entry in entries:
        sets.setdefault(variant.label, []).append(entry.version_name)
        if variant.ratio == largest and not variant.is_control:
            out.print(
                f"  milieu adapters activate {entry.version_name}",
                *_spell_cultures(entry.cultures),
                soft_wrap=True,
            )
    cultures = sorted({culture for _, entry in entries for culture in entry.cultures})
    options = [f"--pack {pack}", *_spell_cultures(cultures)]
    if from_survey and read_split().cultures.issuperset(cultures):
        options.append("--held-out")
    adapter_options = [f"--adapter {label}={','.join(names)}" for label, names in sets.items()]
    out.print("  milieu evaluate", *options, *adapter_options, soft_wrap=True)


def _spell_cultures(cultures: Sequence[str]) -> list[str]:
    return [f"-c {culture}" for culture in cultures]


def _print_generated(counts: Mapping[str, Any]) -> None:
    rows = tuple(
        (topic, *(str(outcomes.get(attempt, 0)) for attempt in AttemptOutcome))
        for topic, outcomes in counts["outcomes"].items()
    )
    print_table(out, Table.of_rows("", ("Topic", *AttemptOutcome), rows))
    out.print(f"generate: {counts['questions']} questions written")


def _print_filtered(counts: Mapping[str, Any]) -> None:
    left = " → ".join(f"{n:,}" for n in (counts["n_read"], *counts["n_left"]))
    out.print(f"filter: {left} questions")
    out.print(
        f"  {counts['n_repeated']} repeat another or the survey, {counts['n_unexplained']} have "
        f"bare numbers and no scale, {counts['n_half_labelled']} label some options only",
        f"\n  {counts['n_moved']} had end labels moved into the text, {counts['n_renumbered']} "
        "numbering stripped",
        sep="",
        soft_wrap=True,
    )


def _print_collected(name: str, manifest: StepManifest) -> None:
    verdicts: Mapping[str, Mapping[str, int]] = manifest.counts["verdicts"]
    topics: Mapping[str, Mapping[str, int]] = manifest.counts["topics"]
    columns = ("Culture", "Examples", "Kept", "Same", "Too close", "Unreadable")
    kinds = ("kept", "same", "too-close", "unreadable")
    rows = tuple(
        (
            culture,
            str(sum(topics.get(culture, {}).values())),
            *(str(counts.get(kind, 0)) for kind in kinds),
        )
        for culture, counts in verdicts.items()
    )
    print_table(out, Table.of_rows("", columns, rows))
    by_topic = tuple(
        (topic, *(str(counts.get(topic, 0)) for counts in topics.values()))
        for topic in sorted({topic for counts in topics.values() for topic in counts})
    )
    if topics:
        print_table(out, Table.of_rows("", ("Topic", *topics), by_topic))
    ratio = manifest.settings["ratio"]
    share = "" if ratio == 1.0 else f", {100.0 * ratio:g} % of what differs"
    out.print(f"{name}: {manifest.counts['examples']} examples{share}")
