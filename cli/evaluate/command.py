"""`milieu evaluate`: how near a model's answers come to what people said."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from app.errors import OptionInvalid
from app.settings import MAX_K
from cli.console import notes
from cli.errors import explain_errors
from cli.evaluate.output import LiveProgress, print_falls, print_figures
from cli.settings import read_quiet_settings
from evaluation.decoding import Decoding, ReadBy
from evaluation.gate import falls
from prompting.recipe import PROMPT_METHODS, ExemplarStyle, Method
from retrieval.selector_name import SelectorName

FELL = 1


def evaluate(
    pack: Annotated[str, typer.Option(help="Whose questions are asked.")] = "wvs7",
    culture: Annotated[
        list[str] | None, typer.Option("--culture", "-c", help="Repeatable; default: all.")
    ] = None,
    method: Annotated[
        list[Method] | None,
        typer.Option(help="Repeatable; default: the six prompt methods, and --adapter's two."),
    ] = None,
    adapter: Annotated[
        list[str] | None,
        typer.Option(
            help="LABEL=NAME[,NAME…]: adapters that answer together, each for its cultures. "
            "Repeatable; default: those that are active."
        ),
    ] = None,
    ability: Annotated[
        bool, typer.Option("--ability", help="General questions too: did tuning cost anything?")
    ] = False,
    style: Annotated[
        list[ExemplarStyle] | None, typer.Option(help="What exemplars show. Repeatable.")
    ] = None,
    k: Annotated[
        list[int] | None, typer.Option("--k", min=1, max=MAX_K, help="Exemplars. Repeatable.")
    ] = None,
    retriever: Annotated[list[SelectorName] | None, typer.Option(help="Repeatable.")] = None,
    controls: Annotated[
        bool, typer.Option("--controls", help="icl with reversed and foreign answers as well.")
    ] = False,
    references: Annotated[bool, typer.Option(help="What needs no model, to compare with.")] = True,
    reference_culture: Annotated[
        list[str] | None, typer.Option(help="Whom references see; default: all of the pack.")
    ] = None,
    any_pack: Annotated[
        bool, typer.Option("--any-pack", help="Exemplars from every loaded pack, not this one.")
    ] = False,
    service: Annotated[
        str | None, typer.Option(help="Ask a running Milieu at this URL instead of vLLM.")
    ] = None,
    recorded: Annotated[
        list[str] | None,
        typer.Option(help="Score answers in FILE, or FILE@CULTURE, instead. Repeatable."),
    ] = None,
    questions: Annotated[int | None, typer.Option(min=2, help="Only the first so many.")] = None,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="Only what the embedded model never trained on.")
    ] = False,
    any_culture: Annotated[
        bool,
        typer.Option(
            "--any-culture", help="With --held-out: as all with evidence, not those kept."
        ),
    ] = False,
    test_share: Annotated[
        float | None, typer.Option(help="Ask this share; none of it is ever an exemplar.")
    ] = None,
    orders: Annotated[int, typer.Option(min=1, max=8, help="Option orders to average.")] = 1,
    seeds: Annotated[int, typer.Option(min=1, max=100, help="Runs, for what is drawn.")] = 1,
    read_by: Annotated[
        ReadBy, typer.Option(help="Label log-probabilities, text, or the papers' parser.")
    ] = ReadBy.LOGPROBS,
    temperature: Annotated[float, typer.Option(min=0.0, max=2.0, help="For text.")] = 0.6,
    top_p: Annotated[float, typer.Option(min=0.0, max=1.0, help="For text.")] = 0.9,
    max_tokens: Annotated[int, typer.Option(min=1, help="For text.")] = 256,
    concurrency: Annotated[int, typer.Option(min=1, max=1024, help="Requests at a time.")] = 64,
    out: Annotated[
        Path | None, typer.Option(help="Results folder; default: milieu-results/… of the run.")
    ] = None,
    rescore: Annotated[
        Path | None, typer.Option(help="Only score the finished run in this folder anew.")
    ] = None,
    gate: Annotated[
        Path | None,
        typer.Option(help="figures.json of an earlier run: exit 1 if a culture fell below it."),
    ] = None,
) -> None:
    """Measure how near answers come to what people said, per method and culture.

    Asks the model of the settings (the embedded one, or MILIEU_VLLM__URLS), writes every raw answer
    into a results folder, and a report. Started again, it goes on where it stopped.

    Examples:
      milieu evaluate --held-out --controls

      milieu evaluate -c DE -c Nigeria --method plain --method icl --orders 2

      milieu evaluate --adapter joint=culturespa --adapter random=control --ability

      milieu evaluate --gate baseline/figures.json
    """
    with explain_errors():
        if service is not None:
            _check_service(service, recorded, controls=controls, ability=ability, read_by=read_by)
        # Here, not above: its imports take seconds, and the other commands need none.
        from cli.evaluate.options import EvaluateOptions
        from cli.evaluate.run import evaluated, read_figures, rescored

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
            decoding=Decoding(read_by, temperature, top_p, max_tokens),
            n_concurrent=concurrency,
            out=out,
        )
        settings = read_quiet_settings()
        # First, so that a fault in it costs no run.
        baseline = None if gate is None else read_figures(gate)
        if rescore is not None:
            found = rescored(settings, rescore)
        else:
            with LiveProgress(notes) as progress:
                doing = evaluated(settings, options, progress=progress, baseline=baseline)
                found = asyncio.run(doing)
        print_figures(found.figures, found.folder)
        fallen = () if baseline is None else falls(found.figures, baseline)
        if baseline is not None:
            print_falls(fallen)
    sys.exit(FELL if fallen else 0)


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
