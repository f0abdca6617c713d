"""What `/v1/exemplars` replies, made without a service."""

from __future__ import annotations

from typing import Any

from app.api.presenting import DIGITS, culture_name, present_exemplar
from app.api.schemas.answer import ExemplarsResponse
from app.resources import open_retrieval, read_library
from app.settings import Settings
from retrieval.evidence import EvidenceQuery
from retrieval.selector_name import SelectorName
from survey_data.cultures import read_catalogue


def find_exemplars(
    settings: Settings,
    question: str,
    culture: str,
    *,
    k: int | None = None,
    retriever: str | None = None,
) -> dict[str, Any]:
    """Return the reply of `/v1/exemplars`.

    Raises:
        CultureUnknown, CultureNotCovered: nobody of that name was surveyed.
    """
    catalogue = read_catalogue()
    library = read_library(settings, catalogue)
    who = catalogue.resolve(culture)
    library.cover(who.code)
    chosen = settings.answer.retriever if retriever is None else SelectorName(retriever)
    finder = open_retrieval(settings, library).finder
    found = finder.find(EvidenceQuery(question, who.code, k or settings.answer.k, chosen))
    nearest = found.nearest_similarity
    return ExemplarsResponse(
        culture=culture_name(who),
        question=question,
        retriever=chosen,
        same_question=None if found.same_question is None else found.same_question.key,
        nearest_similarity=None if nearest is None else round(nearest, DIGITS),
        below_floor=found.below_floor,
        exemplars=[present_exemplar(exemplar, library) for exemplar in found.exemplars],
    ).model_dump(mode="json")
