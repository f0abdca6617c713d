"""What all that the service sends has in common: it is typed, frozen, and open to new fields."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """A part of a reply.

    Fields that a newer service adds are kept: they are attributes, and in `model_dump()`.
    """

    model_config = ConfigDict(frozen=True, extra="allow", protected_namespaces=())
