"""What `milieu packs` does without a command: list the packs."""

from __future__ import annotations

from collections.abc import Iterable

from app.api.schemas.answer import PackSummary
from app.settings import Settings, read_settings
from cli.tables import print_packs
from survey_data.packs import find_packs, read_pack


def list_packs(*, as_json: bool) -> None:
    """Print every pack in the pack folders, each validated whole.

    Raises:
        SurveyDataError: a pack is invalid.
    """
    print_packs(_read_packs(read_settings()), as_json=as_json)


def _read_packs(settings: Settings) -> list[PackSummary]:
    packs = (read_pack(folder) for folder in find_packs(settings.pack_roots))
    return [
        PackSummary(
            id=pack.manifest.id,
            title=pack.manifest.title,
            years=_span(pack.manifest.fieldwork.values()),
            n_questions=len(pack.questions),
            weighted=pack.manifest.weighted,
            wording=pack.manifest.wording,
            licence=pack.manifest.licence,
            commercial_use=pack.manifest.commercial_use,
            citation=pack.manifest.citation,
        )
        for pack in packs
    ]


def _span(periods: Iterable[str]) -> str:
    years = sorted(year for period in periods for year in period.split("-"))
    return years[0] if years[0] == years[-1] else f"{years[0]}-{years[-1]}"
