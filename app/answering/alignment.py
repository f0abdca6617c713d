"""How near an answer is to the people's own, where it is known what they answered."""

from __future__ import annotations

from collections.abc import Mapping

from app.answering.plan import Answer, Plan
from estimation.source import Source
from survey_data.cultures import Culture
from survey_data.distances import distribution_similarity
from survey_data.library import SurveyLibrary
from survey_data.model import Question


class PeopleAlignment:
    """Compares answers with those of the people, where the question is one of a survey."""

    def __init__(self, library: SurveyLibrary, alike: Mapping[str, frozenset[str]]) -> None:
        """Take the surveys, and by each key the keys that count as the same question."""
        self._library, self._alike = library, alike

    def measure(self, answer: Answer) -> float | None:
        """Return 1 - Jensen-Shannon distance to the people's shares, in [0, 1]; 1 is best.

        None where it is not known what the people answered, where the answer is just that, or where
        the model was shown it or an estimate made of it: with options of its own a question is
        another one, and an equivalent one gives the answer away.
        """
        plan, shares = answer.plan, _find_shares(answer)
        same, culture = plan.evidence.same_question, plan.culture
        if culture is None or shares is None:
            return None
        if same is None or plan.asked.question.options != same.options:
            return None
        if not self._alike[same.key].isdisjoint(self._list_seen(plan, same, culture)):
            return None
        people = self._library.distribution(same.key, culture.code)
        return None if people is None else distribution_similarity(shares, people.shares)

    def _list_seen(self, plan: Plan, same: Question, culture: Culture) -> frozenset[str]:
        """Return the keys of this people's answers that the model was shown, or an estimate saw."""
        if plan.asks_model:
            own = (exemplar for exemplar in plan.shown_exemplars if exemplar.elsewhere is None)
            return frozenset(exemplar.question.key for exemplar in own)
        seen = frozenset() if plan.withhold else self._alike[same.key] - {same.key}
        return frozenset(k for k in seen if self._library.distribution(k, culture.code) is not None)


def _find_shares(answer: Answer) -> tuple[float, ...] | None:
    """Return the model's shares, or those of an estimate; None of the people's own figures."""
    estimate = answer.plan.estimate
    if answer.reading is not None:
        return answer.reading.shares
    if estimate is None or estimate.source is Source.SURVEY:
        return None
    return estimate.shares
