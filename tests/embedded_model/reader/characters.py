"""A tokenizer with a token per character, and a tiny Llama that reads them."""

from __future__ import annotations

from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from embedded_model.reader.encoding import END

END_ID = 127


class CharacterTokenizer:
    """Every character below 127 is its own code, others one of them; the end of a turn is 127."""

    eos_token_id = END_ID

    def apply_chat_template(self, conversation: list[dict[str, str]], **options: Any) -> str:
        text = "".join(f"<{m['role']}>{m['content']}{END}" for m in conversation)
        return f"{text}<assistant>" if options["add_generation_prompt"] else text

    def encode(self, text: str, **options: Any) -> list[int]:
        pieces = [[min(ord(c), 126) for c in piece] for piece in text.split(END)]
        ids = list(pieces[0])
        for piece in pieces[1:]:
            ids += [END_ID, *piece]
        return ids

    def decode(self, ids: list[int]) -> str:
        return "".join(END if i == END_ID else chr(i) for i in ids)


def make_model(seed: int = 1) -> LlamaForCausalLM:
    """A random Llama of two narrow layers."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=128, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, head_dim=16, tie_word_embeddings=True,
        max_position_embeddings=8192,
    )  # fmt: skip
    return LlamaForCausalLM(config)
