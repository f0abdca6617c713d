from __future__ import annotations

import copy
from typing import NamedTuple

import pytest
import torch
from transformers import LlamaForCausalLM

from mini_model import places
from mini_model.optimising import AVERAGED_STEPS, OUTPUT_RATE, follow, make_optimizer
from mini_model.tokenizer import find_label_ids
from tests.mini_model.untrained import untrained, words

N_STEPS, DECAY = 3, 0.5


def label_tokens() -> torch.Tensor:
    return torch.tensor(sorted(find_label_ids(words()).values()))


def rows_of(head: int) -> slice:
    return slice(head * places.HEAD_SIZE, (head + 1) * places.HEAD_SIZE)


class Trained(NamedTuple):
    """A weight after some steps on random data, and which of its values are still the same."""

    value: torch.Tensor
    same: torch.Tensor


def train(model: LlamaForCausalLM, *, gradients: bool) -> None:
    """Take some steps: on random tokens, or with gradients of zero, so that only decay acts."""
    optimizer = make_optimizer(model, label_tokens(), weight_decay=DECAY)
    for group in optimizer.param_groups:
        group["lr"] = group["share"] * 1e-2
    generator = torch.Generator().manual_seed(1)
    vocabulary = model.config.vocab_size
    for _ in range(N_STEPS):
        optimizer.zero_grad()
        tokens = torch.randint(vocabulary, (2, 48), generator=generator)
        loss = model(tokens, labels=tokens).loss
        (loss if gradients else loss * 0.0).backward()
        optimizer.step()


def compared(*, gradients: bool) -> dict[str, Trained]:
    model = copy.deepcopy(untrained())
    train(model, gradients=gradients)
    before = dict(untrained().named_parameters())
    return {
        name: Trained(weight.detach(), (weight == before[name]).detach())
        for name, weight in model.named_parameters()
    }


@pytest.fixture(scope="module")
def trained() -> dict[str, Trained]:
    return compared(gradients=True)


@pytest.fixture(scope="module")
def decayed() -> dict[str, Trained]:
    return compared(gradients=False)


def of_layer(trained: dict[str, Trained], layer: int, part: str) -> torch.Tensor:
    """Which values of a part of a layer are still the same."""
    return trained[f"model.layers.{layer}.{part}.weight"].same


def mostly_moved(same: torch.Tensor) -> bool:
    return float(same.float().mean()) < 0.1


def test_the_first_layer_and_the_embeddings_are_kept(trained: dict[str, Trained]) -> None:
    for name, weight in trained.items():
        if name.startswith(("model.layers.0.", "model.embed_tokens.", "model.norm.")):
            assert weight.same.all(), name


@pytest.mark.parametrize(
    ("layer", "heads", "others"),
    [(2, (places.READER, places.TRUST_FINDER), (2, 5)), (3, (), (0, 5))],
)
def test_heads_of_the_circuit_are_kept_and_others_move(
    trained: dict[str, Trained], layer: int, heads: tuple[int, ...], others: tuple[int, ...]
) -> None:
    context = slice(places.CONTEXT, places.CONTEXT + places.N_CONTEXT)
    for name in "qkv":
        same = of_layer(trained, layer, f"self_attn.{name}_proj")
        assert all(same[rows_of(head)].all() for head in heads), name
    output = of_layer(trained, layer, "self_attn.o_proj")
    assert all(output[:, rows_of(head)].all() for head in heads)
    for head in others:
        value = of_layer(trained, layer, "self_attn.v_proj")[rows_of(head)]
        assert mostly_moved(value[:, places.WORDS : places.OPTIONS])
        assert mostly_moved(output[context, rows_of(head)])


def test_in_the_second_layer_only_what_words_are_looked_for_moves(
    trained: dict[str, Trained],
) -> None:
    # All else would change how long the vectors are that the third layer reads.
    searching = (places.COPIER, places.SHARE_FINDER, places.REPEATER)
    for name, weight in trained.items():
        if name.startswith("model.layers.1."):
            same = weight.same.clone()
            if name.endswith(("q_proj.weight", "k_proj.weight")):
                for head in searching:
                    assert not same[rows_of(head)].all(), (name, head)
                    same[rows_of(head)] = True
            assert same.all(), name


