"""Figures of the World Values Survey wave 7 as CultureSPA released them.

Source: `proportions_group_by_country.json` of CultureSPA (arXiv 2410.12971): per country and item
the unweighted share of every answer code among all respondents. What it needs repaired: an empty
cell was not asked, codes below zero are in the denominator but not listed, some items count
their codes from zero, and some codes are no point of the scale.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from survey_data.errors import PackInvalid
from survey_data.model import Question, ResponseDistribution

# Respondents per country: share x N is an integer in every cell of the released file.
N_RESPONDENTS = {
    "AUS": 1813, "BOL": 2067, "BRA": 1762, "CAN": 4018, "CHN": 3036, "DEU": 1528, "ETH": 1230,
    "GBR": 2609, "IND": 1692, "KEN": 1266, "MEX": 1741, "NGA": 1237, "NLD": 2145, "NZL": 1057,
    "RUS": 1810, "THA": 1500, "UKR": 1289, "USA": 2596, "ZWE": 1215,
}  # fmt: skip

FIELDWORK = {
    "AUS": "2018", "BOL": "2017", "BRA": "2018", "CAN": "2020", "CHN": "2018", "DEU": "2017-2018",
    "ETH": "2020", "GBR": "2022", "IND": "2023", "KEN": "2021", "MEX": "2018", "NGA": "2018",
    "NLD": "2022", "NZL": "2020", "RUS": "2017", "THA": "2018", "UKR": "2020", "USA": "2017",
    "ZWE": "2020",
}  # fmt: skip

# Codes that are no point of the scale: "hard to say", "not allowed to vote", "not of this
# nationality". Those who gave them count as non-response.
OFF_SCALE = {"Q119": 0, "Q221": 4, "Q222": 4, "Q254": 5}

ZERO_BASED = frozenset(f"Q{n}" for n in (*range(94, 106), 119, *range(122, 130), *range(241, 250)))


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


def option_codes(question: Question) -> list[int]:
    """Return the source's answer code of each option, in option order."""
    item = question.source_item
    first = 0 if item in ZERO_BASED else 1
    off_scale = OFF_SCALE.get(item)
    n_codes = len(question.options) + (off_scale is not None)
    return [code for code in range(first, first + n_codes) if code != off_scale]
