"""The whole CultureSPA release as a pack: 259 items in official wording, options as released.

Options off the scale ("Hard to say", "Not allowed to vote") stay among the options, as in the
release, so that the paper's scores come out exactly. An item with one of them, and those that the
survey does not order, are nominal.

Source: Xu et al., arXiv 2410.12971; World Values Survey wave 7.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from survey_data.cultures import CultureCatalogue
from survey_data.errors import PackInvalid
from survey_data.importers.culturespa import FIELDWORK, N_RESPONDENTS, OFF_SCALE, ZERO_BASED
from survey_data.importers.report import ImportedPack, ImportReport, QuestionDropped
from survey_data.library import SurveyLibrary
from survey_data.model import Pack, PackManifest, Question, ResponseDistribution, Scale
from survey_data.similarity import CultureSimilarity

PACK_ID = "culturespa"
QUESTIONS = "wvs_questions.json"
PROPORTIONS = "proportions_group_by_country.json"
RANKING = "self_alignment_examples.json"
SIMILARITY = "country_similarity.json"
EXCLUDED = frozenset({"Q223", *(f"Q{n}" for n in range(260, 291))})
NOMINAL = frozenset(f"Q{n}" for n in (111, 149, 150, *range(152, 158), *range(173, 176)))
# Topics by the last item of each; Q234A belongs to Q234.
_TOPICS = (
    (45, "Social values"),
    (56, "Happiness and well-being"),
    (105, "Social capital, trust and membership"),
    (111, "Economic values"),
    (120, "Corruption"),
    (130, "Migration"),
    (151, "Security"),
    (157, "Postmaterialism"),
    (163, "Science and technology"),
    (175, "Religious values"),
    (198, "Ethical values and norms"),
    (234, "Political interest and participation"),
    (259, "Political culture and regimes"),
)
# One unit of the last digit that shares.csv has: less than a hundredth of one respondent.
TIE_STEP = 1e-6
_SHARE_DIGITS = 6

_Proportions = dict[str, dict[str, dict[str, float]]]
_Scores = dict[str, dict[str, float]]


class _ItemLine(BaseModel):
    model_config = ConfigDict(frozen=True)

    Q_id: str = Field(pattern=r"^Q\d+A?$")
    question: str
    option_lst: list[str]


def import_survey(
    folder: Path, catalogue: CultureCatalogue, *, pack_id: str = PACK_ID
) -> ImportedPack:
    """Return the pack of the release in `folder`, not written yet, and how it was checked.

    The ranking file and the table of similarities are not in the pack; if they are there, they
    verify it, and the report says with what result.

    Raises:
        PackInvalid: a file is missing or not as released, or a code has no option.
    """
    items = _read(folder / QUESTIONS, TypeAdapter(list[_ItemLine]))
    proportions = _read(folder / PROPORTIONS, TypeAdapter(_Proportions))
    questions = [_question(item, pack_id) for item in items if item.Q_id not in EXCLUDED]
    cells, n_empty, n_ties = _make_cells(questions, proportions, file=folder / PROPORTIONS)
    if not cells:
        message = f"none of {n_empty} cells has an answer to one of {len(questions)} questions"
        raise PackInvalid(message, file=folder / PROPORTIONS)
    used = {cell.question for cell in cells}
    manifest = _manifest(pack_id, proportions, n_ties)
    pack = Pack(manifest, tuple(q for q in questions if q.key in used), tuple(cells))
    report = ImportReport(
        n_rows_read=len(items),
        n_rows_used=len(questions),
        n_rows_left_out=len(items) - len(questions),
        n_cells_written=len(cells),
        n_cells_empty=n_empty,
        questions_dropped=tuple(
            QuestionDropped(item.Q_id, "in no evaluation of the paper")
            for item in items
            if item.Q_id in EXCLUDED
        ),
        checks=(
            f"modal answers that are the release's first key: {len(cells)} of {len(cells)}, "
            f"{n_ties} of them between equal shares",
            _check_similarity(folder / SIMILARITY, pack, catalogue),
            _check_ranking(folder / RANKING, items),
        ),
    )
    return ImportedPack(pack, report)


class _Cells(NamedTuple):
    """Distributions; how many cells were empty, and in how many the mode was one of two."""

    distributions: list[ResponseDistribution]
    n_empty: int
    n_ties: int


def _make_cells(questions: Sequence[Question], proportions: _Proportions, *, file: Path) -> _Cells:
    cells = []
    n_empty = n_ties = 0
    for question in questions:
        for country, answered in sorted(proportions.items()):
            if question.id not in answered:
                raise PackInvalid(f"{country} has no item", file=file, column=question.id)
            if not answered[question.id]:
                n_empty += 1
                continue
            cell = _distribution(question, country, answered[question.id], file=file)
            first = int(next(iter(answered[question.id]))) - question.first_number
            if cell.mode != first:
                cell = _first_of_equals(cell, first, file=file)
                n_ties += 1
            cells.append(cell)
    return _Cells(cells, n_empty, n_ties)


def _question(item: _ItemLine, pack_id: str) -> Question:
    scale = Scale.NOMINAL if item.Q_id in NOMINAL or item.Q_id in OFF_SCALE else Scale.ORDINAL
    number = int(item.Q_id.strip("QA"))
    return Question(
        key=f"{pack_id}:{item.Q_id}",
        topic=next((topic for last, topic in _TOPICS if number <= last), "Other"),
        text=item.question,
        options=tuple(item.option_lst),
        scale=Scale.BINARY if len(item.option_lst) == 2 else scale,
        source_item=item.Q_id,
        first_number=0 if item.Q_id in ZERO_BASED else 1,
    )


def _distribution(
    question: Question, country: str, cell: Mapping[str, float], *, file: Path
) -> ResponseDistribution:
    codes = [str(number) for number in question.numbers]
    if unknown := sorted(cell.keys() - set(codes)):
        message = f"{country} answered with codes {unknown}, but the item's are {codes}"
        raise PackInvalid(message, file=file, column=question.id)
    counted = [cell.get(code, 0.0) for code in codes]
    answered = sum(counted)
    if answered <= 0.0:
        raise PackInvalid(f"nobody in {country} answered", file=file, column=question.id)
    return ResponseDistribution(
        question=question.key,
        culture=country,
        shares=tuple(share / answered for share in counted),
        n_respondents=N_RESPONDENTS.get(country),
        non_response=max(0.0, 1.0 - answered),
    )


def _first_of_equals(cell: ResponseDistribution, first: int, *, file: Path) -> ResponseDistribution:
    """Return `cell` with the release's first option as its mode.

    Of equal shares the mode is the first in option order, but the release's is the first in its
    file; the share of that one is raised by one unit of the last digit that is written.
    """
    shares = [round(share, _SHARE_DIGITS) for share in cell.shares]
    if shares[first] != max(shares):
        message = f"{cell.culture}'s first key has not the largest share, expected largest first"
        raise PackInvalid(message, file=file, column=cell.question.rpartition(":")[2])
    shares[first] += TIE_STEP
    return replace(cell, shares=tuple(shares))


def _check_similarity(path: Path, pack: Pack, catalogue: CultureCatalogue) -> str:
    if not path.is_file():
        return f"country similarity: not checked, there is no {path.name}"
    released = _read(path, TypeAdapter(_Scores))
    computed = CultureSimilarity(SurveyLibrary([pack], catalogue))
    compared = [
        (country, other, score, computed.scores(country).get(other))
        for country, scores in released.items()
        if country in pack.cultures
        for other, score in scores.items()
    ]
    missed = [
        f"{country}-{other} is {found}, released {score}"
        for country, other, score, found in compared
        if found is None or round(found, 1) != score
    ]
    n_released = sum(len(scores) for scores in released.values())
    said = f"country similarity as released: {len(compared) - len(missed)} of {n_released}"
    return f"{said}; first of the others: {missed[0]}" if missed else said


def _check_ranking(path: Path, items: list[_ItemLine]) -> str:
    if not path.is_file():
        return f"ranking of items: not checked, there is no {path.name}"
    ranking = _read(path, TypeAdapter(dict[str, list[str]]))
    evaluated = {item.Q_id for item in items} - EXCLUDED
    n_whole = sum(
        sorted(ranking.get(item.Q_id, ())) == sorted(evaluated - {item.Q_id}) for item in items
    )
    return f"rankings that name every other evaluated item once: {n_whole} of {len(items)}"


def _read(path: Path, form: TypeAdapter[Any]) -> Any:
    try:
        return form.validate_json(path.read_bytes())
    except OSError as exc:
        raise PackInvalid(f"cannot be read: {exc.strerror}", file=path) from exc
    except ValidationError as exc:
        raise PackInvalid.from_validation(exc, file=path, lead="not as released: ") from exc


def _manifest(pack_id: str, countries: _Proportions, n_ties: int) -> PackManifest:
    names = sorted(countries)
    return PackManifest(
        id=pack_id,
        title=f"CultureSPA release of the World Values Survey, wave 7: {len(names)} countries",
        source=(
            "World Values Survey wave 7, https://www.worldvaluessurvey.org; items and unweighted "
            "shares as released with CultureSPA (arXiv 2410.12971)"
        ),
        citation=(
            "Xu, S., Leng, Y., Yu, L. & Xiong, D. (2024). Self-Pluralising Culture Alignment for "
            "Large Language Models. arXiv 2410.12971; Haerpfer, C. et al. (eds.) (2022). World "
            "Values Survey: Round Seven - Country-Pooled Datafile. JD Systems Institute & WVSA "
            "Secretariat. doi:10.14281/18241.20"
        ),
        weighted=False,
        wording="official",
        licence=(
            "World Values Survey terms: non-profit use, with citation, no redistribution of the "
            "data files. The release has no licence of its own; keep this pack to yourself."
        ),
        commercial_use=False,
        fieldwork={name: FIELDWORK.get(name, "2017-2023") for name in names},
        notes=(
            "Options as released, those off the scale included; shares are over those who gave "
            "one of them, non_response is the rest. Left out: Q223 and Q260-Q290. In "
            f"{n_ties} cells two options have equal shares; the release's first is raised by "
            "0.000001, so that it is the modal answer here too."
        ),
    )
