"""Adapters are trained for real, on a tiny model and one thread."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from adapters.base_model import read_base_model
from adapters.culturespa.card import read_card
from adapters.culturespa.collect import Example
from adapters.culturespa.errors import NothingToTrain, StepChanged, StepFileInvalid
from adapters.culturespa.recipe import (
    TrainedAdapter,
    TrainingBase,
    TrainingData,
    compute_learning_rate,
    read_data,
)
from adapters.culturespa.settings import Mode, TrainSettings
from adapters.culturespa.train import train_adapters
from adapters.manifest import CARD, CONFIG, TRAINING, WEIGHTS, AdapterFacts
from adapters.registry import AdapterRegistry
from files.journal import write_lines
from prompting.messages import Steering, survey_messages
from prompting.recipe import Method
from survey_data.cultures import read_catalogue
from tests.adapters.culturespa.survey import Killed, question
from tests.adapters.loras import BASE_NAME
from tests.tiny_llama import tiny_chat_llama

QUESTIONS = [question(i, text=f"Is thing number {i} good?") for i in range(12)]
EXAMPLES = [
    Example(culture, q.key, option)
    for culture, option in (("DEU", 0), ("KEN", 2))
    for q in QUESTIONS
]
# So few examples need a high rate; the dropout makes the random state matter.
SETTINGS = TrainSettings(
    learning_rate=5e-3, batch_size=8, n_epochs=3, dropout=0.1, train_end=False, checkpoint_steps=2
)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    folder = tmp_path_factory.mktemp("data")
    write_lines(folder / "questions.jsonl", QUESTIONS)
    write_lines(folder / "examples.jsonl", EXAMPLES)
    sources = {"tiny": "made up"}
    return read_data(folder / "examples.jsonl", folder / "questions.jsonl", sources=sources)


def trained(
    data: TrainingData,
    folder: Path,
    *,
    mode: Mode = Mode.JOINT,
    settings: TrainSettings = SETTINGS,
    kill_at: int = 1_000,
    cultures: tuple[str, ...] = (),
) -> tuple[TrainedAdapter, ...]:
    def killed(done: int, total: int) -> None:
        if done == kill_at:
            raise Killed

    return train_adapters(
        data,
        TrainingBase(tiny_chat_llama(), BASE_NAME),
        mode=mode,
        settings=settings,
        out=folder / "adapters",
        work=folder / "work",
        cultures=cultures,
        licence="CC0-1.0",
        on_progress=killed,
    )


@pytest.fixture(scope="module")
def joint(data: TrainingData, tmp_path_factory: pytest.TempPathFactory) -> TrainedAdapter:
    return trained(data, tmp_path_factory.mktemp("joint"))[0]


@pytest.fixture(scope="module")
def specific(
    data: TrainingData, tmp_path_factory: pytest.TempPathFactory
) -> tuple[TrainedAdapter, ...]:
    return trained(data, tmp_path_factory.mktemp("specific"), mode=Mode.SPECIFIC)


def label_logprob(culture: str, option: int, *, adapter: Path | None = None) -> float:
    """Mean log-probability of an option over all questions, by transformers and peft alone."""
    return answer_logprobs(culture, option, adapter=adapter)[0]


def answer_logprobs(
    culture: str, option: int, *, adapter: Path | None = None
) -> tuple[float, float]:
    """The same of an option, and of the end of turn right after it."""
    model: Any = AutoModelForCausalLM.from_pretrained(tiny_chat_llama(), dtype=torch.float32)
    end = model.generation_config.eos_token_id
    if adapter is not None:
        model = PeftModel.from_pretrained(model, str(adapter))
    tokenizer: Any = AutoTokenizer.from_pretrained(tiny_chat_llama())
    steering = Steering(Method.PERSONA, culture=read_catalogue()[culture])
    of_label = of_end = 0.0
    for asked in (q.asked for q in QUESTIONS):
        chat = [{"role": m.role, "content": m.content} for m in survey_messages(asked, steering)]
        ids = tokenizer.apply_chat_template(
            chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )["input_ids"]
        label = tokenizer.convert_tokens_to_ids(asked.labels[option])
        with torch.no_grad():
            logits = model.eval()(torch.cat([ids, torch.tensor([[label]])], dim=1)).logits
        before_label, after_label = logits[0, -2:].log_softmax(-1)
        of_label += before_label[label].item()
        of_end += after_label[end].item()
    return of_label / len(QUESTIONS), of_end / len(QUESTIONS)


def test_the_loss_falls_and_the_trained_answers_become_likelier(joint: TrainedAdapter) -> None:
    card = joint.card

    assert card.n_steps == len(card.losses) == 9
    assert card.losses[-1] < card.losses[0]
    assert card.label_logprob["after"] > card.label_logprob["before"] + 0.05
    # The first loss is that of an untrained adapter, on other rows and with other dropout.
    assert card.losses[0] == pytest.approx(-card.label_logprob["before"], abs=0.5)


@pytest.mark.parametrize(("place", "culture", "option"), [(0, "DEU", 0), (1, "KEN", 2)])
def test_an_adapter_per_culture_is_loaded_by_peft_and_does_as_its_card_says(
    specific: tuple[TrainedAdapter, ...], place: int, culture: str, option: int
) -> None:
    folder, card = specific[place]

    before = label_logprob(culture, option)
    after = label_logprob(culture, option, adapter=folder)

    assert folder.name == culture
    assert (card.cultures, card.n_examples) == ((culture,), {culture: 12})
    assert card.label_logprob["before"] == pytest.approx(before, abs=1e-3)
    assert card.label_logprob["after"] == pytest.approx(after, abs=1e-3)
    assert after > before + 0.2


def test_an_adapter_of_all_cultures_is_loaded_by_peft(joint: TrainedAdapter) -> None:
    after = [label_logprob(c, o, adapter=joint.folder) for c, o in (("DEU", 0), ("KEN", 2))]

    assert math.fsum(after) / 2 == pytest.approx(joint.card.label_logprob["after"], abs=1e-3)


def test_the_folder_holds_what_a_server_needs_and_names_the_served_model(
    joint: TrainedAdapter,
) -> None:
    config = json.loads((joint.folder / CONFIG).read_bytes())

    assert {file.name for file in joint.folder.iterdir()} == {TRAINING, CONFIG, CARD, WEIGHTS}
    assert config["base_model_name_or_path"] == BASE_NAME
    assert (config["r"], config["lora_alpha"], config["peft_type"]) == (8, 16, "LORA")
    assert config["target_modules"] == [
        "down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj",
    ]  # fmt: skip
    assert all(torch.isfinite(value).all() for value in load_file(joint.folder / WEIGHTS).values())


def test_a_trained_adapter_is_admitted_to_the_registry(
    specific: tuple[TrainedAdapter, ...], tmp_path: Path
) -> None:
    base = read_base_model(tiny_chat_llama(), name=BASE_NAME)
    registry = AdapterRegistry(tmp_path / "registry")

    for adapter, culture in zip(specific, ("DEU", "KEN"), strict=True):
        about = AdapterFacts(method="culturespa-specific", licence="CC0")
        name = culture.lower()
        entry = registry.add(
            adapter.folder, base=base, max_rank=16, name=name, cultures=[culture], about=about
        )
        assert (entry.rank, entry.cultures) == (8, (culture,))

    assert len(registry.entries()) == 2


def test_the_card_says_what_it_was_trained_on(joint: TrainedAdapter, data: TrainingData) -> None:
    card = read_card(joint.folder)
    readme = (joint.folder / CARD).read_text(encoding="utf-8")

    assert card == joint.card
    assert (card.base_model, card.mode, card.licence) == (BASE_NAME, "joint", "CC0-1.0")
    assert card.n_examples == {"DEU": 12, "KEN": 12}
    assert card.data == data.digests
    assert card.settings["learning_rate"] == 5e-3
    assert "| KEN | 12 |" in readme
    assert "tiny: made up" in readme


@pytest.mark.parametrize("kill_at", [1, 5, 9])
def test_a_killed_training_goes_on_and_ends_as_an_unbroken_one(
    data: TrainingData, joint: TrainedAdapter, tmp_path: Path, kill_at: int
) -> None:
    with pytest.raises(Killed):
        trained(data, tmp_path, kill_at=kill_at)
    assert not (tmp_path / "adapters" / "joint" / TRAINING).exists()

    (resumed,) = trained(data, tmp_path)

    assert resumed.card.losses == pytest.approx(joint.card.losses, abs=1e-5)
    assert resumed.card.label_logprob == pytest.approx(joint.card.label_logprob, abs=1e-5)
    ours, unbroken = load_file(resumed.folder / WEIGHTS), load_file(joint.folder / WEIGHTS)
    assert ours.keys() == unbroken.keys()
    for name, value in ours.items():
        torch.testing.assert_close(value, unbroken[name], rtol=1e-4, atol=1e-6)


def test_a_trained_adapter_is_not_trained_again(data: TrainingData, joint: TrainedAdapter) -> None:
    again = trained(data, joint.folder.parent.parent, kill_at=1)

    assert again == (joint,)


def test_an_adapter_of_other_settings_is_not_taken_for_this_one(
    data: TrainingData, joint: TrainedAdapter
) -> None:
    with pytest.raises(StepChanged, match="settings"):
        trained(data, joint.folder.parent.parent, settings=replace(SETTINGS, rank=4))


def test_a_checkpoint_of_other_settings_is_refused(data: TrainingData, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        trained(data, tmp_path, kill_at=2)

    with pytest.raises(StepChanged, match="joint-joint"):
        trained(data, tmp_path, settings=replace(SETTINGS, seed=1))


def test_weights_that_were_changed_later_are_noticed(joint: TrainedAdapter, tmp_path: Path) -> None:
    for file in joint.folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / WEIGHTS).write_bytes(b"other")

    with pytest.raises(StepFileInvalid, match="other content"):
        read_card(tmp_path)


def test_a_culture_without_examples_cannot_be_trained(data: TrainingData, tmp_path: Path) -> None:
    with pytest.raises(NothingToTrain, match="MEX"):
        trained(data, tmp_path, mode=Mode.SPECIFIC, cultures=("MEX",))


def test_the_random_state_of_the_process_is_left_as_it_was(
    data: TrainingData, tmp_path: Path
) -> None:
    before = torch.get_rng_state()

    trained(data, tmp_path, settings=replace(SETTINGS, n_epochs=1), cultures=("KEN",))

    assert torch.equal(torch.get_rng_state(), before)


def test_the_end_of_turn_is_trained_by_default(data: TrainingData, tmp_path: Path) -> None:
    # One step with all examples and no dropout: its loss is what the bare model gives the tokens.
    settings = replace(
        SETTINGS,
        train_end=TrainSettings().train_end,
        batch_size=len(QUESTIONS),
        n_epochs=1,
        dropout=0.0,
    )

    (adapter,) = trained(data, tmp_path, settings=settings, cultures=("DEU",))

    of_label, of_end = answer_logprobs("DEU", 0)
    (loss,) = adapter.card.losses
    assert abs(of_end - of_label) > 0.1
    assert loss == pytest.approx(-(of_label + of_end) / 2, abs=1e-3)


def test_the_rate_warms_up_and_falls_as_a_cosine() -> None:
    settings = TrainSettings(learning_rate=1.0, warm_up_share=0.1)

    rates = [compute_learning_rate(step, 20, settings) for step in range(20)]

    # Two of twenty steps warm up; half-way through the other eighteen the cosine is at 0.
    assert rates[:3] == pytest.approx([0.5, 1.0, 1.0])
    assert rates[11] == pytest.approx(0.5)
    assert rates[19] == pytest.approx(0.5 * (1 + math.cos(math.pi * 17 / 18)))


def test_the_papers_batch_sizes_are_the_defaults() -> None:
    assert (Mode.JOINT.batch_size, Mode.SPECIFIC.batch_size) == (128, 8)
