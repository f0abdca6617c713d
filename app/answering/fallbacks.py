"""Which way of answering a request gets: what was asked for, or the next rung of the ladder.

The ladder is declared: adapter, then exemplars, then the model as it is or a refusal, as set. Every
rung that was left is in the plan, with the reason.
"""

from __future__ import annotations

from dataclasses import replace

from adapters.pool import ACTIVE_ADAPTER, NO_ADAPTER, Leased
from app.answering.context import PLAIN, Fitted
from app.answering.plan import ArmRequest, Choice, Fallback, Plan, few_exemplars
from app.errors import CultureNotShown, MethodConflict
from app.settings import AnswerSettings
from experiments.arm import Arm, ArmMethod
from prompting.messages import CultureComparison, Steering
from retrieval.evidence import Evidence
from survey_data.cultures import Culture, CultureCatalogue
from survey_data.similarity import CultureSimilarity


class Planner:
    """Decides how requests are answered."""

    def __init__(
        self,
        settings: AnswerSettings,
        *,
        catalogue: CultureCatalogue,
        similarity: CultureSimilarity,
    ) -> None:
        self._settings, self._catalogue, self._similarity = settings, catalogue, similarity

    def arm(self, request: ArmRequest) -> Arm:
        """Return what a request asks for, with the settings for what it leaves open.

        Raises:
            MethodConflict: it asks for a method of an adapter, and for none.
        """
        defaults = self._settings
        method = request.method or defaults.method
        adapter = request.adapter or (ACTIVE_ADAPTER if method.needs_adapter else NO_ADAPTER)
        if method.needs_adapter and adapter == NO_ADAPTER:
            raise MethodConflict(method)
        return Arm(
            method=method,
            k=request.k or defaults.k,
            style=request.style or defaults.exemplar_style,
            retriever=request.retriever or defaults.retriever,
            n_orders=request.n_orders,
            adapter=adapter,
        )

    def plan(
        self,
        culture: Culture | None,
        choice: Choice,
        leased: Leased,
        evidence: Evidence,
        *,
        seed: int,
    ) -> Plan:
        """Return how a request is answered with the weights and the evidence that there are.

        Raises:
            CultureNotShown: nothing is left but the model as it is, and that is set to be refused.
        """
        arm = choice.arm
        method, fallbacks = self._rung(culture, arm, leased, evidence)
        notes = few_exemplars(arm, evidence) if method.prompt.shows_exemplars else ()
        if not arm.method.needs_adapter and leased.missing is not None:
            notes = (*notes, f"no adapter: {leased.missing}")
        plan = Plan(
            choice=choice,
            culture=culture,
            evidence=evidence,
            method=method,
            steering=self._steering(culture, method, arm, evidence, seed=seed),
            fallbacks=fallbacks,
            weights=leased.weights,
            warnings=(*leased.notes, *notes),
        )
        self._check_last_rung(plan)
        return plan

    def bare(self, plan: Plan) -> Steering:
        """Return what the prompt says where no exemplar is left to show."""
        if plan.weights.adapter is None or plan.culture is None:
            return PLAIN
        return Steering(ArmMethod.ADAPTER.prompt, culture=plan.culture)

    def fitted(self, plan: Plan, found: Fitted) -> Plan:
        """Return the plan with what its prompt could hold.

        Raises:
            CultureNotShown: no exemplar is left, nor anything else, and that is set to be refused.
        """
        n_dropped = len(plan.steering.exemplars) - len(found.steering.exemplars)
        if not n_dropped:
            return plan
        note = f"{n_dropped} exemplars left out: the model reads {found.budget} tokens"
        plan = replace(plan, steering=found.steering, warnings=(*plan.warnings, note))
        if found.steering.exemplars:
            return plan
        plan = replace(
            plan,
            method=ArmMethod.PLAIN if plan.weights.adapter is None else ArmMethod.ADAPTER,
            fallbacks=(*plan.fallbacks, Fallback(plan.method, note)),
        )
        self._check_last_rung(plan)
        return plan

    def _rung(
        self, culture: Culture | None, arm: Arm, leased: Leased, evidence: Evidence
    ) -> tuple[ArmMethod, tuple[Fallback, ...]]:
        if culture is None:
            return ArmMethod.PLAIN, _without_adapter(arm, leased)
        method, fallbacks = arm.method, list(_without_adapter(arm, leased))
        if fallbacks:
            method = ArmMethod.ICL
        if method.prompt.shows_exemplars and not evidence.exemplars:
            fallbacks.append(Fallback(method, self._nothing_near(culture, evidence)))
            method = ArmMethod.PLAIN if leased.weights.adapter is None else ArmMethod.ADAPTER
        return method, tuple(fallbacks)

    def _nothing_near(self, culture: Culture, evidence: Evidence) -> str:
        nearest = evidence.nearest_similarity
        found = "there is none" if nearest is None else f"the nearest has {nearest:.2f}"
        return (
            f"no survey question of {culture.name} is near enough: {found}, "
            f"at least {self._settings.similarity_floor:.2f} is needed"
        )

    def _steering(
        self,
        culture: Culture | None,
        method: ArmMethod,
        arm: Arm,
        evidence: Evidence,
        *,
        seed: int,
    ) -> Steering:
        if culture is None or method is ArmMethod.PLAIN:
            return PLAIN
        prompt = method.prompt
        return Steering(
            prompt,
            culture=culture,
            comparison=self._comparison(culture) if prompt.compares_cultures else None,
            exemplars=evidence.exemplars,
            style=arm.style,
            seed=seed,
        )

    def _comparison(self, culture: Culture) -> CultureComparison:
        most, least = self._similarity.comparison(culture.code)
        return CultureComparison(
            tuple(self._catalogue[code] for code in most),
            tuple(self._catalogue[code] for code in least),
        )

    def _check_last_rung(self, plan: Plan) -> None:
        is_fallen = bool(plan.fallbacks) and not plan.steered
        if is_fallen and plan.culture is not None and self._settings.last_rung == "refuse":
            raise CultureNotShown(plan.culture.name, [of.because for of in plan.fallbacks])


def shows_exemplars(arm: Arm, leased: Leased) -> bool:
    """Return whether exemplars are wanted: as asked, or in place of an adapter."""
    return arm.method.prompt.shows_exemplars or bool(_without_adapter(arm, leased))


def _without_adapter(arm: Arm, leased: Leased) -> tuple[Fallback, ...]:
    """Return the step down where the method needs an adapter and there is none, else nothing."""
    if not arm.method.needs_adapter or leased.missing is None:
        return ()
    return (Fallback(arm.method, leased.missing),)
