"""`/v1/cultures`: whom Milieu can answer for, and from which surveys."""

from __future__ import annotations

from fastapi import APIRouter

from app.api.dependencies import LibraryDep
from app.api.presenting import present_culture
from app.api.problems import declare_failures
from app.api.schemas.answer import CulturesResponse, CultureSummary
from app.api.strict import StrictRoute

router = APIRouter(prefix="/v1/cultures", tags=["cultures"], route_class=StrictRoute)


@router.get("", responses=declare_failures(401))
async def list_cultures(library: LibraryDep) -> CulturesResponse:
    """List the covered cultures by their alpha-3 codes."""
    return CulturesResponse(
        cultures=[present_culture(library.catalogue[code], library) for code in library.cultures]
    )


@router.get("/{code}", responses=declare_failures(401, 404, 422))
async def show_culture(code: str, library: LibraryDep) -> CultureSummary:
    """Show one covered culture, found by code, name or language tag."""
    return present_culture(library.find_culture(code), library)
