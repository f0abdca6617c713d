"""Questions are written per topic, retried, counted, and go on after a kill."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adapters.culturespa.errors import StepFileInvalid, TopicEmpty
from adapters.culturespa.generate import GenerationResult, generate_questions, generation_messages
from adapters.culturespa.settings import GenerateSettings
from prompting.question_writing import AttemptOutcome
from tests.adapters.culturespa.survey import Killed, PaperWriter, question, survey_question

SEEDS = [survey_question(i, topic=topic) for topic in ("Life", "Work") for i in range(8)]
SETTINGS = GenerateSettings(n_per_topic=20, seed=3, batch=4)


async def generated(
    journal: Path, writer: PaperWriter, *, n_concurrent: int = 5, seed: int = 3
) -> GenerationResult:
    settings = GenerateSettings(n_per_topic=20, seed=seed, batch=4)
    return await generate_questions(
        SEEDS, writer, settings=settings, journal=journal, n_concurrent=n_concurrent
    )


def shown(prompt: str) -> list[str]:
    return [json.loads(line)["question"] for line in prompt.splitlines() if line.startswith("{")]


async def test_every_topic_gets_its_questions_and_failures_are_counted(tmp_path: Path) -> None:
    writer = PaperWriter()

    made = await generated(tmp_path / "a.jsonl", writer)

    assert [q.topic for q in made.questions] == ["Life"] * 20 + ["Work"] * 20
    assert all(counts[AttemptOutcome.WRITTEN] == 20 for counts in made.outcomes.values())
    assert sum(counts[AttemptOutcome.NO_JSON] for counts in made.outcomes.values()) > 0
    assert len(writer.prompts) == sum(counts.total() for counts in made.outcomes.values())
    assert len({q.key for q in made.questions}) == 40


async def test_prompts_show_five_survey_questions_first_and_then_three_and_two(
    tmp_path: Path,
) -> None:
    writer = PaperWriter()

    await generated(tmp_path / "a.jsonl", writer)

    new = [sum(text.startswith("New") for text in shown(prompt)) for prompt in writer.prompts]
    assert all(len(shown(prompt)) == 5 for prompt in writer.prompts)
    assert set(new) == {0, 2}
    assert new[:4] == [0] * 4


async def test_the_number_in_flight_is_bounded_and_does_not_matter(tmp_path: Path) -> None:
    few, many = PaperWriter(), PaperWriter()

    one = await generated(tmp_path / "a.jsonl", few, n_concurrent=2)
    other = await generated(tmp_path / "b.jsonl", many, n_concurrent=8)

    assert (few.most_in_flight, many.most_in_flight) == (2, 8)
    assert one == other


async def test_another_seed_asks_for_other_questions(tmp_path: Path) -> None:
    one = await generated(tmp_path / "a.jsonl", PaperWriter())
    other = await generated(tmp_path / "b.jsonl", PaperWriter(), seed=4)

    assert one.questions != other.questions


@pytest.mark.parametrize("kill_at", [1, 9, 30])
async def test_a_killed_run_goes_on_and_ends_as_an_unbroken_one(
    tmp_path: Path, kill_at: int
) -> None:
    whole = PaperWriter()
    unbroken = await generated(tmp_path / "a.jsonl", whole)
    journal = tmp_path / "b.jsonl"
    with pytest.raises(Killed):
        await generated(journal, PaperWriter(kill_at=kill_at))
    with journal.open("a", encoding="utf-8") as file:
        file.write('{"topic": "Life", "attem')
    n_kept = len(journal.read_bytes().splitlines()) - 1

    rest = PaperWriter()
    resumed = await generated(journal, rest)

    assert resumed == unbroken
    assert len(rest.prompts) == len(whole.prompts) - n_kept


async def test_a_topic_is_given_up_at_the_cap(tmp_path: Path) -> None:
    settings = GenerateSettings(n_per_topic=4, n_attempts=2.5)

    made = await generate_questions(
        SEEDS, PaperWriter(fails=1), settings=settings, journal=tmp_path / "a.jsonl"
    )

    assert made.questions == ()
    assert made.outcomes["Life"] == {AttemptOutcome.NO_JSON: 10}


async def test_no_survey_question_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TopicEmpty):
        await generate_questions([], PaperWriter(), settings=SETTINGS, journal=tmp_path / "a.jsonl")


async def test_a_journal_of_something_else_is_refused(tmp_path: Path) -> None:
    journal = tmp_path / "a.jsonl"
    journal.write_text('{"answer": 1}\n')

    with pytest.raises(StepFileInvalid, match=r"a\.jsonl, row 1"):
        await generated(journal, PaperWriter())


def test_a_small_topic_is_shown_whole() -> None:
    survey = [survey_question(i) for i in range(2)]

    _, user = generation_messages("Life", survey, [question(0)], key="k")

    assert sorted(shown(user.content)) == [q.text for q in survey]
