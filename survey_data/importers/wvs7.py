"""The official respondent-level file of the World Values Survey, wave 7: CSV, SPSS or Stata.

One row per respondent, one column per item; negative codes are missing. Who was not asked (-4) or
to whom an item does not apply (-3) is in no figure of the item; who did not know (-1), gave no
answer (-2) or has a blank or -5 is non-response.

A value that is no number, or a code that its question has no option for, is dropped: that
respondent counts as non-response for that item. A row without a sound weight or a known country
is dropped whole. Both are counted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files
from pathlib import Path

from survey_data.cultures import CultureCatalogue
from survey_data.errors import PackInvalid
from survey_data.importers.report import (
    ImportedPack,
    ImportReport,
    PopulationRefused,
    QuestionDropped,
)
from survey_data.importers.subset import RowCondition, describe_population, make_id_part
from survey_data.importers.wvs7_respondents import CountingRules, Respondents
from survey_data.model import Pack, PackManifest, Question, ResponseDistribution, Wording
from survey_data.packs import read_pack

PACK_ID = "wvs7-official"
MAX_ID_CHARS = 64
# For a country whose rows give no year.
WAVE_YEARS = "2017-2022"


@cache
def read_shipped() -> Pack:
    """Return the pack `wvs7` that Milieu ships, read once."""
    return read_pack(Path(str(files("survey_data") / "packs" / "wvs7")))


def import_survey(
    file: Path,
    catalogue: CultureCatalogue,
    *,
    choice: CountingRules | None = None,
    questions: Sequence[Question] | None = None,
    pack_id: str | None = None,
) -> ImportedPack:
    """Return the pack of the respondents in `file` that `choice` takes, not written yet.

    Args:
        file: the official CSV, `.sav` or `.dta`.
        catalogue: the known countries.
        choice: whom to count; everyone, weighted, by default.
        questions: what to show for each item, named by `source_item`; by default the questions of
            the shipped pack `wvs7`, with their translations.
        pack_id: by default `wvs7-official`, followed by the conditions, if any.

    Raises:
        PackInvalid: the file lacks a column, is no such file or has no usable row or answer, no
            population is large enough, or a value is bad and `choice.strict` is set.
        ConditionInvalid: a condition names a column that the file lacks.
    """
    choice = choice or CountingRules()
    pack_id = pack_id or _default_id(choice.where)
    shipped = read_shipped()
    asked = [
        replace(question, key=f"{pack_id}:{question.id}")
        for question in (shipped.questions if questions is None else questions)
    ]
    people = Respondents(file, catalogue, choice, asked)
    people.count()
    imported = _build_pack(people, pack_id)
    if questions is not None:
        return imported
    pack = replace(imported.pack, translations=_translate(imported.pack.questions, shipped))
    return imported._replace(pack=pack)


def _translate(questions: Sequence[Question], shipped: Pack) -> dict[str, dict[str, Wording]]:
    """Return the shipped translations of `questions`, under their keys."""
    key_of = {f"{shipped.manifest.id}:{question.id}": question.key for question in questions}
    return {
        language: {key_of[key]: wording for key, wording in wordings.items() if key in key_of}
        for language, wordings in shipped.translations.items()
    }


def _build_pack(people: Respondents, pack_id: str) -> ImportedPack:
    counts, least = people.counts, people.choice.min_size
    populations = filter(counts.n_people, range(len(people.cultures)))
    sizes = {index: counts.n_effective(index) for index in populations}
    kept = [index for index, size in sizes.items() if size >= least]
    refused = tuple(
        PopulationRefused(people.cultures[i], f"effective size under {least:g}", n_effective=size)
        for i, size in sorted(sizes.items(), key=lambda pair: -pair[1])
        if size < least
    )
    if not kept:
        raise _explain_empty(people, refused)
    questions, cells, dropped = [], [], list(people.dropped)
    for item, (question, _) in enumerate(people.items):
        own = list(_cells(people, item, kept))
        if own:
            questions.append(question)
            cells += own
        else:
            dropped.append(_drop(question.source_item, people))
    if not cells:
        raise _explain_no_answer(people)
    report = ImportReport(
        n_rows_read=people.n_read,
        n_rows_used=people.n_used,
        n_rows_left_out=people.n_left_out,
        n_rows_dropped=people.n_read - people.n_used - people.n_left_out,
        n_cells_written=len(cells),
        n_cells_empty=len(people.items) * len(kept) - len(cells),
        faults=people.faults.tallies,
        examples=people.faults.examples,
        populations_refused=(*refused, *people.populations.refused("rows")),
        questions_dropped=tuple(dropped),
        notes=(
            f"Read as {people.source.describe()}",
            *filter(None, [people.describe_missing()]),
        ),
    )
    manifest = _manifest(people, pack_id, kept)
    return ImportedPack(Pack(manifest, tuple(questions), tuple(cells)), report)


def _drop(item: str, people: Respondents) -> QuestionDropped:
    unread = people.n_bad[item]
    why = "its values are no codes of its options" if unread else "nobody answered it"
    return QuestionDropped(item, why)


def _cells(people: Respondents, item: int, kept: list[int]) -> Iterator[ResponseDistribution]:
    for index in kept:
        answer = people.counts.summarise(item, index)
        if answer is not None:
            yield ResponseDistribution(
                question=people.items[item].question.key,
                culture=people.cultures[index],
                shares=answer.shares,
                n_respondents=answer.n_asked,
                non_response=answer.non_response,
                n_effective=answer.n_effective,
            )


def _explain_no_answer(people: Respondents) -> PackInvalid:
    """Return the error that no question has an answer, at the first value that is none."""
    of_items = {item.question.source_item for item in people.items}
    for bad in people.faults.examples:
        if bad.column in of_items:
            message = (
                f"no answer of any question can be used, this one first: {bad.message}; expected "
                "numeric codes, so export the codes of the answers rather than their labels"
            )
            return PackInvalid(message, file=people.file, row=bad.row, column=bad.column)
    names = ", ".join(sorted(of_items)[:5])
    message = f"no answer of any question ({names}) has a code from 0; all are missing or blank"
    return PackInvalid(message, file=people.file)


def _explain_empty(people: Respondents, refused: tuple[PopulationRefused, ...]) -> PackInvalid:
    """Return the error that no population is left, at the first fault if no row can be used."""
    if people.n_used:
        sizes = ", ".join(f"{each.name} {each.n_effective:.0f}" for each in refused[:5])
        message = (
            f"no population has an effective size of {people.choice.min_size:g} (largest: {sizes})"
            "; widen the conditions or lower the minimum size"
        )
        return PackInvalid(message, file=people.file)
    faults = "; ".join(f"{tally.reason}: {tally.n}" for tally in people.faults.tallies)
    message = (
        f"none of {people.n_read} rows can be used ({people.n_left_out} do not meet the "
        f"conditions{'; ' + faults if faults else ''}); check that file and conditions match"
    )
    if not people.faults.examples:
        return PackInvalid(message, file=people.file)
    bad = people.faults.examples[0]
    message += f"; first: {bad.message}"
    return PackInvalid(message, file=people.file, row=bad.row, column=bad.column)


def _manifest(people: Respondents, pack_id: str, kept: list[int]) -> PackManifest:
    choice, file = people.choice, people.file
    population = describe_population(choice.where)
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    how = "weighted by W_WEIGHT" if choice.weighted else "unweighted"
    title = f"World Values Survey, wave 7: {len(kept)} countries, {how}"
    shipped = "World Values Survey terms: non-profit use, with citation, no redistribution of the "
    return PackManifest(
        id=pack_id,
        title=f"{title}, people with {population}" if population else title,
        source=(
            "World Values Survey wave 7, https://www.worldvaluessurvey.org; respondent-level file "
            f"{file.name}, sha256 {digest}"
        ),
        citation=(
            "Haerpfer, C., Inglehart, R., Moreno, A., Welzel, C., Kizilova, K., Diez-Medrano, J., "
            "Lagos, M., Norris, P., Ponarin, E. & Puranen, B. (eds.) (2022). World Values Survey: "
            "Round Seven - Country-Pooled Datafile. JD Systems Institute & WVSA Secretariat. "
            "doi:10.14281/18241.20"
        ),
        weighted=choice.weighted,
        wording="own",
        licence=f"{shipped}data files. This pack holds aggregated figures and wording of its own.",
        commercial_use=False,
        fieldwork={people.cultures[index]: people.years(index) or WAVE_YEARS for index in kept},
        notes=(
            f"Shares are {how}, over those who gave an option; non_response is the rest of those "
            "who were asked, n_effective is Kish's. Codes off the scale count as non-response. "
            f"Left out: countries with an effective size under {choice.min_size:g}."
        ),
        population=population,
    )


def _default_id(where: tuple[RowCondition, ...]) -> str:
    full = "-".join(filter(None, (PACK_ID, make_id_part(where))))
    if len(full) <= MAX_ID_CHARS:
        return full
    digest = hashlib.sha256(full.encode()).hexdigest()[:8]
    return f"{full[: MAX_ID_CHARS - 9].rstrip('-')}-{digest}"
