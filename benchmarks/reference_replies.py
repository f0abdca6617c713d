"""What transformers says in float32, in a process of its own: greedy replies, and a text's loss."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

DATA = Path(__file__).parent / "data"
MAX_REPLY_TOKENS = 32


class Reference(NamedTuple):
    """Greedy replies to the everyday prompts; the plain text's tokens and mean loss in nats."""

    replies: tuple[str, ...]
    tokens: tuple[int, ...]
    loss: float


def read_prompts() -> tuple[str, ...]:
    """Return the everyday prompts."""
    return tuple((DATA / "everyday_prompts.txt").read_text(encoding="utf-8").splitlines())


def read_reference(
    model: Path, *, n_prompts: int | None = None, kept: Path | None = None
) -> Reference:
    """Return what transformers says of the model in the folder `model`, and keep it in `kept`."""
    if kept is not None and kept.exists():
        text = kept.read_text(encoding="utf-8")
    else:
        command = [
            sys.executable,
            "-m",
            "benchmarks.reference_replies",
            str(model),
            str(n_prompts or ""),
        ]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        text = done.stdout.splitlines()[-1]
        if kept is not None:
            kept.write_text(text, encoding="utf-8")
    found = json.loads(text)
    return Reference(tuple(found["replies"][:n_prompts]), tuple(found["tokens"]), found["loss"])


def main() -> None:
    """Print the reference of the folder that the command line names, as a line of JSON."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, n_prompts = sys.argv[1], int(sys.argv[2] or len(read_prompts()))
    torch.set_num_threads(1)  # more only wait for one another on cores that are shared
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    text = (DATA / "plain_english.txt").read_text(encoding="utf-8")
    tokens = tokenizer(text)["input_ids"]
    with torch.no_grad():
        ids = torch.tensor([tokens])
        loss = float(model(input_ids=ids, labels=ids).loss)
        replies = [_reply(model, tokenizer, prompt) for prompt in read_prompts()[:n_prompts]]
    print(json.dumps({"replies": replies, "tokens": tokens, "loss": loss}))


def _reply(model: Any, tokenizer: Any, prompt: str) -> str:
    chat = [{"role": "user", "content": prompt}]
    asked = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt")
    options = {"max_new_tokens": MAX_REPLY_TOKENS, "do_sample": False}
    whole = model.generate(**asked, **options)[0]
    reply: str = tokenizer.decode(whole[asked["input_ids"].shape[1] :], skip_special_tokens=True)
    return reply


if __name__ == "__main__":
    main()
