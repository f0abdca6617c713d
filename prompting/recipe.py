"""The recipe of an answer: everything that decides it besides the question and the culture."""

from __future__ import annotations

import hashlib
import json
from dataclasses import KW_ONLY, asdict, dataclass, fields
from enum import StrEnum
from functools import lru_cache
from typing import Any

from retrieval.selector_name import SelectorName

# The most exemplars that a request may ask for.
MAX_K = 20
# What a recipe may name besides an adapter: none, or the one that is active for the culture.
NO_ADAPTER, ACTIVE_ADAPTER = "none", "auto"


class Method(StrEnum):
    """How a culture gets into an answer: by the prompt, by an adapter's weights, or by both.

    `plain` does not show it at all. An adapter is asked with the prompt that it was trained on,
    which names the culture.
    """

    PLAIN = "plain"
    PERSONA = "persona"
    CROSS_CULTURE = "cross-culture"
    ICL = "icl"
    PERSONA_ICL = "persona+icl"
    CROSS_CULTURE_ICL = "cross-culture+icl"
    ADAPTER = "adapter"
    ADAPTER_ICL = "adapter+icl"

    @property
    def prompt(self) -> Method:
        """The method with the same prompt that needs no adapter."""
        match self:
            case Method.ADAPTER:
                return Method.PERSONA
            case Method.ADAPTER_ICL:
                return Method.PERSONA_ICL
        return self

    @property
    def with_adapter(self) -> Method:
        """The method that puts the same prompt to an adapter; itself where it has none."""
        return next((m for m in ADAPTER_METHODS if m.prompt is self.prompt), self)

    @property
    def needs_adapter(self) -> bool:
        """Whether without an adapter it would be another method."""
        return self in (Method.ADAPTER, Method.ADAPTER_ICL)

    @property
    def shows_exemplars(self) -> bool:
        """Whether the prompt shows how the culture answered other questions."""
        return self.value.endswith("icl")

    @property
    def names_culture(self) -> bool:
        """Whether the system message names the culture."""
        return self.prompt.value.startswith(("persona", "cross-culture"))

    @property
    def compares_cultures(self) -> bool:
        """Whether the system message names similar and different cultures."""
        return self.value.startswith("cross-culture")

    @property
    def usual_adapter(self) -> str:
        """The adapter of a recipe that does not say which: the active one if it needs one."""
        return ACTIVE_ADAPTER if self.needs_adapter else NO_ADAPTER


PROMPT_METHODS = tuple(method for method in Method if not method.needs_adapter)
ADAPTER_METHODS = tuple(method for method in Method if method.needs_adapter)


class ExemplarStyle(StrEnum):
    """What an exemplar shows: the modal answer, every option's share, or one seeded draw."""

    MODE = "mode"
    SHARES = "shares"
    DRAW = "draw"


class PromptLanguage(StrEnum):
    """The language that a model is spoken to in: the question's where it is one of these, or one.

    `auto` stands for English where the question's is none of them.
    """

    AUTO = "auto"
    EN = "en"
    DE = "de"
    ES = "es"
    PT = "pt"
    RU = "ru"
    ZH = "zh"


PROMPT_LANGUAGES = tuple(each for each in PromptLanguage if each is not PromptLanguage.AUTO)


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides how a question is answered, besides the question and the culture.

    Attributes:
        k: exemplars to show, at least 1; like `style` and `retriever` it matters only to methods
            that show exemplars.
        n_elsewhere: how many other cultures' answers to the asked question to show beside them.
        n_orders: orders of the options to average over, at least 1.
        adapter: `none`, `auto` for the one that is active for the culture, or a version's name.
        prompt_language: the language of everything in the prompt but the question.
    """

    method: Method
    _: KW_ONLY
    k: int = 5
    style: ExemplarStyle = ExemplarStyle.SHARES
    retriever: SelectorName = SelectorName.DENSE
    n_orders: int = 1
    adapter: str = NO_ADAPTER
    n_elsewhere: int = 0
    prompt_language: PromptLanguage = PromptLanguage.EN

    @property
    def identity(self) -> dict[str, Any]:
        """The fields that an id is made of."""
        said = asdict(self)
        # What is not shown is no part of it, so that ids stay what they were without it.
        if not self.n_elsewhere:
            del said["n_elsewhere"]
        if self.prompt_language is PromptLanguage.EN:
            del said["prompt_language"]
        return said

    @property
    def id(self) -> str:
        """Ten hexadecimal digits that two recipes share only when they are equal."""
        return _write_id(self)


# Hundreds of answers a second are by the same few.
@lru_cache(maxsize=1024)
def _write_id(recipe: Recipe) -> str:
    text = json.dumps(recipe.identity, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeOverrides:
    """What a request says of its recipe; None leaves a field to the defaults."""

    method: Method | None = None
    k: int | None = None
    style: ExemplarStyle | None = None
    retriever: SelectorName | None = None
    n_orders: int | None = None
    adapter: str | None = None
    n_elsewhere: int | None = None
    prompt_language: PromptLanguage | None = None

    @property
    def first_said(self) -> str:
        """The name of the first field that is said, empty where none is."""
        return next((of.name for of in fields(self) if getattr(self, of.name) is not None), "")

    def over(self, defaults: Recipe) -> Recipe:
        """Return `defaults` with what is said laid over them.

        The adapter is never a default: what is not said of it follows from the method.
        """
        method = self.method or defaults.method
        return Recipe(
            method,
            k=self.k or defaults.k,
            style=self.style or defaults.style,
            retriever=self.retriever or defaults.retriever,
            n_orders=self.n_orders or defaults.n_orders,
            adapter=self.adapter or method.usual_adapter,
            n_elsewhere=defaults.n_elsewhere if self.n_elsewhere is None else self.n_elsewhere,
            prompt_language=self.prompt_language or defaults.prompt_language,
        )


NO_OVERRIDES = RecipeOverrides()
