"""The whole service on the real vLLM with the embedded model and its reader."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI
from pydantic import SecretStr

from adapters.base_model import read_base_model
from adapters.manifest import AdapterFacts
from adapters.registry import AdapterRegistry
from app.settings import EMBEDDED_MODEL, Settings
from embedded_model.reader_files import READER_NAME
from tests.adapters.loras import lora_config, lora_tensors, write_lora
from tests.app.service import RELIGION, RELIGION_KEY, served
from tests.conftest import MAX_CPU_LORAS, ServedVllm

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]
KEY = "only-here"
CAPITAL = "What is the capital of France?"
# Far from every survey, with more options than one digit can label.
SANDWICH = "What do you put on a sandwich first of all?"
SPREADS = [
    *("Butter", "Ham", "Cheese", "Jam", "Honey", "Egg", "Salad", "Tomato", "Tuna"),
    *("Other", "None"),
]


@pytest.fixture(scope="module")
def settings(
    real_vllm: ServedVllm,
    vllm_model_dir: Path,
    cache_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Settings:
    vllm = {
        "urls": (real_vllm.url,),
        "model": real_vllm.model,
        "api_key": real_vllm.api_key,
        "reader": READER_NAME,
        "lora": True,
        "model_path": vllm_model_dir,
        "max_loras": 2,
        "max_cpu_loras": MAX_CPU_LORAS,
    }
    return Settings(
        cache_folder=cache_folder,
        data_folder=tmp_path_factory.mktemp("data"),
        vllm=vllm,
        admin_keys=(SecretStr(KEY),),
    )


@pytest.fixture(scope="module")
def service(settings: Settings) -> Iterator[str]:
    with served(settings) as url:
        yield url


@pytest.fixture
def client(service: str) -> OpenAI:
    return OpenAI(base_url=f"{service}/v1", api_key="unused")


def ask(url: str, **body: Any) -> dict[str, Any]:
    reply = httpx.post(
        f"{url}/answer", json={"question": RELIGION, "answer_from": "model"} | body, timeout=60.0
    )
    assert reply.status_code == 200, reply.text
    answer: dict[str, Any] = reply.json()
    return answer


def chat(client: OpenAI, model: str, said: str, **options: Any) -> Any:
    messages: Any = [{"role": "user", "content": said}]
    return client.chat.completions.create(model=model, messages=messages, **options)


def test_a_chat_without_a_culture_is_the_models_own_and_as_likely_as_can_be(
    client: OpenAI,
) -> None:
    # In bfloat16 another answer comes out, and at a temperature of 1 not always the same.
    replies = [chat(client, EMBEDDED_MODEL, CAPITAL, max_tokens=24) for _ in range(2)]

    texts = [reply.choices[0].message.content for reply in replies]
    assert texts == ["The capital of France is Paris."] * 2
    assert replies[0].model == EMBEDDED_MODEL


def test_a_chat_about_values_says_what_the_people_said(service: str, client: OpenAI) -> None:
    known = ask(service, culture="NG", answer_from="survey")
    most = max(known["shares"], key=lambda option: option["share"])
    reply = chat(client, f"{EMBEDDED_MODEL}@NG", RELIGION, max_tokens=40)

    # So says its reader. The model alone names other figures, or none.
    said = reply.choices[0].message.content
    assert f"{most['share']:.0%}" in said
    assert most["label"] in said
    assert reply.usage.prompt_tokens > 100
    assert reply.model_extra["milieu"]["culture"]["code"] == "NGA"


def test_a_stream_says_in_pieces_what_comes_in_one_piece(client: OpenAI) -> None:
    def tell(stream: bool) -> Any:
        question = "How important are friends to you?"
        return chat(client, f"{EMBEDDED_MODEL}@NG", question, max_tokens=24, stream=stream)

    pieces = [c.choices[0].delta.content or "" for c in tell(True) if c.choices]
    assert len(pieces) > 2
    assert "".join(pieces) == tell(False).choices[0].message.content


def test_the_openai_client_lists_the_cultures(client: OpenAI) -> None:
    models = {model.id for model in client.models.list()}

    assert {EMBEDDED_MODEL, f"{EMBEDDED_MODEL}@DE", f"{EMBEDDED_MODEL}@ZW"} <= models


def test_an_answer_has_a_readable_option(service: str) -> None:
    answer = ask(service, culture="DE")

    assert answer["options_from"] == RELIGION_KEY
    assert answer["label_mass"] > 0.9
    assert answer["option"]["label"] == answer["answer"]
    assert len(answer["exemplars"]) == 5


@pytest.mark.parametrize(
    ("method", "style", "least_mass"),
    [
        # Asked without evidence the model likes to begin with a word.
        ("plain", "shares", 0.1),
        ("persona", "shares", 0.1),
        ("cross-culture", "shares", 0.1),
        # The reader knows that a label is wanted.
        ("icl", "mode", 0.9),
        ("persona+icl", "draw", 0.9),
        ("cross-culture+icl", "shares", 0.9),
    ],
)
def test_every_prompt_is_read(service: str, method: str, style: str, least_mass: float) -> None:
    answer = ask(service, culture="KE", method=method, exemplar_style=style, k=3)

    assert answer["method"] == method
    assert answer["label_mass"] > least_mass
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


def test_eleven_options_are_labelled_with_letters(service: str) -> None:
    answer = ask(service, question=SANDWICH, options=SPREADS, culture="DE", method="plain")

    assert answer["model"]["labels"] == "letters"
    assert answer["label_mass"] > 0.5


def test_an_adapter_is_loaded_and_answers_in_the_readers_place(
    service: str, settings: Settings, vllm_model_dir: Path, tmp_path: Path
) -> None:
    base = read_base_model(vllm_model_dir, name=EMBEDDED_MODEL)
    config = lora_config(rank=8, base_model_name_or_path=EMBEDDED_MODEL)
    lora = write_lora(tmp_path / "lora", lora_tensors(base, rank=8), config)
    about = AdapterFacts(method="random", licence="CC0")
    AdapterRegistry(settings.adapters_folder).add(
        lora, base=base, max_rank=8, name="random", cultures=["DEU"], about=about
    )

    headers = {"Authorization": f"Bearer {KEY}"}
    changed = httpx.post(f"{service}/v1/adapters/random/activate", headers=headers, timeout=60.0)

    assert changed.status_code == 200, changed.text
    for method, with_adapter in (("persona", "adapter"), ("persona+icl", "adapter+icl")):
        # The prompt is the same, and of the latter the reader's.
        unadapted = ask(service, culture="DE", method=method)
        adapted = ask(service, culture="DE", method=with_adapter)
        assert adapted["adapter"]
        assert adapted["method"] == with_adapter
        assert adapted["label_mass"] != pytest.approx(unadapted["label_mass"], abs=0.01)
