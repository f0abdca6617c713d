"""Figures of the World Values Survey wave 7 as CultureSPA released them.

Source: `proportions_group_by_country.json` of CultureSPA (arXiv 2410.12971): per country and item
the unweighted share of every answer code among all respondents. What it needs repaired: an empty
cell was not asked, codes below zero are in the denominator but not listed, some items count
their codes from zero, and some codes are no point of the scale.
"""

from __future__ import annotations

from survey_data.model import Question

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


def option_codes(question: Question) -> list[int]:
    """Return the source's answer code of each option, in option order."""
    item = question.source_item
    first = 0 if item in ZERO_BASED else 1
    off_scale = OFF_SCALE.get(item)
    n_codes = len(question.options) + (off_scale is not None)
    return [code for code in range(first, first + n_codes) if code != off_scale]
