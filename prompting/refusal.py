"""Whether a reply declines to answer."""

from __future__ import annotations

import re

_CANNOT = r"(?:can't|cannot|can not|could not|couldn't|won't|will not|unable to|not able to)"
_ANSWERING = (
    r"(?:answer|assist|choose|comment|comply|discuss|engage|express|fulfil|give|have|help|offer"
    r"|participate|pick|provide|respond|select|share|take part)"
)
# What nobody says who answers.
_DECLINING = (
    r"\bi (?:do not|don't) (?:have|hold) (?:any )?(?:personal |own )?"
    r"(?:beliefs?|experiences?|feelings?|opinions?|preferences?|values|views?)",
    r"\b(?:decline to|prefer not to|rather not) (?:answer|say|respond)",
    r"\bals (?:ki|künstliche intelligenz|(?:großes )?sprachmodell)\b",
    r"\bich kann\b[^.]*\bnicht (?:be)?antworten",
    r"\bcomo (?:una )?(?:ia|inteligencia artificial|modelo de lenguaje)\b",
    r"\bno puedo (?:contestar|responder|opinar|proporcionar)",
    r"\ben tant qu(?:'ia|'intelligence artificielle|e modèle de langage)\b",
    r"\bje ne peux pas (?:fournir|répondre|donner)",
    r"作为(?:一个|一名)?(?:ai|人工智能|(?:大型)?语言模型)",
    r"(?:无法|不能)(?:回答|提供)",
)
_REFUSAL = re.compile(
    "|".join(
        (
            rf"\b{_CANNOT}(?: \w+ly)? {_ANSWERING}",
            rf"\bsorry\W+(?:but )?i {_CANNOT}",
            r"\bas an? (?:ai|artificial intelligence|(?:large )?language model)\b",
            *_DECLINING,
        )
    )
)
_FIRST_PERSON_REFUSAL = re.compile(
    "|".join(
        (
            rf"\bi(?:'m| am)? {_CANNOT}(?: \w+ly)? (?:answer|assist|comment|comply|discuss|fulfil"
            r"|participate|provide|respond|help (?:you|with)|engage (?:in|with)|take part"
            r"|(?:express|give|have|offer|share) (?:a |an |any |my |you )?(?:advice|answer|opinion"
            r"|personal|preference|view))",
            rf"\bsorry\W+(?:but )?i {_CANNOT}",
            r"\bas an? (?:ai|artificial intelligence)(?: (?:assistant|language model|model))?\W*,",
            r"\bas an? (?:large )?language model\b",
            *_DECLINING,
        )
    )
)
# A text that declines does so before anything else.
_BEGINNING_CHARS = 200


def is_refusal(text: str) -> bool:
    """Return whether `text` reads as a refusal to answer, rather than a muddled answer.

    A heuristic on set phrases ("I cannot answer", "as an AI", "I don't have personal opinions"),
    in English and a few in German, Spanish, French and Chinese; refusals in other words or
    languages are missed. Meant for answers that could not be read: it does not look for an option,
    and "I cannot answer, but 3" is a refusal to it although it can be read. An empty text is none.
    """
    return _REFUSAL.search(_fold(text)) is not None


def begins_with_refusal(text: str) -> bool:
    """Return whether a text, of any length, begins by declining to answer.

    Narrower than `is_refusal`: "People cannot have peace without trust" and "I can't help smiling"
    are answers.
    """
    return _FIRST_PERSON_REFUSAL.search(_fold(text[:_BEGINNING_CHARS])) is not None


def _fold(text: str) -> str:
    return text.casefold().replace("\u2019", "'")
