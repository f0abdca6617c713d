"""The shapes of HTTP requests and responses."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.api.schemas.sources import (
    ChosenOption,
    CultureName,
    DonorWeight,
    KnownFields,
    ModelAnswer,
    OptionShare,
    PeopleFigures,
    RecognitionFields,
    ResponseModel,
    TransferFields,
)
from app.api.texts import clean_line, clean_text, find_twin
from estimation.source import AnswerFrom, Source
from prompting.recipe import MAX_K, ExemplarStyle, Method, PromptLanguage
from retrieval.selector_name import SelectorName
from retrieval.steer import Steer
from survey_data.questions_file import MAX_OPTIONS, MIN_OPTIONS

# Of a figure in a response.
DIGITS = 4
MAX_QUESTION_CHARS = 2000
MAX_OPTION_CHARS = 300
MAX_ORDERS = 8
MAX_NEW_TOKENS = 131_072
MAX_UNIT_CHARS = 200


def _check_options(options: list[str]) -> list[str]:
    if options and not MIN_OPTIONS <= len(options) <= MAX_OPTIONS:
        raise ValueError(f"found {len(options)} options, expected {MIN_OPTIONS} to {MAX_OPTIONS}")
    if twin := find_twin(options):
        raise ValueError(f"two options are the same to a reader: '{twin[0]}' and '{twin[1]}'")
    return options


QuestionText = Annotated[
    str, Field(min_length=1, max_length=MAX_QUESTION_CHARS), AfterValidator(clean_text)
]
OptionText = Annotated[
    str, Field(min_length=1, max_length=MAX_OPTION_CHARS), AfterValidator(clean_line)
]
Options = Annotated[list[OptionText], AfterValidator(_check_options)]
AdapterText = Annotated[
    str,
    Field(
        min_length=1,
        max_length=80,
        description="'auto', the one that is active for the culture; 'none'; or the name of one. "
        "By default 'auto' for the methods of an adapter, else 'none'.",
        examples=["auto", "culturespa-joint@1a2b3c4d"],
    ),
]
CultureText = Annotated[str, Field(min_length=1, max_length=80)]


ArmText = Annotated[
    str,
    Field(
        max_length=130,
        pattern=r"^([^/]+/[^/]+)?$",
        description="For testers of an experiment, and instead of saying how to answer: the arm to "
        "answer by, as `experiment/arm`. Such answers are left out of results.",
        examples=["religion-2026/icl"],
    ),
]
ELSEWHERE = "Other peoples' answers to the asked question to show, the heaviest first."
PROMPT_LANGUAGE = (
    "Language of all that the model is told besides the question: one of those, or 'auto', the "
    "question's where it is one of them, else English. By default what the settings say, which is "
    "'en' unless set."
)
STEER = (
    "When the answer is for the culture: 'auto', where the text is a survey's question or asks for "
    "a value; 'always'; 'never'. By default what the settings say, which is 'auto' unless set."
)
WITHHOLD = "Take what the culture itself answered to this question for unknown."
NO_OPTIONS = "'options' is empty, which counts as leaving it out"
ASKS_VALUE = "Probability that the text asks for a value; null where nothing tells."
CONSENT = (
    "Whether the end user agreed that question and answer are kept. They are kept only where the "
    "service is set to."
)


class Body(BaseModel):
    """A request body: fields that are not known are refused, not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ArmFields(Body):
    """How to answer, where the client wants something else than the settings say."""

    method: Method | None = Field(None, description="How the culture gets into the answer.")
    k: int | None = Field(None, ge=1, le=MAX_K, description="Exemplars to show.")
    exemplar_style: ExemplarStyle | None = Field(None, description="What an exemplar shows.")
    retriever: SelectorName | None = Field(None, description="How exemplars are chosen.")
    adapter: AdapterText | None = None
    elsewhere: int | None = Field(None, ge=0, le=MAX_K, description=ELSEWHERE)
    prompt_language: PromptLanguage | None = Field(None, description=PROMPT_LANGUAGE)


