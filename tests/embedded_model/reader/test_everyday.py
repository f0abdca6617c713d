from __future__ import annotations

from pathlib import Path

from embedded_model.reader.everyday import EVERYDAY, Everyday, read_everyday, write_everyday


def test_every_request_has_the_models_reply() -> None:
    requests = read_everyday(EVERYDAY)

    assert len({each.request for each in requests}) == 40
    assert all(each.reply for each in requests)


def test_requests_are_read_as_they_were_written(tmp_path: Path) -> None:
    requests = (Everyday("Hi\nthere", "Hé", True), Everyday("Bye"))
    file = tmp_path / "requests.jsonl"

    write_everyday(file, requests)

    assert read_everyday(file) == requests
