r"""Step 5: train LoRA adapters on the collected answers.

    python -m adapters.culturespa.train --examples examples.jsonl --questions questions.jsonl \
        --base "$(python -m embedded_model.unpack)" --base-name smollm2-135m-instruct --out adapters

Top to bottom: settings, the loop over adapters, one adapter's training, batches, checkpoints. The
same seed gives the same batches in the same order; a run that is killed resumes from its last
checkpoint and ends as an unbroken one does.

Source: METHODS, CultureSPA step 5 (arXiv 2410.12971, section 4.1 and appendix).
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from torch.nn import functional
from transformers import AutoModelForCausalLM, AutoTokenizer

from adapters.culturespa.card import AdapterCard, write_card
from adapters.culturespa.errors import BaseUnfit, NothingToTrain, StepChanged
from adapters.culturespa.recipe import (
    TrainedAdapter,
    TrainingBase,
    TrainingData,
    check_card,
    choose_batch_size,
    compute_learning_rate,
    read_data,
    start_card,
)
from adapters.culturespa.settings import Mode, TrainSettings
from adapters.culturespa.steps import OnProgress
from adapters.culturespa.targets import IGNORED, EncodedExamples, Target, encode_examples
from adapters.manifest import CONFIG, TRAINING, WEIGHTS
from files.whole import replacing, write_text

# How many training examples the card's before and after are measured on.
N_SAMPLED = 256


def train_adapters(
    data: TrainingData,
    base: TrainingBase,
    *,
    mode: Mode,
    settings: TrainSettings,
    out: Path,
    work: Path,
    cultures: Sequence[str] = (),
    licence: str = "",
    on_progress: OnProgress | None = None,
) -> tuple[TrainedAdapter, ...]:
    """Train what is not trained yet, and return all adapters of the mode.

    Args:
        data: what to train on.
        base: the model to adapt.
        mode: `joint` writes `out/joint`, `specific` a folder per culture, named by its code.
        settings: hyper-parameters.
        out: folder for the adapters.
        work: folder for checkpoints, of no use once all adapters are trained.
        cultures: alpha-3 codes of those to train on; empty for all in the data.
        licence: of the adapters, for their cards.
        on_progress: called with the steps of the current adapter, done and in all.

    Raises:
        NothingToTrain: there is no example, or none that the base model's tokens can say.
        StepChanged: a folder in `out` or a checkpoint in `work` is of other data or settings.
        BaseUnfit: the base model's chat template or tokenizer does not let an answer be trained.
    """
    codes = tuple(sorted(set(cultures))) or data.cultures
    if not codes:
        raise NothingToTrain("The data", "no example")
    trainer = _Trainer(data, base, choose_batch_size(settings, mode), on_progress)
    with torch.random.fork_rng():
        return tuple(
            trainer.finish(mode, of, licence, out / name, work / f"{mode}-{name}.pt")
            for name, of in mode.divide(codes).items()
        )


class _Loaded(NamedTuple):
    model: Any
    tokenizer: Any
    device: torch.device
    ends: frozenset[int]


@dataclass
class _Trainer:
    """Trains adapters of one base model, which is loaded for the first that is not trained yet."""

    data: TrainingData
    base: TrainingBase
    settings: TrainSettings
    on_progress: OnProgress | None

    @cached_property
    def loaded(self) -> _Loaded:
        return _load(self.base)

    def finish(
        self, mode: Mode, cultures: tuple[str, ...], licence: str, folder: Path, checkpoint: Path
    ) -> TrainedAdapter:
        """Return the adapter in `folder`, trained if it was not."""
        data, base, settings = self.data, self.base, self.settings
        card = start_card(
            data, base, mode=mode, settings=settings, cultures=cultures, licence=licence
        )
        if not (folder / TRAINING).exists():
            run = _Run(self.loaded, self._encode(cultures), settings, checkpoint, card)
            _save(run.train(self.on_progress), base, folder)
            card = run.complete_card(card)
            write_card(folder, card)
        return TrainedAdapter(folder, check_card(folder, card))

    def _encode(self, cultures: Sequence[str]) -> EncodedExamples:
        encoded = encode_examples(
            self.data.of(cultures),
            self.data.questions,
            self.loaded.tokenizer,
            ends=self.loaded.ends,
            settings=self.settings,
            base=self.base.folder,
        )
        if not encoded.targets:
            found = ", ".join(f"{n} {reason}" for reason, n in encoded.left_out.items())
            raise NothingToTrain(", ".join(cultures), found or "no example")
        return encoded


class _Run:
    """One adapter's training."""

    def __init__(
        self,
        loaded: _Loaded,
        encoded: EncodedExamples,
        settings: TrainSettings,
        checkpoint: Path,
        card: AdapterCard,
    ) -> None:
        self._loaded, self._encoded, self._settings = loaded, encoded, settings
        self._targets = encoded.targets
        self._checkpoint = checkpoint
        # A checkpoint is resumed only with the data, base and settings that it was begun with.
        self._digest = card.model_dump_json()
        size = settings.batch_size or 1
        self._steps_per_epoch = math.ceil(len(self._targets) / size)
        self.n_steps = self._steps_per_epoch * settings.n_epochs
        self.losses: list[float] = []
        self._before = self._after = 0.0

    def train(self, on_progress: OnProgress | None) -> PeftModel:
        """Return the adapter after the last step."""
        settings = self._settings
        torch.manual_seed(settings.seed)
        model = get_peft_model(self._loaded.model, _configure_lora(settings))
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        optimizer = torch.optim.AdamW(weights, lr=0.0, weight_decay=settings.weight_decay)
        sampled = self._targets[:: math.ceil(len(self._targets) / N_SAMPLED)]
        try:
            if not self._resume(model, optimizer):
                self._before = _measure_logprob(model, sampled, self._loaded, settings)
            for step in range(len(self.losses), self.n_steps):
                for group in optimizer.param_groups:
                    group["lr"] = compute_learning_rate(step, self.n_steps, settings)
                self.losses.append(self._descend(model, optimizer, self._choose_batch(step)))
                done = step + 1
                if done % settings.checkpoint_steps == 0 or done == self.n_steps:
                    self._save_checkpoint(model, optimizer)
                if on_progress is not None:
                    on_progress(done, self.n_steps)
            self._after = _measure_logprob(model, sampled, self._loaded, settings)
        except BaseException:
            model.unload()  # the next adapter starts from the bare base model
            raise
        return model

    def complete_card(self, card: AdapterCard) -> AdapterCard:
        """Return `card` with what the training came to."""
        return card.model_copy(
            update={
                "n_examples": self._encoded.n_by_culture,
                "left_out": self._encoded.left_out,
                "n_steps": self.n_steps,
                "losses": tuple(round(loss, 6) for loss in self.losses),
                "label_logprob": {"before": round(self._before, 6), "after": round(self._after, 6)},
            }
        )

    def _choose_batch(self, step: int) -> list[Target]:
        size = self._settings.batch_size or 1
        epoch, place = divmod(step, self._steps_per_epoch)
        generator = torch.Generator().manual_seed(self._settings.seed * 100_003 + epoch)
        order = torch.randperm(len(self._targets), generator=generator).tolist()
        return [self._targets[i] for i in order[place * size : (place + 1) * size]]

    def _descend(
        self, model: PeftModel, optimizer: torch.optim.Optimizer, batch: Sequence[Target]
    ) -> float:
        """Take one step and return the mean loss of the batch, in nats per target token."""
        model.train()
        n_tokens = sum(len(target.answer) for target in batch)
        # Rows of similar length together: less padding.
        rows = sorted(batch, key=lambda target: len(target.tokens))
        size, total = self._settings.micro_batch_size, 0.0
        for start in range(0, len(rows), size):
            logits, labels = _compute_logits(model, rows[start : start + size], self._loaded)
            loss = functional.cross_entropy(
                logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="sum"
            )
            (loss / n_tokens).backward()
            total += loss.item()
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        torch.nn.utils.clip_grad_norm_(weights, self._settings.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return total / n_tokens

    def _save_checkpoint(self, model: PeftModel, optimizer: torch.optim.Optimizer) -> None:
        state = {
            "run": self._digest,
            "adapter": get_peft_model_state_dict(model, save_embedding_layers=False),
            "optimizer": optimizer.state_dict(),
            "losses": self.losses,
            "before": self._before,
            "rng": torch.get_rng_state(),
            "device_rng": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        with replacing(self._checkpoint) as part:
            torch.save(state, part)

    def _resume(self, model: PeftModel, optimizer: torch.optim.Optimizer) -> bool:
        if not self._checkpoint.exists():
            return False
        state = torch.load(self._checkpoint, weights_only=True, map_location="cpu")
        if state["run"] != self._digest:
            raise StepChanged(self._checkpoint, "data, base model or settings")
        set_peft_model_state_dict(model, state["adapter"])
        optimizer.load_state_dict(state["optimizer"])
        self.losses, self._before = list(state["losses"]), float(state["before"])
        torch.set_rng_state(state["rng"])
        if state["device_rng"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(state["device_rng"])
        return True


def _load(base: TrainingBase) -> _Loaded:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    # On a CPU half precision costs more than it saves.
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    tokenizer = AutoTokenizer.from_pretrained(base.folder, local_files_only=True)
    if not tokenizer.chat_template:
        raise BaseUnfit(base.folder, "no chat template", "one")
    model = AutoModelForCausalLM.from_pretrained(
        base.folder, local_files_only=True, use_safetensors=True, dtype=dtype
    ).to(device)
    model.config.use_cache = False
    ends = model.generation_config.eos_token_id
    ids = ends if isinstance(ends, list) else [ends, tokenizer.eos_token_id]
    return _Loaded(model, tokenizer, device, frozenset(i for i in ids if i is not None))


def _configure_lora(settings: TrainSettings) -> LoraConfig:
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules="all-linear",
    )


def _compute_logits(
    model: PeftModel, rows: Sequence[Target], loaded: _Loaded
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits and labels, float32[rows, n, vocabulary] and int64[rows, n], of the answers.

    Rows are padded at their start, so all answers are at the end, and logits, which take the most
    memory, are computed of those places only.
    """
    width = max(len(row.tokens) for row in rows)
    n_kept = max(len(row.answer) for row in rows)
    tokens = torch.zeros((len(rows), width), dtype=torch.long)
    labels = torch.full((len(rows), width), IGNORED)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for i, row in enumerate(rows):
        first = width - len(row.tokens)
        tokens[i, first:] = torch.tensor(row.tokens)
        labels[i, first:] = torch.tensor(row.labels)
        mask[i, first:] = 1
    places = (mask.cumsum(dim=1) - 1).clamp(min=0)
    device = loaded.device
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
        output = model(
            input_ids=tokens.to(device),
            attention_mask=mask.to(device),
            position_ids=places.to(device),
            # A place's logits are of the token after it, so one place more and the last is unused.
            logits_to_keep=n_kept + 1,
        )
    return output.logits[:, :-1].float(), labels[:, -n_kept:].to(device)


@torch.no_grad()
def _measure_logprob(
    model: PeftModel, targets: Sequence[Target], loaded: _Loaded, settings: TrainSettings
) -> float:
    """Return the mean natural log-probability of the targets' labels, at most 0."""
    model.eval()
    total = 0.0
    for start in range(0, len(targets), settings.micro_batch_size):
        rows = targets[start : start + settings.micro_batch_size]
        logits, labels = _compute_logits(model, rows, loaded)
        log_probs = functional.log_softmax(logits, dim=-1)
        first = (labels != IGNORED).int().argmax(dim=1)
        place = torch.arange(len(rows), device=labels.device)
        total += log_probs[place, first, labels[place, first]].sum().item()
    return total / len(targets)


def _save(model: PeftModel, base: TrainingBase, folder: Path) -> None:
    """Write the adapter as vLLM and peft load it, and take it off the base model."""
    for config in model.peft_config.values():
        # Not the folder: whoever serves or downloads the adapter knows the model by its name.
        config.base_model_name_or_path = base.served_name
    # With "auto" peft would look for the base model's name on the hub.
    model.save_pretrained(folder, safe_serialization=True, save_embedding_layers=False)
    model.unload()
    # Written for its owner only, but a server may run as another user.
    (folder / WEIGHTS).chmod(0o644)
    config = json.loads((folder / CONFIG).read_bytes())
    # A set, written in another order by each process.
    config["target_modules"] = sorted(config["target_modules"])
    write_text(folder / CONFIG, json.dumps(config, indent=2, sort_keys=True) + "\n")


def main() -> None:
    """Train with the options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--examples", type=Path, required=True, help="of the collect step")
    parser.add_argument("--questions", type=Path, required=True, help="that they answer")
    parser.add_argument("--base", type=Path, required=True, help="folder of the base model")
    parser.add_argument("--base-name", required=True, help="the name that it is served by")
    parser.add_argument("--mode", type=Mode, choices=list(Mode), default=Mode.JOINT)
    parser.add_argument("--cultures", nargs="*", default=(), help="alpha-3 codes; all by default")
    parser.add_argument("--out", type=Path, required=True, help="folder for the adapters")
    parser.add_argument("--work", type=Path, default=Path(".cache/culturespa"), help="checkpoints")
    parser.add_argument("--source", nargs="*", default=(), metavar="NAME=TERMS")
    parser.add_argument("--licence", default="")
    parser.add_argument("--threads", type=int, help="of a CPU")
    defaults = asdict(TrainSettings())
    for name, default in defaults.items():
        flag = f"--{name.replace('_', '-')}"
        if isinstance(default, bool):
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=default)
        else:
            kind = int if default is None else type(default)
            parser.add_argument(flag, type=kind, default=default)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    sources = dict(source.split("=", 1) for source in args.source)
    train_adapters(
        read_data(args.examples, args.questions, sources=sources),
        TrainingBase(args.base, args.base_name),
        mode=args.mode,
        settings=TrainSettings(**{name: getattr(args, name) for name in defaults}),
        out=args.out,
        work=args.work,
        cultures=args.cultures,
        licence=args.licence,
        on_progress=lambda done, n: print(json.dumps({"step": done, "of": n}), flush=True),
    )


if __name__ == "__main__":
    main()
