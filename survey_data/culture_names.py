"""What people call a culture, and what they call places that no culture stands for.

A name is a code, a name in any of its spellings, the adjective, or a language tag with a region.
What may be two countries is refused, never chosen from.
"""

from __future__ import annotations

import csv
import difflib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Literal, get_args

import langcodes
from langcodes.tag_parser import LanguageTagError, parse_tag

from survey_data.errors import CultureUnknown

if TYPE_CHECKING:
    from survey_data.cultures import Culture

N_SUGGESTIONS = 3
MAX_SHOWN_CHARS = 80
_NEAR = 0.75
# Of a tag: a language, then anything; what a locale has beside ("de_DE.UTF-8") is left out.
_TAG = re.compile(r"(?P<tag>[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{1,8})+)(?:[.@][\w.@=-]+)?")
_CODE = re.compile("[a-z]{2,3}")
# "Republic of Iceland" where the catalogue has "Iceland".
_FORMAL = re.compile(
    r"(?:the )?(?:(?:federal|democratic|socialist|people s|independent|eastern) )*"
    r"(?:republic|kingdom|independent state) of (?:the )?(?P<name>.+)"
)
_FILLERS = frozenset({"the", "of", "and", "former"})
_ABBREVIATIONS = {
    "st": "saint",
    "ste": "saint",
    "rep": "republic",
    "dem": "democratic",
    "fed": "federated",
    "sts": "states",
    "is": "islands",
    "isl": "islands",
    "terr": "territories",
    "ter": "territories",
    "n": "north",
    "s": "south",
}
Kind = Literal["part", "former", "region", "ambiguous"]
_KINDS: dict[str, Kind] = {kind: kind for kind in get_args(Kind)}


@dataclass(frozen=True, slots=True)
class _Place:
    """A place that no culture stands for; `cultures` are those that it has to do with."""

    kind: Kind
    cultures: tuple[Culture, ...]

    @property
    def reason(self) -> str:
        if self.kind == "part":
            whole = " and ".join(culture.name_in_sentence for culture in self.cultures)
            return f"part of {whole}, and no country of the catalogue"
        return {
            "former": "a former country, and none of the catalogue",
            "region": "a region of several countries",
            "ambiguous": "a name of more than one country",
        }[self.kind]


