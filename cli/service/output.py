"""How `milieu ask` and `milieu exemplars` print what the service replied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from cli.console import out
from cli.tables import print_as_json

BAR_CELLS = 24
# Cultures that an estimate is drawn from, the heaviest first.
N_DONORS = 5


def print_answer(reply: dict[str, Any], *, as_json: bool) -> None:
    """Print a reply of `/answer`."""
    if as_json:
        print_as_json(reply)
        return
    _headline(reply["culture"]["name"], reply["answer"] or "(unreadable)")
    if reply["shares"]:
        out.print(_share_table(reply["shares"]))
    out.print(Text(f"Source: {_describe_source(reply)}"))
    _print_candidates(reply["recognised"])
    if reply["model"] is not None:
        _print_model(reply)
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


def print_exemplars(found: dict[str, Any], *, as_json: bool) -> None:
    """Print a reply of `/v1/exemplars`."""
    if as_json:
        print_as_json(found)
        return
    if found["below_floor"]:
        nearest = found["nearest_similarity"]
        out.print(f"Nothing is near enough (nearest: {nearest}); the answer would not be steered.")
        return
    _headline(found["culture"]["name"], found["question"])
    out.print(_exemplar_table(found["exemplars"]))


def _headline(culture: str, text: str) -> None:
    out.print(Text.assemble((culture, "bold"), f": {text}"))


def _share_table(shares: Sequence[dict[str, Any]]) -> Table:
    table = Table("", "Option", "Share", "90 %", "", box=None)
    for share in shares:
        interval, cells = share["interval"], round(share["share"] * BAR_CELLS)
        ends = "" if interval is None else f"{interval['low']:.0%} to {interval['high']:.0%}"
        row = (str(share["number"]), share["label"], f"{share['share']:.0%}", ends, "█" * cells)
        table.add_row(*row)
    return table


def _describe_source(reply: dict[str, Any]) -> str:
    """Return in words what an answer stands on."""
    people, transfer = reply["people"], reply["transferred_from"]
    if reply["source"] == "survey":
        asked = people["n_respondents"]
        n = f"{asked} people asked" if asked else "number of people not published"
        return f"survey, {people['question_key']} {people['years']}, {n}; {people['survey']}"
    if reply["source"] == "transfer":
        donors = transfer["cultures"][:N_DONORS]
        named = ", ".join(f"{d['culture']['name']} {d['weight']:.2f}" for d in donors)
        return f"estimated from other cultures' answers, most from {named}"
    if reply["source"] == "related":
        nearest = transfer["own_questions"][0]
        return f"estimated from like questions, the nearest: {nearest['question']}"
    return "the model alone; its shares are no people's"


def _print_candidates(recognised: dict[str, Any] | None) -> None:
    if recognised is None or recognised["certain"]:
        return
    out.print("Perhaps you meant a survey question:")
    for question in recognised["questions"]:
        line = f"  {question['question']} ({question['question_key']})"
        out.print(Text(line))


def _print_model(reply: dict[str, Any]) -> None:
    model = reply["model"]
    by = "" if reply["adapter"] is None else f", by {reply['adapter']}"
    said = "" if reply["source"] == "model" else f" says: {_name_option(model)}"
    language = (
        "" if reply["prompt_language"] == "en" else f", spoken to in {reply['prompt_language']}"
    )
    out.print(Text(f"Method: {model['method']}{by}{language}{said}"))


def _name_option(model: dict[str, Any]) -> str:
    return str(model["option"]["label"]) if model["option"] else "(unreadable)"


def _exemplar_table(exemplars: Sequence[dict[str, Any]]) -> Table:
    table = Table("Similarity", "Question", "Answer of the people", "Survey")
    for exemplar in exemplars:
        top = max(exemplar["shares"], key=lambda share: share["share"])
        near = "" if exemplar["similarity"] is None else f"{exemplar['similarity']:.2f}"
        question, elsewhere = exemplar["question"], exemplar["elsewhere"]
        if elsewhere is not None:
            question = f"{question} ({elsewhere['culture']['name']}, {elsewhere['weight']:.2f})"
        people = exemplar["n_respondents"]
        asked = f"{people} asked" if people else "number asked not published"
        survey = f"{exemplar['pack']} {exemplar['years']}, {asked}"
        table.add_row(near, question, f"{top['label']} ({top['share']:.0%})", survey)
    return table
