"""A respondent that is a language model, asked with the service's prompts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import NamedTuple, Protocol

from evaluation.asking import Ask, Control, Request, Response, digest_of
from evaluation.decoding import AnswerDecoding, ReadBy
from prompting.exemplar_wording import translate_exemplars
from prompting.labels import LabelScheme
from prompting.messages import AskedQuestion, Message, Steering, compare_culture, survey_messages
from prompting.recipe import Method, Recipe
from retrieval.encoder import Encoder
from retrieval.exemplar import Exemplar
from retrieval.index import QuestionIndex
from retrieval.selector import (
    NEAR_DUPLICATE,
    Query,
    Selector,
    make_selector,
    select_elsewhere,
)
from retrieval.selector_name import SelectorName
from survey_data.library import SurveyLibrary
from survey_data.model import Question
from survey_data.similarity import CultureSimilarity

# As much room as the service leaves for a label.
LABEL_TOKENS = 4
PLAIN = Steering(Method.PLAIN)

Build = Callable[[Steering], tuple[Message, ...]]
FindDonors = Callable[[Question, str], tuple[tuple[str, float], ...]]
"""From a question and an alpha-3 code to whose answers tell of that culture's, with weights."""


class Fit(NamedTuple):
    """A prompt that the model's context holds, and what of the steering it kept."""

    messages: tuple[Message, ...]
    steering: Steering


class LanguageModel(Protocol):
    """What a run needs of a model; the application gives one over vLLM.

    `adapter` is the version that answers, None for the model as it is; tokens are the same.
    """

    @property
    def name(self) -> str:
        """The model's name, part of every digest."""

    async def fit(
        self, steering: Steering, build: Build, *, n_reply_tokens: int, bare: Steering
    ) -> Fit | None:
        """Return the prompt with as many exemplars as fit; None if it is too long without any.

        `bare` is what the prompt says if a method that shows exemplars is left with none.
        """

    async def choose_labels(self, asked: AskedQuestion) -> LabelScheme | None:
        """Return how to label options to have their log-probabilities; None if that can't be."""

    async def score(
        self,
        messages: Sequence[Message],
        labels: Sequence[str],
        *,
        adapter: str | None = None,
        reads: bool = False,
    ) -> Response:
        """Return the labels' log-probabilities; `reads` if the messages tell of a people."""

    async def write(
        self,
        messages: Sequence[Message],
        *,
        decoding: AnswerDecoding,
        seed: int,
        adapter: str | None = None,
        reads: bool = False,
    ) -> Response:
        """Return the answer in text; `reads` if the messages tell of a people."""


class Prompt(NamedTuple):
    """What a request of `PromptedModel` holds; no messages if the question alone is too long.

    `read_text` is whether the answer is text, which is then sampled with `seed`; `reads` whether
    the messages tell how people answered something.
    """

    messages: tuple[Message, ...]
    labels: tuple[str, ...]
    read_text: bool
    seed: int
    adapter: str | None = None
    reads: bool = False

    def how(self, decoding: AnswerDecoding) -> list[object]:
        """Return what decides the answer besides the model and the messages, for a digest."""
        how = [asdict(decoding), self.seed] if self.read_text else "logprobs"
        return [self.labels, how, *([self.adapter] if self.adapter else [])]


async def send(model: LanguageModel, prompt: Prompt, decoding: AnswerDecoding) -> Response:
    """Return what `model` answers; nothing if the question alone is too long for it."""
    if not prompt.messages:
        return Response()
    if not prompt.read_text:
        return await model.score(
            prompt.messages, prompt.labels, adapter=prompt.adapter, reads=prompt.reads
        )
    return await model.write(
        prompt.messages,
        decoding=decoding,
        seed=prompt.seed,
        adapter=prompt.adapter,
        reads=prompt.reads,
    )


