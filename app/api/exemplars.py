"""`/v1/exemplars`: what would be shown to a model, without asking one."""

from __future__ import annotations

from fastapi import APIRouter

from app.api.dependencies import PipelineDep
from app.api.presenting import DIGITS, culture_name, present_exemplar
from app.api.problems import declare_failures
from app.api.schemas.answer import ExemplarsBody, ExemplarsResponse
from retrieval.evidence import EvidenceQuery

router = APIRouter(prefix="/v1", tags=["evidence"])


@router.post("/exemplars", responses=declare_failures(400, 401, 404, 413, 415, 422))
async def find_exemplars(body: ExemplarsBody, pipeline: PipelineDep) -> ExemplarsResponse:
    """Return the survey questions nearest to a question, as the people of a culture answered."""
    culture = pipeline.who(body.culture)
    retriever = body.retriever or pipeline.settings.retriever
    k = body.k or pipeline.settings.k
    found = await pipeline.lookup.find(
        EvidenceQuery(body.question, culture.code, k, retriever, body.seed)
    )
    nearest = found.nearest_similarity
    return ExemplarsResponse(
        culture=culture_name(culture),
        question=body.question,
        retriever=retriever,
        same_question=None if found.same_question is None else found.same_question.key,
        nearest_similarity=None if nearest is None else round(nearest, DIGITS),
        below_floor=found.below_floor,
        exemplars=[present_exemplar(e, pipeline.library) for e in found.exemplars],
    )
