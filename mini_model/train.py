"""Train the mini model from scratch, and save it as vLLM loads it.

    python -m mini_model.train --shared ../shared/data --out mini_model/weights

Top to bottom: tokenizer, corpus, model, loop, evaluation on held-out cultures and questions with
the service's own prompts, weights. The same seed gives the same data in the same order.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from mini_model import corpus, held_out, questions, tokenizer
from mini_model.corpus import IGNORE, Corpus, TrainingSequence, stage
from mini_model.questions import Survey
from mini_model.split import read_split
from mini_model.weights import write_manifest
from retrieval import prompting
from retrieval.encoder import SentenceTransformerEncoder
from survey_data.cultures import read_catalogue
from survey_data.packs import find_packs, read_pack

PACKS = Path(__file__).parent.parent / "survey_data" / "packs"
# Two shapes and no more: each new one costs a compilation of the kernels.
LONG_ROWS, LONG_TOKENS = 6, 1024
SHORT_ROWS, SHORT_TOKENS = 8, 512
LANGUAGE_WEIGHT, REPLY_WEIGHT = 0.03, 0.2
# The language-model loss reads every fourth token: its logits cost as much as two layers.
LANGUAGE_STRIDE = 4


@dataclass(frozen=True)
class Settings:
    """What a training run depends on besides the data."""

    steps: int = 2300
    seed: int = 7
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.05
    warm_up_steps: int = 40
    decay_share: float = 0.45
    hidden_size: int = 256
    n_layers: int = 6
    head_size: int = 64
    vocab_size: int = 4096


def main() -> None:
    """Train with the settings of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--shared", type=Path, required=True, help="folder with culturespa/")
    parser.add_argument("--out", type=Path, required=True, help="folder for the weights")
    parser.add_argument("--work", type=Path, default=Path(".cache/mini_model"), help="checkpoints")
    parser.add_argument("--steps", type=int, default=Settings.steps)
    parser.add_argument("--seed", type=int, default=Settings.seed)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    train(
        Settings(steps=args.steps, seed=args.seed),
        shared=args.shared,
        out=args.out,
        work=args.work,
    )


def train(settings: Settings, *, shared: Path, out: Path, work: Path) -> None:
    """Train a model, from the checkpoint in `work` if there is one, and save it in `out`."""
    torch.manual_seed(settings.seed)
    data, words = _data(settings, shared=shared, work=work)
    model = _new_model(settings, words)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=0.0, betas=(0.9, 0.98), weight_decay=settings.weight_decay
    )
    first = _resume(work / "checkpoint.pt", model, optimizer)
    label_tokens = torch.tensor(
        [tokenizer.label_ids(words)[str(n)] for n in range(tokenizer.MAX_LABEL + 1)], device=device
    )
    exam = held_out.Exam.load(words)
    started = time.monotonic()
    for step in range(first, settings.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, settings)
        rows = list(_batch(data, step=step, seed=settings.seed))
        losses = _losses(model, rows, label_tokens, device=device)
        optimizer.zero_grad(set_to_none=True)
        losses["total"].backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        line: dict[str, float] = {"step": step, "s": round(time.monotonic() - started, 1)}
        line |= {name: round(value.item(), 4) for name, value in losses.items()}
        last = step == settings.steps - 1
        if step % 200 == 199 or last:
            line |= exam.scores(model, stride=1 if last else 3)
        if step % 100 == 99 or last:
            _save_checkpoint(work / "checkpoint.pt", model, optimizer, step=step + 1)
            save(model, words, out, settings=settings, step=step + 1)
        _log(work / "log.jsonl", line, quiet=step % 20 != 0 and len(line) < 12)


def learning_rate(step: int, settings: Settings) -> float:
    """Return the rate at `step`: linear warm-up, constant, then linear to a twentieth."""
    if step < settings.warm_up_steps:
        return settings.learning_rate * (step + 1) / settings.warm_up_steps
    left = (settings.steps - step) / (settings.decay_share * settings.steps)
    return settings.learning_rate * max(0.05, min(1.0, left))


def save(
    model: LlamaForCausalLM, words: Tokenizer, out: Path, *, settings: Settings, step: int
) -> None:
    """Write the model as safetensors in bfloat16, with tokenizer and chat template, for vLLM."""
    out.mkdir(parents=True, exist_ok=True)
    # A copy, since training goes on in float32.
    copy = LlamaForCausalLM(model.config)
    copy.load_state_dict(model.state_dict())
    copy.to(torch.bfloat16).save_pretrained(out, safe_serialization=True)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=words,
        eos_token=tokenizer.END,
        pad_token=tokenizer.PAD,
        additional_special_tokens=[tokenizer.SYSTEM, tokenizer.USER, tokenizer.ASSISTANT],
        clean_up_tokenization_spaces=False,
        model_max_length=LONG_TOKENS,
    )
    fast.chat_template = tokenizer.CHAT_TEMPLATE
    fast.save_pretrained(out)
    write_manifest(out, {"settings": asdict(settings), "step": step})


