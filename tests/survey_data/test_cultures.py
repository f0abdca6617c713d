"""A culture is found by any of its names, and nothing is guessed."""

from __future__ import annotations

import pytest

from survey_data.cultures import CultureCatalogue
from survey_data.errors import CultureUnknown


@pytest.mark.parametrize(
    "text", ["DE", "de", "DEU", "Germany", " germany ", "Deutschland", "de-DE", "de_DE"]
)
def test_every_name_of_germany_is_resolved(catalogue: CultureCatalogue, text: str) -> None:
    assert catalogue.resolve(text).code == "DEU"


@pytest.mark.parametrize(
    ("text", "code"),
    [("zh-Hans-CN", "CHN"), ("en-GB", "GBR"), ("Türkiye", "TUR"), ("Turkiye", "TUR")],
)
def test_tags_and_accents_are_resolved(catalogue: CultureCatalogue, text: str, code: str) -> None:
    assert catalogue.resolve(text).code == code


@pytest.mark.parametrize("text", ["", "XX", "en", "zh-Hans", "en-XX", "Germani y Fantasia", "🙂"])
def test_what_names_no_culture_is_refused(catalogue: CultureCatalogue, text: str) -> None:
    with pytest.raises(CultureUnknown):
        catalogue.resolve(text)


def test_the_nearest_names_are_suggested(catalogue: CultureCatalogue) -> None:
    with pytest.raises(CultureUnknown, match="Did you mean Germany") as caught:
        catalogue.resolve("Germny")
    assert caught.value.nearest[0] == "Germany"


@pytest.mark.parametrize("number", ["276", "004", " 840 ", "7"])
def test_of_a_number_it_is_said_that_it_is_one(catalogue: CultureCatalogue, number: str) -> None:
    with pytest.raises(CultureUnknown, match="is a number, and no country's code of letters"):
        catalogue.resolve(number)


def test_a_long_input_is_cut_in_the_message(catalogue: CultureCatalogue) -> None:
    with pytest.raises(CultureUnknown) as caught:
        catalogue.resolve("x" * 10_000)
    assert f"'{'x' * 80}'" in str(caught.value)


def test_codes_are_unique_and_complete(catalogue: CultureCatalogue) -> None:
    assert len(catalogue) == 250  # ISO 3166-1, and user-assigned Kosovo
    assert len({culture.alpha2 for culture in catalogue}) == len(catalogue)


def test_every_culture_has_an_adjective_with_its_article(catalogue: CultureCatalogue) -> None:
    for culture in catalogue:
        assert culture.adjective, culture.code
        assert culture.article in {"a", "an"}, culture.code
    assert catalogue["ETH"].article == "an"
    assert catalogue["USA"].article == "an"
    assert catalogue["UKR"].article == "a"


def test_the_nearest_on_the_map_is_never_the_culture_itself(catalogue: CultureCatalogue) -> None:
    sweden = catalogue["SWE"]
    nearest = catalogue.nearest_on_map(sweden, ["SWE", "NOR", "ZWE"])
    assert nearest is not None
    assert nearest.code == "NOR"


def test_without_a_position_there_is_no_nearest(catalogue: CultureCatalogue) -> None:
    aruba = catalogue["ABW"]
    assert aruba.position is None
    assert catalogue.nearest_on_map(aruba, ["SWE"]) is None
    assert catalogue.nearest_on_map(catalogue["SWE"], ["ABW"]) is None


def test_sweden_is_secular_and_self_expressive(catalogue: CultureCatalogue) -> None:
    position, other = catalogue["SWE"].position, catalogue["ZWE"].position
    assert position is not None
    assert other is not None
    assert position.traditional_secular > other.traditional_secular
    assert position.survival_expression > other.survival_expression


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("DEU", "Germany"),
        ("NLD", "the Netherlands"),
        ("USA", "the United States"),
        ("GBR", "the United Kingdom"),
        ("PHL", "the Philippines"),
        ("COD", "the Democratic Republic of the Congo"),
        ("TCA", "the Turks and Caicos Islands"),
        ("SGS", "South Georgia and the South Sandwich Islands"),
        ("IRL", "Ireland"),
    ],
)
def test_a_name_has_its_article_within_a_sentence(
    catalogue: CultureCatalogue, code: str, name: str
) -> None:
    assert catalogue[code].name_in_sentence == name


def test_the_nearest_is_that_of_the_map_and_that_of_the_region(
    catalogue: CultureCatalogue,
) -> None:
    def nearest(code: str, *among: str) -> dict[str, tuple[str, ...]]:
        return {n.culture.code: n.reasons for n in catalogue.nearest(catalogue[code], among)}

    # Worked out from the positions: Iceland is nearest to Sweden of these, on the map as in the
    # region.
    both = ("on the cultural map", "in Northern Europe")
    assert nearest("ISL", "SWE", "ZWE", "ISL") == {"SWE": both}
    # New Zealand is nearer than Estonia on the map, and does not lie in Northern Europe.
    assert nearest("ISL", "NZL", "EST") == {
        "NZL": ("on the cultural map",),
        "EST": ("in Northern Europe",),
    }
    # Without a position: of the continent, with English and Spanish in common.
    assert nearest("ABW", "BOL", "USA", "SWE") == {"USA": ("in the Americas",)}
    assert nearest("ABW", "SWE") == {}
    assert nearest("ABW") == {}
