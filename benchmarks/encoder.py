"""Encoders side by side: what loading and encoding cost, and whether they find the same questions.

    python -m benchmarks.encoder --wordings ../shared/data/culturespa/wvs_questions.json

The packaged weights are run by sentence-transformers and by ONNX Runtime in float32 and int8, each
in a process of its own, one after the other. The official wordings (`{Q_id, question}` per item)
are no part of Milieu; without them the rows on recognised wordings are empty.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from retrieval.encoder import Encoder, Vectors
from retrieval.likeness import SAME_QUESTION
from survey_data.cultures import read_catalogue
from survey_data.library import open_library
from survey_data.model import Question

ENCODERS = ORIGINAL, FLOAT32, INT8 = "sentence-transformers", "onnx float32", "onnx int8"
BATCHES = (1, 16, 64)
N_EXEMPLARS = 5
# Requests that are no question of values: their similarity must stay under the floor.
OTHER_REQUESTS = (
    "Write a function to sort a list",
    "What is the capital of France?",
    "Translate this sentence into Spanish",
    "How do I boil an egg?",
    "Fix the bug in my SQL query",
    "What is 17 times 23?",
)


class Cost(NamedTuple):
    """CPU seconds to import and load, modules, MiB resident, and CPU ms per batch of BATCHES."""

    load_s: float
    n_modules: int
    resident_mib: int
    batch_ms: tuple[float, ...]

    def cells(self) -> list[str]:
        """Return the figures as the table shows them."""
        milliseconds = [f"{each:.1f}" for each in self.batch_ms]
        return [f"{self.load_s:.2f}", str(self.n_modules), str(self.resident_mib), *milliseconds]


def main() -> None:
    """Measure all encoders and print the table, or one of them for the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wordings", type=Path, help="wvs_questions.json of CultureSPA")
    parser.add_argument("--rounds", type=int, default=12, help="batches of each size")
    parser.add_argument("--only", choices=ENCODERS, help=argparse.SUPPRESS)
    parser.add_argument("--texts", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.only:
        measure(args.only, args.texts, n_rounds=args.rounds)
    else:
        compare(args.wordings, n_rounds=args.rounds)


def compare(wordings: Path | None, *, n_rounds: int) -> None:
    """Measure each encoder in its own process and print what differs from the original."""
    library = open_library(
        [Path(__file__).parents[1] / "survey_data" / "packs"], catalogue=read_catalogue()
    )
    questions = list(library.questions.values())
    reworded = official_wordings(wordings, questions) if wordings else {}
    texts = [*(each.text for each in questions), *OTHER_REQUESTS, *reworded.values()]
    rows = [list(library.questions).index(key) for key in reworded]
    columns: list[list[str]] = []
    original: Vectors | None = None
    for name in ENCODERS:
        cost, vectors = _measure_apart(name, texts, n_rounds=n_rounds)
        original = vectors if original is None else original
        differences = _differences(vectors, original, n_questions=len(questions), rows=rows)
        columns.append([*cost.cells(), *differences])
    table = Table("", *ENCODERS)
    for label, *cells in zip(_LABELS, *columns, strict=True):
        table.add_row(label, *cells)
    Console(width=100).print(table)


_LABELS = (
    "import and load, CPU s",
    "modules",
    "memory, MiB",
    *(f"batch of {n}, CPU ms" for n in BATCHES),
    "cosine with the original, smallest",
    "cosine with the original, mean",
    "pairs of questions that are alike",
    "  decided otherwise than by the original",
    "official wordings recognised",
    "  taken for another question",
    "  decided otherwise than by the original",
    "other requests, highest similarity",
    f"same nearest {N_EXEMPLARS}, mean share",
)


def _measure_apart(name: str, texts: list[str], *, n_rounds: int) -> tuple[Cost, Vectors]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "texts.json"
        file.write_text(json.dumps(texts))
        command = [sys.executable, "-m", "benchmarks.encoder", "--only", name, "--texts", str(file)]
        command += ["--rounds", str(n_rounds)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        load_s, n_modules, resident_mib, batch_ms = json.loads(done.stdout.splitlines()[-1])
        vectors: Vectors = np.load(file.with_suffix(".npy"))
    return Cost(load_s, n_modules, resident_mib, tuple(batch_ms)), vectors


def _differences(
    vectors: Vectors, original: Vectors, *, n_questions: int, rows: Sequence[int]
) -> list[str]:
    """Return the cells that say how `vectors` decide, and what the original decides otherwise."""
    asked, before = vectors[:n_questions], original[:n_questions]
    cosines = np.sum(asked * before, axis=1)
    pairs = np.triu_indices(n_questions, 1)
    alike = (asked @ asked.T)[pairs] >= SAME_QUESTION
    alike_before = (before @ before.T)[pairs] >= SAME_QUESTION
    others = slice(n_questions, n_questions + len(OTHER_REQUESTS))
    found = [
        f"{cosines.min():.4f}",
        f"{cosines.mean():.4f}",
        str(alike.sum()),
        str((alike != alike_before).sum()),
    ]
    if rows:
        taken = _taken_for(vectors[others.stop :] @ asked.T)
        taken_before = _taken_for(original[others.stop :] @ before.T)
        right = int((taken == rows).sum())
        wrong = int((taken >= 0).sum()) - right
        otherwise = int((taken != taken_before).sum())
        found += [f"{right} of {len(rows)}", str(wrong), str(otherwise)]
    else:
        found += ["", "", ""]
    return [
        *found,
        f"{(vectors[others] @ asked.T).max():.3f}",
        f"{_mean_overlap(asked, before):.3f}",
    ]


def _taken_for(similarities: Vectors) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return for each wording the question it is taken to be, -1 where it is taken for none."""
    nearest = similarities.argmax(axis=1)
    taken: np.ndarray[tuple[int], np.dtype[np.int64]] = np.where(
        similarities.max(axis=1) >= SAME_QUESTION, nearest, -1
    )
    return taken


def _mean_overlap(asked: Vectors, before: Vectors) -> float:
    """Return the mean share, in [0, 1], of a question's nearest others that are the original's."""
    nearest, nearest_before = (
        np.argsort(-(v @ v.T) + 9 * np.eye(len(v)), axis=1)[:, :N_EXEMPLARS]
        for v in (asked, before)
    )
    shared = (
        len(set(a) & set(b)) / N_EXEMPLARS for a, b in zip(nearest, nearest_before, strict=True)
    )
    return statistics.fmean(shared)


def official_wordings(file: Path, questions: Sequence[Question]) -> dict[str, str]:
    """Return the official wording of each World Values Survey question, by our key."""
    official = {item["Q_id"]: item["question"] for item in json.loads(file.read_bytes())}
    return {
        each.key: official[each.source_item]
        for each in questions
        if each.key.startswith("wvs7:") and each.source_item in official
    }


def measure(name: str, texts_file: Path, *, n_rounds: int) -> None:
    """Load the encoder `name`, encode, write the vectors beside the texts and print the cost."""
    texts: list[str] = json.loads(texts_file.read_text())
    modules, start = len(sys.modules), time.process_time()
    encoder = _open(name)
    load_s = time.process_time() - start
    n_modules, resident_mib = len(sys.modules) - modules, _resident_mib()
    batch_ms = [_batch_ms(encoder, texts, n, n_rounds=n_rounds) for n in BATCHES]
    np.save(texts_file.with_suffix(".npy"), encoder.encode(texts))
    print(json.dumps([load_s, n_modules, resident_mib, batch_ms]))


def _open(name: str) -> Encoder:
    # Imported here, since it is the imports that are measured.
    if name != ORIGINAL:
        from retrieval.encoders.bert_graph import Precision
        from retrieval.encoders.opening import open_encoder

        return open_encoder(precision=Precision.INT8 if name == INT8 else Precision.FLOAT32)
    from retrieval.encoders.bert_folder import default_folder
    from retrieval.encoders.sentence_transformers_encoder import SentenceTransformerEncoder

    return SentenceTransformerEncoder(str(default_folder()))


def _batch_ms(encoder: Encoder, texts: Sequence[str], n: int, *, n_rounds: int) -> float:
    taken = []
    for i in range(n_rounds):
        batch = [texts[(i * n + j) % len(texts)] for j in range(n)]
        start = time.process_time()
        encoder.encode(batch)
        taken.append(1000 * (time.process_time() - start))
    return statistics.median(taken)


def _resident_mib() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 // 2**20


if __name__ == "__main__":
    main()