class RecipeFields(ArmFields):
    """Everything that a request may say of how to answer."""

    answer_from: AnswerFrom | None = Field(
        None,
        description="What the answer may stand on: 'survey', what the people themselves said; "
        "'tables', an estimate from the surveys; 'model', what the model says; or 'auto', the best "
        "there is. For a question with options. By default 'auto', or what the arm of an "
        "experiment says.",
    )
    withhold: bool = Field(False, description=WITHHOLD)
    steer: Steer | None = Field(None, description=STEER)
    orders: int = Field(
        1, ge=1, le=MAX_ORDERS, description="Orders of the options to average over."
    )
    seed: int = Field(0, ge=0, le=2**31 - 1)
    temperature: float = Field(0.0, ge=0.0, le=2.0, description="For free text.")
    top_p: float = Field(1.0, gt=0.0, le=1.0, description="For free text.")
    max_tokens: int | None = Field(None, ge=1, le=MAX_NEW_TOKENS, description="For free text.")


class AnswerBody(RecipeFields):
    """A question to be answered as the people of a culture answer."""

    question: QuestionText
    culture: CultureText | None = Field(
        None, description="Code, name or language tag; here or in the query.", examples=["DE"]
    )
    options: Options = Field(
        default_factory=list,
        description="2 to 20 answers to choose from, in scale order. Without them those of a "
        "survey question that is near enough; else the answer is free text.",
    )
    user: str = Field(
        "",
        max_length=MAX_UNIT_CHARS,
        description="Your name for who is answered, for experiments; kept as a keyed hash only.",
    )
    session: str = Field(
        "", max_length=MAX_UNIT_CHARS, description="Where the user is not known: the session."
    )
    arm: ArmText = ""
    consent: bool = Field(False, description=CONSENT)
    stream: bool = Field(False, description="Server-sent events: evidence, deltas, answer.")

    @property
    def notes(self) -> tuple[str, ...]:
        """What of a body was not taken as it stands."""
        is_empty = "options" in self.model_fields_set and not self.options
        return (NO_OPTIONS,) if is_empty else ()


class ExemplarsBody(Body):
    """A question for which exemplars are wanted, without asking a model."""

    question: QuestionText
    culture: CultureText
    k: int | None = Field(None, ge=1, le=MAX_K)
    retriever: SelectorName | None = None
    seed: int = Field(0, ge=0, le=2**31 - 1)


class ExemplarEvidence(ResponseModel):
    """A survey question that the model was shown, and how people answered it."""

    question_key: str
    topic: str
    question: str = Field(description="As it was shown.")
    language: str = Field(description="Language tag of question and options.")
    answer: ChosenOption = Field(description="The option with the largest share.")
    shares: list[OptionShare]
    similarity: float | None = Field(
        description="Cosine for 'dense', chrF++ in [0, 100] for 'chrf', null for the others."
    )
    survey: str
    pack: str
    source_item: str
    years: str
    n_respondents: int | None
    non_response: float | None
    wording: str
    citation: str
    elsewhere: DonorWeight | None = Field(
        description="Where another people answered the asked question itself, and how much that "
        "counts; null for this people's answer to another question."
    )


