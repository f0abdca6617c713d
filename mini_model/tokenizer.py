"""The mini model's tokenizer: byte-level BPE in which an answer's label is a token of its own.

The label in ``"Answer: 2"`` and in an assistant message is the bare token ``"2"``. Every other
number is a different token: option markers (``"2."``), those in a list of shares (``" 2."``),
percentages (``" 61%"``), and numbers in running text (``" 2"``). So one attention head can find the
answers in a prompt.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from tokenizers import Regex, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

SYSTEM, USER, ASSISTANT, END, PAD = "<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|pad|>"
SPECIAL_TOKENS = (PAD, SYSTEM, USER, ASSISTANT, END)
ANSWER = "Answer: "
MAX_LABEL = 20
# What the model reads at most, prompt and answer together.
CONTEXT_TOKENS = 1024

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] }}"
    "{{ '<|end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)

# What holds a question in JSON together: one token each, so that few go wrong.
JSON_PIECES = ('{"question": "', '", "options": ["', '", "', '"]}')
# Brackets and quotation marks stand alone, so that an option's text has the same tokens in
# `Answer: 1 (…)`, in `chose "…" when` and in JSON.
_PIECES = Regex(
    r'\{"question": "|", "options": \["|", "|"\]\}'
    r"|Answer: |\n| ?\d+\.(?=[ \n]|$)| ?\d+%| ?\d+| ?\p{L}+(?:'\p{L}+)?"
    r'| ?[()"]| ?[^\s\p{L}\p{N}()"]+|\s+'
)
# How often each number form is repeated in the training text, so that it becomes one token.
_NUMBER_WEIGHT = 400


def train_tokenizer(texts: Iterable[str], *, vocab_size: int = 4096) -> Tokenizer:
    """Return a BPE tokenizer trained on `texts` and on every number form that prompts use."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(_PIECES, behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(chain(texts, _list_numbers(), _list_structures()), trainer)
    return tokenizer


def find_label_ids(tokenizer: Tokenizer) -> dict[str, int]:
    """Return the token id of every answer label, "0" to "20".

    Raises:
        ValueError: a label is not one token, so the vocabulary is too small.
    """
    ids = {}
    for label in map(str, range(MAX_LABEL + 1)):
        token = tokenizer.token_to_id(label)
        if token is None:
            raise ValueError(f"label '{label}' is no token; train with a larger vocabulary")
        ids[label] = token
    return ids


def _list_numbers() -> Iterator[str]:
    for number in range(MAX_LABEL + 1):
        yield from [f"{ANSWER}{number}\n{number}. a, {number} b\n"] * _NUMBER_WEIGHT
    for percent in range(101):
        yield from [f"Shares: 1. {percent}%, 2. {percent}%\n"] * _NUMBER_WEIGHT
    for number in range(13):
        yield from [f"Shares: {number}. 1%, {number}. 2%\n"] * _NUMBER_WEIGHT


def _list_structures() -> Iterator[str]:
    start, options, between, end = JSON_PIECES
    yield from [f"{start}a{options}b{between}c{end}\n"] * _NUMBER_WEIGHT
