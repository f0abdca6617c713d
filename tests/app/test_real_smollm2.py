"""The whole service with SmolLM2, unpacked from its package, as vLLM's model in float32."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from adapters.base_model import read_base_model
from adapters.manifest import AdapterFacts
from adapters.registry import AdapterRegistry
from app.settings import Settings, VllmSettings
from embedded_model.errors import PackageMissing
from embedded_model.unpack import ensure_unpacked
from tests.adapters.loras import lora_config, lora_tensors, write_lora
from tests.app.service import RELIGION, served

pytestmark = [pytest.mark.vllm, pytest.mark.deep, pytest.mark.timeout(600)]
NAME = "smollm2-135m-instruct"
KEY = "only-here"
CAPITAL = "What is the capital of France?"
# Far from every survey, with more options than one digit can label.
SANDWICH = "What do you put on a sandwich first of all?"
SPREADS = [
    "Butter",
    "Ham",
    "Cheese",
    "Jam",
    "Honey",
    "Egg",
    "Salad",
    "Tomato",
    "Tuna",
    "Other",
    "None",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return ensure_unpacked(tmp_path_factory.mktemp("models"))
    except PackageMissing as exc:
        pytest.skip(str(exc))


@pytest.fixture(scope="module")
def settings(
    folder: Path, cache_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    return Settings(
        cache_folder=cache_folder,
        data_folder=tmp_path_factory.mktemp("data"),
        vllm=VllmSettings(model_path=folder, model=NAME, dtype="float32", max_model_len=2048),
        admin_keys=(SecretStr(KEY),),
    )


@pytest.fixture(scope="module")
def service(settings: Settings, vllm_model_dir: Path) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {KEY}"}
    with served(settings) as url, httpx.Client(base_url=url, headers=headers, timeout=60) as client:
        yield client


def chat(service: httpx.Client, question: str) -> str:
    body = {
        "model": NAME,
        "messages": [{"role": "user", "content": question}],
        "temperature": 0,
        "max_tokens": 24,
    }
    reply = service.post("/v1/chat/completions", json=body)
    assert reply.status_code == 200, reply.text
    text: str = reply.json()["choices"][0]["message"]["content"]
    return text


def ask(service: httpx.Client, **body: Any) -> dict[str, Any]:
    reply = service.post("/answer", json={"culture": "DE", "answer_from": "model", **body})
    assert reply.status_code == 200, reply.text
    answer: dict[str, Any] = reply.json()
    return answer


def test_it_chats_in_float32(service: httpx.Client) -> None:
    # In bfloat16 another answer comes out.
    assert chat(service, CAPITAL) == "The capital of France is Paris."


def test_the_labels_of_a_survey_question_are_read(service: httpx.Client) -> None:
    answer = ask(service, question=RELIGION, method="icl")

    # The rest goes to words: the model likes to repeat an option's text.
    assert answer["label_mass"] > 0.1
    assert sum(share["share"] for share in answer["shares"]) == pytest.approx(1.0, abs=0.001)


def test_eleven_options_are_labelled_with_letters(service: httpx.Client) -> None:
    answer = ask(service, question=SANDWICH, options=SPREADS, method="plain")

    assert answer["model"]["labels"] == "letters"
    assert answer["label_mass"] > 0.5


def test_an_adapter_is_loaded_and_answers(
    service: httpx.Client, settings: Settings, folder: Path, tmp_path: Path
) -> None:
    base = read_base_model(folder, name=NAME)
    config = lora_config(rank=8, base_model_name_or_path=NAME)
    lora = write_lora(tmp_path / "lora", lora_tensors(base, rank=8), config)
    about = AdapterFacts(method="random", licence="CC0")
    AdapterRegistry(settings.adapters_folder).add(
        lora, base=base, max_rank=8, name="random", cultures=["DEU"], about=about
    )

    changed = service.post("/v1/adapters/random/activate")

    assert changed.status_code == 200, changed.text
    plain = ask(service, question=RELIGION, method="plain")
    adapted = ask(service, question=RELIGION, method="adapter")
    assert adapted["adapter"]
    assert adapted["shares"] != plain["shares"]
