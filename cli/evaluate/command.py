"""`milieu evaluate`: how close a model's answers come to what people said."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.errors import OptionInvalid
from cli.evaluate.options import EvaluateOptions
from cli.lazy import LazyModule
from cli.options import Concurrency, Cultures, HeldOut
from evaluation.decoding import AnswerDecoding, ReadBy
from prompting.recipe import MAX_K, PROMPT_METHODS, ExemplarStyle, Method
from retrieval.selector_name import SelectorName

if TYPE_CHECKING:
    from cli.evaluate import run
else:
    run = LazyModule("cli.evaluate.run")


def evaluate(
    pack: Annotated[str, typer.Option(help="Survey pack whose questions are asked.")] = "wvs7",
    culture: Cultures = None,
    method: Annotated[
        list[Method] | None,
        typer.Option(
            help="How to answer. Repeatable; default: all six without an adapter, and with "
            "--adapter the two others."
        ),
    ] = None,
    adapter: Annotated[
        list[str] | None,
        typer.Option(
            help="LABEL=NAME[,NAME…]: a set of adapters, each used for its own cultures. "
            "Repeatable; default: the active ones."
        ),
    ] = None,
    ability: Annotated[
        bool,
        typer.Option(
            "--ability", help="Also ask general questions, to see whether tuning did any harm."
        ),
    ] = False,
    style: Annotated[
        list[ExemplarStyle] | None,
        typer.Option(
            help="What exemplars show: the most frequent answer, all shares, or a drawn answer. "
            "Repeatable."
        ),
    ] = None,
    k: Annotated[
        list[int] | None,
        typer.Option("--k", min=1, max=MAX_K, help="Number of exemplars to show. Repeatable."),
    ] = None,
    retriever: Annotated[
        list[SelectorName] | None, typer.Option(help="How exemplars are chosen. Repeatable.")
    ] = None,
    controls: Annotated[
        bool,
        typer.Option(
            "--controls", help="Add icl with reversed answers, and with another culture's."
        ),
    ] = False,
    references: Annotated[
        bool, typer.Option(help="Add baselines that need no model, for comparison.")
    ] = True,
    reference_culture: Annotated[
        list[str] | None,
        typer.Option(help="Culture that the baselines know. Repeatable; default: all of the pack."),
    ] = None,
    any_pack: Annotated[
        bool,
        typer.Option("--any-pack", help="Take exemplars from all loaded packs, not from one."),
    ] = False,
    service: Annotated[
        str | None, typer.Option(help="URL of a running Milieu to ask, instead of vLLM.")
    ] = None,
    recorded: Annotated[
        list[str] | None,
        typer.Option(
            help="Score the answers in FILE, or FILE@CULTURE, instead of asking. Repeatable."
        ),
    ] = None,
    questions: Annotated[
        int | None, typer.Option(min=2, help="Ask only the first N questions.", metavar="N")
    ] = None,
    held_out: HeldOut = False,
    any_culture: Annotated[
        bool,
        typer.Option(
            "--any-culture",
            help="With --held-out: held-out questions as every culture with enough evidence.",
        ),
    ] = False,
    test_share: Annotated[
        float | None,
        typer.Option(help="Ask a random share of the questions, and never show any of them."),
    ] = None,
    orders: Annotated[
        int, typer.Option(min=1, max=8, help="Orders of the options to average over.")
    ] = 1,
    seeds: Annotated[
        int, typer.Option(min=1, max=100, help="Repetitions of what is random, each with a seed.")
    ] = 1,
    read_by: Annotated[
        ReadBy,
        typer.Option(
            help="Read label log-probabilities, generated text, or text as the papers' parser does."
        ),
    ] = ReadBy.LOGPROBS,
    temperature: Annotated[
        float, typer.Option(min=0.0, max=2.0, help="Sampling temperature of generated text.")
    ] = 0.6,
    top_p: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Nucleus sampling of generated text.")
    ] = 0.9,
    max_tokens: Annotated[
        int, typer.Option(min=1, help="Longest generated text, in tokens.")
    ] = 256,
    concurrency: Concurrency = 64,
    out: Annotated[
        Path | None,
        typer.Option(help="Results folder; default: one in milieu-results named after the run."),
    ] = None,
    rescore: Annotated[
        Path | None, typer.Option(help="Only recompute the scores of a finished run's folder.")
    ] = None,
    gate: Annotated[
        Path | None,
        typer.Option(help="figures.json of an earlier run: exit 1 if a culture got worse."),
    ] = None,
) -> None:
    """Measure how close answers come to what people said.

    Asks the model of the settings (the embedded one, or MILIEU_VLLM__URLS) with each method, as
    the people of each culture; without --culture, as all of the pack. Writes every raw answer and
    a report into a results folder. Run the same command again to resume an interrupted run.

    Examples:
      milieu evaluate --held-out --controls

      milieu evaluate -c DE -c Nigeria --method plain --method icl --orders 2

      milieu evaluate --adapter joint=culturespa --adapter random=control --ability

      milieu evaluate --gate baseline/figures.json
    """
    if service is not None:
        _check_service(service, recorded, controls=controls, ability=ability, read_by=read_by)
    options = EvaluateOptions(
        pack=pack,
        cultures=tuple(culture or ()),
        # Recorded answers are scored by themselves, unless methods are asked for as well.
        methods=tuple(method or (() if recorded else PROMPT_METHODS)),
        adapters=tuple(adapter or ()),
        ability=ability,
        styles=tuple(style or ()),
        ks=tuple(k or ()),
        retrievers=tuple(retriever or ()),
        controls=controls,
        any_pack=any_pack,
        references=references,
        reference_cultures=tuple(reference_culture or ()),
        recorded=tuple(recorded or ()),
        service=service,
        n_questions=questions,
        held_out_only=held_out,
        any_culture=any_culture,
        test_share=test_share,
        n_orders=orders,
        n_seeds=seeds,
        decoding=AnswerDecoding(read_by, temperature, top_p, max_tokens),
        n_concurrent=concurrency,
        out=out,
    )
    sys.exit(run.measure_answers(options, rescore=rescore, gate=gate))


def _check_service(
    url: str, recorded: list[str] | None, *, controls: bool, ability: bool, read_by: ReadBy
) -> None:
    """Refuse what a service does not do: it makes its prompts and reads its answers itself."""
    if not url.startswith(("http://", "https://")):
        raise OptionInvalid("--service", url, "http://host:port")
    if recorded:
        raise OptionInvalid("--service", url, "not together with --recorded")
    if controls:
        raise OptionInvalid("--controls", "with --service", "a model behind vLLM")
    if ability:
        raise OptionInvalid("--ability", "with --service", "a model behind vLLM")
    if read_by is not ReadBy.LOGPROBS:
        raise OptionInvalid("--read-by", f"{read_by} with --service", "a model behind vLLM")
