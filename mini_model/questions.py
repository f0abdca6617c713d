"""What the mini model is trained on: questions, their vectors, and the peoples who answered."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mini_model.populations import QuestionPool, SurveyPopulation
from retrieval.encoder import Encoder
from survey_data.cultures import CultureCatalogue
from survey_data.errors import CultureUnknown
from survey_data.model import Pack, Question, ResponseDistribution, Scale
from survey_data.split import Split

_NO_OPINION = (
    "don't know", "refuse", "no answer", "not sure", "prefer not", "unsure", "not applicable",
    "no opinion",
)  # fmt: skip
# What the choice of a recipe looks at: not trained on either, but no part of the held-out split.
VALIDATION_CULTURES = ("BRA", "CHN", "ZWE")
_NUMBERING = re.compile(r"^\(?\d+\)?\s*[.:)=-]+\s*")
# Of GlobalOpinionQA: the answered share of a cell, and the questions of a country, at least.
MIN_ANSWERED, MIN_QUESTIONS = 0.3, 25


def make_validation_split(keys: Sequence[str], held_out: Split) -> Split:
    """Return every fifth of `keys` that is not held out, from the third, and three cultures."""
    trained = [key for key in keys if key not in held_out.questions]
    return Split(frozenset(VALIDATION_CULTURES), frozenset(trained[2::5]))


def read_generated(path: Path, *, seed: int) -> tuple[Question, ...]:
    """Return the distinct closed questions of CultureSPA's generated file as nominal or ordinal.

    "Don't know" and refusals are not options; the file does not say which scales are ordered, so
    one question in five is taken as nominal.
    """
    rng = np.random.default_rng(seed)
    questions: dict[str, Question] = {}
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for number, line in enumerate(file):
            item = json.loads(line)
            options = _clean_options(item["option_lst"])
            text = " ".join(str(item["question"]).split())
            if not 2 <= len(options) <= 11 or "" in options or len(text) > 300:
                continue
            scale = _draw_scale(rng, options)
            question = Question(f"generated:{number}", item["class"], text, options, scale)
            questions.setdefault(text.casefold(), question)
    return tuple(questions.values())


def _clean_options(raw: Sequence[object]) -> tuple[str, ...]:
    """Return the distinct options without numbering, and without "don't know" and the like."""
    texts = (_NUMBERING.sub("", str(option).strip()) or str(option).strip() for option in raw)
    kept = (text for text in texts if not text.casefold().startswith(_NO_OPINION))
    return tuple(dict.fromkeys(kept))


def _draw_scale(rng: np.random.Generator, options: Sequence[str]) -> Scale:
    ordered = len(options) > 2 and rng.random() < 0.8
    return Scale.ORDINAL if ordered else Scale.NOMINAL


def make_pool(questions: Sequence[Question], encoder: Encoder, *, cache: Path) -> QuestionPool:
    """Return `questions` with their vectors, encoded once and kept in the folder `cache`."""
    options = sorted({option for question in questions for option in question.options})
    texts = [question.text for question in questions]
    vectors = _encode([*texts, *options], encoder, cache=cache)
    by_option = dict(zip(options, vectors[len(texts) :], strict=True))
    return QuestionPool(
        tuple(questions),
        vectors[: len(texts)],
        tuple(np.stack([by_option[option] for option in q.options]) for q in questions),
    )


def make_survey_populations(
    packs: Iterable[Pack], pool: QuestionPool, *, cultures: Callable[[str], bool]
) -> tuple[SurveyPopulation, ...]:
    """Return the populations of `packs` whose culture is accepted, over the questions of `pool`."""
    index = {question.key: i for i, question in enumerate(pool.questions)}
    cells: dict[tuple[str, str], dict[int, ResponseDistribution]] = {}
    for pack in packs:
        for cell in pack.distributions:
            if cell.question in index and cultures(cell.culture):
                place = cells.setdefault((pack.manifest.id, cell.culture), {})
                place[index[cell.question]] = cell
    return tuple(SurveyPopulation(culture, of) for (_, culture), of in sorted(cells.items()))


class Survey(NamedTuple):
    """Questions, and the peoples who were asked them."""

    pool: QuestionPool
    populations: tuple[SurveyPopulation, ...]


def read_opinions(
    path: Path, *, held_out: Split, catalogue: CultureCatalogue, seed: int
) -> tuple[tuple[Question, ...], dict[str, dict[str, ResponseDistribution]]]:
    """Return GlobalOpinionQA's Pew questions, and by country the shares of each question's key.

    Left out are held-out questions and cultures, its WVS items (the `wvs7` pack has them), and
    options of non-response. A country that the catalogue does not know by that name stays
    nameless: its key is the name, and no prompt says it.
    """
    rng = np.random.default_rng(seed)
    questions: list[Question] = []
    cells: dict[str, dict[str, ResponseDistribution]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        item = json.loads(line)
        key = f"globalopinionqa:{item['id']}"
        kept = [i for i in range(len(item["options"])) if i not in item["nonresponse"]]
        options = tuple(str(item["options"][i]).strip() for i in kept)
        fits = 2 <= len(set(options)) == len(options) <= 11 and len(item["question"]) <= 400
        if not item["survey"].startswith("Pew") or key in held_out.questions or not fits:
            continue
        scale = _draw_scale(rng, options)
        questions.append(Question(key, "opinion", item["question"], options, scale))
        for name, shares in item["shares"].items():
            counted = [shares[i] for i in kept]
            country = _find_country(name, catalogue)
            if sum(counted) < MIN_ANSWERED or country in held_out.cultures:
                continue
            values = tuple(share / sum(counted) for share in counted)
            cell = ResponseDistribution(key, country, values)
            cells.setdefault(name, {})[key] = cell
    return tuple(questions), cells


def make_opinion_populations(
    cells: Mapping[str, Mapping[str, ResponseDistribution]], pool: QuestionPool
) -> tuple[SurveyPopulation, ...]:
    """Return the countries that answered at least `MIN_QUESTIONS` questions of `pool`."""
    index = {question.key: i for i, question in enumerate(pool.questions)}
    found = []
    for _, of in sorted(cells.items()):
        if len(of) >= MIN_QUESTIONS:
            country = next(iter(of.values())).culture
            found.append(SurveyPopulation(country, {index[key]: cell for key, cell in of.items()}))
    return tuple(found)


def _find_country(name: str, catalogue: CultureCatalogue) -> str:
    try:
        return catalogue.resolve(name.partition(" (")[0]).code
    except CultureUnknown:
        return ""


def _encode(texts: Sequence[str], encoder: Encoder, *, cache: Path) -> npt.NDArray[np.float32]:
    key = hashlib.sha256("\n".join([encoder.model_id, *texts]).encode()).hexdigest()[:16]
    path = cache / f"vectors-{key}.npy"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        np.save(path, encoder.encode(texts), allow_pickle=False)
    return np.asarray(np.load(path, allow_pickle=False), dtype=np.float32)
