"""Train the mini model from scratch, and save it as vLLM loads it.

    python -m mini_model.train --shared ../shared/data --out mini_model/weights

Top to bottom: tokenizer, corpus, model, loop, evaluation on the validation split with the
service's own prompts, weights. The same seed gives the same data in the same order.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from files.whole import replacing
from mini_model import corpus, held_out, questions, tokenizer
from mini_model.corpus import Corpus, TrainingSequence
from mini_model.losses import compute_losses
from mini_model.optimising import follow, make_optimizer
from mini_model.populations import QuestionPool
from mini_model.questions import Survey
from mini_model.stages import LAST_STAGE_STEP, mix
from mini_model.start import calibrate, make_model
from mini_model.tokenizer import CONTEXT_TOKENS
from mini_model.weights import write_weights_manifest
from prompting import messages
from retrieval.encoder import Encoder
from retrieval.encoders.opening import open_encoder
from survey_data.cultures import CultureCatalogue, read_catalogue
from survey_data.packs import find_packs, read_pack
from survey_data.split import Split, read_split

PACKS = Path(__file__).parent.parent / "survey_data" / "packs"
# A batch has this many tokens, its rows a multiple of `ROW_UNIT`: each new shape costs a
# compilation of the kernels.
BATCH_TOKENS, ROW_UNIT = 3072, 128
# Questions and answers that a batch is chosen from.
DRAWN_BLOCKS = 72
# After so many steps the model is examined, calibrated and saved.
EXAM_STEPS = 300


@dataclass(frozen=True)
class TrainingSettings:
    """What a training run depends on besides the data."""

    steps: int = 2600
    seed: int = 7
    learning_rate: float = 1e-3
    weight_decay: float = 0.02
    warm_up_steps: int = 30
    decay_share: float = 0.7
    n_layers: int = 5
    vocab_size: int = 4608


def main() -> None:
    """Train with the settings of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--shared", type=Path, required=True, help="folder with culturespa/")
    parser.add_argument("--out", type=Path, required=True, help="folder for the weights")
    parser.add_argument("--work", type=Path, default=Path(".cache/mini_model"), help="checkpoints")
    parser.add_argument("--steps", type=int, default=TrainingSettings.steps)
    parser.add_argument("--seed", type=int, default=TrainingSettings.seed)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    settings = TrainingSettings(steps=args.steps, seed=args.seed)
    train_model(settings, shared=args.shared, out=args.out, work=args.work)


def train_model(settings: TrainingSettings, *, shared: Path, out: Path, work: Path) -> None:
    """Train a model, from the checkpoint in `work` if there is one, and save it in `out`."""
    torch.manual_seed(settings.seed)
    data, words, exam, encoder = _make_data(settings, shared=shared, work=work)
    model = make_model(words, encoder, n_layers=settings.n_layers)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device)
    label_tokens = _find_label_tokens(words, device)
    optimizer = make_optimizer(model, label_tokens, weight_decay=settings.weight_decay)
    average, teacher = copy.deepcopy(model), copy.deepcopy(model)
    checkpoint = work / "checkpoint.pt"
    parts = {"model": model, "average": average, "teacher": teacher, "optimizer": optimizer}
    first = _resume(checkpoint, parts)
    started = time.monotonic()
    for step in range(first, settings.steps):
        if step == LAST_STAGE_STEP:
            # What has been learnt about answers is kept, and no longer learnt by heart.
            for each in (model, teacher):
                each.load_state_dict(average.state_dict())
            optimizer.state.clear()
        rows = _draw_batch(data, step=step, seed=settings.seed)
        taught_by = teacher if step >= LAST_STAGE_STEP else None
        losses = compute_losses(model, rows, label_tokens, mixture=mix(step), teacher=taught_by)
        _descend(losses["total"], model, optimizer, rate=schedule_rate(step, settings))
        follow(average, model, step=step)
        line: dict[str, float] = {"step": step, "s": round(time.monotonic() - started, 1)}
        line |= {name: round(value.item(), 4) for name, value in losses.items()}
        last = step == settings.steps - 1
        is_examined = step % EXAM_STEPS == EXAM_STEPS - 1 or last
        if is_examined:
            calibrate(model, words)
            line["slope"] = round(calibrate(average, words)[4], 3)
            line |= exam.score_model(average)
        if step % 50 == 49 or last:
            _save_checkpoint(checkpoint, parts, step=step + 1)
        if is_examined:
            save(average, words, out, settings=settings, step=step + 1)
        _log(work / "log.jsonl", line, quiet=step % 10 != 0 and len(line) < 14)


def _find_label_tokens(words: Tokenizer, device: torch.device) -> torch.Tensor:
    """Return the token of each label, from 0 to the largest."""
    ids = tokenizer.find_label_ids(words)
    return torch.tensor([ids[str(n)] for n in range(tokenizer.MAX_LABEL + 1)], device=device)


