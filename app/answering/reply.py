"""Reads what the model said."""

from __future__ import annotations

from app.answering.plan import NO_WORDS, Answer, Plan, Reply, Words
from prompting.reading import Reading, read_labels, read_option

ONE_REPLY = (
    "numbers and letters are several tokens of this model: one reply was read, without "
    "probabilities"
)


def read_reply(plan: Plan, words: Words, reply: Reply, *, min_label_mass: float) -> Answer:
    """Return the answer in a reply; labels with less than `min_label_mass` are unreadable."""
    if reply.missing_because:
        plan = plan.leave_out_model(reply.missing_because)
        return Answer(plan, NO_WORDS, None, text=None, usage=reply.usage, warnings=plan.warnings)
    reading, notes = _read(plan, words, reply, min_label_mass=min_label_mass)
    return Answer(
        plan,
        words,
        reading,
        text=reply.text,
        usage=reply.usage,
        warnings=(*plan.warnings, *notes),
        completion=reply.completion,
    )


def _read(
    plan: Plan, words: Words, reply: Reply, *, min_label_mass: float
) -> tuple[Reading | None, tuple[str, ...]]:
    if not words.orders:
        return None, ()
    if reply.text is None:
        logprobs = [score.logprobs for score in reply.scores]
        reading = read_labels(logprobs, words.orders, min_label_mass=min_label_mass)
        return reading, (reading.reason,) if reading.reason else ()
    asked = plan.asked.question
    reading = read_option(reply.text, asked.options, first_number=asked.first_number)
    return reading, (ONE_REPLY, reading.reason) if reading.reason else (ONE_REPLY,)
