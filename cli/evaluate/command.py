"""`milieu evaluate`: how close a model's answers come to what people said."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.errors import OptionInvalid
from cli.evaluate.options import EvaluateOptions
from cli.lazy import LazyModule
from cli.signatures import take_options
from evaluation.decoding import ReadBy
from evaluation.split_name import SplitName

if TYPE_CHECKING:
    from cli.evaluate import run
else:
    run = LazyModule("cli.evaluate.run")


@take_options()
def evaluate(
    options: EvaluateOptions,
    rescore: Annotated[
        Path | None,
        typer.Option(help="Only recompute the scores of the finished run in this folder."),
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

      milieu evaluate --split battery --estimates --method icl

      milieu evaluate -c DE -c Nigeria --method plain --method icl --orders 2

      milieu evaluate --adapter joint=culturespa --adapter random=control --ability

      milieu evaluate --gate baseline/figures.json
    """
    _check_estimates(options)
    if options.service is not None:
        _check_service(options.service, options)
    sys.exit(run.measure_answers(options, rescore=rescore, gate=gate))


def _check_estimates(options: EvaluateOptions) -> None:
    """Refuse options that say different things of what is unknown."""
    split = options.split
    if split is not None and options.test_share is not None:
        raise OptionInvalid("--split", split, "not together with --test-share")
    if split not in (None, SplitName.HELD_OUT) and options.held_out_only:
        raise OptionInvalid("--split", f"{split} with --held-out", "one of the two")
    for option, n in (
        ("--known-cultures", options.n_known_cultures),
        ("--known-answers", options.n_known_answers),
    ):
        if n is not None and not options.estimates:
            raise OptionInvalid(option, f"{n} without --estimates", "both, or neither")


def _check_service(url: str, options: EvaluateOptions) -> None:
    """Refuse what a service does not do: it makes its prompts and reads its answers itself."""
    if not url.startswith(("http://", "https://")):
        raise OptionInvalid("--service", url, "http://host:port")
    if options.recorded:
        raise OptionInvalid("--service", url, "not together with --recorded")
    for option, is_given in (
        ("--controls", options.controls),
        ("--ability", options.ability),
        ("--split", options.split is not None),
    ):
        if is_given:
            raise OptionInvalid(option, "with --service", "a model behind vLLM")
    read_by = options.decoding.read_by
    if read_by is not ReadBy.LOGPROBS:
        raise OptionInvalid("--read-by", f"{read_by} with --service", "a model behind vLLM")
