"""Reads of a request what it says, and refuses one that says the same twice."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import suppress
from typing import Any, get_args, get_origin

from fastapi import Request, Response
from fastapi.params import Header
from fastapi.routing import APIRoute
from pydantic import BaseModel

from app.request_errors import ValueRepeated


class StrictRequest(Request):
    """A request whose JSON names no field twice."""

    async def json(self) -> Any:
        """Return the body, read once.

        Raises:
            ValueRepeated: an object names a field twice.
        """
        if not hasattr(self, "_strict_json"):
            self._strict_json = parse_json(await self.body())
        return self._strict_json


class StrictRoute(APIRoute):
    """A route whose parameters come once each, unless they are lists.

    Where one comes twice the libraries on the way disagree which of them counts, and the client
    would not learn which it was.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request, after it has been checked."""
        handle = super().get_route_handler()
        lists = frozenset(_find_lists(self))
        headers = tuple(_find_headers(self))
        takes_body = self.body_field is not None

        async def check_and_handle(request: Request) -> Response:
            _check_query(request, lists)
            _check_headers(request, headers)
            strict = StrictRequest(request.scope, request.receive)
            if takes_body and "json" in request.headers.get("content-type", ""):
                # What is no JSON is for the handler to refuse.
                with suppress(ValueError, RecursionError):
                    await strict.json()
            return await handle(strict)

        return check_and_handle


def parse_json(text: bytes) -> Any:
    """Return what JSON says.

    Raises:
        ValueRepeated: an object names a field twice.
        ValueError, RecursionError: it is no JSON, or too deep.
    """
    return json.loads(text, object_pairs_hook=_read_object)


def read_utf8(header: str | None) -> str | None:
    """Return the text of a header that came as UTF-8, as browsers and most clients send it.

    Servers hand headers on as latin-1; what is no UTF-8 was meant so.
    """
    if header is None:
        return None
    try:
        return header.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return header


def _check_query(request: Request, lists: frozenset[str]) -> None:
    given = Counter(name for name, _ in request.query_params.multi_items())
    for name, n_given in given.items():
        if n_given > 1 and name not in lists:
            raise ValueRepeated(f"query.{name}", request.query_params.getlist(name))


def _check_headers(request: Request, names: Sequence[str]) -> None:
    for name in names:
        given = request.headers.getlist(name)
        if len(given) > 1:
            raise ValueRepeated(f"header.{name}", [read_utf8(value) or "" for value in given])


def _read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        given = Counter(name for name, _ in pairs)
        name = next(name for name, n_given in given.items() if n_given > 1)
        raise ValueRepeated(f"body.{name}", [json.dumps(v) for k, v in pairs if k == name])
    return found


def _find_lists(route: APIRoute) -> Iterator[str]:
    """Yield the names of the query parameters that may come more than once."""
    for field in route.dependant.query_params:
        annotation = field.field_info.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            for name, inner in annotation.model_fields.items():
                if _is_list(inner.annotation):
                    yield inner.alias or name
        elif _is_list(annotation):
            yield field.alias


def _find_headers(route: APIRoute) -> Iterator[str]:
    for field in route.dependant.header_params:
        if isinstance(field.field_info, Header):
            yield field.alias


def _is_list(annotation: Any) -> bool:
    origin = get_origin(annotation) or annotation
    if origin in (list, tuple, set, frozenset):
        return True
    return any(_is_list(part) for part in get_args(annotation))
