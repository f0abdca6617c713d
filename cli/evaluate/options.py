"""The options of `milieu evaluate`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from cli.options import Concurrency, CultureNames, HeldOut
from evaluation.asked_language import AskedLanguage
from evaluation.decoding import AnswerDecoding
from evaluation.split_name import SplitName
from prompting.recipe import ADAPTER_METHODS, MAX_K, PROMPT_METHODS, ExemplarStyle, Method
from retrieval.selector_name import SelectorName

_DECODING = {
    "read_by": typer.Option(
        help="Read label log-probabilities, generated text, or text as the papers' parser does."
    ),
    "temperature": typer.Option(min=0.0, max=2.0, help="Sampling temperature of generated text."),
    "top_p": typer.Option(min=0.0, max=1.0, help="Nucleus sampling of generated text."),
    "max_tokens": typer.Option(min=1, help="Longest generated text, in tokens."),
}


@dataclass(frozen=True)
class EvaluateOptions:
    """What the command line asks for; None and empty mean "as the settings say" or "all"."""

    pack: Annotated[str, typer.Option(help="Survey pack whose questions are asked.")] = "wvs7"
    cultures: CultureNames = ()
    methods: Annotated[
        tuple[Method, ...],
        typer.Option(
            "--method",
            help="How to answer. Repeatable; default: all six without an adapter, and with "
            "--adapter the two others.",
        ),
    ] = ()
    adapters: Annotated[
        tuple[str, ...],
        typer.Option(
            "--adapter",
            help="LABEL=NAME[,NAME…]: a set of adapters, each used for its own cultures. "
            "Repeatable; default: the active ones.",
        ),
    ] = ()
    ability: Annotated[
        bool,
        typer.Option(
            "--ability", help="Also ask general questions, to see whether tuning did any harm."
        ),
    ] = False
    styles: Annotated[
        tuple[ExemplarStyle, ...],
        typer.Option(
            "--style",
            help="What exemplars show: the most frequent answer, all shares, or a drawn answer. "
            "Repeatable.",
        ),
    ] = ()
    ks: Annotated[
        tuple[int, ...],
        typer.Option("--k", min=1, max=MAX_K, help="Number of exemplars to show. Repeatable."),
    ] = ()
    ns_elsewhere: Annotated[
        tuple[int, ...],
        typer.Option(
            "--elsewhere",
            min=0,
            max=MAX_K,
            metavar="N",
            help="Number of other peoples whose answers to the very question are shown before the "
            "exemplars. Repeatable; default: none.",
        ),
    ] = ()
    retrievers: Annotated[
        tuple[SelectorName, ...],
        typer.Option("--retriever", help="How exemplars are chosen. Repeatable."),
    ] = ()
    languages: Annotated[
        tuple[AskedLanguage, ...],
        typer.Option(
            "--language",
            help="Language of questions and prompts; own: the most spoken one of each culture that "
            "has a translation. Repeatable; default: en.",
        ),
    ] = ()
    controls: Annotated[
        bool,
        typer.Option(
            "--controls", help="Add icl with reversed answers, and with another culture's."
        ),
    ] = False
    references: Annotated[
        bool, typer.Option(help="Add baselines that need no model, for comparison.")
    ] = True
    estimates: Annotated[
        bool,
        typer.Option(
            "--estimates",
            help="Add what the tables tell of an answer that is hidden from them, and each method "
            "calibrated and pooled with it.",
        ),
    ] = False
    n_known_cultures: Annotated[
        int | None,
        typer.Option(
            "--known-cultures",
            min=1,
            metavar="M",
            help="With --estimates: transfer from M other cultures only.",
        ),
    ] = None
    n_known_answers: Annotated[
        int | None,
        typer.Option(
            "--known-answers",
            min=1,
            metavar="M",
            help="With --estimates: know M of a culture's own answers only.",
        ),
    ] = None
    reference_cultures: Annotated[
        tuple[str, ...],
        typer.Option(
            "--reference-culture",
            help="Culture that the baselines know. Repeatable; default: all of the pack.",
        ),
    ] = ()
    any_pack: Annotated[
        bool,
        typer.Option("--any-pack", help="Take exemplars from all loaded packs, not from one."),
    ] = False
    service: Annotated[
        str | None, typer.Option(help="URL of a running Milieu to ask, instead of vLLM.")
    ] = None
    recorded: Annotated[
        tuple[str, ...],
        typer.Option(
            help="Score the answers in FILE, or FILE@CULTURE, instead of asking. Repeatable."
        ),
    ] = ()
    n_questions: Annotated[
        int | None,
        typer.Option("--questions", min=2, help="Ask only the first N questions.", metavar="N"),
    ] = None
    every: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="N",
            help="Ask every Nth question only, beginning with the first; --questions counts these.",
        ),
    ] = 1
    map_items_only: Annotated[
        bool,
        typer.Option(
            "--cultural-map",
            help="Ask only what the items of the cultural map are made of, 13 questions of wvs7.",
        ),
    ] = False
    held_out_only: HeldOut = False
    any_culture: Annotated[
        bool,
        typer.Option(
            "--any-culture",
            help="With --held-out: held-out questions as every culture with enough evidence.",
        ),
    ] = False
    test_share: Annotated[
        float | None,
        typer.Option(help="Ask a random share of the questions, and never show any of them."),
    ] = None
    split: Annotated[
        SplitName | None,
        typer.Option(
            help="Which questions count as unknown together: the held-out ones, or a tenth of all "
            "at a time, drawn singly or by whole batteries. Default: each by itself."
        ),
    ] = None
    n_orders: Annotated[
        int, typer.Option("--orders", min=1, max=8, help="Orders of the options to average over.")
    ] = 1
    n_seeds: Annotated[
        int,
        typer.Option(
            "--seeds",
            min=1,
            max=100,
            help="Repetitions of everything random, each with its own seed.",
        ),
    ] = 1
    decoding: Annotated[AnswerDecoding, _DECODING] = field(default_factory=AnswerDecoding)
    n_concurrent: Concurrency = 64
    out: Annotated[
        Path | None,
        typer.Option(help="Results folder; default: one in milieu-results named after the run."),
    ] = None

    @property
    def is_held_out_only(self) -> bool:
        """Whether only what is held out of the embedded model's training is asked."""
        return self.held_out_only or self.split is SplitName.HELD_OUT

    @property
    def asked_methods(self) -> tuple[Method, ...]:
        """The methods to ask with; adapters named without a method of theirs add both.

        By default they are those without an adapter, but none if recorded answers are scored.
        """
        methods = self.methods or (() if self.recorded else PROMPT_METHODS)
        if not self.adapters or any(method.needs_adapter for method in methods):
            return methods
        return (*methods, *ADAPTER_METHODS)

    @property
    def asks_model(self) -> bool:
        """Whether the model of the settings is asked anything."""
        return self.service is None and (bool(self.asked_methods) or self.ability)
