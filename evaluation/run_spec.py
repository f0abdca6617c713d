"""What a run is, as `run.json` keeps it: enough to ask again, or to score without asking."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from operator import not_
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from evaluation.ability import AbilityPlan, AskedWeights
from evaluation.asked_language import AskedLanguage
from evaluation.asking import (
    Absent,
    Condition,
    ConditionKind,
    Control,
    CultureAdapter,
    Respondent,
    digest_of,
)
from evaluation.decoding import AnswerDecoding, ReadBy
from evaluation.errors import GeneralQuestionsChanged
from evaluation.general_questions import general_questions, questions_sha256
from evaluation.pooling import name_derived
from evaluation.runner import RunPlan
from evaluation.sections import SectionSpec
from prompting.recipe import ExemplarStyle, Method, Recipe
from retrieval.selector_name import SelectorName
from survey_data.library import SurveyLibrary

ABILITY = "general ability"
CONTROL_NAMES = {
    Control.REVERSED: "answers reversed",
    Control.FOREIGN: "another culture",
}


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RecipeSpec(_Spec):
    """How a prompt is made: a recipe, as far as a run varies it, and what is done to exemplars."""

    method: Method
    style: ExemplarStyle = ExemplarStyle.SHARES
    k: int = 5
    retriever: SelectorName = SelectorName.DENSE
    control: Control = Control.NONE
    # Left out of run.json where none are shown, as it was before they could be.
    n_elsewhere: int = Field(0, exclude_if=not_)
    # Left out of run.json where it is English, as it was before there were others.
    language: AskedLanguage = Field(AskedLanguage.EN, exclude_if=AskedLanguage.EN.__eq__)

    @property
    def recipe(self) -> Recipe:
        """The recipe of the prompt."""
        return Recipe(
            self.method,
            k=self.k,
            style=self.style,
            retriever=self.retriever,
            n_elsewhere=self.n_elsewhere,
        )


class ConditionSpec(_Spec):
    """A condition without its respondent.

    `adapter_set` is the label of the adapters that answer, empty for the model as it is.
    """

    name: str
    kind: ConditionKind
    recipe: RecipeSpec | None = None
    cultures: tuple[str, ...] | None = None
    # Left out of run.json, whose hash names the run's folder, if there are no adapters.
    adapter_set: str = Field("", exclude_if=not_)


class AdapterSetSpec(_Spec):
    """Adapters that answer together, at most one for each culture.

    Attributes:
        adapters: the version that answers for each of the run's cultures that one serves.
        left_out: the run's cultures that no adapter serves.
    """

    label: str
    adapters: tuple[CultureAdapter, ...]
    left_out: tuple[str, ...] = ()

    @property
    def versions(self) -> tuple[str, ...]:
        """The names of the versions, each once."""
        return tuple(dict.fromkeys(of.adapter for of in self.adapters))

    @property
    def cultures(self) -> tuple[str, ...]:
        """The cultures that one of them serves."""
        return tuple(of.culture for of in self.adapters)

    def describe(self) -> str:
        """Return which version answers for which cultures."""
        return "; ".join(
            f"{version} for {', '.join(c for c, adapter in self.adapters if adapter == version)}"
            for version in self.versions
        )


class AbilitySpec(_Spec):
    """The general questions of a run; their hash shows whether this version has the same ones."""

    seed: int
    sha256: str


class RunSpec(_Spec):
    """Everything that decides a run's answers and figures.

    Attributes:
        respondent: name of the model, or of what answers instead.
        identity: what the respondent is, as far as that shows from outside: hash of its weights if
            they are here, address, version. Another identity is another run.
        packs: sha256 of questions and shares, by the id of each pack that exemplars come from, the
            asked one first.
        reference_cultures: those that the references may look at.
        n_nearest: how many questions the reference `nearest exemplars` averages.
        barred: in words, which questions are never shown with a question.
        hidden: which questions count as unknown together, in words; empty if each does by itself.
        known: how much estimates from the tables know besides, in words; empty if all there is.
        translations: sha256 of what questions are asked in besides English, by pack and language.
        asked_once: names of the conditions that average over option orders themselves.
        decoding: how answers are read, and sampled if they are text.
        versions: of Python and the packages that answer and measure.
        adapter_sets: the adapters that answer under conditions of theirs.
        ability: the general questions that are asked as well, if any.
    """

    respondent: str
    identity: dict[str, str]
    pack: str
    packs: dict[str, str]
    cultures: tuple[str, ...]
    reference_cultures: tuple[str, ...]
    n_nearest: int
    questions: tuple[str, ...]
    conditions: tuple[ConditionSpec, ...]
    sections: tuple[SectionSpec, ...]
    barred: str
    encoder: str
    n_orders: int
    seeds: tuple[int, ...]
    asked_once: tuple[str, ...]
    decoding: AnswerDecoding
    min_label_mass: float
    versions: dict[str, str]
    hidden: str = Field("", exclude_if=not_)
    known: str = Field("", exclude_if=not_)
    translations: dict[str, str] = Field({}, exclude_if=not_)
    adapter_sets: tuple[AdapterSetSpec, ...] = Field((), exclude_if=not_)
    ability: AbilitySpec | None = Field(None, exclude_if=not_)

    @property
    def compared(self) -> str:
        """A hash over what is asked, whoever answers: runs with the same one can be compared."""
        return digest_of(self.packs[self.pack], self.questions, self.n_orders, self.seeds)

    @property
    def adapter_versions(self) -> tuple[str, ...]:
        """The names of all adapters that answer, each once."""
        return tuple(dict.fromkeys(version for of in self.adapter_sets for version in of.versions))

    def list_names(self) -> tuple[str, ...]:
        """Return the names of all conditions, those that are made of answers among them."""
        names = [of.name for of in self.conditions]
        methods = [of.name for of in self.conditions if of.kind in ("method", "control")]
        return (*names, *name_derived(names, methods))

    def plan(self, library: SurveyLibrary, respondents: dict[str, Respondent]) -> RunPlan:
        """Return the plan of the run; a condition without a respondent can be scored only.

        `respondents` are by the names of their conditions; general questions have theirs under
        `ABILITY`.

        Raises:
            GeneralQuestionsChanged: this version has other general questions than the run asked.
        """
        adapters = {of.label: of.adapters for of in self.adapter_sets}
        return RunPlan(
            conditions=tuple(
                Condition(
                    of.name,
                    of.kind,
                    respondents.get(of.name, Absent(of.name)),
                    None if of.recipe is None else of.recipe.recipe,
                    of.cultures,
                    adapters.get(of.adapter_set, ()),
                    Control.NONE if of.recipe is None else of.recipe.control,
                    AskedLanguage.EN if of.recipe is None else of.recipe.language,
                )
                for of in self.conditions
            ),
            cultures=self.cultures,
            questions=tuple(library.questions[key] for key in self.questions),
            library=library,
            n_orders=self.n_orders,
            seeds=self.seeds,
            asked_once=frozenset(self.asked_once),
            ability=self._ability(respondents.get(ABILITY, Absent(ABILITY))),
        )

    def _ability(self, respondent: Respondent) -> AbilityPlan | None:
        if self.ability is None:
            return None
        questions = general_questions(self.ability.seed)
        if questions_sha256(questions) != self.ability.sha256:
            raise GeneralQuestionsChanged
        sets = tuple(AskedWeights(of.label, of.versions) for of in self.adapter_sets)
        return AbilityPlan(questions, sets, respondent)

    def describe(self) -> dict[str, str]:
        """Return the settings as a report lists them."""
        read_by = self.decoding.read_by
        how = "log-probabilities of the option labels"
        if read_by is not ReadBy.LOGPROBS:
            how = (
                f"text ({read_by} parser), temperature {self.decoding.temperature:g}, top_p "
                f"{self.decoding.top_p:g}, at most {self.decoding.max_tokens} tokens"
            )
        recipes = [of.recipe for of in self.conditions if of.recipe is not None]
        with_exemplars = [recipe for recipe in recipes if recipe.method.shows_exemplars]
        styles = {recipe.style for recipe in with_exemplars}
        ks = {recipe.k for recipe in with_exemplars}
        ns = {recipe.n_elsewhere for recipe in with_exemplars}
        lines = {
            "answers read from": how,
            "option orders": str(self.n_orders),
            "seeds": ", ".join(map(str, self.seeds)),
            "exemplar style": ", ".join(sorted(styles)),
            "exemplars per prompt": ", ".join(map(str, sorted(ks))),
            "other peoples' answers per prompt": ", ".join(map(str, sorted(ns))) if any(ns) else "",
            "exemplars from packs": ", ".join(sorted(self.packs)),
            "never shown with a question": self.barred,
            "unknown together": self.hidden,
            "known to transfer": self.known,
            "asked in": _describe_languages(recipes),
            "encoder": self.encoder,
            "references look at": f"{len(self.reference_cultures)} cultures of the pack",
        }
        lines |= {f"adapters “{of.label}”": of.describe() for of in self.adapter_sets}
        lines |= self.identity
        lines |= {f"version of {name}": version for name, version in self.versions.items()}
        return {name: value for name, value in lines.items() if value}


class Variants(NamedTuple):
    """The ways to choose and show exemplars, and the languages to ask in, that a run compares.

    `ns_elsewhere` are numbers of other cultures whose answers to the asked question are shown too.
    """

    styles: Sequence[ExemplarStyle]
    ks: Sequence[int]
    retrievers: Sequence[SelectorName]
    languages: Sequence[AskedLanguage] = (AskedLanguage.EN,)
    ns_elsewhere: Sequence[int] = (0,)


def make_conditions(
    methods: Sequence[Method], variants: Variants, *, controls: bool = False
) -> tuple[ConditionSpec, ...]:
    """Return a condition per method and language, and per variant if it shows exemplars.

    With `controls`, `icl` is also asked with its exemplars' answers reversed and with those of
    another culture, none answering the asked question itself. A name says what differs between the
    conditions; English, and that nobody else's answers are shown, go without saying.
    """
    styles, ks, retrievers, languages, ns_elsewhere = variants
    found: dict[str, ConditionSpec] = {}
    for language, method, style, k, retriever in product(
        languages, methods, styles, ks, retrievers
    ):
        recipe, name = RecipeSpec(method=method, language=language), str(method)
        if method.shows_exemplars:
            changed = {"style": style, "k": k, "retriever": retriever}
            recipe = recipe.model_copy(update=changed)
            words = ((style, styles), (f"k={k}", ks), (retriever, retrievers))
            name = ", ".join([method, *(word for word, compared in words if len(compared) > 1)])
        if len(languages) > 1 and language is not AskedLanguage.EN:
            name = f"{name}, {language}"
        for n in ns_elsewhere if method.shows_exemplars else (0,):
            full = f"{name}, elsewhere={n}" if n else name
            with_others = recipe.model_copy(update={"n_elsewhere": n})
            found[full] = ConditionSpec(name=full, kind="method", recipe=with_others)
        if controls and method is Method.ICL:
            for control, suffix in CONTROL_NAMES.items():
                full = f"{name}, {suffix}"
                controlled = recipe.model_copy(update={"control": control})
                found[full] = ConditionSpec(name=full, kind="control", recipe=controlled)
    return tuple(sorted(found.values(), key=lambda of: of.kind != "method"))


def _describe_languages(recipes: Sequence[RecipeSpec]) -> str:
    """Return what is asked in, empty where that is English alone."""
    languages = dict.fromkeys(recipe.language for recipe in recipes)
    return "" if set(languages) <= {AskedLanguage.EN} else ", ".join(languages)


def make_ability_spec() -> AbilitySpec:
    """Return the general questions of this version."""
    return AbilitySpec(seed=0, sha256=questions_sha256(general_questions(0)))


def name_adapter_condition(name: str, method: Method, *, label: str = "") -> str:
    """Return the name of a condition of adapters, from that of the model with the same prompt.

    `persona+icl, k=2` is `adapter+icl, k=2`, of adapters with a label `adapter+icl, label, k=2`.
    """
    rest = name.removeprefix(method.prompt).removeprefix(", ")
    return ", ".join(filter(None, (method, label, rest)))
