"""A small survey with known vectors, and models of paper, for tests of runs."""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from evaluation.asking import Condition, Response
from evaluation.decoding import AnswerDecoding
from evaluation.prompted import Build, Fit, PromptedModel
from evaluation.references import References
from evaluation.run_spec import Variants, make_conditions
from evaluation.runner import RunPlan
from evaluation.splits import leave_one_out
from prompting.labels import LabelScheme
from prompting.messages import AskedQuestion, Message, Steering
from prompting.recipe import ExemplarStyle, Method
from retrieval.encoder import Vectors
from retrieval.index import QuestionIndex
from retrieval.likeness import find_alike
from retrieval.selector_name import SelectorName
from survey_data.cultures import read_catalogue
from survey_data.library import SurveyLibrary
from survey_data.model import Pack, Question, ResponseDistribution, Scale
from tests.packs import made_manifest

CULTURES = ("DEU", "KEN", "MEX", "THA", "USA")
N_QUESTIONS = 6
KEYS = tuple(f"tiny:Q{i}" for i in range(N_QUESTIONS))


def vectors_of(angles: Sequence[float]) -> Vectors:
    """Unit vectors in a plane; the cosine of two is that of the angle between them, in degrees."""
    radians = np.radians(np.array(angles))
    return np.ascontiguousarray(np.stack([np.cos(radians), np.sin(radians)], 1), dtype=np.float32)


def tiny_library(*, not_asked: Mapping[str, Sequence[int]] | None = None) -> SurveyLibrary:
    """Six four-option questions; culture c says to question i: mostly option (c + i) mod 4."""
    questions = tuple(
        Question(
            key=key,
            topic="Life" if i % 2 else "Work",
            text=f"Tiny question number {i}?",
            options=("always", "often", "seldom", "never"),
            scale=Scale.ORDINAL,
            source_item=f"Q{i}",
        )
        for i, key in enumerate(KEYS)
    )
    cells = tuple(
        ResponseDistribution(
            question=key,
            culture=culture,
            shares=tuple(0.7 if option == (c + i) % 4 else 0.1 for option in range(4)),
        )
        for c, culture in enumerate(CULTURES)
        for i, key in enumerate(KEYS)
        if i not in (not_asked or {}).get(culture, ())
    )
    manifest = made_manifest("tiny", questions_sha256="q", shares_sha256="s")
    return SurveyLibrary([Pack(manifest, questions, cells)], read_catalogue())


def tiny_index(library: SurveyLibrary) -> QuestionIndex:
    """The questions at 0, 15, 30, … degrees, so none counts as another."""
    answered = {culture: set(library.keys_of(culture)) for culture in library.cultures}
    return QuestionIndex(
        KEYS,
        vectors_of([40.0 * i for i in range(N_QUESTIONS)]),
        answered=answered,
        model_id="angles",
    )


class NoEncoder:
    """Is never needed: a survey's questions have their vectors."""

    model_id = "angles"
    dim = 2

    def encode(self, texts: Sequence[str]) -> Vectors:
        raise AssertionError(f"encoded {texts}")


class PaperModel:
    """A language model whose answer is a hash of the prompt; it counts what it is asked.

    `room` is the number of exemplars that its context holds, `dies_after` the number of answers
    after which it breaks down, `labels` what it has tokens of its own for, `pause_s` what it
    takes for an answer.
    """

    name = "paper"

    def __init__(
        self,
        *,
        room: int = 99,
        dies_after: int | None = None,
        text: str | None = None,
        labels: LabelScheme = LabelScheme.NUMBERS,
        pause_s: float = 0.0,
    ) -> None:
        self._pause_s = pause_s
        self.asked: list[tuple[Message, ...]] = []
        self.asked_adapters: list[str | None] = []
        self.n_under_way = self.most_under_way = 0
        self._room, self._dies_after, self._text = room, dies_after, text
        self._labels = labels

    async def fit(
        self, steering: Steering, build: Build, *, n_reply_tokens: int, bare: Steering
    ) -> Fit | None:
        if self._room < 0:
            return None
        kept = replace(steering, exemplars=steering.exemplars[: self._room])
        if steering.exemplars and not kept.exemplars:
            kept = bare
        return Fit(build(kept), kept)

    async def choose_labels(self, asked: AskedQuestion) -> LabelScheme | None:
        return self._labels if self._text is None else None

    async def score(
        self,
        messages: Sequence[Message],
        labels: Sequence[str],
        *,
        adapter: str | None = None,
        reads: bool = False,
    ) -> Response:
        await self._busy(messages, adapter)
        said_by = [adapter] if adapter else []
        text = "|".join([*said_by, *(message.content for message in messages)])
        weights = [self._weight(f"{text}|{label}") for label in labels]
        total = sum(weights)
        return Response(
            logprobs=tuple(math.log(weight / total) for weight in weights),
            prompt_tokens=len(text) // 4,
            completion_tokens=1,
        )

    async def write(
        self,
        messages: Sequence[Message],
        *,
        decoding: AnswerDecoding,
        seed: int,
        adapter: str | None = None,
        reads: bool = False,
    ) -> Response:
        await self._busy(messages, adapter)
        return Response(text=self._text, prompt_tokens=10, completion_tokens=3)

    async def _busy(self, messages: Sequence[Message], adapter: str | None) -> None:
        if self._dies_after is not None and len(self.asked) >= self._dies_after:
            raise ConnectionError("the model is gone")
        self.asked.append(tuple(messages))
        self.asked_adapters.append(adapter)
        self.n_under_way += 1
        self.most_under_way = max(self.most_under_way, self.n_under_way)
        await asyncio.sleep(self._pause_s)
        self.n_under_way -= 1

    @staticmethod
    def _weight(text: str) -> float:
        return 1 + hashlib.sha256(text.encode()).digest()[0] / 8


def prompted(library: SurveyLibrary, model: PaperModel, **options: object) -> PromptedModel:
    """A respondent over `model`."""
    index = tiny_index(library)
    split = leave_one_out(KEYS, find_alike(library.questions, index))
    fields: dict[str, Any] = {"barred": split.barred, **options}
    return PromptedModel(
        model, library=library, index=index, encoder=NoEncoder(), cultures=CULTURES, **fields
    )


def tiny_plan(
    library: SurveyLibrary,
    model: PaperModel,
    *,
    methods: Sequence[Method] = (Method.PLAIN, Method.PERSONA, Method.ICL),
    n_orders: int = 1,
    seeds: tuple[int, ...] = (0,),
    controls: bool = False,
    decoding: AnswerDecoding | None = None,
) -> RunPlan:
    """A run of `methods` on `model`, with the references."""
    respondent = prompted(library, model, decoding=decoding)
    specs = make_conditions(
        methods,
        Variants([ExemplarStyle.SHARES], [2], [SelectorName.DENSE]),
        controls=controls,
    )
    references = References(
        library,
        "tiny",
        CULTURES,
        barred=lambda key: frozenset({key}),
        nearest=lambda key: KEYS,
        k=2,
    ).make_conditions()
    return RunPlan(
        conditions=(
            *(
                Condition(s.name, s.kind, respondent, s.recipe.recipe, control=s.recipe.control)
                for s in specs
                if s.recipe is not None
            ),
            *references,
        ),
        cultures=CULTURES,
        questions=tuple(library.questions.values()),
        library=library,
        n_orders=n_orders,
        seeds=seeds,
    )
