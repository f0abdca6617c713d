"""What `milieu calibrate` shows: a live bar, what each part reaches, and what was fitted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from app.answering.calibrated import CalibratedPool, CalibratedRecipe, ModelCalibration
from cli.console import out
from cli.progress import PacedBar
from estimation.calibration import MODEL_AS_IS, Calibration
from reports.document import Table
from reports.numbers import MINUS, decimal
from reports.terminal import print_line, print_table

COLUMNS = ("", "questions", "answers", "raw", "calibrated", "related alone", "pooled")


class CalibrationProgress(PacedBar):
    """Shows how many answers there are, their rate and the time left."""

    def __init__(self, console: Console) -> None:
        super().__init__(console, things="answers")

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        if error[0] is not None and self._total:
            self._console.print(
                "The answers so far are kept; run the same command to go on from there."
            )

    def on_planned(self, n_asks: int, *, n_kept: int) -> None:
        """Show that `n_asks` questions are asked; `n_kept` were answered before."""
        kept = f", {n_kept} of them answered before" if n_kept else ""
        self.begin(n_asks - n_kept, f"{n_asks} answers to get{kept}")

    def on_answered(self, n: int) -> None:
        """Show that `n` questions were answered since the command started."""
        self.show(n, n_sent=n, sent="answers")


def print_calibration(calibration: ModelCalibration, file: Path) -> None:
    """Print what each part reaches and what was fitted, per recipe, and where it is kept."""
    print_table(out, _compose_reached(calibration.recipes))
    out.print()
    for fitted in calibration.recipes:
        print_line(out, f"{name_recipe(fitted)}: {_show_model(fitted.model)}")
        for name, pool in (("near", fitted.near), ("far", fitted.far)):
            print_line(out, f"{name}: {_show_pool(pool)}", indent=1)
    print_line(out, f"Calibration {calibration.id} is in {file}")
    out.print("A service that is started now uses it.")


def name_recipe(fitted: CalibratedRecipe) -> str:
    """Return the method, with the style where it shows exemplars."""
    recipe = fitted.recipe
    return f"{recipe.method}, {recipe.style}" if recipe.method.shows_exemplars else recipe.method


def _compose_reached(recipes: Sequence[CalibratedRecipe]) -> Table:
    rows = tuple(
        (f"{name_recipe(fitted)}: {name}", *_show_reached(pool))
        for fitted in recipes
        for name, pool in (("near", fitted.near), ("far", fitted.far))
    )
    title = "1 - JS distance, on questions that nothing was fitted on"
    return Table.of_rows(title, COLUMNS, rows)


def _show_reached(pool: CalibratedPool | None) -> tuple[str, ...]:
    if pool is None:
        return ("",) * (len(COLUMNS) - 1)
    of = pool.reached
    counts = f"{pool.n_questions}", f"{pool.n_answers}"
    return *counts, *map(decimal, (of.raw, of.calibrated, of.related, of.pooled))


def _show_model(fitted: Calibration) -> str:
    if fitted == MODEL_AS_IS:
        return "by itself the model is nearest as it is: temperature 1, no bias"
    if not fitted.model:
        return f"the model's shares say nothing, largest bias {_show_bias(fitted)}"
    return f"temperature {decimal(1.0 / fitted.model, 2)}, largest bias {_show_bias(fitted)}"


def _show_bias(fitted: Calibration) -> str:
    """Return which place the model likes or avoids most, in log-ratios."""
    biases = [
        (-offset, place, n_options)
        for n_options, offsets in fitted.offsets.items()
        for place, offset in enumerate(offsets.tolist(), start=1)
    ]
    if not biases:
        return "none"
    bias, place, n_options = max(biases, key=lambda each: abs(each[0]))
    shown = decimal(bias, 2, is_signed=True).replace(MINUS, "-")
    return f"{shown} at place {place} of {n_options}"


def _show_pool(pool: CalibratedPool | None) -> str:
    if pool is None:
        return "too few questions, so the estimate stands alone"
    fitted = pool.calibration
    total = fitted.model + fitted.table
    if not total:
        return "neither tells anything"
    if not fitted.model:
        return "the estimate from like questions stands alone, the model is not asked"
    if not fitted.table:
        return "the model stands alone"
    return f"pooled, weight of the model {decimal(fitted.model / total, 2)}"
