"""What `/v1/exemplars` replies, made without a service."""

from __future__ import annotations

from app.api.presenting import present_exemplars
from app.settings import Settings
from app.state.retrieval import open_finder, read_library
from milieu_client import Exemplars
from retrieval.evidence import EvidenceQuery
from retrieval.selector_name import SelectorName
from survey_data.cultures import read_catalogue


def look_up_exemplars(
    settings: Settings,
    question: str,
    culture: str,
    *,
    k: int | None = None,
    retriever: str | None = None,
) -> Exemplars:
    library = read_library(settings, read_catalogue())
    query = EvidenceQuery(
        question,
        library.find_culture(culture).code,
        k or settings.answer.k,
        settings.answer.retriever if retriever is None else SelectorName(retriever),
    )
    evidence = open_finder(settings, library).find(query)
    found = present_exemplars(query, evidence, library)
    return Exemplars.model_validate(found.model_dump(mode="json"))
