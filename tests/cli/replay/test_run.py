"""Arms asked the same, on a fake vLLM: which requests, with what, and what is kept of them."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from adapters.errors import AdaptersOff
from adapters.registry import AdapterRegistry
from app.answering.requests import AnswerRequest, ChatTurn
from app.errors import OptionInvalid, UpstreamUnavailable
from app.state.retrieval import open_retrieval, read_library
from cli.replay.options import ReplayOptions
from cli.replay.requests import (
    N_CULTURES,
    RequestSet,
    draw_survey_requests,
    select_logged_requests,
)
from cli.replay.run import ReplayRun, write_replay
from cli.replay.run import run_replay as replay_alone
from estimation.source import AnswerFrom
from evaluation.splits import leave_one_out
from experiments.definition import Decoding, Experiment
from experiments.events import AnswerText
from prompting.recipe import Method, Recipe
from retrieval.likeness import find_alike
from survey_data.cultures import read_catalogue
from survey_data.errors import CultureUnknown, PackMissing
from survey_data.library import SurveyLibrary
from survey_data.split import read_split
from tests.app.adapters import adapter_settings, add_adapter
from tests.app.service import FAR, RELIGION, RELIGION_KEY, open_for_run, settings_for
from tests.experiments.events import a_text, an_experiment
from tests.experiments.simulated import two_arms
from tests.fakes.vllm import FakeVllm, Scripted, serve
from tests.fixtures.service import MakeSettings

run_replay = partial(replay_alone, opener=open_for_run)
FEW = ReplayOptions(packs=("wvs7",), cultures=("DE", "KE"), n_questions=3)


def answer_text(answer_id: str = "a1", culture: str = "DEU", **request: Any) -> AnswerText:
    """A logged question, as the service writes it."""
    fields = {"kind": "answer", "question": FAR, "culture": culture, "options": [], "seed": 5}
    return a_text(answer_id, culture=culture, request=json.dumps(fields | request))


def chat_text(answer_id: str = "c1", *said: str, **request: Any) -> AnswerText:
    """A logged chat of the user's messages."""
    messages = [{"role": "user", "content": text} for text in said or (FAR,)]
    fields = {"kind": "chat", "messages": messages, "culture": "DE", "seed": 5}
    return a_text(answer_id, request=json.dumps(fields | request))


def of_arm(run: ReplayRun, arm: str) -> list[Any]:
    return [row for row in run.rows if row.arm == arm]


def with_arm(experiment: Experiment, **changes: Any) -> Experiment:
    """The experiment with its second arm changed."""
    first, second, *rest = experiment.arms
    return replace(experiment, arms=(first, replace(second, **changes), *rest))


@pytest.fixture(scope="module")
def library(cache_folder: Path) -> SurveyLibrary:
    return read_library(settings_for("http://127.0.0.1:1", cache_folder), read_catalogue())


def drawn(library: SurveyLibrary, experiment: Experiment | None = None, **more: Any) -> RequestSet:
    """Survey requests where no question has another like it, unless `alike` says so."""
    alike = dict.fromkeys(library.questions, frozenset({""})) | more.pop("alike", {})
    options = ReplayOptions(**more)
    return draw_survey_requests(library, experiment or two_arms(), options, alike=alike)


def from_log(
    library: SurveyLibrary,
    texts: Sequence[AnswerText],
    experiment: Experiment | None = None,
    **more: Any,
) -> RequestSet:
    options = ReplayOptions(logged=True, **more)
    return select_logged_requests(texts, library, experiment or two_arms(), options)


def test_the_same_seed_draws_the_same_questions(library: SurveyLibrary) -> None:
    first, again, other = (drawn(library, n_questions=10, seed=seed) for seed in (1, 1, 2))

    assert first == again
    assert {r.question for r in first.requests} != {r.question for r in other.requests}


def test_a_question_is_asked_for_every_culture_that_answered_it(library: SurveyLibrary) -> None:
    requests = drawn(library, n_questions=20, cultures=("DE", "Kenya", "MX")).requests

    asked = defaultdict(set)
    for request in requests:
        asked[request.question].add(request.culture)
    assert len(asked) == 20
    for key, cultures in asked.items():
        there = {c for c in ("DEU", "KEN", "MEX") if library.distribution(key, c) is not None}
        assert cultures == there


