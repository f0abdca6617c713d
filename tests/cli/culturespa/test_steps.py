"""The steps of CultureSPA on a fake vLLM: who is asked what, and when nobody is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adapters.culturespa.answer import QuestionAnswer
from adapters.culturespa.errors import NoQuestionWritten, QuestionsInvalid
from adapters.culturespa.questions import GeneratedQuestion, read_questions
from adapters.culturespa.settings import AnswerReading, AnswerStepSettings, GenerateSettings
from adapters.culturespa.steps import StepManifest, read_step_lines
from app.errors import OptionInvalid
from app.settings import Settings
from cli.culturespa.inputs import open_surveys, resolve_cultures
from cli.culturespa.options import RunOptions
from cli.culturespa.served_model import N_HOPELESS, ServedModel
from cli.culturespa.steps import do_answer, do_generate, take_survey
from files.journal import write_lines
from prompting.recipe import Method
from survey_data.split import read_split
from tests.fakes.vllm import FakeVllm, Scripted
from tests.fixtures.service import MakeSettings

QUESTIONS = [
    GeneratedQuestion(f"generated:{i}", "Life", f"Is thing {i} good?", ("Yes", "Partly", "No"))
    for i in range(4)
]
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    file = tmp_path / "questions.jsonl"
    write_lines(file, QUESTIONS)
    return file


def completion(text: str) -> Scripted:
    """Return a chat's reply in these words."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text, "refusal": None},
        "logprobs": None,
        "finish_reason": "stop",
    }
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    head: dict[str, Any] = {"id": "c", "object": "chat.completion", "created": 1, "model": "fake"}
    return Scripted(raw=json.dumps({**head, "choices": [choice], "usage": usage}).encode())


def written(number: int) -> Scripted:
    options = ["Yes", "No"]
    return completion(json.dumps({"question": f"New question {number}?", "options": options}))


async def ask(
    settings: Settings, folder: Path, questions: Path, how: AnswerStepSettings | None = None
) -> StepManifest:
    surveys = open_surveys(settings, "wvs7")
    cultures = resolve_cultures(surveys.library, ["US", "Kenya", "KEN"])
    async with ServedModel(settings) as model:
        options = RunOptions(answer=how or AnswerStepSettings(), n_concurrent=4)
        return await do_answer(folder, questions, cultures, surveys.library, options, model)


async def test_every_question_is_asked_unaware_and_as_each_culture_once(
    make_settings: MakeSettings, fake: FakeVllm, questions: Path, tmp_path: Path
) -> None:
    manifest = await ask(make_settings(), tmp_path / "3", questions)

    assert manifest.counts == {"answers": 12, "unreadable": 0}
    assert manifest.settings["cultures"] == ["KEN", "USA"]
    answers = read_step_lines(tmp_path / "3" / "answers.jsonl", QuestionAnswer)
    assert all(sum(a.shares or ()) == pytest.approx(1.0) for a in answers)
    systems = [chat.body["messages"][0]["content"] for chat in fake.chats]
    assert len(systems) == 12
    assert sum("Kenyan" in system for system in systems) == 4


async def test_compared_cultures_are_those_that_the_surveys_tell(
    make_settings: MakeSettings, fake: FakeVllm, questions: Path, tmp_path: Path
) -> None:
    await ask(make_settings(), tmp_path / "3", questions, AnswerStepSettings(Method.CROSS_CULTURE))

    systems = [chat.body["messages"][0]["content"] for chat in fake.chats]
    assert sum("is much like that of" in system for system in systems) == 8


async def test_sampled_replies_are_read_as_text(
    make_settings: MakeSettings, fake: FakeVllm, questions: Path, tmp_path: Path
) -> None:
    fake.script(*(completion("2. Partly") for _ in range(24)))
    sampling = AnswerStepSettings(reading=AnswerReading.SAMPLING, n_repeats=2)

    await ask(make_settings(), tmp_path / "3", questions, sampling)

    answers = read_step_lines(tmp_path / "3" / "answers.jsonl", QuestionAnswer)
    assert {answer.options for answer in answers} == {(1, 1)}
    assert {(c.body["temperature"], c.body["top_p"]) for c in fake.chats} == {(0.6, 0.9)}
    assert len({chat.body["seed"] for chat in fake.chats}) == 24


async def test_a_step_that_is_done_opens_no_model(
    make_settings: MakeSettings, questions: Path, tmp_path: Path
) -> None:
    first = await ask(make_settings(), tmp_path / "3", questions)

    gone = make_settings(vllm={"urls": (NOWHERE,)})
    assert await ask(gone, tmp_path / "3", questions) == first


async def test_a_model_that_writes_no_question_is_given_up_soon(
    make_settings: MakeSettings, fake: FakeVllm, tmp_path: Path
) -> None:
    settings = make_settings()
    surveys = open_surveys(settings, "wvs7")
    options = RunOptions(n_concurrent=4)

    with pytest.raises(NoQuestionWritten, match=r"no-json\), .* `milieu culturespa run --quest"):
        async with ServedModel(settings) as model:
            await do_generate(tmp_path / "1", surveys, options, model)

    # What was in flight may have arrived as well.
    # Of the hundreds that it would take; a few are under way when it is given up.
    assert N_HOPELESS <= len(fake.chats) < 2 * N_HOPELESS


async def test_questions_are_written_on_the_topics_that_are_named(
    make_settings: MakeSettings, fake: FakeVllm, tmp_path: Path
) -> None:
    fake.script(*(written(i) for i in range(3)))
    settings = make_settings()

    async with ServedModel(settings) as model:
        options = RunOptions(
            topics=("Migration",),
            generate=GenerateSettings(n_per_topic=3),
            n_concurrent=2,
        )
        surveys = open_surveys(settings, "wvs7")
        manifest = await do_generate(tmp_path / "1", surveys, options, model)

    assert manifest.counts == {"questions": 3, "outcomes": {"Migration": {"written": 3}}}
    assert {q.topic for q in read_questions(tmp_path / "1" / "questions.jsonl")} == {"Migration"}


def test_the_surveys_own_questions_are_less_those_held_out(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    surveys = open_surveys(make_settings(), "wvs7")

    manifest = take_survey(tmp_path / "1", surveys)

    kept = {question.key for question in read_questions(tmp_path / "1" / "questions.jsonl")}
    assert kept.isdisjoint(read_split().questions)
    assert manifest.counts == {"questions": len(kept), "held_out": 50}
    assert take_survey(tmp_path / "1", surveys) == manifest


def test_the_surveys_own_questions_are_those_of_the_topics_that_are_named(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    surveys = open_surveys(make_settings(), "wvs7")

    manifest = take_survey(tmp_path / "1", surveys, ("Migration",))

    assert {q.topic for q in read_questions(tmp_path / "1" / "questions.jsonl")} == {"Migration"}
    assert manifest.counts == {"questions": 8, "held_out": 2}
    with pytest.raises(OptionInvalid, match="found Weather, expected one of Social values"):
        take_survey(tmp_path / "2", surveys, ("Weather",))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("", "found no question"),
        ("What is this?\n", "found something else in row 1"),
        ('{"key":"a","topic":"t","text":"?","options":["1","2"]}\n' * 2, "the key 'a' 2 times"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: str, found: str) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text(content)

    with pytest.raises(QuestionsInvalid, match=found):
        read_questions(file)
