"""What `milieu evaluate` does: ask or score, print, and hold the figures to a baseline."""

from __future__ import annotations

import asyncio
from pathlib import Path

from cli.console import notes
from cli.evaluate.options import EvaluateOptions
from cli.evaluate.output import LiveProgress, print_falls, print_figures
from cli.evaluate.run import rescore_folder, run_evaluation
from cli.evaluate.scoring import read_figures
from cli.settings import read_quiet_settings
from evaluation.gate import find_falls

FELL = 1


def evaluate(options: EvaluateOptions, *, rescore: Path | None, gate: Path | None) -> int:
    """Evaluate, or score the finished run in `rescore` anew, and return the exit status.

    It is 1 where a culture fell below the figures in `gate`.

    Raises:
        OptionInvalid: an option names something that is not there.
        EvaluationError, SurveyDataError, RetrievalError, AppError: a part is unavailable.
    """
    settings = read_quiet_settings()
    # First, so that a fault in it costs no run.
    baseline = None if gate is None else read_figures(gate)
    if rescore is not None:
        found = rescore_folder(settings, rescore)
    else:
        with LiveProgress(notes) as progress:
            running = run_evaluation(settings, options, progress=progress, baseline=baseline)
            found = asyncio.run(running)
    print_figures(found.figures, found.folder)
    if baseline is None:
        return 0
    fallen = find_falls(found.figures, baseline)
    print_falls(fallen)
    return FELL if fallen else 0
