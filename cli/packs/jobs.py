"""What `milieu packs` does: list packs, or make one from a survey and say what was left out."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from app.api.presenting import present_pack
from app.api.schemas.answer import PackSummary
from app.errors import OptionInvalid
from app.settings import read_settings
from cli.console import notes
from cli.lazy import LazyModule
from cli.packs.command import PackStatement
from cli.packs.output import print_import, print_translation
from cli.tables import print_packs
from survey_data.cultures import CultureCatalogue, read_catalogue
from survey_data.delimited import is_encoding
from survey_data.errors import ImporterUnavailable
from survey_data.importers import culturespa_release, globalopinionqa, table
from survey_data.importers.pack_folder import check_free, place_pack
from survey_data.importers.report import ImportedPack
from survey_data.importers.subset import read_condition
from survey_data.manifest_file import is_pack_id
from survey_data.model import Pack, PackManifest
from survey_data.packs import add_translation, find_packs, read_pack
from survey_data.translation_files import LANGUAGE_FORM, is_language

if TYPE_CHECKING:
    from survey_data.importers import wvs7, wvs7_respondents
else:
    # They need polars, of the extra 'evaluate'.
    wvs7 = LazyModule("survey_data.importers.wvs7")
    wvs7_respondents = LazyModule("survey_data.importers.wvs7_respondents")


TERMS = ("title", "source", "citation", "licence")


class PackTarget(NamedTuple):
    """Where a pack goes, under which id, and whether it may replace one."""

    folder: Path
    pack_id: str | None
    force: bool


def show_packs(*, as_json: bool) -> None:
    """Print every pack in the pack folders, each validated whole."""
    packs = map(read_pack, find_packs(read_settings().pack_roots))
    print_packs([_summarise(pack) for pack in packs], as_json=as_json)


def _summarise(pack: Pack) -> PackSummary:
    periods = pack.manifest.fieldwork.values()
    years = sorted(year for period in periods for year in period.split("-"))
    shown = years[0] if years[0] == years[-1] else f"{years[0]}-{years[-1]}"
    return present_pack(pack, years=shown, n_questions=len(pack.questions))


def import_wvs7(
    target: PackTarget,
    file: Path,
    *,
    weighted: bool,
    where: Sequence[str],
    min_size: int,
    encoding: str | None,
    strict: bool,
) -> None:
    def read(catalogue: CultureCatalogue) -> ImportedPack:
        conditions = tuple(read_condition(text) for text in where)
        try:
            choice = wvs7_respondents.CountingRules(
                weighted=weighted,
                where=conditions,
                min_size=min_size,
                strict=strict,
                encoding=_check_encoding(encoding),
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


def import_globalopinionqa(
    target: PackTarget, file: Path, *, encoding: str | None, strict: bool
) -> None:
    def read(catalogue: CultureCatalogue) -> ImportedPack:
        return globalopinionqa.import_survey(
            file,
            catalogue,
            pack_id=target.pack_id or globalopinionqa.PACK_ID,
            strict=strict,
            encoding=_check_encoding(encoding),
        )

    _import(target, read)


def import_culturespa(target: PackTarget, folder: Path) -> None:
    pack_id = target.pack_id or culturespa_release.PACK_ID
    _import(target, partial(culturespa_release.import_survey, folder, pack_id=pack_id))


def import_table(
    target: PackTarget,
    questions: Path,
    shares: Path,
    statement: PackStatement,
    *,
    encoding: str | None,
) -> None:
    """Import any survey from two files, with what `statement` says of it in the manifest."""
    stated = asdict(statement)
    years = stated.pop("years")
    manifest = PackManifest(
        id=target.pack_id or "",
        **stated,
        fieldwork={"*": years},
    )

    def read(catalogue: CultureCatalogue) -> ImportedPack:
        for term in TERMS:
            if not stated[term].strip():
                raise OptionInvalid(f"--{term}", "nothing", "a text; a pack must say it")
        if not re.fullmatch(r"(\d{4}(-\d{4})?)?", years):
            raise OptionInvalid("--years", years, "a year or two, such as 2024 or 2023-2024")
        return table.import_survey(
            questions, shares, catalogue, manifest=manifest, encoding=_check_encoding(encoding)
        )

    _import(target, read)


def run_add_translation(folder: Path, file: Path, *, language: str) -> None:
    """Add a translation to the pack in `folder`, and print which questions it leaves out."""
    if not is_language(language):
        raise OptionInvalid("--language", language, LANGUAGE_FORM)
    print_translation(add_translation(folder, file, language=language))


def _check_encoding(name: str | None) -> str | None:
    if name is not None and not is_encoding(name):
        raise OptionInvalid("--encoding", name, "the name of one, such as utf-8 or latin-1")
    return name


def _import(target: PackTarget, read: Callable[[CultureCatalogue], ImportedPack]) -> None:
    """Make a pack of what `read` returns, and print what was left out."""
    folder, pack_id, force = target
    if pack_id is not None and not is_pack_id(pack_id):
        raise OptionInvalid("--id", pack_id, "lower-case letters, digits and '-'")
    check_free(folder, force=force)
    with notes.status("Reading the survey …"):
        imported = read(read_catalogue())
        pack = place_pack(folder, imported.pack, force=force)
    print_import(pack, imported.report, folder.resolve())