def _data(settings: Settings, *, shared: Path, work: Path) -> tuple[Corpus, Tokenizer]:
    encoder = SentenceTransformerEncoder(n_threads=torch.get_num_threads())
    split = read_split()
    packs = [read_pack(folder) for folder in find_packs([PACKS])]
    generated = questions.make_pool(
        questions.read_generated(
            shared / "culturespa" / "generated_questions.jsonl.gz", seed=settings.seed
        ),
        encoder,
        cache=work,
    )
    surveyed = questions.make_pool(
        [q for pack in packs for q in pack.questions if q.key not in split.questions],
        encoder,
        cache=work,
    )
    path = work / "tokenizer.json"
    if not path.exists():
        prompts = {
            name: value
            for name, value in vars(prompting).items()
            if name.isupper() and isinstance(value, str)
        }
        texts = corpus.tokenizer_texts([generated, surveyed], prompts)
        tokenizer.train_tokenizer(texts, vocab_size=settings.vocab_size).save(str(path))
    words = Tokenizer.from_file(str(path))
    populations = questions.survey_populations(
        packs, surveyed, cultures=lambda code: code not in split.cultures
    )
    catalogue = read_catalogue()
    asked, cells = questions.read_opinions(
        shared / "globalopinionqa" / "questions.jsonl",
        held_out=split,
        catalogue=catalogue,
        seed=settings.seed,
    )
    opinions = questions.make_pool(asked, encoder, cache=work)
    data = Corpus(
        generated=generated,
        surveys=(
            Survey(surveyed, populations),
            Survey(opinions, questions.opinion_populations(cells, opinions)),
        ),
        catalogue=catalogue,
        tokenizer=words,
    )
    return data, words


def _new_model(settings: Settings, words: Tokenizer) -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=words.get_vocab_size(),
        hidden_size=settings.hidden_size,
        intermediate_size=int(settings.hidden_size * 8 / 3 / 32 + 0.5) * 32,
        num_hidden_layers=settings.n_layers,
        num_attention_heads=settings.hidden_size // settings.head_size,
        num_key_value_heads=settings.hidden_size // settings.head_size,
        head_dim=settings.head_size,
        max_position_embeddings=LONG_TOKENS,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=words.token_to_id(tokenizer.END),
        pad_token_id=words.token_to_id(tokenizer.PAD),
        attention_bias=False,
    )
    return LlamaForCausalLM(config)


def _batch(data: Corpus, *, step: int, seed: int) -> Iterator[TrainingSequence]:
    rng = np.random.default_rng([seed, step])
    mixture = stage(step)
    # The longest prompts teach reading; every third batch looks like the service's requests.
    if step < corpus.FIRST_STAGE_STEPS or step % 3:
        for _ in range(LONG_ROWS):
            yield data.long(rng, mixture=mixture, length=LONG_TOKENS)
    else:
        for _ in range(SHORT_ROWS):
            yield data.short(rng, mixture=mixture, length=SHORT_TOKENS)


def _losses(
    model: LlamaForCausalLM,
    rows: Sequence[TrainingSequence],
    label_tokens: torch.Tensor,
    *,
    device: torch.device,
) -> dict[str, torch.Tensor]:
    """Return the loss to minimise, its parts, and the divergence by number of exemplars."""
    tokens = torch.from_numpy(np.stack([row.tokens for row in rows])).to(device)
    targets = torch.from_numpy(np.stack([row.targets for row in rows])).to(device)
    n_before = torch.from_numpy(np.stack([row.n_before for row in rows])).to(device)
    is_reply = torch.from_numpy(np.stack([row.is_reply for row in rows])).to(device)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        hidden = model.model(tokens).last_hidden_state
        answers = n_before != IGNORE
        logits = model.lm_head(hidden[answers])
        language = model.lm_head(hidden[:, :-1][:, ::LANGUAGE_STRIDE])
        replies = model.lm_head(hidden[:, :-1][is_reply[:, :-1]])
    log_probs = functional.log_softmax(logits.float(), dim=-1)[:, label_tokens]
    wanted = targets[answers]
    # Kullback-Leibler divergence, so that a perfect answer costs nothing whatever its entropy.
    entropy = torch.special.entr(wanted).sum(-1)
    divergence = -(wanted * log_probs).sum(-1) - entropy
    weight = torch.ones_like(divergence)
    last = torch.zeros_like(n_before, dtype=torch.bool)
    last[torch.arange(len(rows)), n_before.argmax(dim=1)] = True
    weight[(last & answers)[answers]] = 2.0
    following = tokens[:, 1:][:, ::LANGUAGE_STRIDE]
    language_loss = functional.cross_entropy(
        language.float().flatten(0, 1), following.flatten(), ignore_index=0
    )
    parts = {"answer": (weight * divergence).sum() / weight.sum(), "language": language_loss}
    total = parts["answer"] + LANGUAGE_WEIGHT * language_loss
    if len(replies):
        parts["reply"] = functional.cross_entropy(replies.float(), tokens[:, 1:][is_reply[:, :-1]])
        total = total + REPLY_WEIGHT * parts["reply"]
    counts = n_before[answers]
    for name, low, high in (("kl_0", 0, 0), ("kl_1", 1, 1), ("kl_4_7", 4, 7), ("kl_10", 10, 99)):
        chosen = (counts >= low) & (counts <= high)
        if chosen.any():
            parts[name] = divergence[chosen].mean().detach()
    return {"total": total, **parts}


def _resume(path: Path, model: LlamaForCausalLM, optimizer: torch.optim.Optimizer) -> int:
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])


def _save_checkpoint(
    path: Path, model: LlamaForCausalLM, optimizer: torch.optim.Optimizer, *, step: int
) -> None:
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
    torch.save(state, path.with_suffix(".new"))
    path.with_suffix(".new").rename(path)


def _log(path: Path, line: dict[str, float], *, quiet: bool) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    if not quiet:
        print(" ".join(f"{name}={value:g}" for name, value in line.items()), flush=True)


if __name__ == "__main__":
    if not math.isclose(sum(asdict(stage(10_000)).values()), 1.0):
        raise SystemExit("the shares of a stage must sum to 1")
    main()
