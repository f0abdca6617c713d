"""How well an asked question is told from one that only sounds like it.

    python -m benchmarks.recognition --fit

Asks the recogniser paraphrases of survey questions and near but different questions, both written
by hand (benchmarks/data/paraphrases.jsonl), and every survey question without itself. Prints recall
and false recognitions by threshold; with --fit also the weights of a logistic regression, and its
figures where each tenth is left out.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from retrieval.encoders.bert_folder import default_vocabulary
from retrieval.encoders.opening import open_encoder
from retrieval.recognition import CERTAIN, Features, QuestionRecogniser, find_cores, weigh
from survey_data.cultures import read_catalogue
from survey_data.library import open_library
from survey_data.model import Question

ROOT = Path(__file__).parents[1]
PARAPHRASES = ROOT / "benchmarks" / "data" / "paraphrases.jsonl"
THRESHOLDS = (0.0, 0.8, 1.2, CERTAIN, 2.0)
# Survey questions that ask one thing in two wordings: neither is wrong for the other.
SAME = (
    {"wvs7:Q48", "undp-ai-2025:Q14_Current_freedom_of_choice"},
    {"wvs7:Q57", "undp-ai-2025:Q17_Social_trust"},
    {"wvs7:Q215", "wvs7:Q219"},
    {"undp-ai-2025:Q18_Trust_in_AI_Systems", "undp-ai-2025:Q19_Confidence_in_AI_Systems"},
)
out = Console()


class Asked(NamedTuple):
    """What the recogniser saw in a question, and whether the nearest is the one that was asked."""

    features: Features
    is_right: bool


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fit", action="store_true", help="fit the weights anew and print them")
    args = parser.parse_args()
    library = open_library([ROOT / "survey_data" / "packs"], catalogue=read_catalogue())
    encoder = open_encoder()
    questions = tuple(library.questions.values())
    cores = find_cores(questions)
    recogniser = QuestionRecogniser(
        questions,
        encoder.encode([question.text for question in questions]),
        encoder=encoder,
        core_vectors=dict(zip(cores, encoder.encode(cores), strict=True)),
        vocabulary=default_vocabulary(),
    )
    paraphrased = _ask_paraphrases(recogniser, questions)
    without = _ask_without_themselves(recogniser, questions)
    _print(paraphrased, without)
    if args.fit:
        _fit([*(asked for asked, _ in paraphrased), *without])


def _ask_paraphrases(
    recogniser: QuestionRecogniser, questions: Sequence[Question]
) -> list[tuple[Asked, bool]]:
    """Return what was seen in each, and whether it asks a survey question at all."""
    asked = []
    for line in PARAPHRASES.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        described = recogniser.describe(row["question"])
        nearest = questions[described.order[0]].key
        is_right = row["key"] == nearest
        asked.append((Asked(described.features, is_right), row["key"] is not None))
    return asked


def _ask_without_themselves(
    recogniser: QuestionRecogniser, questions: Sequence[Question]
) -> list[Asked]:
    asked = []
    for row, question in enumerate(questions):
        described = recogniser.describe(question.text, without=[row])
        pair = {question.key, questions[described.order[0]].key}
        if pair not in SAME:
            asked.append(Asked(described.features, is_right=False))
    return asked


def _print(paraphrased: Sequence[tuple[Asked, bool]], without: Sequence[Asked]) -> None:
    n_asked = sum(is_question for _, is_question in paraphrased)
    others = [asked for asked, is_question in paraphrased if not is_question]
    table = Table(
        "Threshold", "Recall", "Precision", "False of paraphrases", "of others", "of the rest",
        title=f"{n_asked} paraphrases, {len(others)} other questions, {len(without)} left out",
    )  # fmt: skip
    for threshold in THRESHOLDS:
        over = [(a, q) for a, q in paraphrased if weigh(a.features) >= threshold]
        right = sum(asked.is_right for asked, _ in over)
        counts = (
            sum(is_question and not asked.is_right for asked, is_question in over),
            sum(not is_question for _, is_question in over),
            sum(weigh(asked.features) >= threshold for asked in without),
        )
        precision = right / max(1, right + sum(counts))
        row = (f"{threshold:g}", f"{right / n_asked:.3f}", f"{precision:.3f}", *map(str, counts))
        table.add_row(*row)
    out.print(table)


def _fit(asked: Sequence[Asked]) -> None:
    """Fit the weights, and print recall by number of false ones where each tenth is left out."""
    features = np.array([each.features for each in asked])
    is_right = np.array([each.is_right for each in asked])
    model = LogisticRegression(C=3.0, max_iter=10_000)
    scaled = StandardScaler().fit(features)
    odds = cross_val_predict(
        make_pipeline(StandardScaler(), model),
        features,
        is_right,
        cv=10,
        method="decision_function",
    )
    wrong = np.cumsum(~is_right[np.argsort(-odds)])
    found = [int(is_right[np.argsort(-odds)][wrong <= n].sum()) for n in range(5)]
    model.fit(scaled.transform(features), is_right)
    weights = model.coef_[0] / scaled.scale_
    intercept = float(model.intercept_[0] - weights @ scaled.mean_)
    table = Table("Similarity", "Lead", "Found", "Intercept", "Right, with 0 to 4 false")
    table.add_row(*(f"{w:.2f}" for w in weights), f"{intercept:.2f}", f"{found}")
    out.print(table)


if __name__ == "__main__":
    main()
