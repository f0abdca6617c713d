"""What the service answers: answers with their evidence, exemplars, and covered cultures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from milieu_client.errors import ServiceRefused
from milieu_client.figures import (
    ChosenOption,
    CultureName,
    Exemplar,
    OptionShare,
    PeopleFigures,
    Recognition,
    Transfer,
)
from milieu_client.model import Model
from milieu_client.tables import Listing, Row, Tabular, row_of_share

# Of the table of an answer.
ANSWER_COLUMNS = (
    *("culture", "culture_name", "question", "question_key", "source", "confident"),
    *("number", "label", "share", "low", "high"),
    *("n_respondents", "years", "survey", "citation"),
)


class ModelAnswer(Model):
    """What the model said, where one was asked; its shares are no people's.

    `label_mass` is the probability, in [0, 1], that it gave to the options together;
    `calibrated_shares` are its shares without its overconfidence, None without a calibration;
    `exemplars` are the keys of the questions whose answers it was shown.
    """

    name: str
    method: str
    option: ChosenOption | None
    shares: list[OptionShare] | None
    labels: str | None
    label_mass: float | None
    calibration: str | None
    calibrated_shares: list[OptionShare] | None
    text: str | None
    exemplars: list[str]


class Usage(Model):
    """Tokens of one answer, over all calls to the model that it took."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int


class Fallback(Model):
    """A method that was wanted, and why it was unavailable."""

    method: str
    because: str


class Experiment(Model):
    """The experiment that decided how to answer; `overridden` if a tester chose the arm."""

    name: str
    revision: int
    arm: str
    overridden: bool


class Evidence(Model):
    """What an answer says of the culture and the evidence behind it.

    `method` and `prompt_language` are None where no model was asked, `asks_value` is the
    probability that the text asks for a value.
    """

    culture: CultureName | None
    experiment: Experiment | None
    method: str | None
    requested_method: str
    fallbacks: list[Fallback]
    exemplar_style: str
    retriever: str
    adapter: str | None
    prompt_language: str | None
    steered: bool
    not_steered_because: str | None
    nearest_similarity: float | None
    asks_value: float | None
    exemplars: list[Exemplar]
    warnings: list[str]


class AnswerHead(Model):
    """The answer itself; the fields that `Answer` begins with."""

    id: str
    culture: CultureName | None
    question: str
    options_from: str | None
    source: str
    confident: bool | None
    answer: str | None
    option: ChosenOption | None
    shares: list[OptionShare] | None
    label_mass: float | None
    people: PeopleFigures | None
    transferred_from: Transfer | None
    recognised: Recognition | None
    model: ModelAnswer | None


class Answer(Evidence, AnswerHead, Tabular):
    """An answer by the best source, with what it stands on.

    `source` is 'survey' (asked of this culture), 'transfer' (asked elsewhere, estimated for this
    culture), 'related' (asked nowhere, estimated from like questions) or 'model' (the model alone,
    whose shares are no people's). `confident` is False where intervals say next to nothing, and
    None for the model's. `answer` is the option's text, or free text; None if it was unreadable.
    `people` are the people's own figures, if they were asked; `timings_ms` the milliseconds that
    each step took.
    """

    culture: CultureName
    usage: Usage
    timings_ms: dict[str, float]

    def share_of(self, label: str) -> float:
        """Return the share of an option, in [0, 1]; case does not matter.

        Raises:
            KeyError: there is no such option; the message names those that there are.
        """
        shares = {share.label: share.share for share in self.shares or ()}
        for found, share in shares.items():
            if found.casefold() == label.casefold():
                return share
        raise KeyError(f"found '{label}', expected one of: {', '.join(shares) or 'none'}")

    def rows(self) -> list[Row]:
        """Return a row per option; one without option and share where the answer is free text."""
        people = self.people if self.source == "survey" else None
        about = {
            "culture": self.culture.code,
            "culture_name": self.culture.name,
            "question": self.question,
            "question_key": self.options_from if self.options_from != "request" else None,
            "source": self.source,
            "confident": self.confident,
        }
        stands_on = {
            name: None if people is None else getattr(people, name)
            for name in ("n_respondents", "years", "survey", "citation")
        }
        if self.shares is None:
            return [{**about, **row_of_share(None), "label": self.answer, **stands_on}]
        return [{**about, **row_of_share(share), **stands_on} for share in self.shares]


