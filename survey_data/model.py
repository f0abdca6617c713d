"""The nouns of a survey: question, response distribution, pack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property


class Scale(StrEnum):
    """How the options of a question relate: in order, without order, or just two."""

    ORDINAL = "ordinal"
    NOMINAL = "nominal"
    BINARY = "binary"


@dataclass(frozen=True, slots=True)
class Wording:
    """A question in one language, its options in the order of the question's own.

    `language` is a BCP 47 tag (``"de"``, ``"pt-BR"``).
    """

    language: str
    text: str
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """One closed survey question in the wording that is shown to a model.

    `key` is unique over all packs (``"wvs7:Q6"``). Options are in scale order; the i-th is shown
    under the number `first_number + i` (0 for scales that really start at zero, else 1).
    """

    key: str
    topic: str
    text: str
    options: tuple[str, ...]
    scale: Scale
    language: str = "en"
    source_item: str = ""
    first_number: int = 1

    @property
    def pack(self) -> str:
        """The id of the pack that the question belongs to, empty for a question from outside."""
        return self.key.rpartition(":")[0]

    @property
    def id(self) -> str:
        """The id of the question within its pack."""
        return self.key.rpartition(":")[2]

    @property
    def battery(self) -> tuple[str, str, tuple[str, ...]]:
        """What the questions of one battery share: pack, topic and options."""
        return self.pack, self.topic, self.options

    @property
    def wording(self) -> Wording:
        """The question in its own language."""
        return Wording(self.language, self.text, self.options)

    def reworded(self, wording: Wording) -> Question:
        """Return the question in another wording, such as a translation's."""
        return replace(self, language=wording.language, text=wording.text, options=wording.options)

    @property
    def numbers(self) -> range:
        """The numbers that the options are shown under, in option order."""
        return range(self.first_number, self.first_number + len(self.options))


@dataclass(frozen=True, slots=True)
class ResponseDistribution:
    """How the people of one culture answered one question.

    Attributes:
        question: key of the question.
        culture: ISO 3166-1 alpha-3 code of the surveyed population.
        shares: one share per option, in option order, each in [0, 1], together 1.
        n_respondents: people who were asked, or None if the source does not say.
        non_response: share of them, in [0, 1], who gave no option (don't know, refused), or None
            if the source does not say. Weighted if the pack is.
        n_effective: effective number of those who gave an option, (sum w)^2 / sum w^2 over their
            weights (Kish); None if the weights are not known. At most their number.
    """

    question: str
    culture: str
    shares: tuple[float, ...]
    n_respondents: int | None = None
    non_response: float | None = None
    n_effective: float | None = None

    @property
    def mode(self) -> int:
        """Index of the option with the largest share; of equal ones the first."""
        return max(range(len(self.shares)), key=lambda i: (self.shares[i], -i))


@dataclass(frozen=True, slots=True)
class PackManifest:
    """What `pack.toml` says of a pack: where it comes from and what may be done with it.

    `fieldwork` maps a culture to the year or years of its interviews (``"2017-2018"``), with
    ``"*"`` for every culture without an entry of its own. `population` says which people of a
    culture the pack speaks of (``"Q262 >= 50"``), empty if it is everyone. `short_title` is what
    the survey is called in a sentence, empty if that is its title. `redistribution` is whether the
    terms let anyone hand the figures on as a whole. The hashes of the files are filled in when the
    pack is written, those of translations by their language.
    """

    id: str
    title: str
    source: str
    citation: str
    weighted: bool
    wording: str
    licence: str
    commercial_use: bool
    fieldwork: dict[str, str]
    questions_sha256: str = ""
    shares_sha256: str = ""
    translations_sha256: Mapping[str, str] = field(default_factory=dict)
    schema_version: int = 1
    notes: str = ""
    population: str = ""
    short_title: str = ""
    redistribution: bool = False

    @property
    def title_in_sentence(self) -> str:
        """What the survey is called in a sentence."""
        return self.short_title or self.title

    def year(self, culture: str) -> str:
        """The fieldwork year or years of `culture`, empty if the pack does not say."""
        return self.fieldwork.get(culture, self.fieldwork.get("*", ""))


@dataclass(frozen=True)
class Pack:
    """A validated pack: every distribution belongs to one of its questions.

    `translations` maps a language to the wordings of questions in it, by key; any may be left out.
    """

    manifest: PackManifest
    questions: tuple[Question, ...]
    distributions: tuple[ResponseDistribution, ...] = field(repr=False)
    translations: Mapping[str, Mapping[str, Wording]] = field(default_factory=dict, repr=False)

    @cached_property
    def cultures(self) -> tuple[str, ...]:
        """Alpha-3 codes of the surveyed populations, sorted."""
        return tuple(sorted({d.culture for d in self.distributions}))

    @cached_property
    def languages(self) -> tuple[str, ...]:
        """Languages that questions are worded in: their own first, then translations, sorted."""
        own = (question.language for question in self.questions)
        return tuple(dict.fromkeys((*own, *sorted(self.translations))))
