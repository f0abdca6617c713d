"""The library joins packs, answers look-ups and refuses what it may not load."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from survey_data.cultures import CultureCatalogue
from survey_data.errors import CultureNotCovered, PackInvalid, PackMissing, PackTermsRefused
from survey_data.library import SurveyLibrary, open_library
from survey_data.model import Pack
from survey_data.packs import write_pack

MakePack = Callable[..., Pack]


@pytest.fixture
def library(make_pack: MakePack, catalogue: CultureCatalogue) -> SurveyLibrary:
    first = make_pack(
        {"DEU": [0, 1, 2], "KEN": [3, None, 1]}, pack_id="first", topics=("Work", "Home", "Work")
    )
    second = make_pack({"DEU": [2], "JPN": [1]}, pack_id="second", topics=("Home",))
    return SurveyLibrary([first, second], catalogue)


def test_questions_are_in_pack_order(library: SurveyLibrary) -> None:
    assert list(library.questions) == ["first:Q0", "first:Q1", "first:Q2", "second:Q0"]


def test_a_distribution_is_found_by_key_and_culture(library: SurveyLibrary) -> None:
    cell = library.distribution("first:Q0", "KEN")
    assert cell is not None
    assert (cell.question, cell.culture, cell.mode) == ("first:Q0", "KEN", 3)


@pytest.mark.parametrize(
    ("key", "culture"), [("first:Q1", "KEN"), ("first:Q9", "KEN"), ("first:Q0", "FRA")]
)
def test_what_was_not_asked_has_no_distribution(
    library: SurveyLibrary, key: str, culture: str
) -> None:
    assert library.distribution(key, culture) is None


def test_answered_questions_are_in_pack_order(library: SurveyLibrary) -> None:
    assert library.keys_of("DEU") == ("first:Q0", "first:Q1", "first:Q2", "second:Q0")
    assert library.keys_of("KEN") == ("first:Q0", "first:Q2")
    assert library.keys_of("FRA") == ()


def test_cultures_packs_and_topics_are_listed(library: SurveyLibrary) -> None:
    assert library.cultures == ("DEU", "JPN", "KEN")
    assert library.packs_of("DEU") == ("first", "second")
    assert library.packs_of("FRA") == ()
    assert dict(library.topics) == {
        "Work": ("first:Q0", "first:Q2"),
        "Home": ("first:Q1", "second:Q0"),
    }


def test_the_manifest_of_a_loaded_pack_is_found(library: SurveyLibrary) -> None:
    assert library.manifest("second").id == "second"
    with pytest.raises(PackMissing, match="loaded packs: first, second"):
        library.manifest("third")


def test_a_covered_culture_passes(library: SurveyLibrary) -> None:
    library.cover("KEN")


def test_an_uncovered_culture_is_told_its_nearest(library: SurveyLibrary) -> None:
    with pytest.raises(CultureNotCovered, match="first, second") as caught:
        library.cover("SWE")
    assert caught.value.nearest == "Germany (DEU)"


def test_an_uncovered_culture_off_the_map_has_no_nearest(library: SurveyLibrary) -> None:
    with pytest.raises(CultureNotCovered) as caught:
        library.cover("ABW")
    assert caught.value.nearest is None


def test_a_code_that_the_catalogue_does_not_know_is_refused(
    make_pack: MakePack, catalogue: CultureCatalogue
) -> None:
    with pytest.raises(PackInvalid, match="'QQQ' is not a culture") as caught:
        SurveyLibrary([make_pack({"QQQ": [0]})], catalogue)
    assert caught.value.column == "culture"


def test_two_packs_of_one_id_are_refused(make_pack: MakePack, catalogue: CultureCatalogue) -> None:
    pack = make_pack({"DEU": [0]})
    with pytest.raises(PackInvalid, match="second pack with the id 'tiny'"):
        SurveyLibrary([pack, pack], catalogue)


@pytest.fixture
def root(tmp_path: Path, make_pack: MakePack) -> Path:
    write_pack(tmp_path / "a", make_pack({"DEU": [0]}, pack_id="free"))
    write_pack(tmp_path / "b", make_pack({"KEN": [0]}, pack_id="non-profit", commercial_use=False))
    return tmp_path


def ids(library: SurveyLibrary) -> list[str]:
    return [pack.manifest.id for pack in library.packs]


def test_all_packs_below_the_roots_are_opened(root: Path, catalogue: CultureCatalogue) -> None:
    assert ids(open_library([root], catalogue=catalogue)) == ["free", "non-profit"]


def test_named_packs_are_opened_in_the_order_of_their_names(
    root: Path, catalogue: CultureCatalogue
) -> None:
    names = ["non-profit", "free", "free"]
    library = open_library([root], catalogue=catalogue, names=names)
    assert ids(library) == ["non-profit", "free"]


def test_a_name_without_a_pack_is_refused(root: Path, catalogue: CultureCatalogue) -> None:
    with pytest.raises(PackMissing, match=r"'gone'; found free, non-profit in"):
        open_library([root], catalogue=catalogue, names=["gone"])


@pytest.mark.parametrize("names", [None, []])
@pytest.mark.parametrize("place", ["", "gone"])
def test_a_folder_without_packs_is_refused(
    root: Path, tmp_path: Path, catalogue: CultureCatalogue, names: list[str] | None, place: str
) -> None:
    empty = tmp_path / "empty" / place
    (tmp_path / "empty").mkdir()
    with pytest.raises(PackMissing, match=f"{empty} holds no pack"):
        open_library([root, empty], catalogue=catalogue, names=names)


def test_no_pack_at_all_is_refused(root: Path, catalogue: CultureCatalogue) -> None:
    with pytest.raises(PackMissing, match="At least one is needed"):
        open_library([root], catalogue=catalogue, names=[])


def test_commercial_use_refuses_a_non_commercial_pack(
    root: Path, catalogue: CultureCatalogue
) -> None:
    with pytest.raises(PackTermsRefused, match=r"'non-profit'.*MILIEU_PACKS.*unset"):
        open_library([root], catalogue=catalogue, commercial_use=True)


def test_commercial_use_opens_a_pack_that_allows_it(
    root: Path, catalogue: CultureCatalogue
) -> None:
    library = open_library([root], catalogue=catalogue, names=["free"], commercial_use=True)
    assert ids(library) == ["free"]


def test_one_id_in_two_folders_is_refused(
    root: Path, make_pack: MakePack, catalogue: CultureCatalogue
) -> None:
    write_pack(root / "c", make_pack({"DEU": [0]}, pack_id="free"))
    with pytest.raises(PackInvalid, match="second pack") as caught:
        open_library([root], catalogue=catalogue)
    assert caught.value.file == root / "c" / "pack.toml"
