"""From what came of a batch's items to lines of JSON and rows of a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.answering.batches import BatchResult
from app.answering.plan import Answer
from app.api.presenting import present_answer
from app.api.problems import present_problem
from app.api.schemas.answer import AnswerResponse
from app.api.schemas.batch import BatchLine, SurveyCitation, Versions
from estimation.source import Source
from survey_data.library import SurveyLibrary
from survey_data.model import PackManifest

N_DIGITS = 12
BETWEEN = " | "
Cell = str | int | float | bool | None
# Of a table, with what its values are.
COLUMNS: dict[str, type] = {
    "index": int,
    "row": int,
    "recipe": int,
    "culture": str,
    "culture_name": str,
    "question": str,
    "question_key": str,
    "source": str,
    "confident": bool,
    "answer": str,
    "number": int,
    "label": str,
    "share": float,
    "low": float,
    "high": float,
    "model_share": float,
    "n_respondents": int,
    "non_response": float,
    "years": str,
    "survey": str,
    "licence": str,
    "citation": str,
    "steered": bool,
    "method": str,
    "evidence": str,
    "estimated_from": str,
    "milieu": str,
    "encoder": str,
    "model": str,
    "adapter": str,
    "calibration": str,
    "packs": str,
    "status": int,
    "problem": str,
    "detail": str,
}


class BatchPresenter:
    """Presents results as `/answer` would, with what they were made with."""

    def __init__(self, library: SurveyLibrary, *, path: str, milieu: str, encoder: str) -> None:
        """Take what results are told with: the route's path, and versions."""
        self._library, self._path = library, path
        self._milieu, self._encoder = milieu, encoder

    def present(self, result: BatchResult) -> BatchLine:
        """Return the line of a result."""
        item, found = result
        place = {"index": item.index, "row": item.row, "recipe": item.recipe}
        if isinstance(found, Exception):
            problem = present_problem(found, self._path)
            return BatchLine(**place, culture=item.culture, problem=problem)
        packs = self._list_packs(found)
        return BatchLine(
            **place,
            culture=item.culture,
            answer=present_answer(found, self._library),
            surveys=[_cite(manifest) for manifest in packs],
            versions=self._list_versions(found, packs),
        )

    def _list_packs(self, answer: Answer) -> list[PackManifest]:
        """Return the packs that an answer stands on, by their ids."""
        plan = answer.plan
        keys = [exemplar.question.key for exemplar in plan.shown_exemplars]
        if plan.asked.survey is not None:
            keys.append(plan.asked.survey.key)
        if plan.estimate is not None:
            keys += plan.estimate.moved_by
        packs = sorted({self._library.questions[key].pack for key in keys})
        return [self._library.manifest(pack) for pack in packs]

    def _list_versions(self, answer: Answer, packs: Sequence[PackManifest]) -> Versions:
        plan = answer.plan
        return Versions(
            milieu=self._milieu,
            encoder=self._encoder,
            model=plan.model if plan.asks_model else None,
            base_model=plan.weights.base_model if plan.asks_model else None,
            adapter=plan.weights.adapter if plan.asks_model else None,
            calibration=None if answer.calibrated is None else answer.calibrated.id,
            packs={manifest.id: manifest.shares_sha256[:N_DIGITS] for manifest in packs},
        )


def tabulate_line(line: BatchLine) -> Iterator[list[Cell]]:
    """Yield the rows of a line, their cells in the order of COLUMNS.

    One per option; one where the answer is free text, and one where there is a problem instead.
    """
    about: dict[str, Cell] = {
        "index": line.index,
        "row": line.row,
        "recipe": line.recipe,
        "culture": line.culture,
    }
    if line.answer is not None:
        told = _tell_answer(line.answer) | _tell_surveys(line.surveys)
        told |= _tell_versions(line.versions)
        for option in _list_options(line.answer):
            cells = about | told | option
            yield [cells.get(name) for name in COLUMNS]
    if (problem := line.problem) is not None:
        cells = about | {"status": problem.status, "problem": problem.type}
        cells["detail"] = problem.detail
        yield [cells.get(name) for name in COLUMNS]


def _cite(manifest: PackManifest) -> SurveyCitation:
    return SurveyCitation(
        pack=manifest.id,
        title=manifest.title,
        source=manifest.source,
        citation=manifest.citation,
        licence=manifest.licence,
    )


def _tell_surveys(surveys: Sequence[SurveyCitation]) -> dict[str, Cell]:
    return {
        "survey": BETWEEN.join(each.title for each in surveys),
        "licence": BETWEEN.join(each.licence for each in surveys),
        "citation": BETWEEN.join(each.citation for each in surveys),
    }


def _list_options(answer: AnswerResponse) -> list[dict[str, Cell]]:
    asked = None if answer.model is None else answer.model.shares
    by_model = {} if asked is None else {each.number: each.share for each in asked}
    return [
        {
            "number": each.number,
            "label": each.label,
            "share": each.share,
            "low": None if each.interval is None else each.interval.low,
            "high": None if each.interval is None else each.interval.high,
            "model_share": by_model.get(each.number),
        }
        for each in answer.shares or ()
    ] or [{}]


def _tell_answer(answer: AnswerResponse) -> dict[str, Cell]:
    people, transfer = answer.people, answer.transferred_from
    # Of an estimate, nobody was asked.
    asked = people if answer.source is Source.SURVEY else None
    keys = [] if people is None else [people.question_key]
    keys += [exemplar.question_key for exemplar in answer.exemplars]
    donors = []
    if transfer is not None:
        keys += [each.question_key for each in transfer.own_questions]
        donors = [f"{each.culture.code} {each.weight}" for each in transfer.cultures]
    return {
        "culture": answer.culture.code,
        "culture_name": answer.culture.name,
        "question": answer.question,
        "question_key": None if answer.options_from == "request" else answer.options_from,
        "source": answer.source.value,
        "confident": answer.confident,
        "answer": answer.answer,
        "n_respondents": None if asked is None else asked.n_respondents,
        "non_response": None if asked is None else asked.non_response,
        "years": None if asked is None else asked.years,
        "steered": answer.steered,
        "method": None if answer.method is None else answer.method.value,
        "evidence": " ".join(dict.fromkeys(keys)),
        "estimated_from": "; ".join(donors),
    }


def _tell_versions(versions: Versions | None) -> dict[str, Cell]:
    if versions is None:
        return {}
    told: dict[str, Cell] = versions.model_dump(exclude={"base_model", "packs"})
    packs = (f"{name}@{digest}" for name, digest in versions.packs.items())
    return told | {"packs": " ".join(packs)}
