"""A question that was asked before is looked up and estimated once."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import httpx
import pytest
from tokenizers import Tokenizer

from app.answering.context import file_counter
from estimation.estimator import Estimator
from retrieval.evidence import EvidenceFinder

# Each test asks for a people of its own: the service may have answered others before.
FRIENDS = "How important are friends in your life?"
PIECES = (
    *("\n", "\n\n", "\n\n\n", "\r\n", "\t", " ", "  ", "word", "Wort", "7", "19", "?", ".", ":"),
    *("'s", "é", "字", "👍", "\u00a0", "\u200b"),
)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done in threads, by the name of the method."""
    called: list[str] = []
    watched = ((EvidenceFinder, "_find"), (Estimator, "find_people"), (Estimator, "transfer"))
    for of, name in watched:
        method = getattr(of, name)

        def watch(*args: Any, _name: str = name, _method: Any = method, **more: Any) -> Any:
            called.append(_name)
            return _method(*args, **more)

        monkeypatch.setattr(of, name, watch)
    return called


def ask(client: httpx.Client, culture: str, **fields: Any) -> dict[str, Any]:
    reply = client.post("/answer", json={"question": FRIENDS, "culture": culture} | fields)
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return {name: found[name] for name in ("source", "answer", "option", "shares", "recognised")}


def test_a_question_is_looked_up_and_estimated_once(client: httpx.Client, calls: list[str]) -> None:
    assert ask(client, "ET") == ask(client, "ET")
    assert calls == ["_find", "find_people"]


def test_what_is_withheld_or_asked_of_others_is_estimated_for_itself(
    client: httpx.Client, calls: list[str]
) -> None:
    known, withheld = ask(client, "KE"), ask(client, "KE", withhold=True)
    others = ask(client, "ZW")

    assert ask(client, "KE", withhold=True) == withheld
    assert withheld["source"] == "transfer"
    assert len({str(each["shares"]) for each in (known, withheld, others)}) == 3
    assert [name for name in calls if name != "_find"] == ["find_people", "transfer", "find_people"]


def test_options_in_another_order_get_the_same_shares(
    client: httpx.Client, calls: list[str]
) -> None:
    before = [(share["label"], share["share"]) for share in ask(client, "BR")["shares"]]
    options = [label for label, _ in reversed(before)]
    turned = ask(client, "BR", options=options)

    assert [(share["label"], share["share"]) for share in turned["shares"]] == before[::-1]
    assert calls.count("find_people") == 1


def test_a_prompt_never_has_more_tokens_than_are_counted(vllm_model_dir: Path) -> None:
    file = vllm_model_dir / "tokenizer.json"
    count, tokenizer = file_counter(file), Tokenizer.from_file(str(file))
    drawn = random.Random(0)
    texts = ["".join(drawn.choices(PIECES, k=drawn.randint(0, 60))) for _ in range(3_000)]
    texts += ["word " * 400, *texts[:100]]
    over = [count(text) - len(tokenizer.encode(text)) for text in texts]

    assert min(over) >= 0
    assert all(n <= 2 * (text.count("\n") + 1) for n, text in zip(over, texts, strict=True))
