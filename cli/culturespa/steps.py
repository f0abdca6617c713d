"""The steps of CultureSPA on the model and the surveys of the settings."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self, TypeVar

from adapters.culturespa.answer import read_answers
from adapters.culturespa.errors import NoQuestionWritten, QuestionsInvalid, StepFileInvalid
from adapters.culturespa.pipeline import (
    QUESTIONS,
    answer_step,
    collect_step,
    filter_step,
    generate_step,
)
from adapters.culturespa.questions import (
    GeneratedQuestion,
    from_survey,
    read_questions,
    read_released,
    write_questions,
)
from adapters.culturespa.settings import AnswerStepSettings, CollectSettings, GenerateSettings
from adapters.culturespa.steps import OnProgress, StepFolder, StepManifest
from app.errors import OptionInvalid, UpstreamBusy, UpstreamTimeout, UpstreamUnavailable
from app.resources import open_resources, read_library
from app.settings import Settings
from app.telemetry import Metrics
from app.vllm.client import VllmClient
from app.vllm.wire import ChatRequest
from cli.evaluate.respondents import patiently
from mini_model.split import read_split
from prompting.messages import CultureComparison, Message
from prompting.question_writing import Outcome, read_reply
from prompting.reading import read_labels, read_option
from prompting.recipe import Method
from survey_data.cultures import Culture, read_catalogue
from survey_data.library import SurveyLibrary
from survey_data.model import Question
from survey_data.similarity import CultureSimilarity

# A reply that is sampled for an answer, as in the paper's set-up.
TEMPERATURE, TOP_P, MAX_TOKENS = 0.6, 0.9, 256
# After so many replies without one question, a model will not write any.
N_HOPELESS = 48
_GZIP = b"\x1f\x8b"
T = TypeVar("T")


class ServedModel:
    """The model of the settings as `Writer` and `Answerer`, opened when it is first asked.

    So a step that is done needs no vLLM, and a fault in what is asked for is seen before one
    starts. Used in an `async with`, which ends the vLLM that was started.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings, self.name = settings, settings.model
        self._stack = AsyncExitStack()
        self._opening: asyncio.Task[VllmClient] | None = None
        self._outcomes: Counter[Outcome] = Counter()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._opening is not None and not self._opening.done():
            self._opening.cancel()
            await asyncio.wait([self._opening])
        await self._stack.aclose()

    async def write(
        self,
        messages: Sequence[Message],
        *,
        temperature: float,
        top_p: float,
        seed: int,
        max_tokens: int,
    ) -> str:
        """See `adapters.culturespa.generate.Writer`.

        Raises:
            NoQuestionWritten: none of the first replies holds a question.
        """
        text = await self._chat(
            messages, temperature=temperature, top_p=top_p, seed=seed, max_tokens=max_tokens
        )
        self._outcomes[read_reply(text).outcome] += 1
        if not self._outcomes[Outcome.WRITTEN] and self._outcomes.total() >= N_HOPELESS:
            raise no_question_written(self.name, self._outcomes)
        return text

    async def shares(
        self, messages: Sequence[Message], labels: Sequence[str]
    ) -> tuple[float, ...] | None:
        """See `adapters.culturespa.answer.Answerer`."""
        scored = await self._patiently(lambda vllm: vllm.score(messages, labels, model=self.name))
        if scored is None:
            return None
        own_order = tuple(range(len(labels)))
        return read_labels(
            [scored.logprobs],
            [own_order],
            min_label_mass=self._settings.answer.min_label_mass,
        ).shares

    async def option(
        self, messages: Sequence[Message], labels: Sequence[str], *, seed: int
    ) -> int | None:
        """See `adapters.culturespa.answer.Answerer`."""
        text = await self._chat(
            messages, temperature=TEMPERATURE, top_p=TOP_P, seed=seed, max_tokens=MAX_TOKENS
        )
        return read_option(text, labels, first_number=int(labels[0])).option

    async def _chat(
        self,
        messages: Sequence[Message],
        *,
        temperature: float,
        top_p: float,
        seed: int,
        max_tokens: int,
    ) -> str:
        request = ChatRequest(
            model=self.name,
            messages=tuple(messages),
            max_tokens=max_tokens,
            temperature=temperature,
            top_p=top_p,
            seed=seed,
        )
        return (await self._patiently(lambda vllm: vllm.chat(request))).text

    async def _patiently(self, call: Callable[[VllmClient], Awaitable[T]]) -> T:
        if self._opening is None:
            self._opening = asyncio.create_task(self._open(), name="open-model")
        # One caller that is cancelled does not end it for the others.
        vllm = await asyncio.shield(self._opening)
        transient = (UpstreamUnavailable, UpstreamBusy, UpstreamTimeout)
        return await patiently(lambda: call(vllm), self.name, transient)

    async def _open(self) -> VllmClient:
        opening = open_resources(self._settings, Metrics())
        return (await self._stack.enter_async_context(opening)).vllm


