"""Small tokenizers that split digits and spaces as those of well-known models do.

Each is trained on a few lines and has a chat template of its kind, so that what it makes of a label
after the template is what the model's own would make of it.
"""

from __future__ import annotations

import string
from collections.abc import Iterator
from enum import StrEnum
from functools import cache

from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast

_CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_HEADERS = (
    "{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n"
    "{{ m['content'] | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
# The answer stands a space after the instruction, and that space belongs to its first word.
_INSTRUCTIONS = (
    "{% for m in messages %}{% if m['role'] == 'assistant' %} {{ m['content'] }}</s>"
    "{% else %}[INST] {{ m['content'] }} [/INST]{% endif %}{% endfor %}"
)
_TURNS = (
    "{% for m in messages %}<start_of_turn>"
    "{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n{{ m['content'] | trim }}"
    "<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
# Thoughts, none of them in an answer that was given, can be switched off.
_SWITCHED_THOUGHTS = _CHATML.replace(
    "{{ m['content'] }}",
    "{% if m['role'] == 'assistant' %}<think>\n\n</think>\n\n{% endif %}{{ m['content'] }}",
).replace(
    "<|im_start|>assistant\n{% endif %}",
    "<|im_start|>assistant\n{% if enable_thinking is defined and not enable_thinking %}"
    "<think>\n\n</think>\n\n{% endif %}{% endif %}",
)
# Every answer begins with thoughts, and is shown without them once it is given.
_ALWAYS_THOUGHTS = _CHATML.replace(
    "<|im_start|>assistant\n{% endif %}", "<|im_start|>assistant\n<think>\n{% endif %}"
)
_SINGLE_DIGITS = r"\p{N}|[^\r\n\p{L}\p{N}]?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+"
_DIGIT_GROUPS = _SINGLE_DIGITS.replace(r"\p{N}|", r"\p{N}{1,3}|", 1)


class Kind(StrEnum):
    """Whose way of splitting a tokenizer has.

    `llama` is the third Llama's, with digits in groups of up to three; `mistral` writes a word with
    the space before it as one token, but a digit never; `thinking` is the third Qwen's, whose
    thoughts can be switched off, `reasoning` that of a model whose thoughts cannot.
    """

    LLAMA = "llama"
    QWEN = "qwen"
    SMOLLM = "smollm"
    MISTRAL = "mistral"
    GEMMA = "gemma"
    THINKING = "thinking"
    REASONING = "reasoning"


@cache
def make_tokenizer(kind: Kind) -> PreTrainedTokenizerFast:
    """Return a tokenizer of this kind with its chat template."""
    match kind:
        case Kind.LLAMA:
            specials = ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
            return _finish(_byte_level(_DIGIT_GROUPS, specials), _HEADERS, end="<|eot_id|>")
        case Kind.MISTRAL:
            return _finish(_sentence_pieces(("[INST]", "[/INST]", "</s>")), _INSTRUCTIONS, "</s>")
        case Kind.GEMMA:
            pieces = _sentence_pieces(("<start_of_turn>", "<end_of_turn>"))
            return _finish(pieces, _TURNS, end="<end_of_turn>")
    templates = {Kind.THINKING: _SWITCHED_THOUGHTS, Kind.REASONING: _ALWAYS_THOUGHTS}
    tokenizer = _byte_level(_SINGLE_DIGITS, ("<|im_start|>", "<|im_end|>"))
    if kind is Kind.SMOLLM:
        # GPT-2's own splitting, after every digit was set apart.
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
            ]
        )
    return _finish(tokenizer, templates.get(kind, _CHATML), end="<|im_end|>")


def _byte_level(pieces: str, specials: tuple[str, ...]) -> Tokenizer:
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pieces), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return _train(tokenizer, specials, alphabet=pre_tokenizers.ByteLevel.alphabet())


def _sentence_pieces(specials: tuple[str, ...]) -> Tokenizer:
    """Return a tokenizer that writes a space as ▁, and what it does not know as bytes."""
    tokenizer = Tokenizer(BPE(byte_fallback=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    # Words with the space before them, every digit and every line end on its own.
    tokenizer.pre_tokenizer = pre_tokenizers.Split(
        Regex(r"\p{N}|▁?\p{L}+|\n|▁|[^\p{L}\p{N}▁\n]+"), behavior="isolated"
    )
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback()])
    as_bytes = [f"<0x{byte:02X}>" for byte in range(256)]
    return _train(tokenizer, ("<unk>", *as_bytes, *specials))


def _train(
    tokenizer: Tokenizer, specials: tuple[str, ...], *, alphabet: list[str] | None = None
) -> Tokenizer:
    trainer = BpeTrainer(
        vocab_size=2000,
        special_tokens=[AddedToken(token, special=True) for token in specials],
        initial_alphabet=alphabet or [],
        show_progress=False,
    )
    tokenizer.train_from_iterator(_lines(), trainer)
    return tokenizer


def _lines() -> Iterator[str]:
    for letter in string.ascii_uppercase:
        yield f"{letter}\n {letter}. Answer: {letter} "
    for number in range(21):
        yield f"{number}\n {number}. Answer: {number} "
    yield from ("Question: How much does family matter? Options: user system model assistant",) * 2


def _finish(tokenizer: Tokenizer, template: str, end: str) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, chat_template=template, eos_token=end
    )
