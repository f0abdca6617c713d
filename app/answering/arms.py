"""Which way of answering a request gets: the one it names, an experiment's, or the settings'."""

from __future__ import annotations

import uuid
from typing import NamedTuple, Protocol

from app.answering.fallbacks import Planner
from app.answering.plan import ArmRequest, Asker, Choice
from app.errors import CultureMissing
from experiments.assigner import Assigner
from experiments.assignment import find_first
from experiments.definition import Experiment
from experiments.errors import ArmConflict, ExperimentsOff
from experiments.unit import unit_of
from survey_data.cultures import Culture


class RunningExperiments(Protocol):
    """The experiments that run; `experiments.registry.ExperimentRegistry` knows them."""

    @property
    def running(self) -> tuple[Experiment, ...]:
        """The one that started first comes first."""
        ...

    def named(self, name: str) -> Experiment:
        """Return a running one.

        Raises:
            ExperimentUnknown: none of that name runs.
        """
        ...


class Deciding(NamedTuple):
    """Which experiments run, and who is in which of their arms."""

    experiments: RunningExperiments
    assigner: Assigner


class Chooser:
    """Chooses ways of answering. An experiment applies to requests with a culture that name none.

    A request that says itself how it is to be answered is in no experiment, nor is one without a
    culture, which every arm would answer alike.
    """

    def __init__(self, planner: Planner, deciding: Deciding | None) -> None:
        """Take what knows the settings, and what decides, None where no experiments can run."""
        self._planner, self._deciding = planner, deciding

    async def choose(self, wanted: ArmRequest, asker: Asker, culture: Culture | None) -> Choice:
        """Return the way of answering.

        Raises:
            UnitInvalid: user or session cannot be kept apart from others.
            MethodConflict: a method of an adapter is asked for, and no adapter.
            ArmConflict: an arm of an experiment is asked for, and a way of answering too.
            ExperimentUnknown, ArmUnknown, OverrideRefused, ExperimentsOff: that arm cannot be had.
            CultureMissing: an arm is asked for, and no culture.
        """
        answer_id = f"ans_{uuid.uuid4().hex}"
        unit = unit_of(user=asker.user, session=asker.session, request_id=answer_id)
        if asker.wanted_arm:
            if wanted.said:
                raise ArmConflict(asker.wanted_arm, wanted.said)
            if culture is None:
                raise CultureMissing()
            if self._deciding is None:
                raise ExperimentsOff
            name, _, override = asker.wanted_arm.partition("/")
            experiment = self._deciding.experiments.named(name)
        elif wanted.said or culture is None or self._deciding is None:
            return Choice(answer_id, self._planner.arm(wanted), unit, wanted.can_miss)
        else:
            running = self._deciding.experiments.running
            found = find_first(running, unit, culture=culture.code)
            if found is None:
                return Choice(answer_id, self._planner.arm(wanted), unit, wanted.can_miss)
            experiment, override = found, None
        assignment = await self._deciding.assigner.assign(
            experiment, unit, culture=culture.code, override=override
        )
        chosen = assignment.arm
        assert chosen is not None  # it runs, and the unit is in it or overrides
        # Nobody asked for its adapter by name.
        return Choice(answer_id, chosen.arm, unit, True, experiment, assignment)
