"""What a request may say. What is left out, or None, is left to the service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict


class RecipeFields(TypedDict, total=False):
    """How to answer.

    Attributes:
        method: how the culture gets into the model's answer: 'plain', 'icl', 'persona+icl', …
        k: number of exemplars to show.
        exemplar_style: what an exemplar shows.
        retriever: how exemplars are chosen: 'dense', 'chrf', 'topic' or 'random'.
        adapter: 'auto', 'none', or the name of one.
        elsewhere: number of other peoples' answers to the question to show.
        prompt_language: language to speak to the model in: 'en', 'de', …, or 'auto'.
        answer_from: what the answer may stand on: 'survey', what the people themselves said;
            'tables', an estimate from the surveys; 'model'; or 'auto', the best there is.
        withhold: take what the culture itself answered to this question for unknown.
        steer: when to answer for the culture: 'auto' (values only), 'always' or 'never'.
        orders: number of orders of the options to average over, 1 to 8.
        seed: of what is drawn at random.
        temperature: of free text, 0 to 2.
        top_p: of free text, above 0 to 1.
        max_tokens: of free text.
    """

    method: str | None
    k: int | None
    exemplar_style: str | None
    retriever: str | None
    adapter: str | None
    elsewhere: int | None
    prompt_language: str | None
    answer_from: str | None
    withhold: bool | None
    steer: str | None
    orders: int | None
    seed: int | None
    temperature: float | None
    top_p: float | None
    max_tokens: int | None


class AskFields(RecipeFields, total=False):
    """How to answer a question, and what else there is to say of it.

    Attributes:
        options: 2 to 20 answers to choose from, in scale order. Without them those of a survey
            question that is near enough; else the answer is free text.
        user: your name for who is answered, for experiments.
        session: where the user is not known: the session.
        arm: for testers of an experiment: `experiment/arm`.
        consent: whether the end user agreed that question and answer are kept.
    """

    options: Sequence[str] | None
    user: str | None
    session: str | None
    arm: str | None
    consent: bool | None


class ExemplarFields(TypedDict, total=False):
    """How exemplars are chosen.

    Attributes:
        k: number of exemplars.
        retriever: how they are chosen: 'dense', 'chrf', 'topic' or 'random'.
        seed: of what is drawn at random.
    """

    k: int | None
    retriever: str | None
    seed: int | None


class QuestionFields(TypedDict, total=False):
    """Which questions are wanted.

    Attributes:
        search: a text in any language; what it asks comes first. Without one, all questions.
        match: 'meaning', or 'words' for those that have every word of the text, which is faster.
        culture: codes, names or language tags: questions that all of these were asked, with their
            figures where the survey's terms allow that.
        pack: ids of packs.
        topic: names of topics.
        language: language tag of the wording to show, where there is one in it.
        limit: number of questions on a page, 1 to 500.
        offset: number of questions before the page.
    """

    search: str | None
    match: str | None
    culture: str | Sequence[str] | None
    pack: str | Sequence[str] | None
    topic: str | Sequence[str] | None
    language: str | None
    limit: int | None
    offset: int | None


class FeedbackFields(TypedDict, total=False):
    """What came of an answer, or of a user's time in an experiment.

    Attributes:
        answer_id: the `id` of the answer.
        experiment: for an outcome of a user rather than an answer.
        user: who was answered, as the question named them.
        session: where the user is not known: the session.
        metric: what is measured, such as 'helpful'; may be left out for a comment alone.
        value: yes or no, or a number.
        rating: a number on the scale that the experiment's metric has.
        preferred: of answers that were shown together, the `id` of the preferred one.
        comment: in words.
        key: sent again with the same key it is taken once. By default one per answer and metric.
    """

    answer_id: str | None
    experiment: str | None
    user: str | None
    session: str | None
    metric: str | None
    value: bool | float | None
    rating: float | None
    preferred: str | None
    comment: str | None
    key: str | None
