"""What `milieu packs import` does: read a survey, write its pack, and say what was left out."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from app.errors import OptionInvalid
from cli.console import notes
from cli.lazy import LazyModule
from cli.packs.output import print_import
from survey_data.cultures import CultureCatalogue, read_catalogue
from survey_data.errors import ImporterUnavailable
from survey_data.importers import culturespa_release, globalopinionqa, table
from survey_data.importers.pack_folder import check_free, place_pack
from survey_data.importers.report import ImportedPack
from survey_data.importers.subset import read_condition
from survey_data.model import PackManifest
from survey_data.packs import is_pack_id

if TYPE_CHECKING:
    from survey_data.importers import wvs7, wvs7_respondents
else:
    # They need polars, of the extra 'evaluate'.
    wvs7 = LazyModule("survey_data.importers.wvs7")
    wvs7_respondents = LazyModule("survey_data.importers.wvs7_respondents")


class Target(NamedTuple):
    """Where a pack goes, under which id, and whether it may replace one."""

    folder: Path
    pack_id: str | None
    force: bool


class Terms(NamedTuple):
    """What a pack has to say of its survey."""

    title: str
    source: str
    citation: str
    licence: str


def import_wvs7(
    target: Target,
    file: Path,
    *,
    weighted: bool,
    where: Sequence[str],
    min_size: int,
    strict: bool,
) -> None:
    """Import respondents of the World Values Survey, wave 7.

    Raises:
        ImporterUnavailable: polars is not installed.
        OptionInvalid, SurveyDataError: as every import.
    """

    def read(catalogue: CultureCatalogue) -> ImportedPack:
        conditions = tuple(read_condition(text) for text in where)
        try:
            choice = wvs7_respondents.CountingRules(
                weighted=weighted, where=conditions, min_size=min_size, strict=strict
            )
        except ModuleNotFoundError as exc:
            if exc.name != "polars":
                raise
            raise ImporterUnavailable(
                "This import reads the file with polars, which is not installed. Install Milieu "
                "with the extra 'evaluate'."
            ) from exc
        return wvs7.import_survey(file, catalogue, choice=choice, pack_id=target.pack_id)

    _import(target, read)


def import_globalopinionqa(target: Target, file: Path, *, strict: bool) -> None:
    """Import GlobalOpinionQA.

    Raises:
        OptionInvalid, SurveyDataError: as every import.
    """

    def read(catalogue: CultureCatalogue) -> ImportedPack:
        pack_id = target.pack_id or globalopinionqa.PACK_ID
        return globalopinionqa.import_survey(file, catalogue, pack_id=pack_id, strict=strict)

    _import(target, read)


def import_culturespa(target: Target, folder: Path) -> None:
    """Import the CultureSPA release.

    Raises:
        OptionInvalid, SurveyDataError: as every import.
    """

    def read(catalogue: CultureCatalogue) -> ImportedPack:
        pack_id = target.pack_id or culturespa_release.PACK_ID
        return culturespa_release.import_survey(folder, catalogue, pack_id=pack_id)

    _import(target, read)


def import_table(
    target: Target,
    questions: Path,
    shares: Path,
    *,
    terms: Terms,
    commercial_use: bool,
    weighted: bool,
    wording: Literal["own", "official"],
    years: str,
) -> None:
    """Import any survey from two files.

    Raises:
        OptionInvalid: a term is empty, or the years are not years; or as every import.
        SurveyDataError: as every import.
    """
    manifest = PackManifest(
        id=target.pack_id or "",
        **terms._asdict(),
        weighted=weighted,
        wording=wording,
        commercial_use=commercial_use,
        fieldwork={"*": years},
        questions_sha256="",
        shares_sha256="",
    )

    def read(catalogue: CultureCatalogue) -> ImportedPack:
        for option, text in terms._asdict().items():
            if not text.strip():
                raise OptionInvalid(f"--{option}", "nothing", "a text; a pack must say it")
        if not re.fullmatch(r"(\d{4}(-\d{4})?)?", years):
            raise OptionInvalid("--years", years, "a year or two, such as 2024 or 2023-2024")
        return table.import_survey(questions, shares, catalogue, manifest=manifest)

    _import(target, read)


def _import(target: Target, read: Callable[[CultureCatalogue], ImportedPack]) -> None:
    folder, pack_id, force = target
    if pack_id is not None and not is_pack_id(pack_id):
        raise OptionInvalid("--id", pack_id, "lower-case letters, digits and '-'")
    check_free(folder, force=force)
    with notes.status("Reading the survey …"):
        imported = read(read_catalogue())
        pack = place_pack(folder, imported.pack, force=force)
    print_import(pack, imported.report, folder.resolve())