class Known(Model):
    """What people answer to the question that a chat asks; the reply is the model's own.

    `source` is as an answer's; `told` is what the model was told of it, None for nothing.
    """

    source: str
    confident: bool
    question_key: str
    question: str
    shares: list[OptionShare]
    people: PeopleFigures | None
    transferred_from: Transfer | None
    told: str | None


class ChatEvidence(Evidence):
    """The evidence of a chat's reply; `known` is None where no survey question was recognised."""

    id: str
    recognised: Recognition | None
    known: Known | None


class FeedbackReceipt(Model):
    """Proof that an outcome is kept.

    `received_ms` is when it was first taken, in ms of UTC since 1970; `repeated` says that it was
    there already, `counts` that it is of one of the experiment's metrics.
    """

    key: str
    received_ms: int
    repeated: bool
    experiment: str | None
    counts: bool
    notes: list[str]


class Comparison(Listing[Answer]):
    """One question's answers, in the order in which the cultures were named.

    Attributes:
        refused: why there is no answer of a culture, by how it was named.
    """

    def __init__(
        self, answers: Iterable[Answer], refused: Mapping[str, ServiceRefused] | None = None
    ) -> None:
        """Hold the `answers`, and what was `refused`."""
        super().__init__(answers)
        self.refused = dict(refused or {})


class Delta(Model):
    """A piece of an answer in free text, as it is written."""

    text: str


class Exemplars(Model, Tabular):
    """What a model would be shown of a culture before a question.

    `same_question` is the key of the survey question that this one is; `below_floor` says that
    nothing is near enough, so that an answer would not be steered.
    """

    culture: CultureName
    question: str
    retriever: str
    same_question: str | None
    recognised: Recognition | None
    nearest_similarity: float | None
    below_floor: bool
    asks_value: float | None
    exemplars: list[Exemplar]

    def rows(self) -> list[Row]:
        """Return a row per exemplar and option."""
        return [
            {
                "culture": self.culture.code,
                "culture_name": self.culture.name,
                "question": exemplar.question,
                "question_key": exemplar.question_key,
                "topic": exemplar.topic,
                "similarity": exemplar.similarity,
                **row_of_share(share),
                "n_respondents": exemplar.n_respondents,
                "years": exemplar.years,
                "survey": exemplar.survey,
                "citation": exemplar.citation,
            }
            for exemplar in self.exemplars
            for share in exemplar.shares
        ]


class PackCoverage(Model):
    """A pack, and how much of it a culture answered."""

    id: str
    title: str
    years: str
    n_questions: int
    weighted: bool
    wording: str
    languages: list[str]
    licence: str
    commercial_use: bool
    citation: str


class MapPoint(Model):
    """A place on the Inglehart-Welzel map, in standard deviations of its two axes."""

    traditional_secular: float
    survival_expression: float
    year: int


class Culture(CultureName, Tabular):
    """A culture that can be answered for, with the packs that cover it."""

    native_name: str
    adjective: str
    languages: list[str]
    region: str
    cultural_map: MapPoint | None
    n_questions: int
    packs: list[PackCoverage]

    def rows(self) -> list[Row]:
        """Return the one row of the culture."""
        point = self.cultural_map
        return [
            {
                "culture": self.code,
                "culture_name": self.name,
                "region": self.region,
                "n_questions": self.n_questions,
                "packs": ", ".join(pack.id for pack in self.packs),
                "traditional_secular": None if point is None else point.traditional_secular,
                "survival_expression": None if point is None else point.survival_expression,
            }
        ]
