"""What the command line does without a service: look at packs, cultures and exemplars."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from app.api.presenting import DIGITS, culture_name, present_culture, present_exemplar
from app.api.schemas.answer import CultureSummary, ExemplarsResponse, PackSummary
from app.errors import OptionInvalid
from app.resources import load_encoder, open_retrieval, read_library
from app.settings import MAX_K, Settings
from retrieval.evidence import Wanted
from retrieval.index_files import library_index, origin_of, save_index
from retrieval.selector_name import SelectorName
from survey_data.cultures import read_catalogue
from survey_data.packs import find_packs, read_pack


class BuiltIndex(NamedTuple):
    """An index on disk."""

    folder: Path
    n_questions: int


def find_exemplars(
    settings: Settings, question: str, culture: str, *, k: int | None, retriever: str | None
) -> ExemplarsResponse:
    """Return what `/v1/exemplars` would.

    Raises:
        OptionInvalid: k is out of range, or there is no such retriever.
        CultureUnknown, CultureNotCovered: nobody of that name was surveyed.
    """
    if k is not None and not 1 <= k <= MAX_K:
        raise OptionInvalid("--k", str(k), f"1 to {MAX_K}")
    names = [name.value for name in SelectorName]
    if retriever is not None and retriever not in names:
        raise OptionInvalid("--retriever", retriever, ", ".join(names))
    catalogue = read_catalogue()
    library = read_library(settings, catalogue)
    who = catalogue.resolve(culture)
    library.cover(who.code)
    chosen = settings.answer.retriever if retriever is None else SelectorName(retriever)
    finder = open_retrieval(settings, library).finder
    found = finder.find(Wanted(question, who.code, k or settings.answer.k, chosen))
    nearest = found.nearest_similarity
    return ExemplarsResponse(
        culture=culture_name(who),
        question=question,
        retriever=chosen,
        same_question=None if found.same_question is None else found.same_question.key,
        nearest_similarity=None if nearest is None else round(nearest, DIGITS),
        below_floor=found.below_floor,
        exemplars=[present_exemplar(exemplar, library) for exemplar in found.exemplars],
    )


def covered_cultures(settings: Settings) -> list[CultureSummary]:
    """Return the covered cultures by code."""
    catalogue = read_catalogue()
    library = read_library(settings, catalogue)
    return [present_culture(catalogue[code], library) for code in library.cultures]


def loaded_packs(settings: Settings) -> list[PackSummary]:
    """Return every pack in the pack folders, each validated whole."""
    packs = (read_pack(folder) for folder in find_packs(settings.pack_roots))
    return [
        PackSummary(
            id=pack.manifest.id,
            title=pack.manifest.title,
            years=_years(pack.manifest.fieldwork.values()),
            n_questions=len(pack.questions),
            weighted=pack.manifest.weighted,
            wording=pack.manifest.wording,
            licence=pack.manifest.licence,
            commercial_use=pack.manifest.commercial_use,
            citation=pack.manifest.citation,
        )
        for pack in packs
    ]


def build_index(settings: Settings) -> BuiltIndex:
    """Build the index of the settings' packs anew, whatever is there."""
    library = read_library(settings, read_catalogue())
    encoder = load_encoder(settings)
    index = library_index(library, encoder)
    save_index(settings.index_folder, index, origin=origin_of(library, encoder))
    return BuiltIndex(settings.index_folder, len(index))


def _years(periods: Iterable[str]) -> str:
    years = sorted(year for period in periods for year in period.split("-"))
    return years[0] if years[0] == years[-1] else f"{years[0]}-{years[-1]}"
