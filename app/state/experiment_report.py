"""The report of an experiment: its events, with the plan and the replay that are kept with it."""

from __future__ import annotations

import time

from pydantic import TypeAdapter

from experiments.analysis.analyse import analyse
from experiments.analysis.result import Analysis
from experiments.replay.result import Replay
from experiments.statistics.planning import SamplePlan
from experiments.stores.event_store import EventStore
from survey_data.library import SurveyLibrary

# Kinds of attachments.
PLAN, REPLAY = "plan", "replay"
PLAN_JSON = TypeAdapter(SamplePlan)


async def read_report(store: EventStore, name: str, library: SurveyLibrary) -> Analysis:
    """Return what the events of an experiment say now.

    Raises:
        ExperimentUnknown: there is none of that name.
        StoreUnavailable: the store does not answer.
    """
    experiment = (await store.revisions(name))[-1].experiment
    attached = await store.attachments(name)
    plan, replay = attached.get(PLAN), attached.get(REPLAY)
    offline = {} if replay is None else Replay.model_validate_json(replay).offline(experiment)
    catalogue = library.catalogue
    return await analyse(
        store,
        name,
        now_ms=time.time_ns() // 1_000_000,
        cultures={code: catalogue[code].name for code in library.cultures},
        plan=None if plan is None else PLAN_JSON.validate_json(plan),
        offline=offline,
    )
