"""What a report says of general ability: did tuning cost the model what it could do?"""

from __future__ import annotations

from evaluation.figures import Ability, AbilityFigures
from evaluation.report.summary import state_verdict
from reports.document import Folded, Part, Points, Table, Text
from reports.numbers import decimal, interval, percent

_ABOUT = (
    "closed questions with one right answer, such as sums, days and opposites, asked of the model "
    "as it is and of each adapter without any word of people or culture. They are easy: a model "
    "that was any good at them should stay so. The mean log-probability of the right label moves "
    "before an answer changes, so it shows a loss earlier than the share of right answers."
)
_WORDS = {
    "beats": "rose",
    "does not differ from": "shows no difference",
    "is worse than": "dropped",
}


def compose_ability(ability: Ability) -> Part:
    """Return the chapter on general questions."""
    base, *tuned = ability.weights
    blocks = [
        Text(f"{ability.n_questions} {_ABOUT}"),
        Text(_describe_base(ability, base), lead="The model as it is."),
    ]
    points = (Points(tuple(map(_describe_tuned, tuned))),) if tuned else ()
    return Part("General ability", (*blocks, *points, _tabulate(ability), _fold_kinds(ability)))


def knows(ability: Ability, of: AbilityFigures) -> bool:
    """Return whether right answers are surely more frequent than by chance."""
    return of.accuracy.low > ability.chance


def _describe_base(ability: Ability, base: AbilityFigures) -> str:
    found = (
        f"Right answers: {interval(base.accuracy)}, by chance {decimal(ability.chance)}. "
        f"Mean log-probability of the right label: {interval(base.log_probability)}, by chance "
        f"{decimal(ability.chance_log_probability)}."
    )
    if knows(ability, base):
        return found
    return (
        f"{found} That is no better than guessing: it has none of these abilities to lose, so no "
        "difference below shows that tuning did no harm."
    )


def _describe_tuned(of: AbilityFigures) -> str:
    clauses = []
    for name, gain in (
        ("the share of right answers", of.over_base),
        ("the log-probability of the right label", of.log_probability_over_base),
    ):
        if gain is not None:
            clauses.append(f"{name} {_WORDS[state_verdict(gain)]} ({interval(gain)})")
    return f"“{of.name}”: {'; '.join(clauses)}."


def _tabulate(ability: Ability) -> Table:
    columns = ("Weights", "Adapters", "Right answers", "over base", "Log-probability", "over base",
               "Unreadable")  # fmt: skip
    rows = [
        (
            of.name,
            str(len(of.adapters)) if of.adapters else "",
            interval(of.accuracy),
            interval(of.over_base),
            interval(of.log_probability),
            interval(of.log_probability_over_base),
            percent(of.unreadable),
        )
        for of in ability.weights
    ]
    log_chance = decimal(ability.chance_log_probability)
    chance = ("Chance", "", decimal(ability.chance), "", log_chance, "", "")
    return Table.of_rows(
        "General questions answered correctly",
        columns,
        (chance, *rows),
        note="For several adapters, their mean. Log-probability: natural logarithm of the right "
        "label's share of all labels. Differences are paired by question. Intervals are 95 %, by "
        "bootstrap over questions.",
    )


def _fold_kinds(ability: Ability) -> Folded:
    kinds = tuple(ability.weights[0].by_kind)
    rows = tuple(
        (kind, *(percent(of.by_kind.get(kind)) for of in ability.weights)) for kind in kinds
    )
    title = "Right answers by kind of question"
    columns = ("Kind", *(of.name for of in ability.weights))
    note = f"By chance {percent(ability.chance)}."
    table = Table.of_rows("", columns, rows, note=note, label=title)
    return Folded(title, (table,))
