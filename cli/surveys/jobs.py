"""What `milieu cultures` and `milieu index` do."""

from __future__ import annotations

from app.api.presenting import present_culture
from app.settings import read_settings
from app.state.retrieval import (
    find_index_folder,
    find_other_languages,
    load_encoder,
    read_library,
)
from cli.console import notes
from cli.tables import print_cultures
from estimation.fit_files import fit_estimator
from reports.terminal import print_line
from retrieval.index_files import library_index, origin_of, save_index
from survey_data.cultures import read_catalogue


def list_cultures(*, as_json: bool) -> None:
    catalogue = read_catalogue()
    library = read_library(read_settings(), catalogue)
    cultures = [present_culture(catalogue[code], library) for code in library.cultures]
    print_cultures(cultures, as_json=as_json)


def rebuild_index() -> None:
    """Build the index of the settings' packs anew, and say where it is."""
    settings = read_settings()
    with notes.status("Encoding the survey questions …"):
        library = read_library(settings, read_catalogue())
        encoder = load_encoder(settings)
        built = library_index(library, encoder)
        folder = find_index_folder(settings, library)
        save_index(folder, built, origin=origin_of(library, encoder))
        fit_estimator(folder, library, encoder, built)
        if (others := find_other_languages(settings, library)) is not None:
            others.prepare()
    print_line(notes, f"Index of {len(built)} questions in {folder}")
