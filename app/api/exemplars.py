"""`/v1/exemplars`: what would be shown to a model, without asking one."""

from __future__ import annotations

from fastapi import APIRouter

from app.api.dependencies import DefaultsDep, LibraryDep, LookupDep
from app.api.presenting import present_exemplars
from app.api.problems import declare_failures
from app.api.schemas.answer import ExemplarsBody, ExemplarsResponse
from app.api.strict import StrictRoute
from retrieval.evidence import EvidenceQuery

router = APIRouter(prefix="/v1", tags=["evidence"], route_class=StrictRoute)


@router.post("/exemplars", responses=declare_failures(400, 401, 404, 413, 415, 422))
async def find_exemplars(
    body: ExemplarsBody, library: LibraryDep, lookup: LookupDep, defaults: DefaultsDep
) -> ExemplarsResponse:
    """Return the survey questions nearest to a question, as the people of a culture answered."""
    wanted = EvidenceQuery(
        body.question,
        library.find_culture(body.culture).code,
        body.k or defaults.k,
        body.retriever or defaults.retriever,
        body.seed,
    )
    return present_exemplars(wanted, await lookup.find(wanted), library)
