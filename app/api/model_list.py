"""`/v1/models`: the model, and the model as each culture, as OpenAI's clients list them."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from app.api.dependencies import LibraryDep, ResourcesDep
from app.api.schemas.chat import OpenAIProblem
from app.api.strict import StrictRoute
from app.errors import ModelUnknown
from app.resources import Resources
from app.vllm.wire import JsonObject

router = APIRouter(prefix="/v1", tags=["openai"], route_class=StrictRoute)
FAILURES: dict[int | str, dict[str, Any]] = {
    status: {"model": OpenAIProblem} for status in (401, 404)
}


@router.get("/models", responses={401: FAILURES[401]})
async def list_models(library: LibraryDep, resources: ResourcesDep) -> dict[str, Any]:
    """List the model, and the model as each covered culture."""
    base = resources.settings.model
    codes = sorted(library.catalogue[code].alpha2 for code in library.cultures)
    names = [base, *(f"{base}@{code}" for code in codes)]
    return {"object": "list", "data": [_present_model(name, resources) for name in names]}


@router.get("/models/{name:path}", responses={401: FAILURES[401], 404: FAILURES[404]})
async def show_model(name: str, library: LibraryDep, resources: ResourcesDep) -> dict[str, Any]:
    """Show the model, or the model as a culture, which is named as in a chat."""
    base = resources.settings.model
    culture = find_suffix(name, base)
    if culture is not None:
        name = f"{base}@{library.find_culture(culture).alpha2}"
    return _present_model(name, resources)


def find_suffix(model: str, base: str) -> str | None:
    """Return the culture that a model is named as, None where it is `base` itself.

    Raises:
        ModelUnknown: it is another than `base`, with or without a culture.
    """
    if model == base:
        return None
    if not model.startswith(f"{base}@"):
        raise ModelUnknown(model, base)
    return model.removeprefix(f"{base}@")


def _present_model(name: str, resources: Resources) -> JsonObject:
    created = int(resources.started_at)
    return {"id": name, "object": "model", "created": created, "owned_by": "milieu"}
