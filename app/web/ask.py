"""`/`: one question, as the people of several countries answer it."""

from __future__ import annotations

import json
import shlex
from typing import Any

from fastapi import APIRouter, Request, Response

from app.api.dependencies import ResourcesDep
from app.api.schemas.answer import AnswerBody
from app.resources import Resources
from app.state.examples import pick_examples
from app.web.ask_form import (
    MAX_CULTURES,
    METHOD_NAMES,
    SOURCE_NAMES,
    AskForm,
    Checked,
    check_form,
    find_cultures,
    read_form,
)
from app.web.asked import Told, ask_all, find_top
from app.web.downloads import send_csv, send_svg
from app.web.pages import PagesDep
from app.web.share_tables import draw_asked, tabulate_asked
from survey_data.cultures import Culture

router = APIRouter(include_in_schema=False)


@router.get("/")
async def show_ask(request: Request, pages: PagesDep, resources: ResourcesDep) -> Response:
    """Show the form, and the answers to what it was sent with."""
    form = read_form(request.query_params)
    checked, told = await _ask(form, resources)
    values: dict[str, Any] = {
        "form": form,
        "faults": {} if form.is_empty and not form.cultures else checked.faults,
        "told": told,
        "top": find_top(told),
        "chosen": _choose(form, checked, resources),
        "methods": METHOD_NAMES,
        "sources": SOURCE_NAMES,
        "countries": [resources.library.catalogue[code] for code in resources.library.cultures],
        "examples": pick_examples(resources.library),
        "model": resources.settings.model,
        "snippet_pairs": _write_snippets(str(request.base_url).rstrip("/"), checked)
        if told
        else (),
        "max_cultures": MAX_CULTURES,
    }
    status = 422 if values["faults"] else 200
    return pages.render(request, "ask.html", status=status, **values)


@router.get("/ask.csv")
async def download_csv(request: Request, pages: PagesDep, resources: ResourcesDep) -> Response:
    """Send the shares of a page as a table, with survey and licence."""
    form = read_form(request.query_params)
    checked, told = await _ask(form, resources)
    if checked.faults:
        return _refuse(request, pages, checked)
    return send_csv(tabulate_asked(form.question, told), "milieu-ask")


@router.get("/ask.svg")
async def download_svg(request: Request, pages: PagesDep, resources: ResourcesDep) -> Response:
    """Send the bars of a page as a picture, with survey and licence."""
    form = read_form(request.query_params)
    checked, told = await _ask(form, resources)
    if checked.faults:
        return _refuse(request, pages, checked)
    return send_svg(draw_asked(form.question, told, top=find_top(told)), "milieu-ask")


async def _ask(form: AskForm, resources: Resources) -> tuple[Checked, list[Told]]:
    checked = check_form(form, resources.library)
    if checked.faults:
        return checked, []
    return checked, await ask_all(checked.bodies, checked.cultures, resources)


def _refuse(request: Request, pages: PagesDep, checked: Checked) -> Response:
    detail = " ".join(f"{name}: {text}" for name, text in checked.faults.items())
    return pages.render_problem(request, 422, "The request does not fit", detail)


def _choose(form: AskForm, checked: Checked, resources: Resources) -> list[tuple[str, str, bool]]:
    """Return the chips: what each sends, what it shows, and whether it is a country."""
    chips = {culture.alpha2: (culture.alpha2, culture.name, True) for culture in checked.cultures}
    for name in form.cultures:
        found, _ = find_cultures((name,), resources.library)
        if not found:
            chips[name] = (name, name, False)
    return list(chips.values())


def _write_snippets(base_url: str, checked: Checked) -> tuple[tuple[str, str], ...]:
    """Return how to ask the same of the API, for the first country and way."""
    body, culture = checked.bodies[0], checked.cultures[0]
    fields = _dump(body, culture)
    address = f"{base_url}/answer"
    data = json.dumps(fields, ensure_ascii=False, indent=2)
    shell = (
        f"curl {shlex.quote(address)} -H 'Content-Type: application/json' -d {shlex.quote(data)}"
    )
    arguments = ", ".join(f"{name}={value!r}" for name, value in fields.items())
    python = (
        "from milieu_client import Milieu\n\n"
        f"milieu = Milieu({base_url!r})\n"
        f"answer = milieu.ask({arguments})\n"
        "print(answer.source, answer.answer)\n"
        "for share in answer.shares or []:\n"
        "    print(share.label, share.share)\n"
    )
    return (("curl", shell), ("Python", python))


def _dump(body: AnswerBody, culture: Culture) -> dict[str, Any]:
    given = body.model_dump(mode="json", exclude_defaults=True)
    return {"culture": culture.alpha2, **given}
