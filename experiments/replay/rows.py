"""What came of one request asked of one arm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from estimation.source import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRow:
    """One request asked of one arm. It holds no text of it.

    Attributes:
        request: the key of a survey question, or the id of a logged answer.
        question: what is asked; requests that share it are not independent of one another. A
            survey's key, or a digest of a logged text.
        culture: alpha-3 code, empty for a request without one.
        arm: the name of the arm in the experiment.
        alignment, label_mass, readable, refused, latency_ms, steered: as of an `Exposure`.
        source, best_source, model_asked, question_key, similarity: as of an `Exposure`.
        fell_back: whether the answer was given in another way than the arm's.
        because: why it was, empty if it was not.
        shown: keys of the exemplars that were shown, in their order.
        failed: why there is no answer, empty if there is one.
    """

    request: str
    question: str
    culture: str
    arm: str
    alignment: float | None = None
    label_mass: float | None = None
    readable: bool = True
    refused: bool | None = None
    latency_ms: float = 0.0
    n_prompt_tokens: int = 0
    n_reply_tokens: int = 0
    steered: bool = False
    fell_back: bool = False
    because: str = ""
    shown: tuple[str, ...] = ()
    failed: str = ""
    source: Source | Literal[""] = ""
    best_source: Source | Literal[""] = ""
    model_asked: bool | None = None
    question_key: str = ""
    similarity: float | None = None

    def value(self, metric: str) -> float | None:
        """Return one of `RECORDED_METRICS`, booleans as 0 and 1; None if it is not known.

        Nothing is known of an answer that failed.
        """
        if self.failed:
            return None
        found = not self.readable if metric == "unreadable" else getattr(self, metric)
        return None if found is None else float(found)
