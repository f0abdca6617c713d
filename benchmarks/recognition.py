"""How well an asked question is told from one that only sounds like it.

    python -m benchmarks.recognition --fit

Asks the recogniser paraphrases of survey questions and near but different questions, both written
by hand (benchmarks/data/paraphrases.jsonl), and every survey question without itself. A third of
the survey questions, with all that is near to them, is held out: the weights are never fitted on
it. Prints recall and false recognitions by threshold on either part; with --fit the weights of a
logistic regression as well, and the figures where each tenth of the questions is left out of it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from retrieval.encoders.bert_folder import default_vocabulary
from retrieval.encoders.opening import open_encoder
from retrieval.recognition import Compared, QuestionRecogniser, find_cores
from retrieval.recognition_features import CERTAIN, INTERCEPT, WEIGHTS
from survey_data.cultures import read_catalogue
from survey_data.library import open_library
from survey_data.model import Question

ROOT = Path(__file__).parents[1]
PARAPHRASES = ROOT / "benchmarks" / "data" / "paraphrases.jsonl"
THRESHOLDS = (0.0, 1.0, CERTAIN, 2.0, 3.0)
STYLES = ("first", "light", "heavy")
N_FOLDS, N_PARTS = 10, 30
STRENGTH = 0.3
# Survey questions that ask one thing in two wordings: neither is wrong for the other.
SAME = (
    {"wvs7:Q48", "undp-ai-2025:Q14_Current_freedom_of_choice"},
    {"wvs7:Q57", "undp-ai-2025:Q17_Social_trust"},
    {"wvs7:Q215", "wvs7:Q219"},
    {"undp-ai-2025:Q18_Trust_in_AI_Systems", "undp-ai-2025:Q19_Confidence_in_AI_Systems"},
)
Floats = NDArray[np.float64]
out = Console()


class Asked(NamedTuple):
    """A question and what it was compared with.

    Attributes:
        style: of a paraphrase one of STYLES; `other` is another question, `left out` one of the
            survey's that the recogniser is without.
        part: of N_PARTS, by the survey question that it is or is near to; the first third of the
            parts is held out.
        values: of the features, float64[compared, features], without those that are another.
        is_right: of each of these, whether it is the one asked.
    """

    style: str
    part: int
    values: Floats
    is_right: tuple[bool, ...]

    @property
    def is_held_out(self) -> bool:
        """Whether the weights may not be fitted on it."""
        return self.part < N_PARTS // 3


class Outcome(NamedTuple):
    """The log-odds of the likeliest question, and whether it is the one asked."""

    odds: float
    is_right: bool


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fit", action="store_true", help="fit the weights anew and print them")
    args = parser.parse_args()
    library = open_library([ROOT / "survey_data" / "packs"], catalogue=read_catalogue())
    questions = tuple(library.questions.values())
    asked = list(_ask(_make_recogniser(questions), questions))
    fitted_on = [each for each in asked if not each.is_held_out]
    for title, some in (
        ("fitted on", fitted_on),
        ("held out", [each for each in asked if each.is_held_out]),
    ):
        weights = np.array([*WEIGHTS, INTERCEPT])
        _print(title, some, [_choose(each, weights) for each in some])
    if args.fit:
        _print("each tenth left out", fitted_on, _cross_fit(fitted_on))
        *weights_, intercept = _fit(fitted_on)
        out.print(", ".join(f"{w:.3f}" for w in weights_), f"{intercept:.3f}", soft_wrap=True)


def _make_recogniser(questions: Sequence[Question]) -> QuestionRecogniser:
    encoder, cores = open_encoder(), find_cores(questions)
    return QuestionRecogniser(
        questions,
        encoder.encode([question.text for question in questions]),
        encoder=encoder,
        core_vectors=dict(zip(cores, encoder.encode(cores), strict=True)),
        vocabulary=default_vocabulary(),
    )


def _ask(recogniser: QuestionRecogniser, questions: Sequence[Question]) -> Iterator[Asked]:
    """Yield what was seen in each paraphrase, other question and question left out."""
    for line in PARAPHRASES.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        compared = recogniser.compare(row["question"])
        near = row["key"] or row.get("near")
        yield _describe(compared, questions, row["key"], style=row["style"], near=near)
    for number, question in enumerate(questions):
        like = [n for n, other in enumerate(questions) if {question.key, other.key} in SAME]
        compared = recogniser.compare(question.text, without=[number, *like])
        yield _describe(compared, questions, None, style="left out", near=question.key)


def _describe(
    compared: Sequence[Compared],
    questions: Sequence[Question],
    key: str | None,
    *,
    style: str,
    near: str | None,
) -> Asked:
    compared = [each for each in compared if not each.features.is_another]
    found = [questions[each.row].key for each in compared]
    is_right = tuple(key is not None and (one == key or {one, key} in SAME) for one in found)
    values = np.array([each.features.flatten() for each in compared])
    return Asked(style, _find_part(near or ""), values, is_right)


def _find_part(key: str) -> int:
    if not key:
        return N_PARTS - 1
    return int(hashlib.sha256(key.encode()).hexdigest(), 16) % N_PARTS


def _choose(asked: Asked, weights: Floats) -> Outcome:
    if not len(asked.values):
        return Outcome(-np.inf, False)
    odds = asked.values @ weights[:-1] + weights[-1]
    best = int(odds.argmax())
    return Outcome(float(odds[best]), asked.is_right[best])


def _print(title: str, asked: Sequence[Asked], outcomes: Sequence[Outcome]) -> None:
    counts = {style: sum(each.style == style for each in asked) for style in STYLES}
    n_others = sum(each.style == "other" for each in asked)
    n_asked = sum(counts.values())
    left = len(asked) - n_asked - n_others
    table = Table(
        *("Threshold", "Recall", *(f"of {style}" for style in STYLES), "Precision"),
        *("False of paraphrases", "of others", "of left out"),
        title=f"{title}: {n_asked} paraphrases, {n_others} others, {left} left out",
    )
    for threshold in THRESHOLDS:
        over = [(a.style, o.is_right) for a, o in zip(asked, outcomes, strict=True)
                if o.odds >= threshold]  # fmt: skip
        right = {style: sum(s == style and ok for s, ok in over) for style in STYLES}
        false = [
            sum(style in STYLES and not ok for style, ok in over),
            *(sum(style == name for style, _ in over) for name in ("other", "left out")),
        ]
        n_right = sum(right.values())
        # Most of the different questions are written to be taken for the survey's.
        precision = n_right / max(1, n_right + sum(false))
        shares = (f"{right[style] / max(1, counts[style]):.3f}" for style in STYLES)
        recall = f"{n_right / n_asked:.3f}"
        table.add_row(f"{threshold:g}", recall, *shares, f"{precision:.3f}", *map(str, false))
    out.print(table)


def _fit(asked: Sequence[Asked]) -> Floats:
    """Return the weights of a logistic regression, and its intercept last."""
    values = np.concatenate([each.values for each in asked if len(each.values)])
    is_right = np.array([right for each in asked for right in each.is_right])
    scaled = StandardScaler().fit(values)
    model = LogisticRegression(C=STRENGTH, max_iter=10_000)
    model.fit(scaled.transform(values), is_right)
    weights = model.coef_[0] / scaled.scale_
    return np.append(weights, model.intercept_[0] - weights @ scaled.mean_)


def _cross_fit(asked: Sequence[Asked]) -> list[Outcome]:
    """Return what is chosen where the questions of each tenth are not fitted on."""
    weights: Mapping[int, Floats] = {
        fold: _fit([each for each in asked if each.part % N_FOLDS != fold])
        for fold in range(N_FOLDS)
    }
    return [_choose(each, weights[each.part % N_FOLDS]) for each in asked]


if __name__ == "__main__":
    main()
