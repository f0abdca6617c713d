"""What `milieu calibrate` shows: a live bar, what each part reaches, and what was fitted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from app.answering.calibrated import CalibratedRecipe, ModelCalibration
from cli.console import out
from cli.progress import PacedBar
from estimation.calibration import Calibration
from reports.document import Table
from reports.numbers import decimal, quantity
from reports.terminal import print_line, print_table

COLUMNS = ("1 - JS distance", "raw", "calibrated", "related alone", "pooled")


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
    for fitted in calibration.recipes:
        asked = f"{quantity(fitted.n_questions, 'question')}, {fitted.n_answers} answers"
        out.print(f"{name_recipe(fitted)}: {asked}", highlight=False)
        for line in _describe(fitted):
            print_line(out, line, indent=1)
    print_line(out, f"Calibration {calibration.id} is in {file}")
    out.print("A service that is started now uses it.")


def name_recipe(fitted: CalibratedRecipe) -> str:
    """Return the method, with the style where it shows exemplars."""
    recipe = fitted.recipe
    return f"{recipe.method}, {recipe.style}" if recipe.method.shows_exemplars else recipe.method


def _compose_reached(recipes: Sequence[CalibratedRecipe]) -> Table:
    rows = tuple(
        (
            name_recipe(fitted),
            *(
                decimal(value)
                for value in (
                    fitted.reached.raw,
                    fitted.reached.calibrated,
                    fitted.reached.related,
                    fitted.reached.pooled,
                )
            ),
        )
        for fitted in recipes
    )
    return Table.of_rows("On questions that nothing was fitted on", COLUMNS, rows)


def _describe(fitted: CalibratedRecipe) -> tuple[str, ...]:
    return (
        f"temperature {_show_temperature(fitted.model)}",
        f"largest position bias {_show_bias(fitted.model)}",
        _show_pool(fitted.pool),
    )


def _show_temperature(fitted: Calibration) -> str:
    if not fitted.model:
        return "without end: the model's shares say nothing"
    return decimal(1.0 / fitted.model, 2)


def _show_bias(fitted: Calibration) -> str:
    """Return where the model is put right most, as the sure thing that it takes a place to be."""
    biases = [
        (-offset, place, n_options)
        for n_options, offsets in fitted.offsets.items()
        for place, offset in enumerate(offsets.tolist(), start=1)
    ]
    if not biases:
        return "none"
    bias, place, n_options = max(biases, key=lambda each: abs(each[0]))
    return f"{decimal(bias, 2, is_signed=True)} nat at place {place} of {n_options}"


def _show_pool(fitted: Calibration) -> str:
    total = fitted.model + fitted.table
    if not total:
        return "pool: neither tells anything"
    if not fitted.table:
        return "pool: the calibrated model alone"
    if not fitted.model:
        return "pool: the estimate from like questions alone"
    return f"pool: model weight {decimal(fitted.model / total, 2)}, sharpness {decimal(total, 2)}"
