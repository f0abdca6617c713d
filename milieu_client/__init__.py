"""Ask a Milieu service from Python: `Milieu(url).ask(question, culture)`, or `AsyncMilieu`.

What comes back are typed, frozen objects; those that are tables have `rows()`, `to_polars()` and
`to_pandas()`. Every error is a `MilieuError`. Shares and similarities are in [0, 1], times in
seconds, unless a name says otherwise.
"""

from milieu_client.answers import (
    Answer,
    ChatEvidence,
    Comparison,
    Culture,
    Delta,
    Evidence,
    Exemplars,
    Experiment,
    Fallback,
    FeedbackReceipt,
    Known,
    MapPoint,
    ModelAnswer,
    PackCoverage,
    Usage,
)
from milieu_client.async_client import AsyncMilieu
from milieu_client.batches import BatchResult, Problem, SurveyCitation, Versions
from milieu_client.client import Milieu
from milieu_client.distances import js_distance
from milieu_client.errors import (
    ExtraMissing,
    KeyUnsendable,
    MilieuError,
    ReplyUnreadable,
    ServiceRefused,
    ServiceTimedOut,
    ServiceUnreachable,
)
from milieu_client.fields import (
    AskFields,
    ExemplarFields,
    FeedbackFields,
    QuestionFields,
    RecipeFields,
)
from milieu_client.figures import (
    ChosenOption,
    CultureName,
    DonorWeight,
    Exemplar,
    OptionShare,
    OwnQuestion,
    PeopleFigures,
    RecognisedQuestion,
    Recognition,
    ShareInterval,
    Transfer,
)
from milieu_client.model import Model
from milieu_client.questions import (
    CultureFigures,
    QuestionDetail,
    QuestionsPage,
    QuestionSummary,
    QuestionWording,
    SurveyTerms,
)
from milieu_client.retries import NO_RETRIES, Retries
from milieu_client.tables import Listing, to_pandas, to_polars
from milieu_client.version import __version__

__all__ = [
    "NO_RETRIES",
    "Answer",
    "AskFields",
    "AsyncMilieu",
    "BatchResult",
    "ChatEvidence",
    "ChosenOption",
    "Comparison",
    "Culture",
    "CultureFigures",
    "CultureName",
    "Delta",
    "DonorWeight",
    "Evidence",
    "Exemplar",
    "ExemplarFields",
    "Exemplars",
    "Experiment",
    "ExtraMissing",
    "Fallback",
    "FeedbackFields",
    "FeedbackReceipt",
    "KeyUnsendable",
    "Known",
    "Listing",
    "MapPoint",
    "Milieu",
    "MilieuError",
    "Model",
    "ModelAnswer",
    "OptionShare",
    "OwnQuestion",
    "PackCoverage",
    "PeopleFigures",
    "Problem",
    "QuestionDetail",
    "QuestionFields",
    "QuestionSummary",
    "QuestionWording",
    "QuestionsPage",
    "RecipeFields",
    "RecognisedQuestion",
    "Recognition",
    "ReplyUnreadable",
    "Retries",
    "ServiceRefused",
    "ServiceTimedOut",
    "ServiceUnreachable",
    "ShareInterval",
    "SurveyCitation",
    "SurveyTerms",
    "Transfer",
    "Usage",
    "Versions",
    "__version__",
    "js_distance",
    "to_pandas",
    "to_polars",
]