def test_without_cultures_a_few_are_drawn(library: SurveyLibrary) -> None:
    wanted = drawn(library, packs=("wvs7",))

    assert len({request.culture for request in wanted.requests}) == N_CULTURES
    assert wanted.source == "50 questions of wvs7, 4 cultures"


def test_an_experiment_for_some_cultures_is_replayed_for_these(library: SurveyLibrary) -> None:
    experiment = two_arms(cultures=("JPN", "DEU"))

    assert {r.culture for r in drawn(library, experiment).requests} == {"DEU", "JPN"}
    with pytest.raises(OptionInvalid, match="KE, expected one of JPN, DEU"):
        drawn(library, experiment, cultures=("KE",))


def test_a_question_with_another_like_it_is_not_asked(library: SurveyLibrary) -> None:
    alike = {RELIGION_KEY: frozenset({RELIGION_KEY, "wvs7:Q7"})}
    everything: dict[str, Any] = {"packs": ("wvs7",), "cultures": ("DE",), "n_questions": 1000}

    wanted = drawn(library, alike=alike, **everything)

    assert RELIGION_KEY in {r.question for r in drawn(library, **everything).requests}
    assert RELIGION_KEY not in {r.question for r in wanted.requests}
    assert "1 question with another one like it" in wanted.notes[0]


def test_held_out_is_what_the_embedded_model_never_saw(library: SurveyLibrary) -> None:
    split = read_split()

    requests = drawn(library, held_out_only=True, n_questions=1000).requests

    assert {request.question for request in requests} <= split.questions
    assert {request.culture for request in requests} <= split.cultures
    with pytest.raises(OptionInvalid, match="JPN with --held-out"):
        drawn(library, held_out_only=True, cultures=("JP",))


def test_what_is_not_there_is_refused(library: SurveyLibrary) -> None:
    with pytest.raises(PackMissing):
        drawn(library, packs=("nowhere",))
    with pytest.raises(CultureUnknown):
        drawn(library, cultures=("Atlantis",))
    with pytest.raises(OptionInvalid, match="found none"):
        from_log(library, [])


def test_logged_requests_come_back_as_they_were(library: SurveyLibrary) -> None:
    answer = answer_text(question="Why?", options=["a", "b"], temperature=0.3, max_tokens=9)

    one, two = from_log(library, [answer, chat_text("c1", "Hi", "Why?", top_p=0.5)]).requests

    assert isinstance(one.asked, AnswerRequest)
    assert (one.id, one.culture, one.asked.seed, one.asked.temperature) == ("a1", "DEU", 5, 0.3)
    assert isinstance(two.asked, ChatTurn)
    assert (two.id, two.culture, two.asked.seed, two.asked.chat.top_p) == ("c1", "DEU", 5, 0.5)


def test_a_request_without_a_seed_gets_that_of_the_replay(library: SurveyLibrary) -> None:
    (request,) = from_log(library, [answer_text(seed=None)], seed=9).requests

    assert request.asked.seed == 9


def test_logged_requests_for_nobody_or_in_another_form_are_counted(
    library: SurveyLibrary,
) -> None:
    texts = [
        answer_text("a1"),
        answer_text("a2", culture=""),
        answer_text("a3", culture="KEN"),
        a_text("a4", request='{"kind": "poem"}'),
        a_text("a5", request="nonsense"),
    ]

    wanted = from_log(library, texts, two_arms(cultures=("DEU",)))

    assert [request.id for request in wanted.requests] == ["a1"]
    assert wanted.source == "1 logged request with consent"
    assert wanted.notes[0].startswith("Left out: 2 logged requests without a culture")
    assert wanted.notes[1] == "Left out: 2 logged requests not in a form that can be asked again."


def test_the_same_logged_question_is_one_question(library: SurveyLibrary) -> None:
    texts = [
        answer_text("a1", question="Why not?"),
        answer_text("a2", question="why  NOT?", culture="KEN"),
        answer_text("a3", question="Why not?", options=["a", "b"]),
    ]

    first, same, other = (r.question for r in from_log(library, texts).requests)

    assert first == same
    assert first != other


def test_some_of_the_log_can_be_drawn(library: SurveyLibrary) -> None:
    texts = [answer_text(f"a{at}") for at in range(20)]

    wanted = from_log(library, texts, n_questions=4)

    assert len(wanted.requests) == 4
    assert wanted.source == "4 logged requests with consent, drawn from 20"