class PromptedModel:
    """Asks a language model through the prompts of `prompting.messages`, as the service does."""

    def __init__(
        self,
        model: LanguageModel,
        *,
        library: SurveyLibrary,
        index: QuestionIndex,
        encoder: Encoder,
        cultures: Sequence[str],
        barred: Mapping[str, frozenset[str]],
        decoding: AnswerDecoding | None = None,
        near_duplicate: float = NEAR_DUPLICATE,
        find_donors: FindDonors | None = None,
    ) -> None:
        """Take the parts of a prompt.

        `cultures` are all of the pack, for the `foreign` control: it shows the answers of the one
        before. `barred[key]` are the questions never shown with question `key`. `find_donors` is
        needed where a recipe shows other cultures' answers to the asked question.

        Where log-probabilities are wanted, but neither numbers nor letters are tokens of the
        model's own, the question is answered in text by `decoding`.
        """
        self._model, self._library, self._index = model, library, index
        self._cultures, self._barred = tuple(cultures), barred
        self._decoding = decoding or AnswerDecoding()
        self._find_donors = find_donors
        self._similarity = CultureSimilarity(library)
        self._selectors: dict[SelectorName, Selector] = {
            name: make_selector(
                name, library, index=index, encoder=encoder, near_duplicate=near_duplicate
            )
            for name in SelectorName
        }

    @property
    def name(self) -> str:
        """The model's name."""
        return self._model.name

    async def request(self, ask: Ask) -> Request:
        """Return the prompt for `ask`. See `Respondent.request`.

        Raises:
            ValueError: the ask has no recipe, or one that shows what nobody finds.
            ComparisonUnavailable: the method compares cultures, and there are too few.
        """
        # Off the event loop: ranking may take milliseconds, with `chrf` many.
        steering = await asyncio.to_thread(self._steering, ask)
        question = ask.question
        asked = AskedQuestion(question.text, question.options, question.first_number)
        by_text = self._decoding.read_by is not ReadBy.LOGPROBS
        scheme = None if by_text else await self._model.choose_labels(asked)
        read_text = scheme is None
        # Parsers of text read numbers.
        asked = asked.labelled(scheme or LabelScheme.NUMBERS)
        shown = asked.reordered(ask.order)
        fit = await self._model.fit(
            steering,
            lambda some: survey_messages(shown, some),
            n_reply_tokens=self._decoding.max_tokens if read_text else LABEL_TOKENS,
            bare=_bare(ask, steering),
        )
        messages, kept = fit if fit is not None else ((), PLAIN)
        seed = ask.seed if read_text else 0
        prompt = Prompt(
            messages, asked.labels, read_text, seed, ask.adapter, reads=kept.tells_people
        )
        digest = digest_of(
            self._model.name,
            [[message.role, message.content] for message in messages] or question.key,
            *prompt.how(self._decoding),
        )
        return Request(
            digest,
            prompt,
            shown=tuple(map(_name_exemplar, kept.exemplars)),
            steered=_speaks(kept, steering),
        )

    async def respond(self, request: Request) -> Response:
        """Return what the model answers; nothing if the question alone is too long for it."""
        return await send(self._model, request.content, self._decoding)

    def _steering(self, ask: Ask) -> Steering:
        recipe = ask.recipe
        if recipe is None:
            raise ValueError("a prompt needs a recipe")
        if recipe.method is Method.PLAIN:
            return Steering(Method.PLAIN, language=recipe.prompt_language)
        catalogue = self._library.catalogue
        comparison = None
        if recipe.method.compares_cultures:
            comparison = compare_culture(ask.culture, self._similarity, catalogue)
        return Steering(
            recipe.method,
            culture=catalogue[ask.culture],
            comparison=comparison,
            exemplars=translate_exemplars(
                self._exemplars(ask, recipe) if recipe.method.shows_exemplars else (),
                self._library,
                recipe.prompt_language,
            ),
            style=recipe.style,
            seed=ask.seed,
            language=recipe.prompt_language,
        )

    def _exemplars(self, ask: Ask, recipe: Recipe) -> tuple[Exemplar, ...]:
        # Found by its words in English, in whatever language it is asked.
        question = self._library.questions[ask.question.key]
        asked = Query(
            question.text,
            key=question.key,
            topic=question.topic,
            seed=ask.seed,
            vector=self._index.vector(question.key),
        )
        found = self._selectors[recipe.retriever].select(
            asked, ask.culture, recipe.k, self._barred[question.key]
        )
        match ask.control:
            case Control.NONE:
                return (*self._elsewhere(ask, recipe.n_elsewhere), *found)
            case Control.REVERSED:
                return tuple(_reverse_shares(exemplar) for exemplar in found)
            case Control.FOREIGN:
                before = self._cultures[self._cultures.index(ask.culture) - 1]
                return self._swap_answers(before, found)

    def _elsewhere(self, ask: Ask, n: int) -> tuple[Exemplar, ...]:
        """Return how `n` other cultures answered the asked question, those of most weight."""
        if not n:
            return ()
        if self._find_donors is None:
            raise ValueError("other cultures' answers are shown only where their weights are known")
        question = self._library.questions[ask.question.key]
        donors = self._find_donors(question, ask.culture)
        return select_elsewhere(self._library, question, donors, n)

    def _swap_answers(self, culture: str, exemplars: Sequence[Exemplar]) -> tuple[Exemplar, ...]:
        cells = (self._library.distribution(e.question.key, culture) for e in exemplars)
        pairs = zip(exemplars, cells, strict=True)
        return tuple(replace(e, distribution=cell) for e, cell in pairs if cell is not None)


def _bare(ask: Ask, steering: Steering) -> Steering:
    """Return what to say without exemplars: to an adapter, the prompt that it was trained on."""
    if ask.adapter is None:
        return Steering(Method.PLAIN, language=steering.language)
    return Steering(Method.PERSONA, culture=steering.culture, language=steering.language)


def _speaks(kept: Steering, wanted: Steering) -> bool:
    """Return whether a prompt does what was wanted: name the culture, show some exemplar."""
    shows = bool(kept.exemplars) or not wanted.method.shows_exemplars
    return kept.method is wanted.method and shows


def _name_exemplar(exemplar: Exemplar) -> str:
    """Return the question's key, with the culture where it is another one's answer."""
    key = exemplar.question.key
    return key if exemplar.elsewhere is None else f"{key}@{exemplar.elsewhere.culture.code}"


def _reverse_shares(exemplar: Exemplar) -> Exemplar:
    shares = exemplar.distribution.shares[::-1]
    return replace(exemplar, distribution=replace(exemplar.distribution, shares=shares))
