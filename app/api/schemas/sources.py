"""The shapes of figures, and of what an answer stands on."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from estimation.source import Source
from prompting.labels import LabelScheme
from prompting.recipe import Method


class ResponseModel(BaseModel):
    """A response body."""

    model_config = ConfigDict(frozen=True)


class CultureName(ResponseModel):
    """A culture by its codes and its name."""

    code: str = Field(description="ISO 3166-1 alpha-3.")
    alpha2: str
    name: str


class ShareInterval(ResponseModel):
    """Where a share lies in 90 % of cases, both ends in [0, 1]."""

    low: float
    high: float


class OptionShare(ResponseModel):
    """An option with its share, in [0, 1]; the shares of a question sum to 1."""

    number: int
    label: str
    share: float
    interval: ShareInterval | None = Field(
        None, description="To 90 %. Null for a model's, and where a survey tells no respondents."
    )


class ChosenOption(ResponseModel):
    """An option by its number and its text."""

    number: int
    label: str


class PeopleFigures(ResponseModel):
    """What the people themselves answered, where they were asked."""

    question_key: str
    shares: list[OptionShare]
    n_respondents: int | None
    n_effective: float | None = Field(description="What intervals are made with.")
    non_response: float | None
    years: str
    survey: str
    pack: str
    population: str = Field(description="Which people, where it is not everyone.")
    weighted: bool
    wording: str
    licence: str
    citation: str


class DonorWeight(ResponseModel):
    """A culture whose answer to the question counts in an estimate; weights sum to about 1."""

    culture: CultureName
    weight: float


class OwnQuestion(ResponseModel):
    """A question that the culture answered and that moved an estimate."""

    question_key: str
    question: str


class TransferFields(ResponseModel):
    """What an estimate stands on."""

    cultures: list[DonorWeight] = Field(description="The heaviest first; none for 'related'.")
    own_questions: list[OwnQuestion] = Field(description="What moved it most comes first.")


class RecognisedQuestion(ResponseModel):
    """A survey question that the asked one is, or may be."""

    question_key: str
    question: str
    similarity: float = Field(description="Cosine.")
    language: str = Field(description="Language tag of `question`.")
    in_english: str | None = Field(
        description="The survey's wording in English, null where it has none."
    )


class RecognitionFields(ResponseModel):
    """What the question was recognised as."""

    certain: bool
    questions: list[RecognisedQuestion] = Field(
        description="The one that it is; or, where that is not certain, up to three that it may be."
    )


class KnownFields(ResponseModel):
    """What people answer to the question that a chat asks; the reply is the model's own."""

    source: Source = Field(
        description="Of the shares. 'survey': asked of this culture. 'transfer': asked elsewhere, "
        "estimated for this culture."
    )
    confident: bool = Field(
        description="False where an estimate's intervals say next to nothing; then the model is "
        "not told it."
    )
    question_key: str
    question: str
    shares: list[OptionShare]
    people: PeopleFigures | None
    transferred_from: TransferFields | None
    told: str | None = Field(description="What the model was told of it; null: nothing.")


class ModelAnswer(ResponseModel):
    """What the model said, where one was asked; never shares of a people."""

    name: str
    method: Method
    option: ChosenOption | None
    shares: list[OptionShare] | None = Field(description="The model's own probabilities.")
    labels: LabelScheme | None = Field(
        description="What the options were labelled with in the prompt. Null without options."
    )
    label_mass: float | None
    calibration: str | None = Field(
        description="Id of the calibration that `calibrated_shares` are by, and, where `source` is "
        "'related', the answer's shares too. Null: the model is not calibrated for this method, "
        "and the answer's shares are the tables' alone, or its raw ones."
    )
    calibrated_shares: list[OptionShare] | None = Field(
        description="The model's shares without its overconfidence and its liking for places, "
        "learned on survey questions. Null without a calibration."
    )
    text: str | None
    exemplars: list[str] = Field(description="Keys of the questions whose answers it was shown.")