async def test_every_arm_is_asked_every_request(
    make_settings: MakeSettings, fake: FakeVllm
) -> None:
    run = await run_replay(make_settings(), an_experiment(), FEW)

    assert run.is_whole
    assert (run.replay.n_requests, run.replay.n_questions) == (6, 3)
    assert len(run.rows) == 6 * 4
    assert all(row.alignment is not None and not row.failed for row in run.rows)
    assert set(run.replay.offline()) == {"plain", "icl", "adapter", "adapter+icl"}
    assert [each.name for each in run.replay.cultures] == ["Germany", "Kenya"]
    # No adapter is active here.
    assert [arm.levels["fell_back"].span.estimate for arm in run.replay.arms] == [0, 0, 1, 1]


async def test_arms_are_shown_the_same_and_never_the_answers(
    make_settings: MakeSettings, tmp_path: Path, shared: Path
) -> None:
    """Also where another pack has the same survey in other words."""
    from survey_data.importers.culturespa_release import import_survey
    from survey_data.packs import write_pack

    release = import_survey(shared / "data" / "culturespa", read_catalogue()).pack
    write_pack(tmp_path / "packs" / "culturespa", release)
    settings = make_settings(
        pack_folders=(str(tmp_path / "packs"),), cache_folder=tmp_path / "cache"
    )
    options = ReplayOptions(cultures=("DE",), n_questions=1000)

    run = await run_replay(settings, two_arms(), options)

    found = read_library(settings, read_catalogue())
    index = open_retrieval(settings, found).index
    every = leave_one_out(tuple(found.questions), find_alike(found.questions, index)).barred
    assert all(every[row.question] == {row.question} for row in run.rows)
    assert all(every[row.question].isdisjoint(row.shown) for row in run.rows)
    assert sum(bool(row.shown) for row in run.rows) > 20
    assert run.replay.n_requests < len(found.keys_of("DEU"))


async def test_arms_that_show_exemplars_show_the_same_ones(make_settings: MakeSettings) -> None:
    run = await run_replay(make_settings(), an_experiment(), FEW)

    assert (run.replay.n_shown, run.replay.same_shown) == (6, 1.0)


async def test_each_arm_goes_first_as_often(make_settings: MakeSettings) -> None:
    options = replace(FEW, n_concurrent=1)

    run = await run_replay(make_settings(), two_arms(), options)

    firsts = [row.arm for row in run.rows][::2]
    assert firsts == ["plain", "icl"] * 3


async def test_the_log_is_asked_again_with_its_seed_and_the_arms_decoding(
    make_settings: MakeSettings, fake: FakeVllm
) -> None:
    experiment = with_arm(two_arms(), decoding=Decoding(temperature=0.9, max_tokens=7))
    texts = [answer_text(temperature=0.2, max_tokens=40), chat_text(temperature=0.2)]

    run = await run_replay(
        make_settings(), experiment, ReplayOptions(logged=True, n_concurrent=1), texts=texts
    )

    said = [(c.body["seed"], c.body["temperature"], c.body.get("max_tokens")) for c in fake.chats]
    # The question, `plain` first; then the chat, the other one first.
    assert said == [(5, 0.2, 40), (5, 0.9, 7), (5, 0.9, 7), (5, 0.2, None)]
    assert [row.refused for row in run.rows] == [False] * 4
    assert "alignment" not in run.replay.arms[0].levels


async def test_a_logged_survey_question_has_an_alignment_unless_its_options_are_others(
    make_settings: MakeSettings,
) -> None:
    texts = [
        answer_text("a1", question=RELIGION),
        answer_text("a2", question=RELIGION, options=["much", "little"]),
    ]

    run = await run_replay(make_settings(), two_arms(), ReplayOptions(logged=True), texts=texts)

    known = {row.request for row in run.rows if row.alignment is not None}
    assert known == {"a1"}
    assert [arm.levels["alignment"].n for arm in run.replay.arms] == [1, 1]


async def test_a_chat_is_shown_evidence_by_the_arms_that_show_it(
    make_settings: MakeSettings,
) -> None:
    run = await run_replay(
        make_settings(), two_arms(), ReplayOptions(logged=True), texts=[chat_text("c1", RELIGION)]
    )

    (plain,), (icl,) = of_arm(run, "plain"), of_arm(run, "icl")
    assert (plain.steered, plain.shown) == (False, ())
    assert icl.steered
    assert len(icl.shown) == 5


