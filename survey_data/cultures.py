"""The culture catalogue: every ISO 3166-1 country and Kosovo, found by any of its names.

Kosovo has XK and XKX, which the standard leaves to its users and most of them give it. Places that
are no country of it, such as Northern Ireland, are refused with what they are part of.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from typing import NamedTuple

from survey_data.culture_names import CultureNames

# Continents of the regions whose names do not end in theirs.
_CONTINENTS = {
    **dict.fromkeys(
        ("Caribbean", "Central America", "South America", "Northern America"), "the Americas"
    ),
    **dict.fromkeys(
        ("Australia and New Zealand", "Melanesia", "Micronesia", "Polynesia"), "Oceania"
    ),
}
# Names that stand with an article in a sentence: "in the Netherlands".
_TAKES_ARTICLE = re.compile(
    r"(?:Democratic )?Republic of .+|(?!South Georgia|Heard).+ Islands"
    r"|.*(?:Emirates|Kingdom|Netherlands|Republic|States|Territory|Territories)"
    r"|Bahamas|Comoros|Gambia|Isle of Man|Maldives|Philippines|Seychelles"
)


class MapPosition(NamedTuple):
    """A place on the Inglehart-Welzel map, in standard deviations over countries.

    Attributes:
        traditional_secular: higher is more secular-rational.
        survival_expression: higher is more towards self-expression.
        year: year of the survey that it was computed from.
    """

    traditional_secular: float
    survival_expression: float
    year: int


@dataclass(frozen=True, slots=True)
class Culture:
    """A population that surveys speak of: the people of one country.

    `code` is ISO 3166-1 alpha-3; `article` goes before `adjective` ("an", "Ethiopian");
    `languages` are ISO 639 codes, most spoken first; `region` is a UN M49 sub-region.
    """

    code: str
    alpha2: str
    name: str
    native_name: str
    adjective: str
    article: str
    languages: tuple[str, ...]
    region: str
    position: MapPosition | None = None
    aliases: tuple[str, ...] = ()

    @property
    def name_in_sentence(self) -> str:
        """The name as it stands within a sentence ("the Netherlands", "Germany")."""
        return f"the {self.name}" if _TAKES_ARTICLE.fullmatch(self.name) else self.name


class Nearest(NamedTuple):
    """A culture that is near another, and in what: "on the cultural map", "in Western Europe"."""

    culture: Culture
    reasons: tuple[str, ...]


class CultureCatalogue:
    """Every known culture, found by any of its names."""

    def __init__(self, cultures: Iterable[Culture]) -> None:
        self._by_code = {culture.code: culture for culture in cultures}
        self._names = CultureNames(self._by_code.values())

    def __iter__(self) -> Iterator[Culture]:
        return iter(self._by_code.values())

    def __len__(self) -> int:
        return len(self._by_code)

    def __getitem__(self, code: str) -> Culture:
        """Return the culture with this alpha-3 code; KeyError if there is none."""
        return self._by_code[code]

    def resolve(self, text: str) -> Culture:
        """Return the culture that `text` names.

        Names are ISO codes, EL and UK, common, official, former and local names, adjectives and
        language tags with a region, all without regard to case, accents and the order of words.
        A language without a region ('de') is read as the country code it also is, if the
        country's people speak it; nothing is guessed.

        Raises:
            CultureUnknown: nothing has that name, or more than one country; the reason is given,
                where it is known, and what may be meant.
        """
        return self._names.find(text)

    def codes(self, texts: Iterable[str]) -> tuple[str, ...]:
        """Return the alpha-3 codes of the cultures that `texts` name, each once, in their order.

        Raises:
            CultureUnknown: a text names none.
        """
        return tuple(dict.fromkeys(self.resolve(text).code for text in texts))

    def nearest_on_map(self, culture: Culture, among: Iterable[str]) -> Culture | None:
        """Return the culture of `among` (alpha-3 codes) nearest on the Inglehart-Welzel map.

        None if `culture` or all of `among` have no known position.
        """
        here = culture.position
        distances = [
            (math.dist(here[:2], there[:2]), code)
            for code in among
            if here is not None
            and code != culture.code
            and (there := self._by_code[code].position) is not None
        ]
        return self._by_code[min(distances)[1]] if distances else None

    def nearest(self, culture: Culture, among: Iterable[str]) -> tuple[Nearest, ...]:
        """Return the cultures of `among` (alpha-3 codes) nearest to `culture`, and in what.

        One is the nearest on the cultural map, the other the nearest of the same region, or else
        of the same continent: that with most languages in common, then the nearest on the map. On
        a continent one of the two has to tell. They may be one; empty if nothing tells of any.
        """
        codes = [code for code in among if code != culture.code]
        found: dict[str, list[str]] = {}
        if on_map := self.nearest_on_map(culture, codes):
            found.setdefault(on_map.code, []).append("on the cultural map")
        for area in (_region, _continent):
            near = [self._by_code[c] for c in codes if area(self._by_code[c]) == area(culture)]
            if not near:
                continue
            best = min(near, key=partial(_rank, culture))
            if area is _region or _rank(culture, best)[:2] < (0, math.inf):
                found.setdefault(best.code, []).append(f"in {area(culture)}")
                break
        return tuple(Nearest(self._by_code[code], tuple(why)) for code, why in found.items())


def _region(culture: Culture) -> str:
    return culture.region


def _continent(culture: Culture) -> str:
    return _CONTINENTS.get(culture.region, culture.region.rpartition(" ")[2])


def _rank(culture: Culture, other: Culture) -> tuple[int, float, str]:
    """Return what is lower the nearer `other` is to `culture` among those of a region."""
    here, there = culture.position, other.position
    far = math.inf if here is None or there is None else math.dist(here[:2], there[:2])
    return -len({*culture.languages} & {*other.languages}), far, other.code


@cache
def read_catalogue() -> CultureCatalogue:
    """Return the catalogue that Milieu ships (`survey_data/cultures.csv`), read once."""
    with files("survey_data").joinpath("cultures.csv").open(encoding="utf-8") as file:
        return CultureCatalogue([_culture(row) for row in csv.DictReader(file)])


def _culture(row: dict[str, str]) -> Culture:
    position = None
    if row["map_year"]:
        # In the source survival is positive, on the published map self-expression is.
        position = MapPosition(float(row["tradagg"]), -float(row["survsagg"]), int(row["map_year"]))
    texts = ("alpha2", "name", "native_name", "adjective", "article", "region")
    return Culture(
        code=row["alpha3"],
        **{name: row[name] for name in texts},
        languages=tuple(row["languages"].split()),
        position=position,
        aliases=tuple(alias for alias in row["aliases"].split("|") if alias),
    )