class UsageCounts(ResponseModel):
    """Tokens of one answer, over all calls that it took."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = Field(description="Prompt tokens found in vLLM's prefix cache.")


class FallbackReason(ResponseModel):
    """A method that was wanted, and why it was unavailable."""

    method: Method
    because: str


class ExperimentFields(ResponseModel):
    """The experiment that decided how to answer."""

    name: str
    revision: int
    arm: str
    overridden: bool = Field(description="Whether a tester chose the arm.")


class EvidenceFields(ResponseModel):
    """What every answer says of the culture and the evidence behind it."""

    culture: CultureName | None
    experiment: ExperimentFields | None = Field(
        description="Null where no experiment decided how to answer."
    )
    method: Method | None = Field(
        description="The method that was used; null where no model was asked."
    )
    requested_method: Method
    fallbacks: list[FallbackReason] = Field(
        description="Methods that were wanted before the one used, and why they were unavailable."
    )
    exemplar_style: ExemplarStyle
    retriever: SelectorName
    adapter: str | None = Field(description="The adapter that answers; null: the base model.")
    prompt_language: PromptLanguage | None = Field(
        description="Language of what the model was told; null where it was told nothing."
    )
    steered: bool
    not_steered_because: str | None
    nearest_similarity: float | None
    asks_value: float | None = Field(description=ASKS_VALUE)
    exemplars: list[ExemplarEvidence]
    warnings: list[str]


class ChatEvidence(EvidenceFields):
    """The field `milieu` of a chat's reply."""

    id: str
    recognised: RecognitionFields | None
    known: KnownFields | None = Field(
        description="Null where the last message is not recognised as a survey question, and where "
        "an experiment's arm answers by the model."
    )


class AnswerHead(ResponseModel):
    """The answer itself, by the best source, with what it stands on."""

    id: str
    culture: CultureName | None
    question: str
    options_from: str | None = Field(
        description="'request', the key of the survey question that gave them, or null."
    )
    source: Source = Field(
        description="'survey': asked of this culture. 'transfer': asked elsewhere, estimated for "
        "this culture. 'related': asked nowhere, estimated from like questions. 'model': the model "
        "alone, whose shares are no people's."
    )
    confident: bool | None = Field(
        description="False where an estimate's intervals say next to nothing: then the answer is "
        "that it is not known. Null for the model's."
    )
    answer: str | None = Field(description="The option's text, or free text; null: unreadable.")
    option: ChosenOption | None
    shares: list[OptionShare] | None
    label_mass: float | None = Field(
        description="Probability that the model gave to the options together, before normalising."
    )
    people: PeopleFigures | None
    transferred_from: TransferFields | None
    recognised: RecognitionFields | None
    model: ModelAnswer | None = Field(description="Null where no model was asked.")


class AnswerResponse(EvidenceFields, AnswerHead):
    """An answer, and the evidence that the model was shown."""

    culture: CultureName
    usage: UsageCounts
    timings_ms: dict[str, float]


class ExemplarsResponse(ResponseModel):
    """What would be shown to the model."""

    culture: CultureName
    question: str
    retriever: SelectorName
    same_question: str | None = Field(description="Survey question that this one is, if any.")
    recognised: RecognitionFields | None
    nearest_similarity: float | None
    below_floor: bool
    asks_value: float | None = Field(description=ASKS_VALUE)
    exemplars: list[ExemplarEvidence]


class PackSummary(ResponseModel):
    """A pack, and how much of it a culture answered."""

    id: str
    title: str
    years: str
    n_questions: int
    weighted: bool
    wording: str
    languages: list[str] = Field(
        description="Language tags that questions are worded in, their own first.",
        examples=[["en", "de", "pt"]],
    )
    licence: str
    commercial_use: bool
    citation: str


class MapPoint(ResponseModel):
    """A place on the Inglehart-Welzel map."""

    traditional_secular: float
    survival_expression: float
    year: int


class CultureSummary(CultureName):
    """A culture that can be answered for."""

    native_name: str
    adjective: str
    languages: list[str]
    region: str
    cultural_map: MapPoint | None
    n_questions: int
    packs: list[PackSummary]


class CulturesResponse(ResponseModel):
    """The covered cultures."""

    cultures: list[CultureSummary]


class Problem(ResponseModel):
    """Problem details, RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    instance: str = ""
    errors: list[dict[str, Any]] | None = None


class Health(ResponseModel):
    """Whether the service lives, or is ready."""

    status: Literal["ok", "starting", "unavailable"]
    vllm: Literal["ready", "starting", "unavailable"] | None = None