async def test_one_failed_answer_does_not_end_the_run(
    make_settings: MakeSettings, fake: FakeVllm
) -> None:
    fake.script(Scripted(status=400, message="no"))
    texts = [answer_text("a1"), answer_text("a2")]
    options = ReplayOptions(logged=True, n_concurrent=1)

    run = await run_replay(make_settings(), two_arms(), options, texts=texts)

    assert [bool(row.failed) for row in run.rows] == [True, False, False, False]
    assert [arm.n_failed for arm in run.replay.arms] == [1, 0]
    assert "no" in run.replay.failures[0].reason


async def test_a_server_that_starts_anew_is_waited_for(
    make_settings: MakeSettings, fake: FakeVllm
) -> None:
    fake.script(*[Scripted(status=503)] * 2)
    settings = make_settings(vllm={"n_retries": 0})
    options = ReplayOptions(logged=True, n_concurrent=1)

    run = await run_replay(settings, two_arms(), options, texts=[answer_text()], pause_s=0.2)

    assert [bool(row.failed) for row in run.rows] == [False, False]


async def test_a_server_that_is_gone_makes_the_other_answers_fail(cache_folder: Path) -> None:
    vllm = FakeVllm(max_model_len=16384)

    class Ending:
        def on_planned(self, n_answers: int) -> None: ...

        def on_answered(self, n: int, *, n_failed: int) -> None:
            vllm.script(*[Scripted(status=503)] * 100)

    options = replace(FEW, n_concurrent=1)
    with serve(vllm.app) as url:
        settings = settings_for(url, cache_folder, vllm={"n_retries": 0})
        run = await run_replay(settings, two_arms(), options, progress=Ending(), pause_s=0.01)

    assert [bool(row.failed) for row in run.rows] == [False, *[True] * 11]
    assert [arm.n_failed for arm in run.replay.arms] == [5, 6]


async def test_an_adapter_that_is_not_to_be_had_is_refused_before_anything_is_asked(
    make_settings: MakeSettings, fake: FakeVllm
) -> None:
    experiment = an_experiment()
    arms = tuple(
        replace(arm, recipe=replace(arm.recipe, adapter="lost")) if arm.name == "adapter" else arm
        for arm in experiment.arms
    )

    with pytest.raises(AdaptersOff):
        await run_replay(make_settings(), replace(experiment, arms=arms), FEW)

    assert not fake.chats


async def test_a_server_that_is_not_there_is_refused(cache_folder: Path) -> None:
    settings = settings_for("http://127.0.0.1:9", cache_folder, vllm={"n_retries": 0})

    with pytest.raises(UpstreamUnavailable):
        await run_replay(settings, two_arms(), FEW)


async def test_adapters_answer_and_are_loaded_before_the_first_request(
    cache_folder: Path, tmp_path: Path
) -> None:
    class Looking:
        def on_planned(self, n_answers: int) -> None:
            self.loaded = set(vllm.adapters)

        def on_answered(self, n: int, *, n_failed: int) -> None: ...

    vllm, progress = FakeVllm(max_model_len=16384), Looking()
    with serve(vllm.app) as url:
        settings = adapter_settings(url, cache_folder, tmp_path)
        version = add_adapter(settings, "german", ["DEU"])
        AdapterRegistry(settings.adapters_folder).activate(["DEU"], version)
        run = await run_replay(settings, an_experiment(), FEW, progress=progress)

    assert progress.loaded == {version}
    fell_back = {(row.arm, row.culture) for row in run.rows if row.fell_back}
    assert fell_back == {("adapter", "KEN"), ("adapter+icl", "KEN")}
    assert [each.reason for each in run.replay.fallbacks] == ["no adapter is active for Kenya"] * 2


async def test_an_adapter_for_other_cultures_is_left_for_exemplars_as_it_is_for_users(
    cache_folder: Path, tmp_path: Path
) -> None:
    vllm = FakeVllm(max_model_len=16384)
    with serve(vllm.app) as url:
        settings = adapter_settings(url, cache_folder, tmp_path)
        german = add_adapter(settings, "german", ["DEU"])
        pinned = Recipe(Method.ADAPTER, adapter=german)
        plain, icl = two_arms().arms
        experiment = replace(two_arms(), arms=(plain, replace(icl, recipe=pinned)))
        run = await run_replay(settings, experiment, FEW)

    answered = [row for row in run.rows if row.arm == "icl" and not row.failed]
    assert {row.culture for row in answered if row.fell_back} == {"KEN"}
    assert {row.culture for row in answered if not row.fell_back} == {"DEU"}


