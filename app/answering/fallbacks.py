"""The fallback chain: what is done where a request cannot be answered as it was to be.

The chain is declared: adapter, then exemplars, then the model as it is or a refusal, as set. Every
method that was passed over is in the plan, with the reason.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from adapters.pool import Lease
from app.answering.asked import Asked
from app.answering.estimating import Estimated
from app.answering.plan import PLAIN, Choice, Fallback, Plan
from app.answering.pooling import Pooler
from app.answering.requests import ChatTurn, Request
from app.answering.stating import make_statement
from app.errors import CultureNotShown
from app.settings import AnswerSettings
from prompting.exemplar_wording import translate_exemplars
from prompting.messages import Steering, compare_culture
from prompting.recipe import Method, Recipe
from prompting.statement import Statement
from retrieval.evidence import NEVER_STEERED, Evidence
from retrieval.exemplar import Exemplar
from survey_data.cultures import Culture
from survey_data.library import SurveyLibrary
from survey_data.similarity import ComparisonUnavailable, CultureSimilarity


class _Shown(NamedTuple):
    """What there is to show a model: exemplars, and what a chat is told."""

    exemplars: tuple[Exemplar, ...]
    statement: Statement | None


NOTHING_SHOWN = _Shown((), None)


class FallbackPlanner:
    """Decides what is done of what was asked for, with the weights and the evidence there are."""

    def __init__(self, settings: AnswerSettings, library: SurveyLibrary, pooler: Pooler) -> None:
        self._settings, self._library, self._pooler = settings, library, pooler
        self._similarity = CultureSimilarity(library)

    def plan(
        self,
        request: Request,
        culture: Culture | None,
        choice: Choice,
        leased: Lease,
        evidence: Evidence,
        asked: Asked,
        estimated: Estimated,
    ) -> Plan:
        """Return how a request is answered with the weights and the evidence that there are.

        With an estimate the model is asked only where the request says how, or where its shares
        are pooled with it; a chat's always is, and is told the estimate.

        Raises:
            CultureNotShown: nothing is left but the model as it is, and that is set to be refused.
        """
        estimate, is_chat = estimated.estimate, isinstance(request, ChatTurn)
        is_wanted = is_chat or estimate is None or bool(request.recipe.first_said)
        is_pooled = self._pooler.is_pooled(choice, leased.weights, estimate)
        plan = Plan(
            *(choice, culture, evidence, asked, choice.recipe.method, PLAIN, (), leased.weights),
            estimate=estimate,
            withhold=request.withhold,
            asks_model=is_wanted or is_pooled,
            is_pooled=is_pooled,
            is_optional=is_pooled and not is_wanted,
            is_chat=is_chat,
            warnings=(*request.notes, *request.asker.notes, *_note_source(estimated)),
            best_source=estimated.best_source,
            source_fallback=estimated.fallback,
        )
        if not plan.asks_model:
            return plan
        shown = self._find_shown(plan, estimated)
        if plan.is_optional:
            return self._plan_pooled(plan, leased, shown, seed=request.seed)
        return self._plan_model(plan, leased, shown, seed=request.seed)

    def _find_shown(self, plan: Plan, estimated: Estimated) -> _Shown:
        """Return what there is to show, in the language of the prompt."""
        library, language, statement = self._library, plan.recipe.prompt_language, None
        if plan.is_chat:
            statement = make_statement(
                library, plan.culture, plan.asked, plan.estimate, language=language
            )
        exemplars = (*estimated.elsewhere, *plan.evidence.exemplars)
        return _Shown(translate_exemplars(exemplars, library, language), statement)

    def _plan_pooled(self, plan: Plan, leased: Lease, shown: _Shown, *, seed: int) -> Plan:
        """Return the plan with what the model is asked for the pool; without it, if it can't be."""
        try:
            pooled = self._plan_model(plan, leased, shown, seed=seed)
        except (CultureNotShown, ComparisonUnavailable) as exc:
            return plan.leave_out_model(str(exc))
        if pooled.fallbacks:
            return plan.leave_out_model("; ".join(each.because for each in pooled.fallbacks))
        return pooled

    def _plan_model(self, plan: Plan, leased: Lease, shown: _Shown, *, seed: int) -> Plan:
        """Return the plan with what the model is asked."""
        recipe = plan.recipe
        method, fallbacks = self._choose_method(plan, leased, shown)
        notes = _note_few(recipe, plan.evidence) if method.shows_exemplars else ()
        if not recipe.method.needs_adapter and leased.unavailable_because is not None:
            notes = (*notes, f"no adapter: {leased.unavailable_because}")
        is_unused = bool(plan.evidence.unused_because)
        plan = replace(
            plan,
            weights=leased.weights.bare if is_unused else leased.weights,
            method=method,
            steering=self._steering(plan, method, shown, seed=seed),
            fallbacks=fallbacks,
            warnings=(*plan.warnings, *leased.notes, *notes),
            refuses_unsteered=self._settings.last_rung == "refuse",
        )
        plan.check_steered()
        return plan

    def _choose_method(
        self, plan: Plan, leased: Lease, shown: _Shown
    ) -> tuple[Method, tuple[Fallback, ...]]:
        culture, recipe = plan.culture, plan.recipe
        if culture is None:
            return Method.PLAIN, _without_adapter(recipe, leased)
        if because := plan.evidence.unused_because:
            is_wanted = because != NEVER_STEERED and recipe.method is not Method.PLAIN
            return Method.PLAIN, (Fallback(recipe.method, because),) if is_wanted else ()
        method, fallbacks = recipe.method, list(_without_adapter(recipe, leased))
        if fallbacks:
            method = Method.ICL
        if method.shows_exemplars and shown == NOTHING_SHOWN:
            fallbacks.append(Fallback(method, self._nothing_near(culture, plan.evidence)))
            method = Method.PLAIN if leased.weights.adapter is None else Method.ADAPTER
        return method, tuple(fallbacks)

    def _nothing_near(self, culture: Culture, evidence: Evidence) -> str:
        nearest = evidence.nearest_similarity
        found = "there is none" if nearest is None else f"the nearest has {nearest:.2f}"
        which = "survey question" if evidence.same_question is None else "other survey question"
        return (
            f"no {which} of {culture.name} is near enough: {found}, "
            f"at least {evidence.floor:.2f} is needed"
        )

    def _steering(self, plan: Plan, method: Method, shown: _Shown, *, seed: int) -> Steering:
        culture = plan.culture
        if culture is None or method is Method.PLAIN:
            return Steering(Method.PLAIN, language=plan.recipe.prompt_language)
        return Steering(
            method,
            culture=culture,
            comparison=compare_culture(culture.code, self._similarity, self._library.catalogue)
            if method.compares_cultures
            else None,
            exemplars=shown.exemplars if method.shows_exemplars else (),
            style=plan.recipe.style,
            seed=seed,
            statement=shown.statement,
            language=plan.recipe.prompt_language,
        )


def shows_exemplars(recipe: Recipe, leased: Lease) -> bool:
    """Return whether exemplars are wanted: as asked, or in place of an adapter."""
    return recipe.method.shows_exemplars or bool(_without_adapter(recipe, leased))


def _note_source(estimated: Estimated) -> tuple[str, ...]:
    """Return a warning where the arm's source has no answer."""
    if estimated.fallback is None:
        return ()
    wanted, because = estimated.fallback
    return (f"the arm answers from '{wanted}', which has none: {because}",)


def _note_few(recipe: Recipe, evidence: Evidence) -> tuple[str, ...]:
    """Return a warning where some exemplars were found, but fewer than the recipe shows."""
    n_found = len(evidence.exemplars)
    if not n_found or n_found >= recipe.k:
        return ()
    return (f"only {n_found} exemplars found, {recipe.k} were asked for",)


def _without_adapter(recipe: Recipe, leased: Lease) -> tuple[Fallback, ...]:
    """Return the fallback where the method needs an adapter and there is none, else nothing."""
    if not recipe.method.needs_adapter or leased.unavailable_because is None:
        return ()
    return (Fallback(recipe.method, leased.unavailable_because),)
