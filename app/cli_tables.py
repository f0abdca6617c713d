"""How the `milieu` command prints what it found: tables for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from app.schemas import CultureSummary, ExemplarsResponse, PackSummary

# Questions and options may hold what rich would take for its markup.
out = Console(markup=False)
BAR_CELLS = 24


def print_answer(reply: dict[str, Any], *, as_json: bool) -> None:
    """Print a reply of `/answer`."""
    if as_json:
        _json(reply)
        return
    _headline(reply["culture"]["name"], reply["answer"] or "(unreadable)")
    if reply["shares"]:
        table = Table("", "Option", "Share", "", box=None)
        for share in reply["shares"]:
            cells = round(share["share"] * BAR_CELLS)
            row = (str(share["number"]), share["label"], f"{share['share']:.0%}", "█" * cells)
            table.add_row(*row)
        out.print(table)
    if not reply["steered"]:
        out.print(f"Not steered: {reply['not_steered_because']}", style="yellow")
    for warning in reply["warnings"]:
        out.print(f"Note: {warning}", style="yellow")
    if reply["exemplars"]:
        out.print("Shown to the model:")
        out.print(_exemplar_table(reply["exemplars"]))


def print_exemplars(found: ExemplarsResponse, *, as_json: bool) -> None:
    """Print the exemplars of a culture."""
    if as_json:
        _json(found.model_dump(mode="json"))
        return
    if found.below_floor:
        nearest = found.nearest_similarity
        out.print(f"Nothing is near enough (nearest: {nearest}); the answer would not be steered.")
        return
    _headline(found.culture.name, found.question)
    out.print(_exemplar_table([e.model_dump(mode="json") for e in found.exemplars]))


def print_cultures(found: Sequence[CultureSummary], *, as_json: bool) -> None:
    """Print the covered cultures."""
    if as_json:
        _json(found)
        return
    table = Table("Code", "Name", "Region", "Questions", "Surveys")
    for culture in found:
        surveys = ", ".join(f"{pack.id} ({pack.years})" for pack in culture.packs)
        n_questions = str(culture.n_questions)
        table.add_row(culture.code, culture.name, culture.region, n_questions, surveys)
    out.print(table)


def print_packs(found: Sequence[PackSummary], *, as_json: bool) -> None:
    """Print the survey packs with their terms."""
    if as_json:
        _json(found)
        return
    table = Table(
        Column("Pack", no_wrap=True), "Title", "Years", "Questions", "Commercial use", "Licence"
    )
    for pack in found:
        commercial = "yes" if pack.commercial_use else "no"
        n_questions = str(pack.n_questions)
        table.add_row(pack.id, pack.title, pack.years, n_questions, commercial, pack.licence)
    out.print(table)


def _headline(culture: str, text: str) -> None:
    out.print(Text.assemble((culture, "bold"), f": {text}"))


def _exemplar_table(exemplars: Sequence[dict[str, Any]]) -> Table:
    table = Table("Similarity", "Question", "Answer of the people", "Survey")
    for exemplar in exemplars:
        top = max(exemplar["shares"], key=lambda share: share["share"])
        near = "" if exemplar["similarity"] is None else f"{exemplar['similarity']:.2f}"
        people = exemplar["n_respondents"]
        asked = f"{people} asked" if people else "number asked not published"
        survey = f"{exemplar['pack']} {exemplar['years']}, {asked}"
        table.add_row(near, exemplar["question"], f"{top['label']} ({top['share']:.0%})", survey)
    return table


def _json(value: dict[str, Any] | Sequence[BaseModel]) -> None:
    plain = value if isinstance(value, dict) else [item.model_dump(mode="json") for item in value]
    out.print_json(json.dumps(plain, ensure_ascii=False))
