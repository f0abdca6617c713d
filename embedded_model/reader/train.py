"""Train the reader adapter of the embedded model.

    python -m embedded_model.reader.train --model FOLDER --out FOLDER --minutes 180

FOLDER of the model is what `python -m embedded_model.unpack` prints. `--start FOLDER` goes on from
an adapter that another run has made. On a GPU where there is one,
else on `--threads` cores. A run that is killed goes on from its checkpoint in the output folder
when it is started again with the same settings.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from embedded_model.lora import CONFIG, WEIGHTS
from embedded_model.reader.card import write_card
from embedded_model.reader.data import ExampleStream
from embedded_model.reader.encoding import Encoded, encode
from embedded_model.reader.losses import compute_losses, count
from embedded_model.reader.material import read_packs, select_taught
from embedded_model.reader.settings import TrainSettings
from embedded_model.source import SMOLLM2
from files.hashes import hash_file
from files.whole import replacing, write_text
from retrieval.encoders.opening import open_encoder
from survey_data.cultures import read_catalogue
from survey_data.split import read_split

CHECKPOINT, LOG = "checkpoint.pt", "log.jsonl"
CHECKPOINT_S = 120.0


@dataclass(frozen=True, slots=True)
class Step:
    """One step in the log: its losses in nats per token, or label, and its tokens."""

    step: int
    elapsed_s: float
    rate: float
    reply: float
    label: float
    n_tokens: int


class Run:
    """One training run, from its checkpoint if it has one."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        stream: ExampleStream,
        settings: TrainSettings,
        out: Path,
        *,
        start: Path | None = None,
    ) -> None:
        """Put a LoRA on `model`, that in `start` if there is one.

        What `out` holds of the same run is gone on with.
        """
        self._tokenizer, self._stream, self._settings = tokenizer, stream, settings
        self._out = out
        torch.manual_seed(settings.seed)
        self.model = get_peft_model(model, _configure(settings))
        self._weights = [each for each in self.model.parameters() if each.requires_grad]
        self._optimizer = torch.optim.AdamW(self._weights, lr=0.0, weight_decay=0.0)
        self.log: list[Step] = []
        if start is not None:
            set_peft_model_state_dict(self.model, load_file(start / WEIGHTS))
        self._resume()

    def train(self) -> None:
        """Take the steps that are left, and write the adapter."""
        spent = self.log[-1].elapsed_s if self.log else 0.0
        started = saved = time.monotonic()
        while (progress := self._measure(spent, started)) < 1.0:
            step = len(self.log)
            rate = self._settings.choose_rate(step, progress)
            for group in self._optimizer.param_groups:
                group["lr"] = rate
            losses, n_tokens = self._descend(step)
            elapsed = spent + time.monotonic() - started
            self.log.append(Step(step, round(elapsed, 1), rate, *losses, n_tokens))
            print(json.dumps(asdict(self.log[-1])), flush=True)
            if time.monotonic() - saved > CHECKPOINT_S:
                self._save_checkpoint()
                saved = time.monotonic()
        self._save_checkpoint()
        save_adapter(self.model, self._out)

    def _measure(self, spent: float, started: float) -> float:
        elapsed = spent + time.monotonic() - started
        return self._settings.measure_progress(len(self.log), elapsed)

    def _descend(self, step: int) -> tuple[tuple[float, float], int]:
        """Take one step; return the losses, each per token or label, and the tokens read."""
        settings = self._settings
        rows = [
            row
            for each in self._stream.draw(step, settings.batch_size)
            if len((row := encode(each, self._tokenizer)).tokens) <= settings.max_tokens
        ]
        counts = count(rows)
        sums = [0.0, 0.0]
        scales = (settings.reply_weight, settings.label_weight)
        self.model.train()
        for part in divide(rows, settings.micro_tokens):
            means = [s / n for s, n in zip(compute_losses(self.model, part), counts, strict=True)]
            torch.stack([s * mean for s, mean in zip(scales, means, strict=True)]).sum().backward()
            sums = [before + mean.item() for before, mean in zip(sums, means, strict=True)]
        torch.nn.utils.clip_grad_norm_(self._weights, settings.max_norm)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        n_tokens = sum(len(row.tokens) for row in rows)
        return (round(sums[0], 4), round(sums[1], 4)), n_tokens

    def _save_checkpoint(self) -> None:
        state = {
            "settings": self._identify(),
            "adapter": get_peft_model_state_dict(self.model),
            "optimizer": self._optimizer.state_dict(),
            "log": [asdict(each) for each in self.log],
        }
        with replacing(self._out / CHECKPOINT) as part:
            torch.save(state, part)
        lines = [json.dumps(asdict(each)) for each in self.log]
        write_text(self._out / LOG, "\n".join(lines) + "\n")

    def _resume(self) -> None:
        file = self._out / CHECKPOINT
        if not file.exists():
            return
        state = torch.load(file, weights_only=True, map_location="cpu")
        if state["settings"] != self._identify():
            raise SystemExit(f"{file} is of other settings; delete it, or name another folder.")
        set_peft_model_state_dict(self.model, state["adapter"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.log = [Step(**each) for each in state["log"]]

    def _identify(self) -> str:
        return json.dumps(asdict(self._settings), sort_keys=True)


def divide(rows: Sequence[Encoded], micro_tokens: int) -> Iterator[list[Encoded]]:
    """Yield rows of similar length together, at most `micro_tokens` with padding, or one row."""
    part: list[Encoded] = []
    for row in sorted(rows, key=lambda row: len(row.tokens)):
        if part and len(row.tokens) * (len(part) + 1) > micro_tokens:
            yield part
            part = []
        part.append(row)
    if part:
        yield part


def save_adapter(model: Any, out: Path) -> None:
    """Write the adapter in PEFT's format, in float16, which is half of what training keeps."""
    state = get_peft_model_state_dict(model)
    halves = {name: each.detach().cpu().half().contiguous() for name, each in state.items()}
    with replacing(out / WEIGHTS) as part:
        save_file(halves, part, {"format": "pt"})
        part.chmod(0o644)  # written for its owner only, but a server may run as another user
    config = model.peft_config["default"].to_dict()
    config |= {
        "base_model_name_or_path": SMOLLM2.name,
        "inference_mode": True,
        "target_modules": sorted(config["target_modules"]),
    }
    text = json.dumps(config, indent=2, sort_keys=True, default=str)
    write_text(out / CONFIG, text + "\n")


def _configure(settings: TrainSettings) -> LoraConfig:
    return LoraConfig(
        task_type="CAUSAL_LM", r=settings.rank, lora_alpha=settings.alpha,
        target_modules="all-linear",
    )  # fmt: skip


def main() -> None:
    """Train with the options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True, help="folder of the unpacked model")
    parser.add_argument("--out", type=Path, required=True, help="folder for the adapter")
    parser.add_argument("--start", type=Path, help="folder of an adapter to go on from")
    parser.add_argument("--threads", type=int, help="of a CPU")
    defaults = TrainSettings()
    chosen = [field for field in fields(defaults) if field.name != "starts_from"]
    for field in chosen:
        default = getattr(defaults, field.name)
        kind = int if default is None else type(default)
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind, default=default)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    settings = TrainSettings(
        **{field.name: getattr(args, field.name) for field in chosen},
        starts_from="" if args.start is None else hash_file(args.start / WEIGHTS),
    )
    packs = read_packs()
    material = select_taught(packs, read_catalogue(), read_split(), open_encoder())
    stream = ExampleStream(material, settings.kinds, settings.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32).to(device)
    args.out.mkdir(parents=True, exist_ok=True)
    run = Run(model, tokenizer, stream, settings, args.out, start=args.start)
    run.train()
    write_card(
        args.out, settings=settings, log=run.log, base=args.model, packs=packs, start=args.start
    )


if __name__ == "__main__":
    main()
