"""An arm: one complete, hashed way of answering."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from enum import StrEnum

from prompting.messages import ExemplarStyle, Method
from retrieval.selector_name import SelectorName


class ArmMethod(StrEnum):
    """How a culture gets into an answer: by the prompt, by an adapter's weights, or by both.

    The first six are the prompt methods of `prompting.messages.Method`. An adapter is asked with
    the prompt that it was trained on, which names the culture.
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
        """The prompt method."""
        match self:
            case ArmMethod.ADAPTER:
                return Method.PERSONA
            case ArmMethod.ADAPTER_ICL:
                return Method.PERSONA_ICL
        return Method(self.value)

    @property
    def needs_adapter(self) -> bool:
        """Whether without an adapter it would be another method."""
        return self in (ArmMethod.ADAPTER, ArmMethod.ADAPTER_ICL)


@dataclass(frozen=True, slots=True)
class Arm:
    """Everything that decides how a question is answered, besides the question and the culture.

    Attributes:
        k: exemplars to show, at least 1; only methods that show exemplars use it.
        n_orders: orders of the options to average over, at least 1.
        adapter: `none`, `auto` for the one that is active for the culture, or a version's name.
    """

    method: ArmMethod
    k: int
    style: ExemplarStyle
    retriever: SelectorName
    n_orders: int = 1
    adapter: str = "none"

    @property
    def id(self) -> str:
        """Ten hexadecimal digits that two arms share only when they are equal."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:10]
