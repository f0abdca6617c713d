"""The culture catalogue: every ISO 3166-1 country and Kosovo, found by code, name or language tag.

Kosovo has XK and XKX, which the standard leaves to its users and most of them give it.
"""

from __future__ import annotations

import csv
import difflib
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import NamedTuple

from survey_data.errors import CultureUnknown

_LANGUAGE_TAG = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z]{4})?[-_](?P<region>[A-Za-z]{2})")
N_SUGGESTIONS = 3
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


class CultureCatalogue:
    """Every known culture, found by any of its names."""

    def __init__(self, cultures: Iterable[Culture]) -> None:
        self._by_code = {culture.code: culture for culture in cultures}
        self._by_name: dict[str, Culture] = {}
        for of in self._by_code.values():
            for name in (of.code, of.alpha2, of.name, of.native_name, *of.aliases):
                self._by_name.setdefault(_fold(name), of)

    def __iter__(self) -> Iterator[Culture]:
        return iter(self._by_code.values())

    def __len__(self) -> int:
        return len(self._by_code)

    def __getitem__(self, code: str) -> Culture:
        """Return the culture with this alpha-3 code; KeyError if there is none."""
        return self._by_code[code]

    def resolve(self, text: str) -> Culture:
        """Return the culture that `text` names: alpha-2, alpha-3, name, or tag such as 'de-DE'.

        Case, accents and surrounding blanks do not matter. A language without a region ('de')
        is read as the country code it also is, or refused; nothing is guessed.

        Raises:
            CultureUnknown: nothing has that name; the nearest names are suggested.
        """
        folded = _fold(text)
        if folded in self._by_name:
            return self._by_name[folded]
        tag = _LANGUAGE_TAG.fullmatch(text.strip())
        if tag and (culture := self._by_name.get(_fold(tag["region"]))):
            return culture
        near = difflib.get_close_matches(folded, self._by_name, n=2 * N_SUGGESTIONS, cutoff=0.6)
        names = dict.fromkeys(self._by_name[name].name for name in near)
        raise CultureUnknown(text[:80], tuple(names)[:N_SUGGESTIONS])

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


def read_catalogue() -> CultureCatalogue:
    """Return the catalogue that Milieu ships (`survey_data/cultures.csv`)."""
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


def _fold(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.strip().casefold())
    kept = "".join(char for char in decomposed if not unicodedata.combining(char))
    return " ".join(kept.split())
