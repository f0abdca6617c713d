from __future__ import annotations

from pathlib import Path

from embedded_model.reader.everyday import (
    EXAMINED,
    TAUGHT,
    Everyday,
    read_everyday,
    write_everyday,
)

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "data" / "everyday_prompts.txt"


def test_what_is_examined_or_measured_is_not_taught() -> None:
    taught = {each.request for each in read_everyday(TAUGHT)}
    examined = {each.request for each in read_everyday(EXAMINED)}
    measured = set(BENCHMARK.read_text(encoding="utf-8").splitlines())

    assert len(taught) == 344
    assert len(examined) == 40
    assert taught.isdisjoint(examined | measured)


def test_every_request_has_the_models_reply() -> None:
    for file in (TAUGHT, EXAMINED):
        assert all(each.reply for each in read_everyday(file))
        assert file.stat().st_size < 2**20


def test_requests_are_read_as_they_were_written(tmp_path: Path) -> None:
    requests = (Everyday("Hi\nthere", "Hé", True), Everyday("Bye"))
    file = tmp_path / "requests.jsonl"

    write_everyday(file, requests)

    assert read_everyday(file) == requests
