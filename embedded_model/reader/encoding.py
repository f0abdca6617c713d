"""Examples as tokens, by the model's chat template, with what the loss looks at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from embedded_model.reader.conversations import Conversation
from embedded_model.reader.data import Example
from embedded_model.reader.labels import LabelRequest
from prompting.messages import Message

END = "<|im_end|>"


class ChatTokenizer(Protocol):
    """The part of a tokenizer with a chat template that is needed here."""

    def apply_chat_template(self, conversation: list[dict[str, str]], **options: Any) -> Any:
        """Return a chat as the template writes it."""

    def encode(self, text: str, **options: Any) -> list[int]:
        """Return the tokens of a text."""


class Encoded(NamedTuple):
    """An example in tokens.

    Attributes:
        tokens: of the prompt and the replies.
        places: those whose next token is learned.
        wanted: that token, for each of `places`; empty where labels are learned.
        labels: the tokens of labels, which the last place is to be followed by.
        shares: how likely each of them is to be.
    """

    tokens: list[int]
    places: list[int]
    wanted: list[int]
    labels: tuple[int, ...] = ()
    shares: tuple[float, ...] = ()


def encode(example: Example, tokenizer: ChatTokenizer) -> Encoded:
    """Return an example in tokens."""
    if isinstance(example, LabelRequest):
        return _encode_labels(example, tokenizer)
    return _encode_conversation(example, tokenizer)


def encode_prompt(messages: Sequence[Message], tokenizer: ChatTokenizer) -> list[int]:
    """Return the tokens of a chat up to where a reply begins."""
    return _encode_text(tokenizer, _render(messages, tokenizer, prompts=True))


def _encode_labels(example: LabelRequest, tokenizer: ChatTokenizer) -> Encoded:
    tokens = encode_prompt(example.messages, tokenizer)
    labels = [_encode_text(tokenizer, label) for label in example.labels]
    assert all(len(label) == 1 for label in labels), example.labels
    ids = tuple(label[0] for label in labels)
    return Encoded(tokens, [len(tokens) - 1], [], ids, example.shares)


def _encode_conversation(example: Conversation, tokenizer: ChatTokenizer) -> Encoded:
    """Encode piece by piece: a reply's tokens are those that the model itself would write."""
    messages, tokens = example.messages, list[int]()
    places, wanted, written = list[int](), list[int](), ""
    for i in example.learned:
        before = _render(messages[:i], tokenizer, prompts=True)
        tokens += _encode_text(tokenizer, before.removeprefix(written))
        reply = _encode_text(tokenizer, messages[i].content) + _encode_text(tokenizer, END)
        places += range(len(tokens) - 1, len(tokens) - 1 + len(reply))
        wanted += reply
        tokens += reply
        written = f"{before}{messages[i].content}{END}"
    return Encoded(tokens[:-1], places, wanted)


def _render(messages: Sequence[Message], tokenizer: ChatTokenizer, *, prompts: bool) -> str:
    chat = [{"role": message.role, "content": message.content} for message in messages]
    options = {"tokenize": False, "add_generation_prompt": prompts}
    text: str = tokenizer.apply_chat_template(chat, **options)
    return text


def _encode_text(tokenizer: ChatTokenizer, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False)
