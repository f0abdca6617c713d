"""`/docs` and `/redoc`: every route, to try and to read. Both without internet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from fastapi import APIRouter, Request, Response

from app.web.pages import PagesDep
from app.web.policy import DOCS_POLICY

router = APIRouter(include_in_schema=False)
Schema = dict[str, Any]


class FieldDoc(NamedTuple):
    """A parameter, or a field of a body."""

    name: str
    where: str
    kind: str
    is_required: bool
    description: str


class RouteDoc(NamedTuple):
    """A route as the reference shows it."""

    method: str
    path: str
    summary: str
    description: str
    tag: str
    fields: tuple[FieldDoc, ...]
    replies: tuple[tuple[str, str, str], ...]

    @property
    def anchor(self) -> str:
        """The fragment under which it stands."""
        kept = "".join(c if c.isalnum() else "-" for c in f"{self.method}{self.path}")
        return kept.strip("-").lower()


@router.get("/docs")
async def show_docs(request: Request, pages: PagesDep) -> Response:
    """Show every route, to try it."""
    return pages.render(request, "docs.html", policy=DOCS_POLICY)


@router.get("/redoc")
async def show_reference(request: Request, pages: PagesDep) -> Response:
    """Show every route, to read and to print; without scripts."""
    routes = list(_read_routes(request.app.openapi()))
    tags = list(dict.fromkeys(route.tag for route in routes))
    return pages.render(request, "reference.html", routes=routes, tags=tags)


def _read_routes(described: Schema) -> Iterator[RouteDoc]:
    schemas = described.get("components", {}).get("schemas", {})
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            body = operation.get("requestBody", {}).get("content", {})
            yield RouteDoc(
                method=method.upper(),
                path=path,
                summary=operation.get("summary", ""),
                description=operation.get("description", ""),
                tag=(operation.get("tags") or ["other"])[0],
                fields=(
                    *_read_parameters(operation.get("parameters", []), schemas),
                    *_read_body(body.get("application/json", {}).get("schema", {}), schemas),
                ),
                replies=tuple(
                    (status, reply.get("description", ""), ", ".join(reply.get("content", {})))
                    for status, reply in operation["responses"].items()
                ),
            )


def _read_parameters(parameters: list[Schema], schemas: Schema) -> Iterator[FieldDoc]:
    for each in parameters:
        text = each.get("description") or each["schema"].get("description", "")
        kind = _name_kind(each["schema"], schemas)
        yield FieldDoc(each["name"], each["in"], kind, each.get("required", False), text)


def _read_body(schema: Schema, schemas: Schema) -> Iterator[FieldDoc]:
    for each in (schema, *schema.get("anyOf", [])):
        found = _resolve(each, schemas)
        required = found.get("required", [])
        for name, field in found.get("properties", {}).items():
            kind, text = _name_kind(field, schemas), field.get("description", "")
            yield FieldDoc(name, "body", kind, name in required, text)


def _name_kind(schema: Schema, schemas: Schema) -> str:
    """Return the type of a value in words, with its bounds."""
    if "$ref" in schema:
        found = _resolve(schema, schemas)
        return _name_kind(found, schemas) if "enum" in found else schema["$ref"].split("/")[-1]
    if "anyOf" in schema:
        kinds = (_name_kind(each, schemas) for each in schema["anyOf"])
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {_name_kind(schema.get('items', {}), schemas)}"
    bounds = {"minimum": "\u2265", "maximum": "\u2264", "maxLength": "at most"}
    told = [f"{sign} {schema[name]:g}" for name, sign in bounds.items() if name in schema]
    kind = str(schema.get("type", "any"))
    return f"{kind} ({', '.join(told)})" if told else kind


def _resolve(schema: Schema, schemas: Schema) -> Schema:
    if "$ref" not in schema:
        return schema
    found: Schema = schemas[schema["$ref"].split("/")[-1]]
    return found
