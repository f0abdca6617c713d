"""What was used last is kept, and no more than there is room for."""

from __future__ import annotations

from retrieval.last_used import LastUsed


def test_a_value_is_found_by_its_key() -> None:
    kept = LastUsed[str, int](2)
    kept.keep("a", 1)

    assert kept.find("a") == 1
    assert kept.find("b") is None
    assert len(kept) == 1


def test_what_was_used_longest_ago_makes_room() -> None:
    kept = LastUsed[str, int](2)
    for key, value in (("a", 1), ("b", 2)):
        kept.keep(key, value)
    kept.find("a")
    kept.keep("c", 3)

    assert [kept.find(key) for key in "abc"] == [1, None, 3]


def test_a_newer_value_takes_the_place_of_an_older_one() -> None:
    kept = LastUsed[str, int](2)
    for value in (1, 2):
        kept.keep("a", value)

    assert kept.find("a") == 2
    assert len(kept) == 1


def test_without_room_nothing_is_kept() -> None:
    kept = LastUsed[str, int](0)
    kept.keep("a", 1)

    assert kept.find("a") is None
