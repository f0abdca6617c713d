"""How the `milieu` command prints its results: tables for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from rich.table import Column, Table
from rich.text import Text

from app.api.schemas.adapters import AdapterDetail
from app.api.schemas.answer import CultureSummary, PackSummary
from cli.console import out
from reports.terminal import print_json

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
    by = "" if reply["adapter"] is None else f", by {reply['adapter']}"
    out.print(f"Method: {reply['method']}{by}", highlight=False)
    if reply["experiment"] is not None:
        where = reply["experiment"]
        out.print(f"Experiment: {where['name']}, arm {where['arm']}", highlight=False)
    for fallback in reply["fallbacks"]:
        out.print(f"Not {fallback['method']}: {fallback['because']}", style="yellow")
    if not reply["steered"]:
        out.print(f"Not steered: {reply['not_steered_because']}", style="yellow")
    for warning in reply["warnings"]:
        out.print(f"Note: {warning}", style="yellow")
    if reply["exemplars"]:
        out.print("Shown to the model:")
        out.print(_exemplar_table(reply["exemplars"]))


def print_exemplars(reply: dict[str, Any], *, as_json: bool) -> None:
    """Print a reply of `/v1/exemplars`."""
    if as_json:
        _json(reply)
        return
    if reply["below_floor"]:
        nearest = reply["nearest_similarity"]
        out.print(f"Nothing is near enough (nearest: {nearest}); the answer would not be steered.")
        return
    _headline(reply["culture"]["name"], reply["question"])
    out.print(_exemplar_table(reply["exemplars"]))


def print_cultures(cultures: Sequence[CultureSummary], *, as_json: bool) -> None:
    """Print the covered cultures."""
    if as_json:
        _json(cultures)
        return
    table = Table("Code", "Name", "Region", "Questions", "Surveys")
    for culture in cultures:
        surveys = ", ".join(f"{pack.id} ({pack.years})" for pack in culture.packs)
        n_questions = str(culture.n_questions)
        table.add_row(culture.code, culture.name, culture.region, n_questions, surveys)
    out.print(table)


def print_packs(packs: Sequence[PackSummary], *, as_json: bool) -> None:
    """Print the survey packs with their terms."""
    if as_json:
        _json(packs)
        return
    table = Table(
        Column("Pack", no_wrap=True), "Title", "Years", "Questions", "Commercial use", "Licence"
    )
    for pack in packs:
        commercial = "yes" if pack.commercial_use else "no"
        n_questions = str(pack.n_questions)
        table.add_row(pack.id, pack.title, pack.years, n_questions, commercial, pack.licence)
    out.print(table)


def print_adapters(adapters: Sequence[AdapterDetail], *, as_json: bool) -> None:
    """Print the adapters of the registry."""
    if as_json:
        _json(adapters)
        return
    if not adapters:
        out.print("No adapters. Add one with `milieu adapters add`.")
        return
    table = Table(
        Column("Adapter", no_wrap=True), "Cultures", "Active for", "Rank", "Method", "Licence"
    )
    for adapter in adapters:
        whom, active_for = ", ".join(adapter.cultures) or "any", ", ".join(adapter.active_for)
        about = _printable(adapter.method), _printable(adapter.licence)
        table.add_row(adapter.version_name, whom, active_for, str(adapter.rank), *about)
    out.print(table)


def print_adapter(adapter: AdapterDetail, *, as_json: bool) -> None:
    """Print everything known about an adapter."""
    if as_json:
        _json(adapter.model_dump(mode="json"))
        return
    is_measured = adapter.effect_nat is not None
    effect = f"up to {adapter.effect_nat} nat on canaries" if is_measured else "not measured yet"
    metrics = ", ".join(f"{name} {value:g}" for name, value in sorted(adapter.metrics.items()))
    table = Table(Column(no_wrap=True), Column(overflow="fold"), box=None, show_header=False)
    for name, value in (
        ("Adapter", adapter.version_name),
        ("Cultures", ", ".join(adapter.cultures) or "any"),
        ("Active for", ", ".join(adapter.active_for) or "none"),
        ("Effect", effect),
        ("Base model", f"{adapter.base_model} {(adapter.base_sha256 or '')[:8]}".strip()),
        ("Rank, alpha", f"{adapter.rank}, {adapter.alpha:g}"),
        ("Modules", ", ".join(adapter.target_modules)),
        ("Method", adapter.method),
        ("Data", adapter.data),
        ("Licence", adapter.licence),
        ("Source", adapter.source),
        ("Metrics", metrics),
        *((f"sha256 of {file}", digest) for file, digest in sorted(adapter.sha256.items())),
    ):
        table.add_row(name, _printable(value) or "not stated")
    out.print(table)


def _printable(text: str) -> str:
    # An adapter's own description may contain terminal control codes.
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in text)


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
    print_json(out, plain)
