"""Figures of the Climate Change Opinion Survey 2022, tidied to one JSON file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from survey_data.cultures import CultureCatalogue
from survey_data.model import Question, ResponseDistribution

# What the catalogue doesn't have as the file writes it.
NAMES = {
    "Bolivia (Plurinational State of)": "Bolivia",
    "Congo (Democratic Republic of the)": "Democratic Republic of the Congo",
}
GROUPS = {"Asian & Pacific Islands", "Caribbean", "Sub-Saharan Africa"}


def read_distributions(
    file: Path, questions: Iterable[Question], catalogue: CultureCatalogue
) -> Iterator[ResponseDistribution]:
    """Yield the distribution of each of `questions` in each country that was asked it.

    The last option of the source is "refused", counted as non-response; where all are, the country
    was not asked.
    """
    items = {item["id"]: item for item in json.loads(file.read_bytes())}
    for question in questions:
        item = items[question.source_item]
        assert item["options"][-1] == "Refused"
        assert len(item["options"]) == len(question.options) + 1
        codes = {
            catalogue.resolve(NAMES.get(name, name)).code: name
            for name in item["shares"]
            if name not in GROUPS
        }
        for code, name in sorted(codes.items()):
            shares = [share or 0.0 for share in item["shares"][name]]
            given = sum(shares[:-1])
            if given:
                yield ResponseDistribution(
                    question=question.key,
                    culture=code,
                    shares=tuple(share / given for share in shares[:-1]),
                    n_respondents=item["n"][name],
                    non_response=shares[-1] / sum(shares),
                )
