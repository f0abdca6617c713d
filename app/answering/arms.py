"""How a request is answered: as it says, by an experiment's arm, or by the settings."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from app.answering.plan import Choice
from app.answering.requests import Request
from app.drawn_ids import draw_id
from app.errors import CultureMissing, MethodConflict
from estimation.source import AnswerFrom
from experiments.assigner import Assigner
from experiments.assignment import find_first
from experiments.definition import Experiment
from experiments.errors import ArmConflict, ExperimentsOff
from experiments.unit import Unit, unit_of
from prompting.recipe import NO_ADAPTER, Recipe
from survey_data.cultures import Culture


class RunningExperiments(Protocol):
    """The experiments that run; `experiments.registry.ExperimentRegistry` knows them."""

    @property
    def running(self) -> tuple[Experiment, ...]:
        """The one that started first comes first."""
        ...

    def find_running(self, name: str) -> Experiment:
        """Return a running one.

        Raises:
            ExperimentUnknown: none of that name runs.
        """
        ...


class Deciding(NamedTuple):
    """Which experiments run, and who is in which of their arms."""

    experiments: RunningExperiments
    assigner: Assigner


class ArmSelector:
    """Selects the recipe that answers a request, and what the answer is to stand on.

    An experiment applies to requests with a culture that say nothing of either: one that says how
    it is to be answered is in no experiment, nor is one without a culture, which every arm would
    answer alike.
    """

    def __init__(self, defaults: Recipe, deciding: Deciding | None) -> None:
        """Take the settings' recipe, and what decides, None where no experiments can run."""
        self._defaults, self._deciding = defaults, deciding

    async def select(self, request: Request, culture: Culture | None) -> Choice:
        """Return how a request is answered: as it says, by an arm, or by the settings.

        Raises:
            UnitInvalid: user or session cannot be kept apart from others.
            MethodConflict: a method of an adapter is asked for, and no adapter.
            ArmConflict: an arm of an experiment is asked for, and a recipe too.
            ExperimentUnknown, ArmUnknown, OverrideRefused, ExperimentsOff: that arm is unavailable.
            CultureMissing: an arm is asked for, and no culture.
        """
        asker, arm = request.asker, request.arm
        answer_id = f"ans_{draw_id()}"
        unit = unit_of(user=asker.user, session=asker.session, request_id=answer_id)
        if arm is not None:
            # Nobody asked for its adapter by name.
            return Choice(
                answer_id, arm.recipe, unit, arm.decoding, arm.answer_from, is_by_arm=True
            )
        if asker.wanted_arm:
            return await self._override(request, culture, answer_id, unit)
        if culture is not None and self._deciding is not None and not request.first_said:
            running = self._deciding.experiments.running
            experiment = find_first(running, unit, culture=culture.code)
            if experiment is not None:
                return await self._assign(experiment, culture, answer_id, unit)
        recipe = request.recipe.over(self._defaults)
        if recipe.method.needs_adapter and recipe.adapter == NO_ADAPTER:
            raise MethodConflict(recipe.method)
        answer_from = request.answer_from or AnswerFrom.AUTO
        return Choice(answer_id, recipe, unit, answer_from=answer_from)

    async def _override(
        self, request: Request, culture: Culture | None, answer_id: str, unit: Unit
    ) -> Choice:
        wanted_arm = request.asker.wanted_arm
        if request.first_said:
            raise ArmConflict(wanted_arm, request.first_said)
        if culture is None:
            raise CultureMissing()
        if self._deciding is None:
            raise ExperimentsOff
        name, _, arm = wanted_arm.partition("/")
        experiment = self._deciding.experiments.find_running(name)
        return await self._assign(experiment, culture, answer_id, unit, override=arm)

    async def _assign(
        self,
        experiment: Experiment,
        culture: Culture,
        answer_id: str,
        unit: Unit,
        *,
        override: str | None = None,
    ) -> Choice:
        assert self._deciding is not None  # else no experiment was found
        assignment = await self._deciding.assigner.assign(
            experiment, unit, culture=culture.code, override=override
        )
        arm = assignment.arm
        assert arm is not None  # it runs, and the unit is in it or overrides
        return Choice(
            answer_id,
            arm.recipe,
            unit,
            arm.decoding,
            arm.answer_from,
            is_by_arm=True,
            experiment=experiment,
            assignment=assignment,
        )
