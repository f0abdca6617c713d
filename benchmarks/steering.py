"""How well requests that ask for a value are told from those that do not.

    python -m benchmarks.steering [--fit] [--test]

Fits what tells them on train.jsonl and more.jsonl in benchmarks/data/steering, and on the survey
questions with their translations, for each encoder. Prints how well that tells requests in
cross-validation; with --fit it is written to retrieval/value_classifier.json. With --test prints
what the service would do, similarity floor and all, with the requests of test.jsonl, which nothing
was fitted on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from app.settings import Settings
from app.state.retrieval import find_other_languages, load_encoder, open_finder
from files.whole import write_text
from retrieval.encoder import Vectors
from retrieval.evidence import EvidenceFinder, EvidenceQuery
from retrieval.steer import Steer
from retrieval.value_classifier import FILE, ClassifierFile, FittedWeights
from survey_data.cultures import read_catalogue
from survey_data.library import SurveyLibrary, open_library

ROOT = Path(__file__).parents[1]
DATA = ROOT / "benchmarks" / "data" / "steering"
ENGLISH, COMMAND = "en", "python -m benchmarks.steering --fit"
# Of the regression. A survey question is one of few kinds, so it counts less than a request.
INVERSE_PENALTY, SURVEY_WEIGHT, N_FOLDS = 10.0, 0.05, 10
DIGITS = 5
TRAINING = ("train", "more")
CULTURE = "DEU"
out = Console(width=100)


class Request(NamedTuple):
    """A request as it was written, and whether it asks for a value."""

    text: str
    language: str
    is_value: bool
    kind: str


class Training(NamedTuple):
    """Vectors of requests, whether they ask for values, and vectors of survey questions."""

    requests: Vectors
    is_value: NDArray[np.bool_]
    survey: Vectors


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fit", action="store_true", help="write the weights")
    parser.add_argument("--test", action="store_true", help="measure on what was not fitted on")
    args = parser.parse_args()
    library = open_library([ROOT / "survey_data" / "packs"], catalogue=read_catalogue())
    with TemporaryDirectory() as folder:
        settings = Settings(cache_folder=Path(folder))
        fitted = _fit_all(settings, library)
        if args.fit:
            _write(fitted)
        if args.test:
            _print_steered(open_finder(settings, library), read_requests("test"))


def read_requests(name: str) -> list[Request]:
    """Return the requests in the file of that name, without its ending."""
    lines = (DATA / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [Request(row["text"], row["language"], row["steered"], row["kind"]) for row in rows]


def _fit_all(settings: Settings, library: SurveyLibrary) -> list[FittedWeights]:
    """Return what tells English requests by the default encoder, and all by the multilingual."""
    requests = [each for name in TRAINING for each in read_requests(name)]
    questions = [question.text for question in library.questions.values()]
    encoder, others = load_encoder(settings), find_other_languages(settings, library)
    english = [each for each in requests if each.language == ENGLISH]
    training = _encode(encoder.encode, english, questions)
    fitted = [_fit(encoder.model_id, training, english)]
    if others is not None:
        space = others.space
        training = _encode(space.encoder.encode, requests, [*questions, *_translations(library)])
        fitted.append(_fit(space.encoder.model_id, training, requests))
    return fitted


def _translations(library: SurveyLibrary) -> list[str]:
    wordings = (
        library.wording(key, language)
        for key, question in library.questions.items()
        for language in library.languages
        if language != question.language
    )
    return [wording.text for wording in wordings if wording is not None]


def _encode(
    encode: Callable[[Sequence[str]], Vectors], requests: Sequence[Request], survey: Sequence[str]
) -> Training:
    is_value = np.array([each.is_value for each in requests])
    return Training(encode([each.text for each in requests]), is_value, encode(survey))


def _fit(encoder: str, training: Training, requests: Sequence[Request]) -> FittedWeights:
    odds = np.zeros(len(training.is_value))
    folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=0)
    for kept, held_out in folds.split(training.requests, training.is_value):
        model = _regress(training, kept)
        odds[held_out] = model.decision_function(training.requests[held_out])
    is_taken, is_value = odds > 0, training.is_value
    _print_told(f"cross-validated, {encoder}", requests, is_taken)
    model = _regress(training, np.arange(len(is_value)))
    return FittedWeights(
        encoder=encoder,
        n_values=int(is_value.sum()),
        n_others=int((~is_value).sum()),
        values_found=round(float(is_taken[is_value].mean()), DIGITS),
        others_taken=round(float(is_taken[~is_value].mean()), DIGITS),
        intercept=round(float(model.intercept_[0]), DIGITS),
        weights=tuple(round(float(weight), DIGITS) for weight in model.coef_[0]),
    )


def _regress(training: Training, rows: NDArray[np.int64]) -> LogisticRegression:
    vectors = np.concatenate([training.requests[rows], training.survey])
    is_value = np.concatenate([training.is_value[rows], np.ones(len(training.survey), dtype=bool)])
    weights = np.ones(len(vectors))
    weights[len(rows) :] = SURVEY_WEIGHT
    model = LogisticRegression(C=INVERSE_PENALTY, max_iter=5000)
    return model.fit(vectors, is_value, sample_weight=weights)


def _write(fitted: Sequence[FittedWeights]) -> None:
    requests = [DATA / f"{name}.jsonl" for name in TRAINING]
    sources = [*requests, *sorted(ROOT.glob("survey_data/packs/*/questions*.jsonl"))]
    hashes = {
        str(path.relative_to(ROOT)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sources
    }
    made = ClassifierFile(made_by=COMMAND, training_sha256=hashes, fitted=tuple(fitted))
    write_text(ROOT / "retrieval" / FILE, made.model_dump_json() + "\n")


def _print_steered(finder: EvidenceFinder, requests: Sequence[Request]) -> None:
    wanted = (EvidenceQuery(each.text, CULTURE, 1, steer=Steer.AUTO) for each in requests)
    found = [finder.find(each) for each in wanted]
    steered = [not each.below_floor and not each.unused_because for each in found]
    _print_told("steered by the service, test", requests, np.array(steered))


def _print_told(title: str, requests: Sequence[Request], is_taken: NDArray[np.bool_]) -> None:
    """Print by language and by kind how many of which requests are taken to ask for a value."""
    table = Table("", "values", "taken", "others", "taken", "balanced accuracy", title=title)
    groups = [("all", list(range(len(requests))))]
    languages = dict.fromkeys(each.language for each in requests)
    kinds = dict.fromkeys(each.kind for each in requests)
    groups += [
        (group, [row for row, each in enumerate(requests) if group in (each.language, each.kind)])
        for group in (*sorted(languages), *sorted(kinds))
    ]
    for name, rows in groups:
        is_value = np.array([requests[row].is_value for row in rows])
        found, wrong = _share(is_taken[rows][is_value]), _share(is_taken[rows][~is_value])
        cells = (str(is_value.sum()), _show(found), str((~is_value).sum()), _show(wrong))
        table.add_row(name, *cells, _show((found + 1 - wrong) / 2))
    out.print(table)


def _share(taken: NDArray[np.bool_]) -> float:
    return float(taken.mean()) if len(taken) else math.nan


def _show(figure: float) -> str:
    return "" if math.isnan(figure) else f"{figure:.3f}"


if __name__ == "__main__":
    main()
