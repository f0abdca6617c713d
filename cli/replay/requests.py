"""The requests to replay: survey questions, or requests logged with consent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from app.answering.requests import AnswerRequest, ChatTurn, Request
from app.errors import OptionInvalid
from app.vllm.wire import ChatRequest
from cli.replay.options import ReplayOptions
from experiments.definition import Experiment
from experiments.events import AnswerText
from prompting.messages import Message
from reports.numbers import join_names, quantity
from survey_data.library import SurveyLibrary
from survey_data.split import read_split

N_QUESTIONS = 50
N_CULTURES = 4
ALIKE = (
    "A question is never shown its own answers. Left out before the draw: {} with another one like "
    "it, whose answers might have been shown."
)


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """One request to ask every arm. See `experiments.replay.rows.ReplayRow` for the first three."""

    id: str
    question: str
    culture: str
    asked: Request


@dataclass(frozen=True, slots=True)
class RequestSet:
    """The requests of a replay, their source in words, and notes on what was left out."""

    requests: tuple[ReplayRequest, ...]
    source: str
    notes: tuple[str, ...]


def draw_survey_requests(
    library: SurveyLibrary,
    experiment: Experiment,
    options: ReplayOptions,
    *,
    alike: Mapping[str, frozenset[str]],
) -> RequestSet:
    """Return survey questions, each to every culture of the replay that answered it.

    `alike` has for each question the keys that count as the same, its own among them. A question
    with another one like it is not asked: the other's answers might be shown with it.
    """
    packs = [library.manifest(name).id for name in options.packs]
    in_packs = [key for key, q in library.questions.items() if not packs or q.pack in packs]
    generator = np.random.default_rng(options.seed)
    cultures = _choose_cultures(library, experiment, options, in_packs, generator)
    if options.held_out_only:
        in_packs = [key for key in in_packs if key in read_split().questions]
    answered = [key for key in in_packs if any(library.distribution(key, c) for c in cultures)]
    usable = [key for key in answered if len(alike[key]) == 1]
    if not usable:
        found = f"{join_names(packs) or 'all packs'} for {', '.join(cultures)}"
        raise OptionInvalid("--pack", found, "a pack with questions that these cultures answered")
    n = options.n_questions or N_QUESTIONS
    # In the order drawn, so that a run that ends early has asked a random part.
    drawn = [usable[place] for place in generator.permutation(len(usable))[:n]]
    requests = [
        ReplayRequest(key, key, culture, AnswerRequest(question.text, culture, seed=options.seed))
        for key in drawn
        for question in (library.questions[key],)
        for culture in cultures
        if library.distribution(key, culture) is not None
    ]
    note = ALIKE.format(quantity(len(answered) - len(usable), "question"))
    return RequestSet(tuple(requests), _describe_source(library, requests, options), (note,))


def select_logged_requests(
    texts: Iterable[AnswerText],
    library: SurveyLibrary,
    experiment: Experiment,
    options: ReplayOptions,
) -> RequestSet:
    """Return the logged requests that the experiment applies to, in the order of their ids."""
    named = _resolve_cultures(library, experiment, options)
    requests: list[ReplayRequest] = []
    n_elsewhere = n_unknown = 0
    for text in texts:
        assert text.consented
        if text.culture not in (named or library.cultures):
            n_elsewhere += 1
            continue
        try:
            requests.append(_read_request(text, options.seed))
        except ValidationError:
            n_unknown += 1
    if not requests:
        known = f"none of {n_elsewhere + n_unknown} that the experiment applies to"
        expected = "requests whose users consented (MILIEU_EXPERIMENTS__TEXTS=consented)"
        raise OptionInvalid("--logged", known, expected)
    drawn = _draw(requests, options)
    drawn_from = "" if len(drawn) == len(requests) else f", drawn from {len(requests)}"
    left_out = (
        (n_elsewhere, "without a culture, or with one that the experiment does not apply to"),
        (n_unknown, "not in a form that can be asked again"),
    )
    return RequestSet(
        tuple(drawn),
        f"{quantity(len(drawn), 'logged request')} with consent{drawn_from}",
        tuple(f"Left out: {quantity(n, 'logged request')} {why}." for n, why in left_out if n),
    )


def _draw(requests: Sequence[ReplayRequest], options: ReplayOptions) -> Sequence[ReplayRequest]:
    if options.n_questions is None or options.n_questions >= len(requests):
        return requests
    places = np.random.default_rng(options.seed).permutation(len(requests))[: options.n_questions]
    return [requests[place] for place in places]


def _describe_source(
    library: SurveyLibrary, requests: Sequence[ReplayRequest], options: ReplayOptions
) -> str:
    keys = {request.question for request in requests}
    cultures = {request.culture for request in requests}
    packs = join_names(sorted({library.questions[key].pack for key in keys}))
    held_out = ", held out from the embedded model's training" if options.held_out_only else ""
    counts = f"{quantity(len(keys), 'question')} of {packs}, {quantity(len(cultures), 'culture')}"
    return counts + held_out


class _Logged(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    seed: int | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None


class _LoggedAnswer(_Logged):
    kind: Literal["answer"]
    question: str = Field(min_length=1)
    options: tuple[str, ...] = ()


class _LoggedChat(_Logged):
    kind: Literal["chat"]
    messages: tuple[Message, ...] = Field(min_length=1)


_LOGGED: TypeAdapter[_LoggedAnswer | _LoggedChat] = TypeAdapter(
    Annotated[_LoggedAnswer | _LoggedChat, Field(discriminator="kind")]
)


def _read_request(text: AnswerText, seed: int) -> ReplayRequest:
    logged = _LOGGED.validate_json(text.request)
    given = logged.model_dump(include={"max_tokens", "temperature", "top_p"}, exclude_none=True)
    given["seed"] = seed if logged.seed is None else logged.seed
    asked: Request
    if isinstance(logged, _LoggedChat):
        said = [message.content for message in logged.messages if message.role == "user"]
        about = said[-1:] or [""]
        chat = ChatRequest(model="", messages=logged.messages, **given)
        asked = ChatTurn(chat, text.culture)
    else:
        about = [logged.question, *logged.options]
        asked = AnswerRequest(logged.question, text.culture, options=logged.options, **given)
    return ReplayRequest(text.answer_id, _hash_words(about), text.culture, asked)


def _hash_words(texts: Sequence[str]) -> str:
    """Return sixteen hexadecimal digits, the same for the same words up to case and spacing."""
    folded = json.dumps([" ".join(text.casefold().split()) for text in texts])
    return hashlib.sha256(folded.encode()).hexdigest()[:16]


def _choose_cultures(
    library: SurveyLibrary,
    experiment: Experiment,
    options: ReplayOptions,
    keys: Sequence[str],
    generator: np.random.Generator,
) -> tuple[str, ...]:
    named = _resolve_cultures(library, experiment, options)
    apart = read_split().cultures
    if named:
        if options.held_out_only and (trained := sorted(set(named) - apart)):
            found = f"{', '.join(trained)} with --held-out"
            raise OptionInvalid("--culture", found, f"some of {', '.join(sorted(apart))}")
        return named
    there = [
        code
        for code in library.cultures
        if (code in apart or not options.held_out_only)
        and any(library.distribution(key, code) for key in keys)
    ]
    places = generator.permutation(len(there))[:N_CULTURES]
    return tuple(sorted(there[place] for place in places))


def _resolve_cultures(
    library: SurveyLibrary, experiment: Experiment, options: ReplayOptions
) -> tuple[str, ...]:
    """Return the cultures that the options name, else those of the experiment; empty for all."""
    codes = [library.catalogue.resolve(text).code for text in options.cultures]
    for text, code in zip(options.cultures, codes, strict=True):
        if experiment.cultures and code not in experiment.cultures:
            raise OptionInvalid("--culture", text, f"one of {', '.join(experiment.cultures)}")
    named = tuple(sorted(set(codes or experiment.cultures)))
    for code in named:
        library.cover(code)
    return named
