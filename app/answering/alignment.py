"""How near an answer is to the people's own, where it is known what they answered."""

from __future__ import annotations

from collections.abc import Mapping

from app.answering.plan import Answer
from retrieval.index import QuestionIndex
from retrieval.likeness import find_alike
from survey_data.distances import distribution_similarity
from survey_data.library import SurveyLibrary


class PeopleAlignment:
    """Compares answers with those of the people, where the question is one of a survey.

    Attributes:
        alike: the key of each question → the keys that count as the same, its own among them.
    """

    def __init__(
        self, library: SurveyLibrary, index: QuestionIndex, *, same_question: float
    ) -> None:
        """Take the surveys; questions with a cosine of at least `same_question` are the same."""
        self._library = library
        self.alike: Mapping[str, frozenset[str]] = find_alike(
            library.questions, index, threshold=same_question
        )

    def measure(self, answer: Answer) -> float | None:
        """Return 1 - Jensen-Shannon distance to the people's shares, in [0, 1]; 1 is best.

        None where it is not known what the people answered, or where the model was shown it: with
        options of its own a question is another one, and an equivalent exemplar gives the answer
        away.
        """
        plan, reading = answer.plan, answer.reading
        same = plan.evidence.same_question
        if plan.culture is None or reading is None or reading.shares is None:
            return None
        if same is None or plan.asked.question.options != same.options:
            return None
        own = (exemplar for exemplar in plan.shown_exemplars if exemplar.elsewhere is None)
        shown = {exemplar.question.key for exemplar in own}
        if not self.alike[same.key].isdisjoint(shown):
            return None
        people = self._library.distribution(same.key, plan.culture.code)
        return None if people is None else distribution_similarity(reading.shares, people.shares)