async def test_another_model_is_refused_before_anything_is_asked(
    make_settings: MakeSettings, fake: FakeVllm
) -> None:
    with pytest.raises(OptionInvalid, match="arm 'icl': found model 'huge', expected 'fake'"):
        await run_replay(make_settings(), with_arm(two_arms(), model="huge"), FEW)

    assert not fake.chats


async def test_nothing_is_recorded(make_settings: MakeSettings, tmp_path: Path) -> None:
    settings = make_settings(data_folder=tmp_path)

    await run_replay(settings, two_arms(), FEW)

    assert not settings.events_file.exists()


async def test_a_cancelled_run_ends_with_what_has_been_answered(
    make_settings: MakeSettings,
) -> None:
    class Impatient:
        def on_planned(self, n_answers: int) -> None:
            self.left = 5
            self.planned = n_answers

        def on_answered(self, n: int, *, n_failed: int) -> None:
            self.left -= 1
            if not self.left:
                doing.cancel()

    options = replace(FEW, n_questions=50, n_concurrent=1)
    progress = Impatient()
    running = run_replay(make_settings(), two_arms(), options, progress=progress)
    doing = asyncio.ensure_future(running)

    run = await doing

    assert progress.planned == 200
    assert (run.replay.n_requests, run.replay.n_planned, run.is_whole) == (2, 100, False)
    assert run.replay.arms[0].n_answers == 2


async def test_a_run_that_is_cancelled_before_the_first_answer_ends_at_once(
    make_settings: MakeSettings, fake: FakeVllm
) -> None:
    class Hasty:
        def on_planned(self, n_answers: int) -> None:
            doing.cancel()

        def on_answered(self, n: int, *, n_failed: int) -> None:
            raise AssertionError

    running = run_replay(make_settings(), two_arms(), FEW, progress=Hasty())
    doing = asyncio.ensure_future(running)

    with pytest.raises(asyncio.CancelledError):
        await doing


async def test_results_are_written_without_a_word_of_what_was_asked(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    texts = [answer_text("a1", question="Where is Rosebud?")]
    run = await run_replay(make_settings(), two_arms(), ReplayOptions(logged=True), texts=texts)

    write_replay(run, tmp_path / "out")

    files = {file.name: file.read_text() for file in (tmp_path / "out").iterdir()}
    assert set(files) == {"replay.json", "rows.jsonl", "report.html"}
    assert len(files["rows.jsonl"].splitlines()) == 2
    assert not any("Rosebud" in text for text in files.values())


async def test_a_replay_records_what_answers_stand_on_and_what_was_known(
    make_settings: MakeSettings,
) -> None:
    plain, icl = two_arms().arms
    estimate = replace(icl, name="estimate", answer_from=AnswerFrom.AUTO, weight=0.25)
    tables = replace(icl, name="tables", answer_from=AnswerFrom.TABLES, weight=0.25)
    experiment = replace(two_arms(), arms=(plain, estimate, tables))

    run = await run_replay(make_settings(), experiment, FEW)

    for row in run.rows:
        assert (row.best_source, row.question_key) == ("survey", row.question)
        assert row.similarity is not None
        assert row.similarity > 0.9
    stood = {arm.name: {row.source for row in of_arm(run, arm.name)} for arm in experiment.arms}
    assert stood == {"plain": {"model"}, "estimate": {"survey"}, "tables": {"transfer"}}
    assert [arm.n_model_asked for arm in run.replay.arms] == [6, 0, 0]
    assert all(row.alignment is None and not row.failed for row in of_arm(run, "estimate"))
    assert all(row.n_prompt_tokens == 0 for row in of_arm(run, "tables"))
    # What is estimated is nearer to people than the fake's labels.
    level = {arm.name: arm.levels["alignment"].span.estimate for arm in run.replay.arms}
    assert level["estimate"] is None
    assert level["tables"] is not None
    assert level["plain"] is not None
    assert level["tables"] > level["plain"]
    assert set(run.replay.offline()) == {"plain", "tables"}
