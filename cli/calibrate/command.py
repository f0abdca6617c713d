"""`milieu calibrate`: how far the served model's answers can be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.calibrate.options import CalibrateOptions
from cli.lazy import LazyModule
from cli.signatures import take_options

if TYPE_CHECKING:
    from cli.calibrate import run
else:
    run = LazyModule("cli.calibrate.run")


@take_options()
def calibrate(options: CalibrateOptions) -> None:
    """Learn how far the served model's answers can be trusted.

    Asks the model of the settings survey questions whose answers are known, learns its temperature,
    its liking for places and its weight beside estimates from like questions, and keeps them for
    the service. Run the same command again to resume an interrupted run.

    Examples:
      milieu calibrate

      milieu calibrate --method icl --method persona+icl --questions 100
    """
    run.calibrate_model(options)
