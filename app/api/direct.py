"""A route that reads a request by itself, where all of it is as it should be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeAlias

from fastapi import Request, Response
from fastapi.dependencies.utils import request_params_to_args
from fastapi.routing import APIRoute
from starlette.datastructures import Headers, QueryParams

from app.api.strict import StrictRoute

JSON = "application/json"
Values: TypeAlias = dict[str, Any]
FindPart: TypeAlias = Callable[[Request], Awaitable[Any]]


class _Direct(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request; what is amiss with one FastAPI finds and says."""
        handle_by_fastapi = super().get_route_handler()
        parts = self._find_parts()
        # What they are where none is given; requests share them, and do not change them.
        self._no_query = _read_fields(self.dependant.query_params, QueryParams())
        self._no_headers = _read_fields(self.dependant.header_params, Headers())
        self._header_names = frozenset(field.alias for field in self.dependant.header_params)

        async def handle(request: Request) -> Response:
            values = await self._read(request)
            if values is None:
                return await handle_by_fastapi(request)
            for name, find in parts:
                values[name] = await find(request)
            response: Response = await self.endpoint(**values)
            return response

        return handle

    def _find_parts(self) -> list[tuple[str, FindPart]]:
        """Return by name the functions of a request that the endpoint depends on."""
        of, parts = self.dependant, []
        is_readable = not of.path_params and not of.cookie_params and len(of.body_params) <= 1
        for part in of.dependencies:
            is_readable = is_readable and not part.dependencies
            if part.name and part.call:
                parts.append((part.name, part.call))
        if not is_readable:
            raise TypeError(f"{self.path} takes more than a direct route reads")
        return parts

    async def _read(self, request: Request) -> Values | None:
        """Return what the endpoint takes, None where the request is not as it should be."""
        query, headers = self._no_query, self._no_headers
        if request.scope["query_string"]:
            query = _read_fields(self.dependant.query_params, request.query_params)
        if not self._header_names.isdisjoint(request.headers):
            headers = _read_fields(self.dependant.header_params, request.headers)
        if query is None or headers is None:
            return None
        values = query | headers
        for body in self.dependant.body_params:
            if request.headers.get("content-type") != JSON:
                return None
            try:
                values[body.name], wrong = body.validate(await request.json())
            except (ValueError, RecursionError):
                return None
            if wrong:
                return None
        return values


def _read_fields(fields: list[Any], given: QueryParams | Headers) -> Values | None:
    """Return the values of `fields` by name, None where one is not as it should be."""
    values, wrong = request_params_to_args(fields, given)
    return None if wrong else values


class DirectRoute(StrictRoute, _Direct):
    """A strict route that calls its endpoint at once; for what is asked most.

    FastAPI finds out, for each request anew, what an endpoint depends on and on what that depends,
    which takes as long as all that Milieu does for a short answer. Here that is a body as JSON,
    query parameters, headers, and functions of the request. The endpoint returns a response.

    Raises:
        TypeError: the endpoint takes more than that.
    """
