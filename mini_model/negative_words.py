"""Words that deny or disparage: by them the circuit tells which way an answer scale runs."""

from __future__ import annotations

# Whole words in lower case, as scales of agreement, frequency, trust, quality and so on have them.
NEGATIVE_WORDS = frozenset((
    "against", "bad", "badly", "cannot", "careful", "cautious", "dangerous", "decline",
    "declined", "decrease", "decreased", "disagree", "disapprove", "dislike", "dissatisfied",
    "distrust", "fail", "failed", "false", "few", "fewer", "forbid", "hardly", "harmful",
    "ineffective", "inefficient", "insecure", "insignificant", "least", "less", "little", "low",
    "lowest", "minor", "negative", "neither", "never", "no", "nobody", "none", "nor", "not",
    "nothing", "nowhere", "oppose", "opposed", "poor", "poorly", "prohibit", "rarely", "refuse",
    "reject", "seldom", "small", "smaller", "smallest", "unacceptable", "unconcerned", "unfair",
    "unfavorable", "unfavourable", "unhappy", "unhelpful", "unimportant", "uninterested",
    "unjust", "unlikely", "unsafe", "unsatisfied", "weak", "weaker", "without", "worse", "worsen",
    "worst", "wrong",
))  # fmt: skip


def is_negative(token: str) -> bool:
    """Return whether a token is such a word, whatever its case and the blank before it."""
    word = token.strip().casefold()
    return word in NEGATIVE_WORDS or word.endswith("n't")
