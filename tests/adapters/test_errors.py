from __future__ import annotations

from adapters.errors import AdapterFault, AdapterRefused, AdapterUnknown


def test_a_refusal_says_reason_found_expected_and_remedy() -> None:
    refusal = AdapterRefused(
        AdapterFault.RANK, found="rank 64", expected="at most 16", remedy="Train."
    )

    assert str(refusal) == "rank: found rank 64; expected at most 16. Train."
    assert refusal.reason is AdapterFault.RANK


def test_what_a_client_asked_for_is_shown_short_and_in_one_line() -> None:
    message = str(AdapterUnknown("a\n\ud800" + "b" * 1000))

    assert message.isprintable()
    assert message.isascii()
    assert len(message) < 200
