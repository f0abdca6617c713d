"""Recorded answers: both forms, what is wrong with a file, and the scores of the released ones."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

from evaluation.asking import Ask
from evaluation.errors import AnswerNotRecorded, EvaluationError, RecordingInvalid
from evaluation.recorded import RecordedAnswers
from prompting.reading import read_number_as_published
from survey_data.library import SurveyLibrary
from survey_data.model import Question, Scale
from survey_data.similarity import alignment_score

QUESTION = Question("tiny:Q6", "Life", "Why?", ("Yes", "No"), Scale.BINARY, source_item="S6")


def written(folder: Path, content: Any, *, name: str = "answers.json") -> Path:
    file = folder / name
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


def lines(folder: Path, *records: Any) -> Path:
    file = folder / "answers.jsonl"
    file.write_text("\n".join(json.dumps(record) for record in records), encoding="utf-8")
    return file


async def text_of(respondent: RecordedAnswers, culture: str, question: Question = QUESTION) -> Any:
    order = tuple(range(len(question.options)))
    request = await respondent.request(Ask(None, culture, question, order))
    return (await respondent.respond(request)).text


async def test_a_released_file_is_matched_by_source_item(tmp_path: Path) -> None:
    file = written(tmp_path, [{"Q_id": "S6", "question": "…", "option_lst": [], "answer": "2."}])
    respondent = RecordedAnswers(file)

    assert respondent.name == "answers"
    assert await text_of(respondent, "DEU") == "2."
    assert await text_of(respondent, "FRA") == "2."


async def test_an_answer_for_all_cultures_is_one_request(tmp_path: Path) -> None:
    respondent = RecordedAnswers(written(tmp_path, [{"Q_id": "S6", "answer": "2."}]))
    one = await respondent.request(Ask(None, "DEU", QUESTION, (0, 1)))
    other = await respondent.request(Ask(None, "FRA", QUESTION, (1, 0), seed=1))

    assert one == other


async def test_the_most_particular_record_comes_first(tmp_path: Path) -> None:
    records = [
        {"question": "S6", "answer": "by item"},
        {"question": "S6", "culture": "ITA", "answer": "by item and culture"},
        {"question": "tiny:Q6", "culture": "DEU", "answer": "by key and culture"},
    ]
    respondent = RecordedAnswers(lines(tmp_path, *records))

    assert await text_of(respondent, "DEU") == "by key and culture"
    assert await text_of(respondent, "ITA") == "by item and culture"
    assert await text_of(respondent, "FRA") == "by item"
    respondent = RecordedAnswers(lines(tmp_path, *records, {"question": "tiny:Q6", "answer": "k"}))
    assert await text_of(respondent, "ITA") == "k"


async def test_an_empty_answer_is_an_answer(tmp_path: Path) -> None:
    assert (
        await text_of(RecordedAnswers(lines(tmp_path, {"question": "S6", "answer": ""})), "DEU")
        == ""
    )


async def test_lines_may_be_empty_and_hold_any_character(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    file.write_text('\n{"question": "S6", "answer": "a\u2028b"}\n\n', encoding="utf-8")

    assert await text_of(RecordedAnswers(file), "DEU") == "a\u2028b"


async def test_a_question_without_record_is_named(tmp_path: Path) -> None:
    file = lines(tmp_path, {"question": "S6", "culture": "FRA", "answer": "1"})
    with pytest.raises(AnswerNotRecorded, match=r"tiny:Q6 \(source item S6\) for DEU") as caught:
        await text_of(RecordedAnswers(file), "DEU")

    assert isinstance(caught.value, EvaluationError)
    assert str(file) in str(caught.value)


async def test_a_question_without_source_item_is_matched_by_its_key_only(tmp_path: Path) -> None:
    own = Question("own", "", "Why?", ("Yes", "No"), Scale.BINARY)
    with pytest.raises(AnswerNotRecorded, match="no answer to own for DEU"):
        await text_of(
            RecordedAnswers(lines(tmp_path, {"question": "S6", "answer": "1"})), "DEU", own
        )


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"question": "S7"}, "answer: Field required"),
        ({"question": "S7", "answer": 2}, "answer: Input should be a valid string"),
        ({"question": "", "answer": "2"}, "question: String should have at least 1"),
        ({"question": "S7", "culture": "de", "answer": "2"}, "culture: String should match"),
        ({"question": "S7", "answer": "2", "note": ""}, "note: Extra inputs"),
        (["S7", "2"], "the record: Input should be"),
        ({"question": "S6", "answer": "2"}, "a second answer to S6; remove"),
    ],
)
def test_a_line_that_is_no_record_is_named(tmp_path: Path, record: Any, message: str) -> None:
    file = lines(tmp_path, {"question": "S6", "answer": "1"}, record)
    with pytest.raises(RecordingInvalid, match=message) as caught:
        RecordedAnswers(file)

    assert caught.value.file == file
    assert caught.value.row == 2
    assert f"{file}, row 2: " in str(caught.value)


def test_one_answer_per_question_and_culture(tmp_path: Path) -> None:
    record = {"question": "S6", "culture": "DEU", "answer": "1"}
    with pytest.raises(RecordingInvalid, match="row 2: a second answer to S6 for DEU"):
        RecordedAnswers(lines(tmp_path, record, record))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", b"{}", "the file: Input should be a valid array"),
        ("a.json", b"[]", "found no answer"),
        ("a.json", b"[", "the file: Invalid JSON"),
        ("a.json", b'[{"Q_id": "Q1"}]', "row 1: answer: Field required"),
        ("a.json", b"\xff", "the file: Invalid JSON"),
        ("a.jsonl", b"", "found no answer"),
        ("a.jsonl", b"\n{", "row 2: the record: Invalid JSON"),
    ],
)
def test_a_file_of_another_form_is_refused(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RecordingInvalid, match=message):
        RecordedAnswers(tmp_path / name)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordingInvalid, match=r"none\.json: cannot be read"):
        RecordedAnswers(tmp_path / "none.json")


UNAWARE = "wvs_result_culture_unaware_0.json"


async def published_score(
    file: str, library: SurveyLibrary, shared: Path, culture: str
) -> tuple[float, int]:
    """Return the score of a released file as the paper takes it, and how many were unreadable."""
    respondent = RecordedAnswers(shared / "data" / "culturespa" / "results" / file)
    chosen, gold, n_options, n_unreadable = [], [], [], 0
    for key in library.keys_of(culture):
        question, people = library.questions[key], library.distribution(key, culture)
        assert people is not None
        number = read_number_as_published(await text_of(respondent, culture, question))
        if number is None:
            n_unreadable += 1
            continue
        chosen.append(number)
        gold.append(question.first_number + people.mode)
        n_options.append(len(question.options))
    return round(100 * alignment_score(chosen, gold, n_options), 2), n_unreadable


@pytest.mark.parametrize(
    ("culture", "unaware", "aware"),
    [("USA", 68.34, 71.12), ("CHN", 62.19, 66.54), ("ZWE", 53.13, 65.53)],
)
async def test_the_published_scores(
    released: SurveyLibrary, shared: Path, culture: str, unaware: float, aware: float
) -> None:
    aware_file = f"wvs_result_culture_aware_{culture}_0.json"

    assert (await published_score(UNAWARE, released, shared, culture))[0] == unaware
    assert (await published_score(aware_file, released, shared, culture))[0] == aware


async def test_the_published_score_of_self_alignment(released: SurveyLibrary, shared: Path) -> None:
    file = "wvs_result_self_alignment_American_0.json"

    assert await published_score(file, released, shared, "USA") == (63.74, 24)


async def test_the_unaware_answers_against_all_countries(
    released: SurveyLibrary, shared: Path
) -> None:
    scores = [
        (await published_score(UNAWARE, released, shared, culture))[0]
        for culture in released.cultures
    ]
    assert len(scores) == 18
    assert mean(scores) == pytest.approx(62.36, abs=0.005)
