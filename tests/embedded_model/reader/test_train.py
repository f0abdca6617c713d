"""Training on a random Llama of two layers: a few steps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import get_peft_model
from safetensors.torch import load_file

from embedded_model.lora import WEIGHTS, read_lora
from embedded_model.reader.card import MANIFEST, write_card
from embedded_model.reader.data import ExampleStream
from embedded_model.reader.encoding import Encoded
from embedded_model.reader.labels import LabelRequest
from embedded_model.reader.losses import compute_losses, count
from embedded_model.reader.material import Material
from embedded_model.reader.settings import TrainSettings
from embedded_model.reader.train import LOG, Run, Step, _configure, divide, save_adapter
from files.hashes import hash_file
from tests.embedded_model.reader.characters import CharacterTokenizer, make_model

# So long that time does not end it, nor lower the learning rate.
SETTINGS = TrainSettings(
    minutes=1e9, n_steps=4, rank=4, alpha=8, n_warmup=1, batch_size=4, max_tokens=3000, seed=3
)
REPLY = Encoded([5, 6, 7, 8], [2, 3], [8, 9])
LABEL = Encoded([5, 6], [1], [], (49, 50), (0.25, 0.75))


@pytest.fixture
def stream(taught: Material) -> ExampleStream:
    return ExampleStream(taught, SETTINGS.kinds, seed=3)


def start(stream: ExampleStream, out: Path, settings: TrainSettings = SETTINGS) -> Run:
    return Run(make_model(), CharacterTokenizer(), stream, settings, out)


def read_weights(folder: Path) -> Mapping[str, torch.Tensor]:
    return load_file(folder / WEIGHTS)


def test_each_loss_is_of_its_own_rows() -> None:
    model = get_peft_model(make_model(), _configure(SETTINGS))

    found = [compute_losses(model, [row]) for row in (REPLY, LABEL)]

    for losses, own in zip(found, ("reply", "label"), strict=True):
        assert {name for name, each in losses._asdict().items() if each.item()} <= {own}
    # Shares of two labels in 128 tokens are far from learned.
    assert found[1].label.item() > 2.0
    assert count([REPLY, LABEL]) == (2, 1)


def test_rows_of_other_lengths_change_no_loss() -> None:
    model = get_peft_model(make_model(), _configure(SETTINGS))

    alone = compute_losses(model, [REPLY]).reply
    padded = compute_losses(model, [REPLY, Encoded([4] * 40, [38], [3])])
    other = compute_losses(model, [Encoded([4] * 40, [38], [3])]).reply

    assert padded.reply.item() == pytest.approx(alone.item() + other.item(), rel=0.02)


def test_the_loss_of_a_label_is_by_its_share() -> None:
    model = get_peft_model(make_model(), _configure(SETTINGS))
    logits = model(input_ids=torch.tensor([LABEL.tokens])).logits[0, -1]
    first, second = torch.log_softmax(logits, dim=-1)[[49, 50]].tolist()

    found = compute_losses(model, [LABEL]).label.item()

    assert found == pytest.approx(-0.25 * first - 0.75 * second, rel=0.02)


def test_a_run_that_was_cut_ends_as_an_unbroken_one(stream: ExampleStream, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    start(stream, whole).train()
    first = start(stream, cut)
    for step in range(2):
        for group in first._optimizer.param_groups:
            group["lr"] = SETTINGS.choose_rate(step, SETTINGS.measure_progress(step, 0.0))
        losses, n_tokens = first._descend(step)
        first.log.append(Step(step, 1.0, 1e-3, *losses, n_tokens))
    first._save_checkpoint()

    resumed = start(stream, cut)
    assert len(resumed.log) == 2
    resumed.train()

    expected, found = read_weights(whole), read_weights(cut)
    assert expected.keys() == found.keys()
    for name, each in expected.items():
        torch.testing.assert_close(found[name], each, atol=1e-3, rtol=1e-2)
    assert len((cut / LOG).read_text().splitlines()) == 4


def test_a_run_goes_on_from_the_adapter_of_another(stream: ExampleStream, tmp_path: Path) -> None:
    first = start(stream, tmp_path / "first", replace(SETTINGS, n_steps=1))
    first.train()

    second = Run(
        make_model(), CharacterTokenizer(), stream, SETTINGS, tmp_path / "second",
        start=tmp_path / "first",
    )  # fmt: skip
    save_adapter(second.model, tmp_path / "second")

    expected, found = (read_weights(tmp_path / name) for name in ("first", "second"))
    for name, each in expected.items():
        torch.testing.assert_close(found[name], each)


def test_a_checkpoint_of_other_settings_is_refused(stream: ExampleStream, tmp_path: Path) -> None:
    start(stream, tmp_path, replace(SETTINGS, n_steps=1)).train()

    with pytest.raises(SystemExit, match="other settings"):
        start(stream, tmp_path, replace(SETTINGS, n_steps=1, rank=2))


def test_the_adapter_is_merged_as_peft_merges_it(stream: ExampleStream, tmp_path: Path) -> None:
    run = start(stream, tmp_path, replace(SETTINGS, n_steps=1))
    run.train()
    save_adapter(run.model, tmp_path)
    plain = {name: each.numpy() for name, each in make_model().state_dict().items()}

    lora = read_lora(tmp_path)
    lora.check_all_used(set(plain))
    merged = run.model.merge_and_unload().state_dict()

    for name, each in plain.items():
        found = torch.from_numpy(lora.merge(name, each))
        torch.testing.assert_close(found, merged[name], atol=1e-4, rtol=1e-2)
    assert len(lora.pairs) == 2 * 7
    assert (tmp_path / WEIGHTS).stat().st_mode & 0o777 == 0o644


def test_the_manifest_has_the_hashes_of_what_was_written(
    stream: ExampleStream, tmp_path: Path
) -> None:
    run = start(stream, tmp_path, replace(SETTINGS, n_steps=1))
    run.train()
    (tmp_path / "model.safetensors").write_bytes(b"base")

    write_card(tmp_path, settings=run._settings, log=run.log, base=tmp_path, packs=())

    manifest = json.loads((tmp_path / MANIFEST).read_text())
    assert set(manifest["sha256"]) == {WEIGHTS, "adapter_config.json", "README.md"}
    for name, sha256 in manifest["sha256"].items():
        assert hash_file(tmp_path / name) == sha256
    assert manifest["settings"]["rank"] == 4
    assert "1 steps of 4 examples" in (tmp_path / "README.md").read_text()


def test_a_step_has_the_same_examples_whatever_came_before(stream: ExampleStream) -> None:
    first = stream.draw(7, 6)
    stream.draw(8, 6)

    assert stream.draw(7, 6) == first
    assert stream.draw(8, 6) != first
    assert replace(stream, seed=4).draw(7, 6) != first


def test_only_the_kinds_that_are_wanted_are_drawn(taught: Material) -> None:
    stream = ExampleStream(taught, {"told": 0.0, "untold": 0.0, "labels": 1.0})

    assert all(isinstance(each, LabelRequest) for each in stream.draw(0, 6))


def test_rows_are_divided_by_length() -> None:
    rows = [REPLY._replace(tokens=[1] * n) for n in (50, 10, 45, 12, 300)]

    parts = list(divide(rows, 100))

    assert [[len(row.tokens) for row in part] for part in parts] == [[10, 12], [45, 50], [300]]


@pytest.mark.parametrize(
    ("step", "elapsed_s", "progress"), [(0, 0.0, 0.0), (1, 0.0, 0.25), (1, 45.0, 0.75), (9, 9, 1)]
)
def test_a_run_ends_by_steps_or_time(step: int, elapsed_s: float, progress: float) -> None:
    settings = TrainSettings(minutes=1.0, n_steps=4)

    assert settings.measure_progress(step, elapsed_s) == progress


def test_the_rate_rises_and_falls() -> None:
    settings = TrainSettings(learning_rate=0.01, n_warmup=10)

    assert settings.choose_rate(0, 0.0) == pytest.approx(0.001)
    assert settings.choose_rate(50, 0.5) == pytest.approx(0.005)
    assert settings.choose_rate(99, 1.0) == pytest.approx(0.0)
