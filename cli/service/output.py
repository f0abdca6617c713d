"""How `milieu ask` and `milieu exemplars` print what the service replied."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from cli.console import out
from cli.tables import print_as_json
from milieu_client import Answer, Exemplar, Exemplars, ModelAnswer, OptionShare, Recognition

BAR_CELLS = 24
# Cultures that an estimate is drawn from, the heaviest first.
N_DONORS = 5


def print_answer(answer: Answer, *, as_json: bool) -> None:
    """Print an answer of the service."""
    if as_json:
        print_as_json(answer)
        return
    _headline(answer.culture.name, answer.answer or "(unreadable)")
    if answer.shares:
        out.print(_share_table(answer.shares))
    out.print(Text(f"Source: {_describe_source(answer)}"))
    _print_candidates(answer.recognised)
    if answer.model is not None:
        _print_model(answer, answer.model)
    if answer.experiment is not None:
        where = answer.experiment
        out.print(f"Experiment: {where.name}, arm {where.arm}", highlight=False)
    for fallback in answer.fallbacks:
        out.print(f"Not {fallback.method}: {fallback.because}", style="yellow")
    if not answer.steered:
        out.print(f"Not steered: {answer.not_steered_because}", style="yellow")
    for warning in answer.warnings:
        out.print(f"Note: {warning}", style="yellow")
    if answer.exemplars:
        out.print("Shown to the model:")
        out.print(_exemplar_table(answer.exemplars))


def print_exemplars(found: Exemplars, *, as_json: bool) -> None:
    """Print exemplars, of the service or found here."""
    if as_json:
        print_as_json(found)
        return
    if found.below_floor:
        nearest = found.nearest_similarity
        if found.same_question is None:
            said = f"Nothing is near enough (nearest: {nearest}); the answer would not be steered."
        else:
            said = f"It is {found.same_question}; no other is near enough (nearest: {nearest})."
        out.print(said)
        return
    _headline(found.culture.name, found.question)
    out.print(_exemplar_table(found.exemplars))


def _headline(culture: str, text: str) -> None:
    out.print(Text.assemble((culture, "bold"), f": {text}"))


def _share_table(shares: Sequence[OptionShare]) -> Table:
    table = Table("", "Option", "Share", "90 %", "", box=None)
    for share in shares:
        interval, cells = share.interval, round(share.share * BAR_CELLS)
        ends = "" if interval is None else f"{interval.low:.0%} to {interval.high:.0%}"
        row = (str(share.number), share.label, f"{share.share:.0%}", ends, "█" * cells)
        table.add_row(*row)
    return table


def _describe_source(answer: Answer) -> str:
    """Return in words what an answer stands on."""
    people, transfer = answer.people, answer.transferred_from
    if answer.source == "survey" and people is not None:
        asked = people.n_respondents
        n = f"{asked} people asked" if asked else "number of people not published"
        return f"survey, {people.question_key} {people.years}, {n}; {people.survey}"
    if answer.source == "transfer" and transfer is not None:
        donors = transfer.cultures[:N_DONORS]
        named = ", ".join(f"{donor.culture.name} {donor.weight:.2f}" for donor in donors)
        return f"estimated from other cultures' answers, most from {named}"
    if answer.source == "related" and transfer is not None:
        nearest = transfer.own_questions[0]
        return f"estimated from like questions, the nearest: {nearest.question}"
    return "the model alone; its shares are no people's"


def _print_candidates(recognised: Recognition | None) -> None:
    if recognised is None or recognised.certain:
        return
    out.print("Perhaps you meant a survey question:")
    for question in recognised.questions:
        out.print(Text(f"  {question.question} ({question.question_key})"))


def _print_model(answer: Answer, model: ModelAnswer) -> None:
    by = "" if answer.adapter is None else f", by {answer.adapter}"
    said = "" if answer.source == "model" else f" says: {_name_option(model)}"
    language = "" if answer.prompt_language == "en" else f", spoken to in {answer.prompt_language}"
    out.print(Text(f"Method: {model.method}{by}{language}{said}"))


def _name_option(model: ModelAnswer) -> str:
    return model.option.label if model.option else "(unreadable)"


def _exemplar_table(exemplars: Sequence[Exemplar]) -> Table:
    table = Table("Similarity", "Question", "Answer of the people", "Survey")
    for exemplar in exemplars:
        top = max(exemplar.shares, key=lambda share: share.share)
        near = "" if exemplar.similarity is None else f"{exemplar.similarity:.2f}"
        question, elsewhere = exemplar.question, exemplar.elsewhere
        if elsewhere is not None:
            question = f"{question} ({elsewhere.culture.name}, {elsewhere.weight:.2f})"
        people = exemplar.n_respondents
        asked = f"{people} asked" if people else "number asked not published"
        survey = f"{exemplar.pack} {exemplar.years}, {asked}"
        table.add_row(near, question, f"{top.label} ({top.share:.0%})", survey)
    return table
