"""An arm: one complete, hashed way of answering."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from retrieval.prompting import ExemplarStyle, Method
from retrieval.selector import SelectorName


@dataclass(frozen=True, slots=True)
class Arm:
    """Everything that decides how a question is answered, besides the question and the culture.

    Attributes:
        k: exemplars to show, at least 1; only methods that show exemplars use it.
        n_orders: orders of the options to average over, at least 1.
    """

    method: Method
    k: int
    style: ExemplarStyle
    retriever: SelectorName
    n_orders: int = 1

    @property
    def id(self) -> str:
        """Ten hexadecimal digits that two arms share only when they are equal."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:10]
