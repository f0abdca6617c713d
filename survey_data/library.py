"""All loaded packs as one body of questions and answers; every lookup is O(1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np

from survey_data.arrays import Floats
from survey_data.cultures import Culture, CultureCatalogue
from survey_data.errors import CultureNotCovered, PackInvalid, PackMissing, PackTermsRefused
from survey_data.model import Pack, PackManifest, Question, ResponseDistribution, Wording
from survey_data.packs import find_packs, read_pack


class SurveyLibrary:
    """The questions of all loaded packs and how each culture answered them.

    Attributes:
        packs: the loaded packs, in loading order.
        catalogue: the cultures that the packs may speak of.
        questions: every question by its key, in pack order, then file order.
        cultures: alpha-3 codes of all surveyed populations, sorted.
        languages: all languages that some question is worded in, sorted.
        topics: the keys of each topic's questions, by topic, in the order of `questions`.
    """

    def __init__(self, packs: Sequence[Pack], catalogue: CultureCatalogue) -> None:
        """Take `packs` in this order.

        Raises:
            PackInvalid: two packs have one id, or a pack has a culture that is not in `catalogue`.
        """
        self.packs = tuple(packs)
        self.catalogue = catalogue
        self._by_id = {pack.manifest.id: pack for pack in self.packs}
        _check(self.packs, known={culture.code for culture in catalogue})
        questions = {q.key: q for pack in self.packs for q in pack.questions}
        self.questions: Mapping[str, Question] = MappingProxyType(questions)
        self.cultures = tuple(sorted({code for pack in self.packs for code in pack.cultures}))
        self.languages = tuple(sorted({tag for pack in self.packs for tag in pack.languages}))
        topics: dict[str, list[str]] = {}
        for key, question in questions.items():
            topics.setdefault(question.topic, []).append(key)
        self.topics: Mapping[str, tuple[str, ...]] = MappingProxyType(
            {topic: tuple(keys) for topic, keys in topics.items()}
        )
        self._cells = {(d.question, d.culture): d for p in self.packs for d in p.distributions}
        self._keys_of = {
            culture: tuple(key for key in questions if (key, culture) in self._cells)
            for culture in self.cultures
        }
        self._cultures_of = {
            key: tuple(code for code in self.cultures if (key, code) in self._cells)
            for key in questions
        }
        self._packs_of = {
            culture: tuple(p.manifest.id for p in self.packs if culture in p.cultures)
            for culture in self.cultures
        }

    def distribution(self, key: str, culture: str) -> ResponseDistribution | None:
        """Return how people of `culture` answered question `key`; None if they were not asked.

        None also for a key or a culture that no pack has.
        """
        return self._cells.get((key, culture))

    def wording(self, key: str, language: str) -> Wording | None:
        """Return question `key` in `language`, its own wording or a translation; None without one.

        None also for a key that no pack has.
        """
        question = self.questions.get(key)
        if question is None:
            return None
        if question.language == language:
            return question.wording
        return self._by_id[question.pack].translations.get(language, {}).get(key)

    def tabulate(self, questions: Sequence[Question], cultures: Sequence[str]) -> Floats:
        """Return float64[c, q, n], how cultures answered: 0 beyond a question's last option.

        n is the largest number of options; NaN where a culture was not asked.
        """
        n_options = max((len(question.options) for question in questions), default=0)
        shares = np.full((len(cultures), len(questions), n_options), np.nan)
        for i, culture in enumerate(cultures):
            for j, question in enumerate(questions):
                if cell := self.distribution(question.key, culture):
                    shares[i, j] = (*cell.shares, *(0.0,) * (n_options - len(cell.shares)))
        return shares

    def keys_of(self, culture: str) -> tuple[str, ...]:
        """Return the keys of the questions that `culture` answered, in the order of `questions`.

        Empty for a culture that no pack covers.
        """
        return self._keys_of.get(culture, ())

    def cultures_of(self, key: str) -> tuple[str, ...]:
        """Return the alpha-3 codes of the cultures that were asked question `key`, sorted."""
        return self._cultures_of.get(key, ())

    def packs_of(self, culture: str) -> tuple[str, ...]:
        """Return the ids of the packs that surveyed `culture`, in loading order."""
        return self._packs_of.get(culture, ())

    def pack(self, pack_id: str) -> Pack:
        """Return the loaded pack with that id.

        Raises:
            PackMissing: no loaded pack has it.
        """
        if pack_id not in self._by_id:
            loaded = ", ".join(self._by_id) or "none"
            raise PackMissing(f"No pack '{pack_id}' is loaded; loaded packs: {loaded}.")
        return self._by_id[pack_id]

    def manifest(self, pack_id: str) -> PackManifest:
        """Return what a loaded pack says of itself. Raises as `pack` does."""
        return self.pack(pack_id).manifest

    def find_culture(self, text: str) -> Culture:
        """Return the culture that `text` names, if a pack surveyed its people.

        Raises:
            CultureUnknown: nothing has that name.
            CultureNotCovered: no loaded pack surveyed them.
        """
        culture = self.catalogue.resolve(text)
        self.cover(culture.code)
        return culture

    def cover(self, culture: str) -> None:
        """Return if a loaded pack surveyed `culture` (an alpha-3 code of the catalogue).

        Raises:
            CultureNotCovered: none did; the loaded packs are named, and the covered cultures that
                are nearest on the cultural map and in the same region.
        """
        if culture in self._packs_of:
            return
        asked = self.catalogue[culture]
        raise CultureNotCovered(
            f"{asked.name} ({asked.code})",
            packs=tuple(self._by_id),
            nearest={
                f"{near.name} ({near.code})": reasons
                for near, reasons in self.catalogue.nearest(asked, self.cultures)
            },
        )


def open_library(
    roots: Sequence[Path],
    *,
    catalogue: CultureCatalogue,
    names: Sequence[str] | None = None,
    commercial_use: bool = False,
) -> SurveyLibrary:
    """Return the library of the packs below `roots`: those with an id in `names`, or all.

    Packs come in the order of `names`; without names, in the order of `roots` and by folder name.

    Raises:
        PackMissing: there is no pack at all, or no pack of a given name.
        PackTermsRefused: `commercial_use` is set and a pack's terms do not allow it.
        PackInvalid: a pack breaks the format, two have one id, or a culture is unknown.
    """
    found = _read_packs(roots)
    folders = ", ".join(str(root) for root in roots) or "no folder"
    there = f"found {', '.join(found) or 'none'} in {folders}"
    packs = []
    for name in dict.fromkeys(found if names is None else names):
        if name not in found:
            raise PackMissing(f"No pack has the id '{name}'; {there}.")
        packs.append(found[name])
    if not packs:
        raise PackMissing(f"No pack to load: {there}. At least one is needed.")
    if commercial_use:
        for pack in packs:
            _check_terms(pack.manifest)
    return SurveyLibrary(packs, catalogue)


def _read_packs(roots: Sequence[Path]) -> dict[str, Pack]:
    found: dict[str, Pack] = {}
    for root in roots:
        folders = list(find_packs([root]))
        if not folders:
            raise PackMissing(
                f"{root} holds no pack: no folder with a pack.toml directly below it. Name the "
                "folder that packs lie in (MILIEU_PACK_FOLDERS)."
            )
        for folder in folders:
            pack = read_pack(folder)
            if pack.manifest.id in found:
                raise _two_packs(pack.manifest.id, folder)
            found[pack.manifest.id] = pack
    return found


def _check_terms(manifest: PackManifest) -> None:
    if not manifest.commercial_use:
        raise PackTermsRefused(
            f"Pack '{manifest.id}' may not be used commercially (licence: {manifest.licence}), but "
            "MILIEU_COMMERCIAL_USE is set. Leave it out by naming the other packs in MILIEU_PACKS, "
            "or unset MILIEU_COMMERCIAL_USE if the use is not commercial."
        )


def _check(packs: Sequence[Pack], *, known: set[str]) -> None:
    ids: set[str] = set()
    for pack in packs:
        folder = Path(pack.manifest.id)
        if pack.manifest.id in ids:
            raise _two_packs(pack.manifest.id, folder)
        ids.add(pack.manifest.id)
        for code in pack.cultures:
            if code not in known:
                message = f"'{code}' is not a culture of the catalogue (ISO 3166-1 alpha-3)"
                raise PackInvalid(message, file=folder / "shares.csv", column="culture")


def _two_packs(pack_id: str, folder: Path) -> PackInvalid:
    message = f"a second pack with the id '{pack_id}'; remove one of the two"
    return PackInvalid(message, file=folder / "pack.toml", column="id")
