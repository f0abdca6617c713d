"""A hash of all that prompts of survey questions say besides question, culture and exemplars.

What is learned of a model's answers holds as long as it is asked in the same words.
"""

from __future__ import annotations

import hashlib
from functools import cache
from itertools import product

from prompting.labels import LabelScheme
from prompting.messages import AskedQuestion, CultureComparison, Steering, survey_messages
from prompting.recipe import ExemplarStyle, Method
from retrieval.exemplar import Elsewhere, Exemplar
from survey_data.cultures import Culture
from survey_data.model import Question, ResponseDistribution, Scale

_CULTURE = Culture("AAA", "AA", "A", "A", "A-ish", "an", ("aa",), "A")
_QUESTION = Question("sample:1", "Sample", "Which?", ("This", "That"), Scale.BINARY)
_ANSWER = ResponseDistribution(_QUESTION.key, _CULTURE.code, (0.4, 0.6))
_EXEMPLARS = (
    Exemplar(_QUESTION, _ANSWER, 0.5),
    Exemplar(_QUESTION, _ANSWER, elsewhere=Elsewhere(_CULTURE, 0.5)),
)


@cache
def hash_survey_wording() -> str:
    """Return the sha256, in hex, of a sample question asked by each method, style and label."""
    digest = hashlib.sha256()
    for method, style, scheme in product(Method, ExemplarStyle, LabelScheme):
        asked = AskedQuestion(_QUESTION.text, _QUESTION.options, scheme=scheme)
        comparison = CultureComparison((_CULTURE,), (_CULTURE,))
        steering = Steering(method, _CULTURE, comparison, exemplars=_EXEMPLARS, style=style)
        for message in survey_messages(asked, steering):
            digest.update(f"{message.role}\0{message.content}\0".encode())
    return digest.hexdigest()