class CultureNames:
    """The cultures by all their names; a name that stands twice is that of the first."""

    def __init__(self, cultures: Iterable[Culture]) -> None:
        self._cultures = tuple(cultures)
        by_code = {culture.code: culture for culture in self._cultures}
        self._by_name: dict[str, Culture] = {}
        self._by_words: dict[frozenset[str], set[str]] = defaultdict(set)
        self._by_adjective: dict[str, set[str]] = defaultdict(set)
        self._first_speakers: dict[str, list[str]] = defaultdict(list)
        for culture in self._cultures:
            names = (culture.name, culture.native_name, *culture.aliases)
            for name in (culture.code, culture.alpha2, *names):
                self._by_name.setdefault(fold_name(name), culture)
            for name in names:
                self._by_words[_words(name)].add(culture.code)
            self._by_adjective[fold_name(culture.adjective)].add(culture.code)
            self._first_speakers[culture.languages[0]].append(culture.name)
        self._by_code = by_code
        self._places = {
            form: _Place(kind, tuple(by_code[code] for code in codes if code in by_code))
            for name, (kind, codes) in _read_places().items()
            for form in {fold_name(name), " ".join(sorted(_words(name)))}
        }

    def find(self, text: str) -> Culture:
        """Return the culture that `text` names.

        Raises:
            CultureUnknown: it names none, or may be more than one; those are suggested.
        """
        self._check_language(text.strip())
        folded, words = fold_name(text), _words(text)
        if culture := self._by_name.get(folded):
            return culture
        if place := self._places.get(folded) or self._places.get(" ".join(sorted(words))):
            is_place = place.kind != "ambiguous"
            nearest = tuple(culture.name for culture in place.cultures[:N_SUGGESTIONS])
            raise _unknown(text, nearest, reason=place.reason, is_place=is_place)
        if culture := self._find_by_tag(text):
            return culture
        formal = _FORMAL.fullmatch(" ".join(_split_words(text)))
        if formal and (culture := self._by_name.get(formal["name"])):
            return culture
        people = self._by_adjective.get(folded) or self._by_adjective.get(folded.removesuffix("s"))
        found = self._by_words.get(words) or people or set()
        if len(found) == 1:
            return self._by_code[next(iter(found))]
        if found:
            names = tuple(self._by_code[code].name for code in sorted(found))
            raise _unknown(text, names, reason="a name of more than one country")
        # Three digits are an ISO 3166-1 code too, of today's or of a former country.
        is_number = text.isascii() and folded.isdigit()
        reason = "a number, and no country's code of letters" if is_number else ""
        raise _unknown(text, self._suggest(folded, words), reason=reason)

    def _check_language(self, text: str) -> None:
        """Raise for a code in lower case that is a language of others than the country's people.

        Such are 'ar', Arabic or Argentina, and 'uk'. Only what some people speak most counts.
        """
        culture = self._by_name.get(text)
        if culture is None or not _CODE.fullmatch(text):
            return
        # 'in' was once Indonesian: of two letters only today's count, of three any.
        is_short = len(text) == len("de")
        language = langcodes.Language.get(text, normalize=not is_short).language or ""
        speakers = self._first_speakers.get(language, [])
        if speakers and language not in culture.languages:
            reason = (
                f"both the code of {culture.name_in_sentence} and of the language of "
                f"{', '.join(speakers[:N_SUGGESTIONS])}; write '{text.upper()}' for the country"
            )
            names = (culture.name, *speakers)[:N_SUGGESTIONS]
            raise _unknown(text, names, reason=reason)

    def _find_by_tag(self, text: str) -> Culture | None:
        """Return the culture of a BCP 47 tag's region; None if `text` is no tag.

        Raises:
            CultureUnknown: the tag has no region, or one of several countries, or may be the code
                of a part of a country ('DE-BY').
        """
        found = _TAG.fullmatch(text.strip())
        if found is None:
            return None
        tag = found["tag"].replace("_", "-")
        try:
            # `Language.get` would keep whatever a request asks for.
            parts = dict(parse_tag(tag))
        except LanguageTagError:
            return None
        language, territory = tag.partition("-")[0], parts.get("territory")
        if "language" not in parts or not langcodes.tag_is_valid(language.lower()):
            return None
        if territory is None:
            raise _unknown(text, (), reason="a language tag without a region (as in 'de-CH')")
        culture = self._by_name.get(territory.casefold())
        if culture is None or not territory.isalpha():
            if territory.isdigit():
                reason = "a language tag of a region of several countries"
                raise _unknown(text, (), reason=reason, is_place=True)
            return None
        country = self._by_name.get(language.casefold()) if language.isupper() else None
        if country and country != culture and language.lower() not in culture.languages:
            names = (country.name, culture.name)
            reason = f"either a part of {country.name} or a language tag of {culture.name}"
            raise _unknown(text, names, reason=reason)
        return culture

    def _suggest(self, folded: str, words: frozenset[str]) -> tuple[str, ...]:
        """Return names with all the words, then names that are spelt nearly so."""
        of_words = [
            self._by_code[code].name
            for other, codes in self._by_words.items()
            for code in sorted(codes)
            if words and (words < other or (other < words and len(other) > 1))
        ]
        spelt = {name: culture for name, culture in self._by_name.items() if len(name) > len("xxx")}
        for name, codes in self._by_adjective.items():
            spelt.setdefault(name, self._by_code[min(codes)])
        near = difflib.get_close_matches(folded, spelt, n=2 * N_SUGGESTIONS, cutoff=_NEAR)
        names = dict.fromkeys([*(spelt[name].name for name in near), *of_words])
        return tuple(names)[:N_SUGGESTIONS]


def fold_name(text: str) -> str:
    """Return `text` as names are compared: without case, accents and how blanks are set."""
    decomposed = unicodedata.normalize("NFKD", text.strip().casefold())
    kept = "".join(char for char in decomposed if not unicodedata.combining(char))
    return " ".join(kept.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").split())


def _split_words(text: str) -> list[str]:
    plain = fold_name(text).replace("&", " and ").replace("'", " ")
    return re.sub(r"(?<=\b\w)\.(?=\w\b)", "", plain).translate(_PUNCTUATION).split()


_PUNCTUATION = str.maketrans(dict.fromkeys(".,;:()[]/-\u2013\u2014", " "))


def _words(text: str) -> frozenset[str]:
    """Return the words of a name, as "Korea, Rep." has those of the full name in another order."""
    return frozenset(_ABBREVIATIONS.get(w, w) for w in _split_words(text)) - _FILLERS


def _unknown(
    text: str, nearest: tuple[str, ...], *, reason: str = "", is_place: bool = False
) -> CultureUnknown:
    return CultureUnknown(text[:MAX_SHOWN_CHARS], nearest, reason=reason, is_place=is_place)


@cache
def _read_places() -> dict[str, tuple[Kind, tuple[str, ...]]]:
    """Return the places of `survey_data/places.csv` by name: kind, and codes of their cultures."""
    with files("survey_data").joinpath("places.csv").open(encoding="utf-8") as file:
        return {
            name: (_KINDS[row["kind"]], tuple(filter(None, row["cultures"].split("|"))))
            for row in csv.DictReader(file)
            for name in row["names"].split("|")
        }
