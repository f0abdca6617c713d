"""Cultures, options and shares, as every reply has them, and what they stand on."""

from __future__ import annotations

from milieu_client.model import Model


class CultureName(Model):
    """A culture: ISO 3166-1 codes of three and of two letters, and its English name."""

    code: str
    alpha2: str
    name: str


class ShareInterval(Model):
    """Where a share lies in 90 % of cases; both ends in [0, 1]."""

    low: float
    high: float


class OptionShare(Model):
    """An option with its share, in [0, 1]; the shares of a question sum to 1.

    `interval` is None for a model's share, and where a survey does not tell how many were asked.
    """

    number: int
    label: str
    share: float
    interval: ShareInterval | None = None


class ChosenOption(Model):
    """An option by its number and its text."""

    number: int
    label: str


class PeopleFigures(Model):
    """What the people themselves answered.

    `n_effective` is the number of respondents that intervals are made with; `non_response` the
    share, in [0, 1], who gave none of the answers; `population` which people, if not everyone.
    """

    question_key: str
    shares: list[OptionShare]
    n_respondents: int | None
    n_effective: float | None
    non_response: float | None
    years: str
    survey: str
    pack: str
    population: str
    weighted: bool
    wording: str
    licence: str
    citation: str


class DonorWeight(Model):
    """A culture whose answer counts in an estimate; the weights of an estimate sum to about 1."""

    culture: CultureName
    weight: float


class OwnQuestion(Model):
    """A question that the culture itself answered and that moved an estimate."""

    question_key: str
    question: str


class Transfer(Model):
    """What an estimate stands on: other cultures, and own answers; the weightiest first."""

    cultures: list[DonorWeight]
    own_questions: list[OwnQuestion]


class RecognisedQuestion(Model):
    """A survey question that the asked one is, or may be; `similarity` is a cosine."""

    question_key: str
    question: str
    similarity: float
    language: str
    in_english: str | None


class Recognition(Model):
    """The question that was recognised, or, where that is not certain, up to three it may be."""

    certain: bool
    questions: list[RecognisedQuestion]


class Exemplar(Model):
    """A survey question that a model is shown, and how people answered it.

    `similarity` is a cosine for the retriever `dense`, chrF++ in [0, 100] for `chrf`, and None for
    the others. `elsewhere` is another people who answered the asked question itself.
    """

    question_key: str
    topic: str
    question: str
    language: str
    answer: ChosenOption
    shares: list[OptionShare]
    similarity: float | None
    survey: str
    pack: str
    source_item: str
    years: str
    n_respondents: int | None
    non_response: float | None
    wording: str
    citation: str
    elsewhere: DonorWeight | None
