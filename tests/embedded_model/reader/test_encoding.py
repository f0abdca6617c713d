from __future__ import annotations

from embedded_model.reader.conversations import Conversation
from embedded_model.reader.encoding import END, encode, encode_prompt
from embedded_model.reader.labels import LabelRequest
from prompting.messages import Message
from tests.embedded_model.reader.characters import CharacterTokenizer

WORDS = CharacterTokenizer()
CHAT = (
    Message("system", "Be kind."),
    Message("user", "Hi"),
    Message("assistant", "Hello"),
    Message("user", "Bye"),
    Message("assistant", "So long"),
)


def test_the_learned_tokens_are_the_replies_and_their_ends() -> None:
    encoded = encode(Conversation(CHAT, (2, 4)), WORDS)

    assert WORDS.decode(encoded.wanted) == f"Hello{END}So long{END}"
    following = [*encoded.tokens[1:], WORDS.encode(END)[0]]
    assert [following[place] for place in encoded.places] == encoded.wanted


def test_an_earlier_reply_can_be_shown_and_not_learned() -> None:
    encoded = encode(Conversation(CHAT, (4,)), WORDS)

    assert WORDS.decode(encoded.wanted) == f"So long{END}"
    shown = WORDS.decode(encoded.tokens[: encoded.places[0] + 1])
    assert shown == WORDS.decode(encode_prompt(CHAT[:4], WORDS))
    assert f"Hello{END}" in shown


def test_a_label_is_learned_after_the_prompt() -> None:
    request = LabelRequest(CHAT[:2], ("1", "2"), (0.25, 0.75))
    encoded = encode(request, WORDS)

    assert WORDS.decode(encoded.tokens).endswith("<assistant>")
    assert encoded.places == [len(encoded.tokens) - 1]
    assert encoded.labels == (ord("1"), ord("2"))
    assert encoded.shares == (0.25, 0.75)
