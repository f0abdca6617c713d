"""GlobalOpinionQA: questions of Pew Global Attitudes and WVS/EVS with shares per country.

Two forms are read: the published CSV (`question`, `selections`, `options`, `source`, the lists as
Python literals) and JSON lines (`id`, `survey`, `question`, `options`, `nonresponse`, `shares`).
Literals are read as literals and never run.

How the release is read:

- A country is what the culture catalogue resolves its name to. A sample that is not simply a
  country's ("India (Non-national sample)") is left out and counted.
- Options that give no answer ("DK/Refused", "Don't know (DO NOT READ)", "Missing; …") become
  non-response; JSON lines also name them by index in `nonresponse`. Without such an option
  non-response is unknown. Who was not asked ("Not applicable", "INAP") is in no figure. Options
  that have such words and yet count as answers are reported.
  A table's total among the options is nobody's answer and is left out.
- Two options make a binary scale. Three or more are ordinal unless they are clearly nominal:
  `scale_of` has the rule.
- Questions of the same text and options are one: a country's first figures are kept, and what
  comes later for the same country is counted as standing twice.

Source: Durmus et al., arXiv 2306.16388.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from survey_data.cultures import CultureCatalogue
from survey_data.errors import PackInvalid
from survey_data.importers.globalopinionqa_file import Released, Unusable, read_release
from survey_data.importers.option_order import (
    describe_near_misses,
    is_no_answer,
    is_not_asked,
    is_total,
    scale_of,
)
from survey_data.importers.populations import Populations
from survey_data.importers.report import Faults, ImportedPack, ImportReport, QuestionDropped
from survey_data.model import Pack, PackManifest, Question, ResponseDistribution
from survey_data.questions_file import MAX_OPTIONS, MAX_TEXT_CHARS, MIN_OPTIONS

PACK_ID = "globalopinionqa"
VALUES_SURVEYS = "World and European Values Survey"
_SURVEYS = {
    "GAS": "Pew Global Attitudes Survey",
    "Pew GAS": "Pew Global Attitudes Survey",
    "WVS": VALUES_SURVEYS,
    "WVS/EVS": VALUES_SURVEYS,
}
# Rounding may add a little; what "don't know" is not listed for may lack much.
MIN_SUM, MAX_SUM = 0.5, 1.05


@dataclass
class _Kept:
    """A question of the pack to be, with its figures by culture."""

    question: Question
    cells: dict[str, ResponseDistribution] = field(default_factory=dict)


def import_survey(
    file: Path,
    catalogue: CultureCatalogue,
    *,
    pack_id: str = PACK_ID,
    strict: bool = False,
    encoding: str | None = None,
) -> ImportedPack:
    """Return the pack of GlobalOpinionQA in `file`, not written yet.

    `encoding` is that of a CSV file, if it is not to be found by its first bytes.

    Raises:
        PackInvalid: the file is missing, empty, not UTF-8 or lacks a column, or nothing of it can
            be used; or, with `strict`, a question or a cell cannot be used.
    """
    reading = _Reading(file, catalogue, pack_id=pack_id, strict=strict)
    for released in read_release(file, encoding=encoding):
        reading.n_read += 1
        if isinstance(released, Unusable):
            reading.drop(released.row, f"row {released.row}", released)
        else:
            reading.take(released)
    kept = [each for each in reading.kept.values() if each.cells]
    if not kept:
        raise _explain_empty(reading, file)
    questions = tuple(each.question for each in kept)
    cells = tuple(cell for each in kept for _, cell in sorted(each.cells.items()))
    pack = Pack(_manifest(file, pack_id), questions, cells)
    return ImportedPack(pack, _report(reading, len(cells)))


def _explain_empty(reading: _Reading, file: Path) -> PackInvalid:
    tallies = [f"{tally.reason}: {tally.n}" for tally in reading.faults.tallies]
    tallies += [f"{each.name}: {each.reason}" for each in reading.populations.refused("cells")[:3]]
    message = f"none of {reading.n_read} questions can be used: {'; '.join(tallies) or 'no rows'}"
    if not reading.faults.examples:
        return PackInvalid(message, file=file)
    first = reading.faults.examples[0]
    message += f"; the first: {first.message}"
    return PackInvalid(message, file=file, row=first.row, column=first.column)


def _report(reading: _Reading, n_cells: int) -> ImportReport:
    without = [
        QuestionDropped(each.question.id, "no country is left")
        for each in reading.kept.values()
        if not each.cells
    ]
    return ImportReport(
        n_rows_read=reading.n_read,
        n_rows_used=reading.n_read - reading.n_dropped,
        n_rows_dropped=reading.n_dropped,
        n_cells_written=n_cells,
        n_cells_empty=reading.n_empty,
        faults=reading.faults.tallies,
        examples=reading.faults.examples,
        populations_refused=reading.populations.refused("cells"),
        questions_dropped=(*reading.dropped, *without),
        checks=(
            "questions that repeat another's text and options, made one with it: "
            f"{reading.n_repeated}",
        ),
        notes=tuple(filter(None, [describe_near_misses(reading.options())])),
    )


class _Reading:
    """What is kept and counted while the questions are read."""

    def __init__(
        self, file: Path, catalogue: CultureCatalogue, *, pack_id: str, strict: bool
    ) -> None:
        self.populations, self.pack_id = Populations(catalogue), pack_id
        self.faults = Faults(file, strict=strict)
        self.kept: dict[tuple[str, tuple[str, ...]], _Kept] = {}
        self.dropped: list[QuestionDropped] = []
        self.n_read = self.n_dropped = self.n_empty = self.n_repeated = 0

    def options(self) -> Iterator[str]:
        """Yield the options of the questions that are kept, each as often as it stands there."""
        for each in self.kept.values():
            yield from each.question.options

    def drop(self, row: int, name: str, fault: Unusable) -> None:
        """Count one question that cannot be used."""
        reason = f"question dropped: {fault.column}"
        self.faults.add(reason, row=row, column=fault.column, message=str(fault))
        self.n_dropped += 1
        self.dropped.append(QuestionDropped(name, str(fault)))

    def take(self, released: Released) -> None:
        """Keep `released`, less what cannot be used of it."""
        listed = list(enumerate(released.options))
        totals = {i for i, option in listed if is_total(option)}
        missing = released.nonresponse | {i for i, option in listed if is_no_answer(option)}
        missing -= totals
        shown = [i for i, _ in listed if i not in totals | missing]
        # Non-response is of those who were asked.
        missing -= {i for i, option in listed if is_not_asked(option)}
        options = tuple(released.options[i] for i in shown)
        try:
            question = self._question(released, options)
        except Unusable as fault:
            self.drop(released.row, released.id, fault)
            return
        same = (question.text, options)
        if same in self.kept:
            self.n_repeated += 1
        kept = self.kept.setdefault(same, _Kept(question))
        for name, shares in released.shares.items():
            culture = self.populations.find(name)
            if culture is None:
                self.populations.refuse(name)
                continue
            try:
                cell = _cell(
                    kept.question.key, culture, shares, released, shown=shown, missing=missing
                )
            except Unusable as fault:
                message = f"{name}: {fault}"
                reason, column = "cell dropped: shares", fault.column
                self.faults.add(reason, row=released.row, column=column, message=message)
                continue
            if cell is None:
                self.n_empty += 1
            elif culture in kept.cells:
                self.faults.count("cell dropped: its country stands twice")
            else:
                kept.cells[culture] = cell

    def _question(self, released: Released, options: tuple[str, ...]) -> Question:
        if not released.text or len(released.text) > MAX_TEXT_CHARS:
            raise Unusable(
                "question", f"{len(released.text)} characters, expected 1 to {MAX_TEXT_CHARS}"
            )
        if not MIN_OPTIONS <= len(options) <= MAX_OPTIONS:
            expected = f"{MIN_OPTIONS} to {MAX_OPTIONS}"
            message = f"{len(options)} options that are answers, expected {expected}"
            raise Unusable("options", message)
        if len(set(options)) != len(options) or not all(options):
            raise Unusable("options", "options must differ and none may be blank")
        return Question(
            key=f"{self.pack_id}:{released.id}",
            topic=_SURVEYS.get(released.survey, released.survey or "Other"),
            text=released.text,
            options=options,
            scale=scale_of(options),
            source_item=released.id,
        )


def _cell(
    key: str,
    culture: str,
    shares: Sequence[float],
    released: Released,
    *,
    shown: Sequence[int],
    missing: frozenset[int],
) -> ResponseDistribution | None:
    """Return the cell of one country, or None if nobody gave an option."""
    if len(shares) != len(released.options):
        raise Unusable("shares", f"{len(shares)} shares for {len(released.options)} options")
    if not all(math.isfinite(share) and 0.0 <= share <= 1.0 for share in shares):
        raise Unusable("shares", "a share is not in [0, 1]")
    if not MIN_SUM <= sum(shares) <= MAX_SUM:
        raise Unusable("shares", f"sum {sum(shares):.3f}, expected {MIN_SUM:g} to {MAX_SUM:g}")
    given = [shares[i] for i in shown]
    no_answer = sum(shares[i] for i in missing)
    answered = sum(given)
    if answered <= 0.0:
        return None
    return ResponseDistribution(
        question=key,
        culture=culture,
        shares=tuple(share / answered for share in given),
        non_response=no_answer / (answered + no_answer) if missing else None,
    )


def _manifest(file: Path, pack_id: str) -> PackManifest:
    return PackManifest(
        id=pack_id,
        title="GlobalOpinionQA: Pew Global Attitudes and World and European Values Survey",
        source=f"GlobalOpinionQA (arXiv 2306.16388); file {file.name}",
        citation=(
            "Durmus, E. et al. (2023). Towards Measuring the Representation of Subjective Global "
            "Opinions in Language Models. arXiv 2306.16388; figures of the Pew Research Center "
            "and of the World and European Values Surveys"
        ),
        weighted=False,
        wording="official",
        licence="CC BY-NC-SA 4.0",
        commercial_use=False,
        redistribution=True,
        fieldwork={"*": "2002-2022"},
        notes=(
            "The release says neither when nor whether weighted; the years are those of its "
            "surveys. Samples that are not simply a country's are left out. Options that give no "
            "answer are non-response; a table's total among the options is left out. Two options "
            "are a binary scale; more are ordinal unless an option is volunteered or stands "
            "outside the order, a middle answer stands last, numbers are out of order, or fewer "
            "than half of the options hold a word of degree; then they are nominal. Questions of "
            "the same text and options are one, a country's first figures being kept."
        ),
    )
