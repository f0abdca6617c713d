"""What came of one request asked of one arm."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRow:
    """One request asked of one arm. It holds no text of it.

    Attributes:
        request: the key of a survey question, or the id of a logged answer.
        question: what is asked; requests that share it are not independent of one another. A
            survey's key, or a digest of a logged text.
        culture: alpha-3 code, empty for a request without one.
        arm: the name of the arm in the experiment.
        alignment: 1 - Jensen-Shannon distance to the people's shares, in [0, 1], higher is
            nearer; None where the question has no known shares or the answer no shares.
        label_mass: probability of all labels together, in [0, 1], None where not measured.
        readable: whether the answer could be read as one of the options; true for free text.
        refused: whether the model declined to answer, None where there is no text to look at.
        latency_ms: time until the answer was complete.
        steered: whether the prompt or an adapter spoke for the culture.
        fell_back: whether the answer was given in another way than the arm's.
        because: why it was, empty where it was not.
        shown: keys of the exemplars that were shown, in their order.
        failed: why there is no answer, empty where there is one.
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

    def value(self, metric: str) -> float | None:
        """Return one of `RECORDED_METRICS`, booleans as 0 and 1; None where it is not known.

        Nothing is known of an answer that failed.
        """
        if self.failed:
            return None
        found = not self.readable if metric == "unreadable" else getattr(self, metric)
        return None if found is None else float(found)
