"""Which way of answering a request gets: what was asked for, or the next rung of the ladder.

The ladder is declared: adapter, then exemplars, then the model as it is or a refusal, as set. Every
rung that was left is in the plan, with the reason.
"""

from __future__ import annotations

from dataclasses import replace

from adapters.pool import Lease
from app.answering.context import PLAIN, Fitted
from app.answering.plan import Choice, Fallback, Plan, few_exemplars
from app.errors import CultureNotShown
from app.settings import AnswerSettings
from prompting.messages import CultureComparison, Steering
from prompting.recipe import Method, Recipe
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

    def plan(
        self,
        culture: Culture | None,
        choice: Choice,
        leased: Lease,
        evidence: Evidence,
        *,
        seed: int,
    ) -> Plan:
        """Return how a request is answered with the weights and the evidence that there are.

        Raises:
            CultureNotShown: nothing is left but the model as it is, and that is set to be refused.
        """
        recipe = choice.recipe
        method, fallbacks = self._rung(culture, recipe, leased, evidence)
        notes = few_exemplars(recipe, evidence) if method.shows_exemplars else ()
        if not recipe.method.needs_adapter and leased.unavailable_because is not None:
            notes = (*notes, f"no adapter: {leased.unavailable_because}")
        plan = Plan(
            choice=choice,
            culture=culture,
            evidence=evidence,
            method=method,
            steering=self._steering(culture, method, recipe, evidence, seed=seed),
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
        return Steering(Method.ADAPTER, culture=plan.culture)

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
            method=Method.PLAIN if plan.weights.adapter is None else Method.ADAPTER,
            fallbacks=(*plan.fallbacks, Fallback(plan.method, note)),
        )
        self._check_last_rung(plan)
        return plan

    def _rung(
        self, culture: Culture | None, recipe: Recipe, leased: Lease, evidence: Evidence
    ) -> tuple[Method, tuple[Fallback, ...]]:
        if culture is None:
            return Method.PLAIN, _without_adapter(recipe, leased)
        method, fallbacks = recipe.method, list(_without_adapter(recipe, leased))
        if fallbacks:
            method = Method.ICL
        if method.shows_exemplars and not evidence.exemplars:
            fallbacks.append(Fallback(method, self._nothing_near(culture, evidence)))
            method = Method.PLAIN if leased.weights.adapter is None else Method.ADAPTER
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
        method: Method,
        recipe: Recipe,
        evidence: Evidence,
        *,
        seed: int,
    ) -> Steering:
        if culture is None or method is Method.PLAIN:
            return PLAIN
        return Steering(
            method,
            culture=culture,
            comparison=self._comparison(culture) if method.compares_cultures else None,
            exemplars=evidence.exemplars,
            style=recipe.style,
            seed=seed,
        )

    def _comparison(self, culture: Culture) -> CultureComparison:
        most, least = self._similarity.contrast(culture.code)
        return CultureComparison(
            tuple(self._catalogue[code] for code in most),
            tuple(self._catalogue[code] for code in least),
        )

    def _check_last_rung(self, plan: Plan) -> None:
        is_fallen = bool(plan.fallbacks) and not plan.steered
        if is_fallen and plan.culture is not None and self._settings.last_rung == "refuse":
            raise CultureNotShown(plan.culture.name, [of.because for of in plan.fallbacks])


def shows_exemplars(recipe: Recipe, leased: Lease) -> bool:
    """Return whether exemplars are wanted: as asked, or in place of an adapter."""
    return recipe.method.shows_exemplars or bool(_without_adapter(recipe, leased))


def _without_adapter(recipe: Recipe, leased: Lease) -> tuple[Fallback, ...]:
    """Return the step down where the method needs an adapter and there is none, else nothing."""
    if not recipe.method.needs_adapter or leased.unavailable_because is None:
        return ()
    return (Fallback(recipe.method, leased.unavailable_because),)
