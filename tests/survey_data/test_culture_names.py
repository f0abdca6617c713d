"""Cultures by what people call them; places that are none, and names that may be two."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import get_args

import pycountry
import pytest
from hypothesis import given
from hypothesis import strategies as st

from survey_data import culture_names
from survey_data.culture_names import CultureNames, Kind
from survey_data.cultures import CultureCatalogue, read_catalogue
from survey_data.errors import CultureUnknown
from survey_data.importers import globalopinionqa, table, wvs7
from survey_data.importers.wvs7_respondents import CountingRules
from tests.packs import made_manifest

PLACES = Path(culture_names.__file__).with_name("places.csv")
# As the United Nations and the World Bank write those that others write otherwise.
OFFICIAL = {
    "Bolivia (Plurinational State of)": "BOL",
    "China, Hong Kong Special Administrative Region": "HKG",
    "China, Macao Special Administrative Region": "MAC",
    "Congo (the Democratic Republic of the)": "COD",
    "Congo, Dem. Rep.": "COD",
    "Congo, Rep.": "COG",
    "Democratic People's Republic of Korea": "PRK",
    "Egypt, Arab Rep.": "EGY",
    "Gambia (Republic of The)": "GMB",
    "Guinea Bissau": "GNB",
    "Holy See": "VAT",
    "Iran, Islamic Rep.": "IRN",
    "Korea, Rep.": "KOR",
    "Lao PDR": "LAO",
    "Micronesia (Federated States of)": "FSM",
    "Netherlands (Kingdom of the)": "NLD",
    "Republic of Korea": "KOR",
    "Saint Martin (French Part)": "MAF",
    "St. Kitts and Nevis": "KNA",
    "State of Palestine": "PSE",
    "Svalbard and Jan Mayen Islands": "SJM",
    "United Kingdom of Great Britain and Northern Ireland": "GBR",
    "United Republic of Tanzania": "TZA",
    "United States Virgin Islands": "VIR",
    "Venezuela, RB": "VEN",
    "Viet Nam": "VNM",
    "Yemen, Rep.": "YEM",
}


def refusal(catalogue: CultureCatalogue, text: str) -> CultureUnknown:
    with pytest.raises(CultureUnknown) as caught:
        catalogue.resolve(text)
    return caught.value


@pytest.mark.parametrize(("name", "code"), OFFICIAL.items())
def test_official_names(catalogue: CultureCatalogue, name: str, code: str) -> None:
    assert catalogue.resolve(name).code == code


def test_every_name_of_the_standard_is_that_of_its_country(catalogue: CultureCatalogue) -> None:
    for country in pycountry.countries:
        of = (country.name, getattr(country, "official_name", country.name))
        for name in (*of, getattr(country, "common_name", country.name)):
            if name != "Congo":  # Which may be two.
                assert catalogue.resolve(name).code == country.alpha_3, name


def test_every_name_and_adjective_leads_back_or_is_said_to_be_two(
    catalogue: CultureCatalogue,
) -> None:
    for culture in catalogue:
        names = (culture.code, culture.alpha2, culture.name, culture.native_name)
        for name in (*names, *culture.aliases):
            assert catalogue.resolve(name) is culture, name
        if culture.adjective not in ("Congolese", "Dominican"):
            assert catalogue.resolve(culture.adjective) is culture


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("German", "DEU"),
        ("germans", "DEU"),
        ("Dutch", "NLD"),
        ("EL", "GRC"),
        ("el", "GRC"),
        ("UK", "GBR"),
        ("Burma", "MMR"),
        ("Zaire", "COD"),
        ("Suisse", "CHE"),
        ("Svizzera", "CHE"),
        ("Belgique", "BEL"),
        ("الأراضي الفلسطينية", "PSE"),
        ("S. Korea", "KOR"),
        ("Korea, South", "KOR"),
        ("Kosova", "XKX"),
        ("Chinese Taipei", "TWN"),
        ("Hong Kong, China", "HKG"),
        ("Puerto Rico (US)", "PRI"),
        ("West Bank and Gaza", "PSE"),
    ],
)
def test_adjectives_former_and_local_names(
    catalogue: CultureCatalogue, text: str, code: str
) -> None:
    assert catalogue.resolve(text).code == code


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        ("th-TH-u-ca-buddhist", "THA"),
        ("de-DE-1996", "DEU"),
        ("de-CH-x-bern", "CHE"),
        ("sl-Latn-IT-nedis", "ITA"),
        ("zh-cmn-Hant-TW", "TWN"),
        ("en-UK", "GBR"),
        ("el-EL", "GRC"),
        ("de_AT.UTF-8", "AUT"),
        ("ca_ES@valencia", "ESP"),
        ("de-BY", "BLR"),
        ("PT-BR", "BRA"),
    ],
)
def test_language_tags_in_full(catalogue: CultureCatalogue, tag: str, code: str) -> None:
    assert catalogue.resolve(tag).code == code


@pytest.mark.parametrize(
    ("text", "nearest", "reason", "is_place"),
    [
        ("England", ["United Kingdom"], "part of the United Kingdom", True),
        ("Ireland, Northern", ["United Kingdom"], "part of the United Kingdom", True),
        ("GB-SCT", ["United Kingdom"], "part of the United Kingdom", True),
        ("Soviet Union", ["Russia", "Ukraine", "Belarus"], "a former country", True),
        ("Latin America", [], "a region of several countries", True),
        ("es-419", [], "a region of several countries", True),
        ("Korea", ["South Korea", "North Korea"], "more than one country", False),
        ("Congo", None, "more than one country", False),
        ("Dominican", ["Dominica", "Dominican Republic"], "more than one country", False),
        ("ar", None, "both the code of Argentina and of the language of", False),
        ("uk", ["United Kingdom", "Ukraine"], "write 'UK' for the country", False),
        ("de-1996", [], "a language tag without a region", False),
        ("DE-BY", ["Germany", "Belarus"], "either a part of Germany or a language tag", False),
        ("US-CA", [], "", False),
        ("India (Non-national sample)", [], "", False),
        ("Germny", ["Germany"], "", False),
    ],
)
def test_what_is_no_culture_is_refused_with_its_reason(
    catalogue: CultureCatalogue,
    text: str,
    nearest: list[str] | None,
    reason: str,
    is_place: bool,
) -> None:
    error = refusal(catalogue, text)
    assert reason in str(error)
    assert error.is_place == is_place
    if nearest is not None:
        assert list(error.nearest) == nearest


def test_a_code_in_lower_case_is_read_where_its_language_is_spoken(
    catalogue: CultureCatalogue,
) -> None:
    for culture in catalogue:
        code = culture.alpha2.lower()
        if any(other.languages[0] == code for other in catalogue if other is not culture):
            if code in culture.languages:
                assert catalogue.resolve(code) is culture
            else:
                assert culture.name in refusal(catalogue, code).nearest
        else:
            assert catalogue.resolve(code) is culture


def test_the_file_of_places_names_no_country_twice(catalogue: CultureCatalogue) -> None:
    names = CultureNames(catalogue)
    seen: set[str] = set()
    with PLACES.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            assert row["kind"] in get_args(Kind)
            codes = set(filter(None, row["cultures"].split("|")))
            assert codes or row["kind"] == "region"
            assert codes <= {culture.code for culture in catalogue}
            for name in row["names"].split("|"):
                assert name.casefold() not in seen, name
                seen.add(name.casefold())
                with pytest.raises(CultureUnknown) as caught:
                    names.find(name)
                assert caught.value.is_place == (row["kind"] != "ambiguous"), name


@given(text=st.text(max_size=30))
def test_any_text_names_a_culture_or_is_refused(text: str) -> None:
    try:
        assert read_catalogue().resolve(text).code
    except CultureUnknown as exc:
        assert str(exc)  # noqa: PT017  # either may happen


PLACES_AND_CODES = [
    ("Kosovo", "XKX"),
    ("Palestine", "PSE"),
    ("Taiwan", "TWN"),
    ("Hong Kong", "HKG"),
    ("Puerto Rico", "PRI"),
    ("Northern Ireland", None),
    ("East Germany", None),
    ("Africa", None),
]


@pytest.mark.parametrize(("name", "code"), PLACES_AND_CODES)
def test_all_importers_take_or_refuse_a_place_alike(
    tmp_path: Path, catalogue: CultureCatalogue, name: str, code: str | None
) -> None:
    questions = tmp_path / "questions.csv"
    questions.write_text("id,topic,text,options,scale\ntea,Taste,Tea?,Yes|No,binary\n")
    shares = tmp_path / "shares.csv"
    rows = "".join(f"tea,{place},Yes,1\n" for place in (name, "Japan"))
    shares.write_text(f"question,culture,option,share\n{rows}")
    people = tmp_path / "wave7.csv"
    people.write_text(
        "A_YEAR,B_COUNTRY_ALPHA,W_WEIGHT,Q1\n" + f"2018,{name},1,1\n" + "2018,Japan,1,1\n"
    )
    opinions = tmp_path / "opinions.jsonl"
    opinions.write_text(
        f'{{"question": "Tea?", "options": ["Yes", "No"], "shares": '
        f'{{"{name}": [0.5, 0.5], "Japan": [0.5, 0.5]}}}}\n'
    )
    manifest = made_manifest("own", fieldwork={"*": "2024"})
    imported = [
        table.import_survey(questions, shares, catalogue, manifest=manifest),
        wvs7.import_survey(people, catalogue, choice=CountingRules(min_size=0)),
        globalopinionqa.import_survey(opinions, catalogue),
    ]
    expected = ("JPN",) if code is None else tuple(sorted(("JPN", code)))
    assert [pack.cultures for pack, _ in imported] == [expected] * 3
    refused = [[(p.name, p.reason) for p in r.populations_refused] for _, r in imported]
    assert refused == [refused[0]] * 3
    assert [each for each, _ in refused[0]] == ([] if code else [name])


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("D.P.R. of Korea", "PRK"), ("Korea, Dem. People's Rep.", "PRK"),
        ("Republic of Korea", "KOR"), ("Korea, Rep.", "KOR"),
        ("Congo-Brazzaville", "COG"), ("Congo, Rep.", "COG"), ("Republic of the Congo", "COG"),
        ("Congo-Kinshasa", "COD"), ("Congo, Dem. Rep.", "COD"), ("DRC", "COD"),
        ("Congo, Democratic Republic of the", "COD"), ("Zaire", "COD"),
        ("Macedonia", "MKD"), ("Swaziland", "SWZ"), ("Laos", "LAO"), ("Cape Verde", "CPV"),
        ("Uk", "GBR"), ("Brasil", "BRA"), ("America", "USA"),
    ],
)  # fmt: skip
def test_names_that_other_tools_took_for_another_country(
    catalogue: CultureCatalogue, name: str, code: str
) -> None:
    assert catalogue.resolve(name).code == code


@pytest.mark.parametrize(
    ("name", "both"),
    [
        ("Congo", ("Republic of the Congo", "Democratic Republic of the Congo")),
        ("Korea", ("South Korea", "North Korea")),
    ],
)
def test_a_name_of_two_countries_is_refused_with_both(
    catalogue: CultureCatalogue, name: str, both: tuple[str, str]
) -> None:
    with pytest.raises(CultureUnknown) as caught:
        catalogue.resolve(name)
    assert all(country in str(caught.value) for country in both)
