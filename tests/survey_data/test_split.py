"""What is held out of all training."""

from __future__ import annotations

from survey_data.packs import read_pack
from survey_data.split import SPLIT_FILE, read_split

WVS7 = SPLIT_FILE.parent / "packs" / "wvs7"


def test_the_split_holds_out_cultures_and_questions_of_the_pack() -> None:
    split, pack = read_split(), read_pack(WVS7)

    assert len(split.cultures) >= 4
    assert split.cultures <= set(pack.cultures)
    assert len(split.of_pack("wvs7")) >= 50
    assert set(split.of_pack("wvs7")) <= {question.key for question in pack.questions}
    assert len(split.of_pack("globalopinionqa")) == 300
