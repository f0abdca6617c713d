"""Derives the shares of the shipped World Values Survey pack from CultureSPA's release again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from survey_data.errors import PackInvalid
from survey_data.importers.culturespa import N_RESPONDENTS, OFF_SCALE, option_codes
from survey_data.model import Question, ResponseDistribution


def read_distributions(
    folder: Path, questions: Iterable[Question]
) -> Iterator[ResponseDistribution]:
    """Yield the distribution of each of `questions` in each country that was asked it.

    A question names its item in `source_item`. Shares are normalised over its options; the rest
    of the respondents is its non-response.

    Raises:
        PackInvalid: the file is missing, an item is not in it, or it has a code that the
            question has no option for.
    """
    path = folder / "proportions_group_by_country.json"
    try:
        countries: dict[str, dict[str, dict[str, float]]] = json.loads(path.read_bytes())
    except (FileNotFoundError, json.JSONDecodeError) as exc:
        raise PackInvalid(f"cannot be read: {exc}", file=path) from exc
    for question in questions:
        item = question.source_item
        for country, items in sorted(countries.items()):
            if item not in items:
                raise PackInvalid(f"{country} has no item '{item}'", file=path, column=item)
            if items[item]:
                yield _distribution(question, country, items[item], path=path)


def _distribution(
    question: Question, country: str, cell: dict[str, float], *, path: Path
) -> ResponseDistribution:
    codes = option_codes(question)
    unknown = {int(code) for code in cell} - {*codes, OFF_SCALE.get(question.source_item, -1)}
    if unknown:
        raise PackInvalid(
            f"{country} answered with codes {sorted(unknown)}, but the question's are {codes}",
            file=path,
            column=question.source_item,
        )
    counted = [cell.get(str(code), 0.0) for code in codes]
    answered = sum(counted)
    if answered <= 0.0:
        raise PackInvalid(f"nobody in {country} answered", file=path, column=question.source_item)
    return ResponseDistribution(
        question=question.key,
        culture=country,
        shares=tuple(share / answered for share in counted),
        n_respondents=N_RESPONDENTS[country],
        non_response=max(0.0, 1.0 - answered),
    )
