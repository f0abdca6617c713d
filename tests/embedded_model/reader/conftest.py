"""What the reader's examples are made of, from the packs that come with Milieu."""

from __future__ import annotations

import pytest

from embedded_model.reader.material import Material, read_packs, select_examined, select_taught
from survey_data.cultures import read_catalogue
from survey_data.split import read_split
from tests.retrieval.conftest import HashEncoder


@pytest.fixture(scope="session")
def taught() -> Material:
    return select_taught(read_packs(), read_catalogue(), read_split(), HashEncoder())


@pytest.fixture(scope="session")
def examined() -> Material:
    return select_examined(read_packs(), read_catalogue(), read_split(), HashEncoder())