class Surveys(NamedTuple):
    """The surveys of the settings, and the questions of one of them."""

    library: SurveyLibrary
    pack: str
    questions: tuple[Question, ...]


def open_library_of(settings: Settings) -> SurveyLibrary:
    """Return the surveys of the settings.

    Raises:
        SurveyDataError: a pack cannot be loaded.
    """
    return read_library(settings, read_catalogue())


def open_surveys(settings: Settings, pack: str) -> Surveys:
    """Return the loaded surveys with the questions of `pack`.

    Raises:
        PackMissing: no loaded pack has that id.
        SurveyDataError: a pack cannot be loaded.
    """
    library = open_library_of(settings)
    library.manifest(pack)
    questions = next(each.questions for each in library.packs if each.manifest.id == pack)
    return Surveys(library, pack, questions)


def cultures_of(library: SurveyLibrary, given: Sequence[str]) -> tuple[Culture, ...]:
    """Return the cultures that are named, each once, by code.

    Raises:
        OptionInvalid: none is named.
        CultureUnknown: a name is of no culture.
        CultureNotCovered: no survey asked its people, so nothing would be answered as them.
    """
    if not given:
        raise OptionInvalid("--culture", "none", "one at least, such as -c US")
    found = {culture.code: culture for culture in map(library.catalogue.resolve, given)}
    for code in found:
        library.cover(code)
    return tuple(found[code] for code in sorted(found))


async def generated(
    folder: Path,
    surveys: Surveys,
    model: ServedModel,
    *,
    settings: GenerateSettings,
    topics: Sequence[str] = (),
    n_concurrent: int,
    on_progress: OnProgress | None = None,
) -> StepManifest:
    """Do the first step: new questions on the topics of a survey, on all where none is named.

    Raises:
        OptionInvalid: the survey has no such topic.
        NoQuestionWritten: the model cannot write questions.
        CultureSpaError, AppError: as `generate_step` and the model do.
    """
    known = dict.fromkeys(question.topic for question in surveys.questions)
    for topic in topics:
        if topic not in known:
            raise OptionInvalid("--topic", topic, f"one of {', '.join(known)}")
    wanted = set(topics) or known.keys()
    manifest = await generate_step(
        folder,
        [question for question in surveys.questions if question.topic in wanted],
        model,
        model=model.name,
        settings=settings,
        n_concurrent=n_concurrent,
        on_progress=on_progress,
    )
    if not manifest.counts["questions"]:
        outcomes = Counter[str]()
        for of in manifest.counts["outcomes"].values():
            outcomes.update(of)
        raise no_question_written(model.name, outcomes)
    return manifest


def no_question_written(model: str, outcomes: Counter[Outcome] | Counter[str]) -> NoQuestionWritten:
    """Return the error of a model whose replies hold no question."""
    listed = ", ".join(f"{n} {outcome}" for outcome, n in outcomes.most_common() if n)
    return NoQuestionWritten(model, n_replies=outcomes.total(), outcomes=listed)


def filtered(folder: Path, questions: Path, surveys: Surveys) -> StepManifest:
    """Do the second step, on generated questions or on those released with CultureSPA.

    Raises:
        QuestionsInvalid: the file holds something else.
        StepChanged, StepFileInvalid: as `filter_step` does.
    """
    with _as_questions(questions) as file:
        check_questions(file)
        return filter_step(folder, file, surveyed=surveys.questions)


