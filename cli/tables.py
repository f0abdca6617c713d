"""How the `milieu` command prints its results: tables for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from rich.table import Column, Table

from app.api.schemas.adapters import AdapterDetail, StatusResponse
from app.api.schemas.answer import CultureSummary, PackSummary
from cli.console import out
from reports.terminal import print_json


def print_cultures(cultures: Sequence[CultureSummary], *, as_json: bool) -> None:
    if as_json:
        print_as_json(cultures)
        return
    table = Table("Code", "Name", "Region", "Questions", "Surveys")
    for culture in cultures:
        surveys = ", ".join(f"{pack.id} ({pack.years})" for pack in culture.packs)
        n_questions = str(culture.n_questions)
        table.add_row(culture.code, culture.name, culture.region, n_questions, surveys)
    out.print(table)


def print_packs(packs: Sequence[PackSummary], *, as_json: bool) -> None:
    if as_json:
        print_as_json(packs)
        return
    columns = ("Title", "Years", "Questions", "Languages", "Commercial use", "Licence")
    table = Table(Column("Pack", no_wrap=True), *columns)
    for pack in packs:
        commercial = "yes" if pack.commercial_use else "no"
        n_questions, languages = str(pack.n_questions), ", ".join(pack.languages)
        about = (pack.title, pack.years, n_questions, languages, commercial, pack.licence)
        table.add_row(pack.id, *about)
    out.print(table)


def print_adapters(adapters: Sequence[AdapterDetail], *, as_json: bool) -> None:
    if as_json:
        print_as_json(adapters)
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
    if as_json:
        print_as_json(adapter.model_dump(mode="json"))
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


def print_replicas(status: StatusResponse, *, as_json: bool) -> None:
    if as_json:
        print_as_json(status)
        return
    table = Table(
        Column("Server", no_wrap=True), "Adapter", "State", "Since (UTC)", Column("Why", ratio=1)
    )
    for replica in status.replicas:
        if not replica.versions or replica.reachable is False:
            answers = {None: "not asked yet", True: "reachable", False: "silent"}
            since = f"{replica.since:%Y-%m-%d %H:%M:%S}"
            table.add_row(
                replica.replica, "", answers[replica.reachable], since, _printable(replica.reason)
            )
        for of in replica.versions:
            since = "" if of.since is None else f"{of.since:%Y-%m-%d %H:%M:%S}"
            table.add_row(
                replica.replica, of.version_name, of.state.value, since, _printable(of.reason)
            )
    out.print(table)


def _printable(text: str) -> str:
    # An adapter's own description may contain terminal control codes.
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in text)


def print_as_json(value: dict[str, Any] | BaseModel | Sequence[BaseModel]) -> None:
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    plain = value if isinstance(value, dict) else [item.model_dump(mode="json") for item in value]
    print_json(out, plain)
