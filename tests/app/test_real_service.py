"""The whole service on the real vLLM with the embedded model: clients and evidence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI

from tests.app.service import RELIGION, RELIGION_KEY, served, settings_for
from tests.conftest import ServedVllm

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]
MODEL = "milieu-mini"


@pytest.fixture(scope="module")
def service(real_vllm: ServedVllm, cache_folder: Path) -> Iterator[str]:
    vllm = {"urls": (real_vllm.url,), "model": real_vllm.model, "api_key": real_vllm.api_key}
    with served(settings_for(real_vllm.url, cache_folder, vllm=vllm)) as url:
        yield url


def ask(url: str, **body: Any) -> dict[str, Any]:
    reply = httpx.post(
        f"{url}/answer", json={"question": RELIGION, "answer_from": "model"} | body, timeout=60.0
    )
    assert reply.status_code == 200, reply.text
    answer: dict[str, Any] = reply.json()
    return answer


def test_the_openai_client_chats(service: str) -> None:
    client = OpenAI(base_url=f"{service}/v1", api_key="unused")
    chat = client.chat.completions.create(
        model=f"{MODEL}@DE", messages=[{"role": "user", "content": RELIGION}], temperature=0
    )

    assert chat.choices[0].message.content
    assert chat.usage is not None
    assert chat.usage.prompt_tokens > 100
    assert (chat.model_extra or {})["milieu"]["culture"]["code"] == "DEU"


def test_the_openai_client_streams_what_it_gets_in_one_piece(service: str) -> None:
    client = OpenAI(base_url=f"{service}/v1", api_key="unused")

    def chat(stream: bool) -> Any:
        return client.chat.completions.create(
            model=f"{MODEL}@NG",
            messages=[{"role": "user", "content": "How important are friends to you?"}],
            temperature=0,
            max_tokens=24,
            stream=stream,
        )

    pieces = [c.choices[0].delta.content or "" for c in chat(True) if c.choices]
    assert len(pieces) > 2
    assert "".join(pieces) == chat(False).choices[0].message.content


def test_the_openai_client_lists_the_cultures(service: str) -> None:
    client = OpenAI(base_url=f"{service}/v1", api_key="unused")

    assert {MODEL, f"{MODEL}@DE", f"{MODEL}@ZW"} <= {model.id for model in client.models.list()}


def test_an_answer_has_a_readable_option(service: str) -> None:
    answer = ask(service, culture="DE")

    assert answer["options_from"] == RELIGION_KEY
    assert answer["label_mass"] > 0.9
    assert answer["option"]["label"] == answer["answer"]
    assert len(answer["exemplars"]) == 5


@pytest.mark.parametrize(
    "method", ["plain", "persona", "cross-culture", "icl", "persona+icl", "cross-culture+icl"]
)
@pytest.mark.parametrize("style", ["mode", "shares", "draw"])
def test_every_prompt_is_read(service: str, method: str, style: str) -> None:
    answer = ask(service, culture="KE", method=method, exemplar_style=style, k=3)

    assert answer["method"] == method
    assert answer["label_mass"] > 0.5
    assert sum(share["share"] for share in answer["shares"]) == pytest.approx(1.0, abs=0.001)


def test_answers_follow_the_exemplars(service: str) -> None:
    """Where nearly all say the first option, and where few do, the model must tell them apart."""
    question = "What importance does God have for you, on the whole?"
    options = ["Very great", "Great", "Small", "None at all"]
    shares = {
        code: ask(service, culture=code, question=question, options=options)["shares"][0]["share"]
        for code in ("NGA", "NLD")
    }

    assert shares["NGA"] > shares["NLD"]


def test_a_repeated_prompt_is_found_in_the_prefix_cache(service: str) -> None:
    ask(service, culture="BR")

    assert ask(service, culture="BR")["usage"]["cached_tokens"] > 0


def test_orders_average_over_prompts(service: str) -> None:
    once, twice = ask(service, culture="DE"), ask(service, culture="DE", orders=2)

    assert twice["usage"]["prompt_tokens"] == pytest.approx(2 * once["usage"]["prompt_tokens"])
