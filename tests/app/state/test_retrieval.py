"""Indexes are kept by packs, and what estimates is opened when it is first used."""

from __future__ import annotations

import pytest

from app.settings import Settings
from app.state import retrieval
from app.state.retrieval import find_index_folder, open_retrieval, read_library
from survey_data.cultures import read_catalogue
from survey_data.library import SurveyLibrary
from tests.fixtures.service import MakeSettings

SETS = (("undp-ai-2025",), ("climate-2022",))


def read_packs(make_settings: MakeSettings, *packs: str) -> tuple[Settings, SurveyLibrary]:
    settings = make_settings(packs=packs)
    return settings, read_library(settings, read_catalogue())


def test_services_of_other_packs_keep_each_others_index(
    make_settings: MakeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="app.state.retrieval")
    for packs in (*SETS, *SETS):
        open_retrieval(*read_packs(make_settings, *packs))

    opened = [record.fields["rebuilt"] for record in caplog.records]  # type: ignore[attr-defined]
    assert opened[2:] == [False, False]


def test_the_folder_of_an_index_has_a_name_that_fits(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, library = read_packs(make_settings, "undp-ai-2025")
    assert find_index_folder(settings, library).name == "undp-ai-2025"

    monkeypatch.setattr(retrieval, "_MAX_NAME", 5)
    found = find_index_folder(settings, library)
    assert found.parent == settings.index_folder
    assert len(found.name) == 32


def test_what_estimates_is_opened_once_and_not_before(
    make_settings: MakeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="app.state.retrieval")
    opened = open_retrieval(*read_packs(make_settings, "undp-ai-2025"))
    assert "estimates_opened" not in caplog.messages

    assert opened.estimator is opened.estimator
    assert caplog.messages.count("estimates_opened") == 1