@pytest.mark.parametrize(
    ("layer", "n_units"), [(2, places.N_READ_UNITS + places.N_LABELS), (3, 3 * places.N_LABELS)]
)
def test_units_of_the_circuit_are_kept_and_others_move(
    trained: dict[str, Trained], layer: int, n_units: int
) -> None:
    down = of_layer(trained, layer, "mlp.down_proj")
    assert down[:, :n_units].all()
    assert mostly_moved(down[places.WORDS : places.OPTIONS, n_units:])
    for name in ("gate", "up"):
        same = of_layer(trained, layer, f"mlp.{name}_proj")
        assert same[:n_units].all(), name
        assert mostly_moved(same[n_units:, places.WORDS : places.OPTIONS]), name


@pytest.mark.parametrize("layer", [2, 3])
@pytest.mark.parametrize("part", ["self_attn.o_proj", "mlp.down_proj"])
def test_only_the_circuit_writes_to_its_places(
    trained: dict[str, Trained], layer: int, part: str
) -> None:
    same = of_layer(trained, layer, part)
    open_ = [
        *range(places.PERCENT_FEATURES, places.NEGATIVE),
        *range(places.WORDS, places.OPTIONS),
        *range(places.OPINION, places.HIDDEN_SIZE),
    ]
    kept = sorted(set(range(places.HIDDEN_SIZE)) - set(open_))

    assert same[kept].all()
    assert not same[open_].all(dim=1).any()


def test_norms_before_what_the_circuit_reads_are_kept(trained: dict[str, Trained]) -> None:
    norms = {name for name, weight in trained.items() if name.endswith("layernorm.weight")}
    moved = {name for name in norms if not trained[name].same.all()}

    assert moved == {"model.layers.3.input_layernorm.weight"}


def test_labels_keep_their_outputs_and_words_move_theirs(trained: dict[str, Trained]) -> None:
    same = trained["lm_head.weight"].same
    others = torch.ones(len(same), dtype=torch.bool)
    others[label_tokens()] = False

    assert same[label_tokens()].all()
    assert same[:, : places.PERCENT_FEATURES].all()
    assert mostly_moved(same[others, places.WORDS :])


def test_weights_with_a_part_of_the_circuit_do_not_decay(decayed: dict[str, Trained]) -> None:
    moved = {name for name, weight in decayed.items() if not weight.same.all()}

    # All of the others of these layers have a part, and the norms are vectors.
    assert moved == {f"model.layers.3.self_attn.{name}_proj.weight" for name in "qkv"}


def test_what_adds_to_a_residual_vector_moves_more_slowly() -> None:
    model = copy.deepcopy(untrained())
    optimizer = make_optimizer(model, label_tokens(), weight_decay=DECAY)
    shares = {
        id(weight): group["share"] for group in optimizer.param_groups for weight in group["params"]
    }

    for name, weight in model.named_parameters():
        if weight.requires_grad:
            slow = name.endswith(("o_proj.weight", "down_proj.weight"))
            assert shares[id(weight)] == (OUTPUT_RATE if slow else 1.0), name


def test_the_running_mean_begins_as_the_plain_mean() -> None:
    model, average = (torch.nn.Linear(1, 1, bias=False) for _ in range(2))
    for step, value in enumerate((4.0, 1.0, 7.0)):
        torch.nn.init.constant_(model.weight, value)
        follow(average, model, step=step)

    # (4 + 1 + 7) / 3, whatever it was before.
    assert float(average.weight.item()) == pytest.approx(4.0)


def test_the_running_mean_forgets_after_many_steps() -> None:
    model, average = (torch.nn.Linear(1, 1, bias=False) for _ in range(2))
    torch.nn.init.constant_(average.weight, 0.0)
    torch.nn.init.constant_(model.weight, 1.0)

    follow(average, model, step=50 * AVERAGED_STEPS)

    assert float(average.weight.item()) == pytest.approx(1 / AVERAGED_STEPS)