def _descend(
    loss: torch.Tensor, model: LlamaForCausalLM, optimizer: torch.optim.Optimizer, *, rate: float
) -> None:
    """Take one step of the optimizer, each group of weights at its share of the learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = group["share"] * rate
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()


def schedule_rate(step: int, settings: TrainingSettings) -> float:
    """Return the rate at `step`: linear warm-up, constant, then linear to a twentieth.

    The last stage, which is about words, starts again at eight tenths of the rate.
    """
    if step < settings.warm_up_steps:
        return settings.learning_rate * (step + 1) / settings.warm_up_steps
    if step < LAST_STAGE_STEP:
        left = (LAST_STAGE_STEP - step) / (settings.decay_share * LAST_STAGE_STEP)
        return settings.learning_rate * max(0.05, min(1.0, left))
    left = (settings.steps - step) / (settings.steps - LAST_STAGE_STEP)
    return settings.learning_rate * max(0.05, 0.8 * min(1.0, 2 * left))


def save(
    model: LlamaForCausalLM, words: Tokenizer, out: Path, *, settings: TrainingSettings, step: int
) -> None:
    """Write the model as safetensors in bfloat16, with tokenizer and chat template, for vLLM."""
    out.mkdir(parents=True, exist_ok=True)
    # A copy, since training goes on in float32.
    short = copy.deepcopy(model)
    short.to(torch.bfloat16).save_pretrained(out, safe_serialization=True)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=words,
        eos_token=tokenizer.END,
        pad_token=tokenizer.PAD,
        additional_special_tokens=[tokenizer.SYSTEM, tokenizer.USER, tokenizer.ASSISTANT],
        clean_up_tokenization_spaces=False,
        model_max_length=CONTEXT_TOKENS,
    )
    fast.chat_template = tokenizer.CHAT_TEMPLATE
    fast.save_pretrained(out)
    # Less than half as large without indentation.
    fast.backend_tokenizer.save(str(out / "tokenizer.json"), pretty=False)
    write_weights_manifest(out, {"settings": asdict(settings), "step": step})


def _make_data(
    settings: TrainingSettings, *, shared: Path, work: Path
) -> tuple[Corpus, Tokenizer, held_out.Exam, Encoder]:
    """Return the corpus, the tokenizer, the validation exam, and the encoder."""
    encoder = open_encoder(n_threads=torch.get_num_threads())
    packs = [read_pack(folder) for folder in find_packs([PACKS])]
    asked_in = next(pack.questions for pack in packs if pack.manifest.id == "wvs7")
    load_held_out = read_split()
    validation = questions.make_validation_split([q.key for q in asked_in], load_held_out)
    split = Split(
        load_held_out.cultures | validation.cultures,
        load_held_out.questions | validation.questions,
    )
    make_pool = partial(questions.make_pool, encoder=encoder, cache=work)
    written = shared / "culturespa" / "generated_questions.jsonl.gz"
    generated = make_pool(questions.read_generated(written, seed=settings.seed))
    surveyed = make_pool(
        [q for pack in packs for q in pack.questions if q.key not in split.questions]
    )
    catalogue = read_catalogue()
    published = shared / "globalopinionqa" / "questions.jsonl"
    asked, cells = questions.read_opinions(
        published, held_out=split, catalogue=catalogue, seed=settings.seed
    )
    opinions = make_pool(asked)
    pools = [generated, surveyed, opinions]
    words = _make_tokenizer(work, pools, catalogue, vocab_size=settings.vocab_size)
    populations = questions.make_survey_populations(
        packs, surveyed, cultures=lambda code: code not in split.cultures
    )
    told = Survey(opinions, questions.make_opinion_populations(cells, opinions))
    surveys = (Survey(surveyed, populations), told)
    data = Corpus(generated=generated, surveys=surveys, catalogue=catalogue, tokenizer=words)
    exam = held_out.Exam.load(words, encoder, validation)
    return data, words, exam, encoder


def _make_tokenizer(
    work: Path, pools: Sequence[QuestionPool], catalogue: CultureCatalogue, *, vocab_size: int
) -> Tokenizer:
    """Return the run's tokenizer, trained on what the corpus and prompts say if it is new."""
    path = work / "tokenizer.json"
    if not path.exists():
        prompts = {
            name: value
            for name, value in vars(messages).items()
            if name.isupper() and isinstance(value, str)
        }
        adjectives = [culture.adjective for culture in catalogue]
        texts = corpus.list_tokenizer_texts(pools, prompts, adjectives)
        tokenizer.train_tokenizer(texts, vocab_size=vocab_size).save(str(path))
    return Tokenizer.from_file(str(path))


def _draw_batch(data: Corpus, *, step: int, seed: int) -> list[TrainingSequence]:
    """Return requests of about the same length, cut to it, that fill a batch."""
    rng = np.random.default_rng([seed, step])
    n_exemplars = int(rng.choice(mix(step).n_exemplars))
    drawn = [
        data.draw(rng, mixture=mix(step), n_exemplars=n_exemplars, length=CONTEXT_TOKENS)
        for _ in range(max(8, DRAWN_BLOCKS // (n_exemplars + 1)))
    ]
    drawn.sort(key=TrainingSequence.count_tokens)
    # One of them decides the length of all: those next below it join.
    last = int(rng.integers(len(drawn) // 3, len(drawn)))
    n_tokens = -(-drawn[last].count_tokens() // ROW_UNIT) * ROW_UNIT
    first = max(0, last + 1 - BATCH_TOKENS // n_tokens)
    return [row.cut(n_tokens) for row in drawn[first : last + 1]]


def _resume(path: Path, parts: Mapping[str, Any]) -> int:
    """Load the state of `parts` from a checkpoint; return the step to go on from, 0 without one."""
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return int(state["step"])


def _save_checkpoint(path: Path, parts: Mapping[str, Any], *, step: int) -> None:
    state = {name: part.state_dict() for name, part in parts.items()}
    with replacing(path) as new:
        torch.save(state | {"step": step}, new)


def _log(path: Path, line: dict[str, float], *, quiet: bool) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    if not quiet:
        print(" ".join(f"{name}={value:g}" for name, value in line.items()), flush=True)


if __name__ == "__main__":
    main()
