import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from evaluation.asking import Response
from evaluation.errors import AnswersMissing, RunFolderInvalid
from evaluation.run_folder import ANSWERS, ASKS, RUN, RunFolder
from evaluation.runner import RunPlan, run_plan
from prompting.recipe import Method
from tests.evaluation.surveys import CULTURES, N_QUESTIONS, PaperModel, tiny_library, tiny_plan

N_CELLS = len(CULTURES) * N_QUESTIONS
SETTINGS = {"pack": "tiny"}


def opened(folder: Path, **settings: object) -> RunFolder:
    return RunFolder(folder, settings={**SETTINGS, **settings}, created="2026-01-01")


async def finished(plan: RunPlan, folder: Path, *, n_concurrent: int = 4) -> RunFolder:
    with opened(folder) as results:
        await run_plan(plan, results, n_concurrent=n_concurrent)
        return results


def lines(file: Path) -> list[str]:
    return sorted(filter(None, file.read_text(encoding="utf-8").split("\n")))


class Seen:
    """Progress that remembers."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int]] = []

    def on_asked(self, n: int, *, n_sent: int) -> None:
        self.told.append((n, n_sent))


async def test_every_cell_of_every_condition_is_asked(tmp_path: Path) -> None:
    plan = tiny_plan(tiny_library(), PaperModel())

    with opened(tmp_path / "run") as results:
        asked = await run_plan(plan, results, n_concurrent=4)

    # plain, persona, icl and five references.
    assert len(asked) == plan.count_asks() == 8 * N_CELLS


async def test_a_question_that_a_culture_was_not_asked_is_left_out(tmp_path: Path) -> None:
    plan = tiny_plan(tiny_library(not_asked={"KEN": (1, 2)}), PaperModel())

    assert plan.count_asks() == 8 * (N_CELLS - 2)


async def test_an_unsteered_answer_is_asked_once_and_not_once_per_culture(tmp_path: Path) -> None:
    model = PaperModel()

    await finished(tiny_plan(tiny_library(), model, methods=[Method.PLAIN]), tmp_path / "run")

    assert len(model.asked) == N_QUESTIONS


@pytest.mark.parametrize("n_concurrent", [1, 3])
async def test_as_many_requests_are_under_way_as_allowed(tmp_path: Path, n_concurrent: int) -> None:
    # Long enough for the others to look up what they ask.
    model = PaperModel(pause_s=0.005)

    await finished(tiny_plan(tiny_library(), model), tmp_path / "run", n_concurrent=n_concurrent)

    assert model.most_under_way == n_concurrent


async def test_orders_and_seeds_are_asked_where_they_matter(tmp_path: Path) -> None:
    plan = tiny_plan(tiny_library(), PaperModel(), methods=[Method.PLAIN], n_orders=2, seeds=(0, 1))

    # plain: 2 orders x 2 seeds; a reference neither shows options nor draws.
    assert plan.count_asks() == (4 + 5) * N_CELLS


async def test_the_folder_says_what_was_asked_and_answered(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    await finished(tiny_plan(tiny_library(), PaperModel(), methods=[Method.ICL]), folder)

    asks = [json.loads(line) for line in (folder / ASKS).read_text().splitlines()]
    answers = {line["digest"]: line for line in map(json.loads, lines(folder / ANSWERS))}
    assert json.loads((folder / RUN).read_text())["settings"] == SETTINGS
    assert all(ask["digest"] in answers for ask in asks)
    first = next(ask for ask in asks if ask["condition"] == "icl")
    assert (first["culture"], first["question"], len(first["shown"])) == ("DEU", "tiny:Q0", 2)
    assert len(answers[first["digest"]]["logprobs"]) == 4
    assert answers[first["digest"]]["prompt_tokens"] > 0


async def test_an_error_ends_the_run_and_keeps_the_answers(tmp_path: Path) -> None:
    plan = tiny_plan(tiny_library(), PaperModel(dies_after=20))

    with pytest.raises(ConnectionError, match="the model is gone"):
        await finished(plan, tmp_path / "run")

    with opened(tmp_path / "run") as results:
        assert len(results.answers) >= 20


@pytest.mark.parametrize("dies_after", [0, 1, 17, 40])
async def test_a_run_that_was_broken_off_ends_as_an_unbroken_one(
    tmp_path: Path, dies_after: int
) -> None:
    library, whole, broken = tiny_library(), tmp_path / "whole", tmp_path / "broken"
    unbroken = PaperModel()
    await finished(tiny_plan(library, unbroken), whole)
    dying, second = PaperModel(dies_after=dies_after), PaperModel()
    with pytest.raises(ConnectionError):
        await finished(tiny_plan(library, dying), broken)

    await finished(tiny_plan(library, second), broken)

    assert (broken / ASKS).read_bytes() == (whole / ASKS).read_bytes()
    assert lines(broken / ANSWERS) == lines(whole / ANSWERS)
    assert len(dying.asked) + len(second.asked) == len(unbroken.asked)


@pytest.mark.parametrize("n_bytes", [0, 1, 2, 40, 150, 151, 400])
async def test_a_kill_at_any_byte_costs_nothing_but_the_unfinished_line(
    tmp_path: Path, n_bytes: int
) -> None:
    library, folder = tiny_library(), tmp_path / "run"
    unbroken = PaperModel()
    await finished(tiny_plan(library, unbroken, methods=[Method.PLAIN]), folder)
    whole = lines(folder / ANSWERS)
    kept = (folder / ANSWERS).read_bytes()[: -n_bytes or None]
    (folder / ANSWERS).write_bytes(kept)

    await finished(tiny_plan(library, PaperModel(), methods=[Method.PLAIN]), folder)

    assert lines(folder / ANSWERS) == whole


async def test_a_second_run_asks_nothing(tmp_path: Path) -> None:
    library = tiny_library()
    await finished(tiny_plan(library, PaperModel()), tmp_path / "run")
    again, seen = PaperModel(), Seen()

    with opened(tmp_path / "run") as results:
        await run_plan(tiny_plan(library, again), results, n_concurrent=2, progress=seen)

    assert again.asked == []
    assert seen.told[-1] == (8 * N_CELLS, 0)


async def test_progress_counts_asks_and_what_was_sent_for_them(tmp_path: Path) -> None:
    seen, plan = Seen(), tiny_plan(tiny_library(), PaperModel(), methods=[Method.PLAIN])

    with opened(tmp_path / "run") as results:
        await run_plan(plan, results, n_concurrent=2, progress=seen)

    assert [n for n, _ in seen.told] == list(range(1, plan.count_asks() + 1))
    n_references = seen.told[-1][1] - len(plan.questions)
    assert 0 < n_references <= 5 * N_CELLS


def test_a_folder_holds_one_run(tmp_path: Path) -> None:
    with opened(tmp_path / "run", n_orders=1):
        pass

    with pytest.raises(RunFolderInvalid, match="other n_orders"):
        opened(tmp_path / "run", n_orders=2)


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")

    with pytest.raises(RunFolderInvalid, match=r"no run\.json"):
        opened(tmp_path)


def test_a_description_that_was_never_finished_is_written_again(tmp_path: Path) -> None:
    (tmp_path / f".{RUN}.part").write_text('{"sch')

    with opened(tmp_path):
        pass

    assert (tmp_path / RUN).exists()


def test_two_runs_are_not_at_work_in_one_folder(tmp_path: Path) -> None:
    with opened(tmp_path / "run"), pytest.raises(RunFolderInvalid, match="in progress"):
        opened(tmp_path / "run")
    with opened(tmp_path / "run"):
        pass


def test_a_folder_that_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(RunFolderInvalid, match="can be written"):
        opened(tmp_path / "file" / "run")


def test_a_run_that_was_never_finished_is_not_reopened(tmp_path: Path) -> None:
    with opened(tmp_path / "run"):
        pass

    with pytest.raises(AnswersMissing, match="not finished"):
        RunFolder.open_finished(tmp_path / "run")


def test_the_date_is_that_of_the_first_start(tmp_path: Path) -> None:
    with opened(tmp_path / "run"):
        pass

    with RunFolder(tmp_path / "run", settings=SETTINGS, created="2027-02-02") as again:
        assert again.created == "2026-01-01"


@pytest.mark.parametrize("line", ['{"digest": 3}', "not json", '{"digest": "a", "more": 1}'])
def test_a_line_that_was_altered_is_named(tmp_path: Path, line: str) -> None:
    with opened(tmp_path / "run") as results:
        results.add("a", Response(text="2"))
    with (tmp_path / "run" / ANSWERS).open("a") as file:
        file.write(line + "\n")

    with pytest.raises(RunFolderInvalid, match="row 2"):
        opened(tmp_path / "run")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"settings": {}}'])
def test_a_description_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / RUN).write_text(text)

    with pytest.raises(RunFolderInvalid, match=r"run\.json"):
        opened(tmp_path)


def test_answers_come_back_as_they_were_given(tmp_path: Path) -> None:
    given: Sequence[Response] = (
        Response(logprobs=(-0.1, -2.5), prompt_tokens=3, completion_tokens=1),
        Response(text="Ünreadable\u2028line"),
        Response(option=1, shares=(0.25, 0.75)),
        Response(option=0, steered=False),
        Response(),
    )
    with opened(tmp_path / "run") as results:
        for number, response in enumerate(given):
            results.add(str(number), response)

    with opened(tmp_path / "run") as again:
        assert tuple(again.answers.values()) == given
