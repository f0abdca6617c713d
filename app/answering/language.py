"""The language that a model is spoken to in, where that follows from what is asked."""

from __future__ import annotations

from dataclasses import replace

from adapters.pool import Lease
from app.answering.plan import Choice
from app.answering.requests import Request
from prompting.recipe import PROMPT_LANGUAGES, PromptLanguage
from retrieval.evidence import Evidence
from retrieval.text_language import tell_language


def speak(choice: Choice, request: Request, evidence: Evidence, leased: Lease) -> Choice:
    """Return the choice with a language for `auto`: the question's, else English.

    An adapter is spoken to in English, in which it was trained.
    """
    if choice.recipe.prompt_language is not PromptLanguage.AUTO:
        return choice
    language = PromptLanguage.EN
    if leased.weights.adapter is None and not evidence.in_english:
        language = _find_language(request, evidence)
    return replace(choice, recipe=replace(choice.recipe, prompt_language=language))


def _find_language(request: Request, evidence: Evidence) -> PromptLanguage:
    """Return the language of a text that is not English, English where it has no prompts."""
    same = evidence.same_question
    told = tell_language(request.said[-1]) if same is None else same.language
    return next((each for each in PROMPT_LANGUAGES if each == told), PromptLanguage.EN)
