"""Figures of the UNDP 2025 Global Survey on AI and Human Development, tidied to one JSON file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from survey_data.errors import PackInvalid
from survey_data.model import Question, ResponseDistribution


def read_distributions(file: Path, questions: Iterable[Question]) -> Iterator[ResponseDistribution]:
    """Yield the distribution of each of `questions` in each of the 21 countries.

    A question names its item in `source_item` and its options come first in the source's order;
    a last option of the source that the question does not have is "don't know", counted as
    non-response.

    Raises:
        PackInvalid: the file is missing or has no such item.
    """
    try:
        items = {item["id"]: item for item in json.loads(file.read_bytes())["questions"]}
    except (FileNotFoundError, json.JSONDecodeError, KeyError) as exc:
        raise PackInvalid(f"cannot be read: {exc}", file=file) from exc
    for question in questions:
        if question.source_item not in items:
            raise PackInvalid(f"no item '{question.source_item}'", file=file)
        has_dont_know = len(items[question.source_item]["options"]) > len(question.options)
        for country, shares in sorted(items[question.source_item]["distributions"].items()):
            counted = shares[: len(question.options)]
            yield ResponseDistribution(
                question=question.key,
                culture=country,
                shares=tuple(share / sum(counted) for share in counted),
                non_response=1.0 - sum(counted) / sum(shares) if has_dont_know else None,
            )