def surveyed(folder: Path, surveys: Surveys) -> StepManifest:
    """Write the survey's own questions into `folder`, to be asked instead of generated ones.

    Those that are held out of the embedded model's training are left out, so that what is
    trained on the rest can be measured with `milieu evaluate --held-out`.
    """
    held_out = read_split().questions
    kept = from_survey(q for q in surveys.questions if q.key not in held_out)
    words = "\n".join(f"{q.key}|{q.text}|{'|'.join(q.options)}" for q in kept)
    step = StepFolder(
        folder,
        step="survey",
        settings={"pack": surveys.pack},
        inputs={"survey": hashlib.sha256(words.encode()).hexdigest()},
    )
    if step.manifest is not None:
        return step.manifest
    write_questions(folder / QUESTIONS, kept)
    counts = {"questions": len(kept), "held_out": len(surveys.questions) - len(kept)}
    return step.finish(outputs=[QUESTIONS], counts=counts)


async def answered(
    folder: Path,
    questions: Path,
    cultures: Sequence[Culture],
    model: ServedModel,
    *,
    library: SurveyLibrary,
    settings: AnswerStepSettings,
    n_concurrent: int,
    on_progress: OnProgress | None = None,
) -> StepManifest:
    """Do the third step: every question unaware, and as each culture.

    Raises:
        QuestionsInvalid: the file holds something else.
        SurveyDataError: `cross-culture`, and there is nothing to compare a culture with.
        CultureSpaError, AppError: as `answer_step` and the model do.
    """
    check_questions(questions)
    compares = settings.method is Method.CROSS_CULTURE
    return await answer_step(
        folder,
        questions,
        cultures,
        model,
        model=model.name,
        settings=settings,
        comparisons=_comparisons(library, cultures) if compares else None,
        n_concurrent=n_concurrent,
        on_progress=on_progress,
    )


def collected(
    folder: Path,
    questions: Path,
    answers: Path,
    *,
    settings: CollectSettings,
    ratio: float = 1.0,
    seed: int = 0,
) -> StepManifest:
    """Do the fourth step: keep the answers that differ, or a share of them.

    Raises:
        QuestionsInvalid: the questions are not those that were answered.
        StepChanged, StepFileInvalid: as `collect_step` does.
    """
    known = {question.key for question in check_questions(questions)}
    asked = {answer.question for answer in read_answers(answers)}
    if missing := sorted(asked - known):
        raise QuestionsInvalid(questions, f"no question '{missing[0]}', which {answers} answers")
    return collect_step(folder, questions, answers, settings=settings, ratio=ratio, seed=seed)


def check_questions(file: Path) -> tuple[GeneratedQuestion, ...]:
    """Return the questions in a file that a step wrote.

    Raises:
        QuestionsInvalid: it is missing, holds something else, nothing, or a key twice.
    """
    try:
        found = read_questions(file)
    except StepFileInvalid as exc:
        place = "" if exc.row is None else f" in row {exc.row}"
        fault = "no file" if not file.exists() else f"something else{place}"
        raise QuestionsInvalid(file, fault) from exc
    if not found:
        raise QuestionsInvalid(file, "no question")
    key, n = Counter(question.key for question in found).most_common(1)[0]
    if n > 1:
        raise QuestionsInvalid(file, f"the key '{key}' {n} times")
    return found


@contextlib.contextmanager
def _as_questions(file: Path) -> Iterator[Path]:
    """Give a file in the form of the steps: `file`, or what it holds if it is the release."""
    if not file.exists():
        raise QuestionsInvalid(file, "no file")
    with file.open("rb") as data:
        is_release = data.read(len(_GZIP)) == _GZIP
    if not is_release:
        yield file
        return
    try:
        released = read_released(file)
    # Broken gzip, another text, or JSON of another form.
    except (OSError, EOFError, ValueError, KeyError, TypeError) as exc:
        raise QuestionsInvalid(file, f"no such release ({exc!r})") from exc
    with tempfile.TemporaryDirectory(prefix="milieu-") as folder:
        plain = Path(folder) / QUESTIONS
        write_questions(plain, released)
        yield plain


def _comparisons(
    library: SurveyLibrary, cultures: Sequence[Culture]
) -> dict[str, CultureComparison]:
    similarity, catalogue = CultureSimilarity(library), library.catalogue
    found = {}
    for culture in cultures:
        most, least = similarity.comparison(culture.code)
        found[culture.code] = CultureComparison(
            tuple(catalogue[code] for code in most), tuple(catalogue[code] for code in least)
        )
    return found
