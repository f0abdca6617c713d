"""What a report says of general ability: did tuning cost the model what it could do?"""

from __future__ import annotations

from evaluation.figures import Ability, AbilityFigures
from evaluation.report.summary import verdict
from reports.document import Folded, Part, Points, RowGroup, Table, Text
from reports.numbers import decimal, interval, percent

_ABOUT = (
    "closed questions with one right answer, such as sums, days and opposites, put to the model as "
    "it is and to each adapter without any word of people or culture. They are easy: a model that "
    "was any good at them should stay so. The mean log-probability of the right label moves before "
    "an answer turns, so it shows a loss earlier than the share of right answers."
)
_WORDS = {
    "beats": "rose",
    "does not differ from": "shows no difference",
    "is worse than": "dropped",
}


def ability_part(ability: Ability) -> Part:
    """Return the chapter on general questions."""
    base, *tuned = ability.weights
    blocks = [
        Text(f"{ability.n_questions} {_ABOUT}"),
        Text(_base(ability, base), lead="The model as it is."),
    ]
    points = (Points(tuple(_tuned(of) for of in tuned)),) if tuned else ()
    return Part("General ability", (*blocks, *points, _table(ability), _fold_kinds(ability)))


def knows(ability: Ability, of: AbilityFigures) -> bool:
    """Return whether right answers are surely more than chance."""
    return of.accuracy.low > ability.chance


def _base(ability: Ability, base: AbilityFigures) -> str:
    found = (
        f"Right answers: {interval(base.accuracy)}, by chance {decimal(ability.chance)}. "
        f"Mean log-probability of the right label: {interval(base.log_probability)}, by chance "
        f"{decimal(ability.chance_log_probability)}."
    )
    if knows(ability, base):
        return found
    return (
        f"{found} That is no better than guessing: it has none of these abilities to lose, so "
        "that no difference below says that tuning did no harm."
    )


def _tuned(of: AbilityFigures) -> str:
    clauses = []
    for name, gain in (
        ("the share of right answers", of.over_base),
        ("the log-probability of the right label", of.log_probability_over_base),
    ):
        if gain is not None:
            clauses.append(f"{name} {_WORDS[verdict(gain)]} ({interval(gain)})")
    return f"“{of.name}”: {'; '.join(clauses)}."


def _table(ability: Ability) -> Table:
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
    chance = ("Chance", "", decimal(ability.chance), "", decimal(ability.chance_log_probability))
    return Table(
        "General questions answered rightly",
        (
            "Weights",
            "Adapters",
            "Right answers",
            "over base",
            "Log-probability",
            "over base",
            "Unreadable",
        ),
        (RowGroup("", ((*chance, "", ""), *rows)),),
        note="Of several adapters, their mean. Log-probability: natural logarithm of the right "
        "label's share of all labels. Differences are paired by question. Intervals are 95 %, by "
        "bootstrap over questions.",
    )


def _fold_kinds(ability: Ability) -> Folded:
    kinds = tuple(ability.weights[0].by_kind)
    rows = tuple(
        (kind, *(percent(of.by_kind.get(kind)) for of in ability.weights)) for kind in kinds
    )
    title = "Right answers by kind of question"
    table = Table(
        "",
        ("Kind", *(of.name for of in ability.weights)),
        (RowGroup("", rows),),
        note=f"By chance {percent(ability.chance)}.",
        label=title,
    )
    return Folded(title, (table,))
