"""The options of `milieu evaluate`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from evaluation.decoding import AnswerDecoding
from prompting.recipe import ADAPTER_METHODS, PROMPT_METHODS, ExemplarStyle, Method
from retrieval.selector_name import SelectorName


@dataclass(frozen=True)
class EvaluateOptions:
    """What the command line asks for; None and empty are "as the settings say" or "all"."""

    pack: str = "wvs7"
    cultures: tuple[str, ...] = ()
    methods: tuple[Method, ...] = PROMPT_METHODS
    adapters: tuple[str, ...] = ()
    ability: bool = False
    styles: tuple[ExemplarStyle, ...] = ()
    ks: tuple[int, ...] = ()
    retrievers: tuple[SelectorName, ...] = ()
    controls: bool = False
    any_pack: bool = False
    references: bool = True
    reference_cultures: tuple[str, ...] = ()
    recorded: tuple[str, ...] = ()
    service: str | None = None
    n_questions: int | None = None
    held_out_only: bool = False
    any_culture: bool = False
    test_share: float | None = None
    n_orders: int = 1
    n_seeds: int = 1
    decoding: AnswerDecoding = field(default_factory=AnswerDecoding)
    n_concurrent: int = 64
    out: Path | None = None

    @property
    def asked_methods(self) -> tuple[Method, ...]:
        """The methods, with both of adapters where adapters are named and no method of theirs."""
        if not self.adapters or any(method.needs_adapter for method in self.methods):
            return self.methods
        return (*self.methods, *ADAPTER_METHODS)

    @property
    def asks_model(self) -> bool:
        """Whether the model of the settings is asked anything."""
        return self.service is None and (bool(self.asked_methods) or self.ability)
