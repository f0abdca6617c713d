"""The words that a model is sent: one pure function of method, culture, exemplars and question.

Source: Choenni & Shutova, arXiv 2408.16482 (exemplars); Xu et al., arXiv 2410.12971 (prompts P1
to P3). The structure is theirs, the wording is Milieu's own. Text that all requests of a culture
share comes first, so that a server's prefix cache can keep it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from prompting.labels import LabelScheme
from prompting.percents import whole_percents
from prompting.phrases.fields import Phrases, find_phrases
from prompting.recipe import ExemplarStyle, Method, PromptLanguage
from prompting.statement import Statement, write_statement
from retrieval.exemplar import Exemplar
from survey_data.cultures import Culture, CultureCatalogue

if TYPE_CHECKING:
    # It loads pydantic, which help of the commands does without.
    from survey_data.similarity import CultureSimilarity


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class CultureComparison:
    """The cultures most and least like one culture, the extreme first in both."""

    most_similar: tuple[Culture, ...]
    least_similar: tuple[Culture, ...]


def compare_culture(
    code: str, similarity: CultureSimilarity, catalogue: CultureCatalogue
) -> CultureComparison:
    """Return the cultures most and least like the one with this alpha-3 code.

    Raises:
        CultureNotCovered: no loaded pack surveyed it.
        ComparisonUnavailable: fewer than two other cultures can be compared with it.
    """
    most, least = similarity.contrast(code)
    return CultureComparison(
        tuple(catalogue[other] for other in most), tuple(catalogue[other] for other in least)
    )


@dataclass(frozen=True, slots=True)
class Steering:
    """Everything that makes a prompt speak for a culture.

    `culture` is needed by the methods that name it, `comparison` by those that compare, and
    `exemplars`, most similar first, by those that show them. `seed` decides the draws of the
    `draw` style, together with culture and question, so a question's draw is always the same.
    `statement` is what a chat is told of what its user asked, by every method but `plain`.
    `language` is that of the fixed phrases and of the names of cultures; exemplars and statement
    are taken as they are.
    """

    method: Method
    culture: Culture | None = None
    comparison: CultureComparison | None = None
    exemplars: tuple[Exemplar, ...] = ()
    style: ExemplarStyle = ExemplarStyle.MODE
    seed: int = 0
    statement: Statement | None = None
    language: PromptLanguage = PromptLanguage.EN

    @property
    def tells_people(self) -> bool:
        """Whether the prompt tells how people answered something."""
        return bool(self.exemplars) or self.statement is not None

    @property
    def phrases(self) -> Phrases:
        """The phrases of its language."""
        return find_phrases(self.language)


@dataclass(frozen=True, slots=True)
class AskedQuestion:
    """The question to be answered; without options it is an open one."""

    text: str
    options: tuple[str, ...] = ()
    first_number: int = 1
    scheme: LabelScheme = LabelScheme.NUMBERS

    @property
    def labels(self) -> tuple[str, ...]:
        """What the model answers with: the number or letter of each option, in option order."""
        return self.scheme.list_labels(len(self.options), first_number=self.first_number)

    @property
    def schemes(self) -> tuple[LabelScheme, ...]:
        """The schemes that have a label for each option, in order of preference."""
        return tuple(scheme for scheme in LabelScheme if scheme.can_label(len(self.options)))

    def labelled(self, scheme: LabelScheme) -> AskedQuestion:
        """Return the question with its options labelled by `scheme`."""
        return replace(self, scheme=scheme)

    def reordered(self, order: Sequence[int]) -> AskedQuestion:
        """Return the question with option `order[i]` in place i."""
        return replace(self, options=tuple(self.options[i] for i in order))


def survey_messages(asked: AskedQuestion, steering: Steering) -> tuple[Message, ...]:
    """Return the system and user message that put a survey question to a model.

    Exemplars are labelled as the question is.

    Raises:
        ValueError: the method needs a culture or a comparison that `steering` does not have.
    """
    phrases = steering.phrases
    how = phrases.answer_by(asked.scheme) if asked.options else phrases.answer_freely
    role = _role(steering, unnamed=phrases.survey_role, named=phrases.survey_role_of)
    system = phrases.join_sentences([*role, how])
    parts = []
    if _exemplars(steering):
        in_prose = not asked.options
        exemplars = exemplar_text(steering, scheme=asked.scheme, in_prose=in_prose)
        parts = [exemplars, phrases.question_follows]
    parts.append(question_text(asked, phrases))
    return (Message("system", system), Message("user", "\n\n".join(parts)))


def chat_system_message(steering: Steering, *, callers: str = "") -> str:
    """Return the system message that steers a chat, with the caller's own system text after it.

    What is known of what was asked comes first, then like questions, as exemplars.

    Empty when there is nothing to say: `plain`, and no text of the caller's.

    Raises:
        ValueError: the method needs a culture or a comparison that `steering` does not have.
    """
    phrases = steering.phrases
    parts = [phrases.join_sentences(_role(steering, unnamed="", named=phrases.chat_role_of))]
    statement = None if steering.method is Method.PLAIN else steering.statement
    if statement is not None:
        parts.append(write_statement(statement))
    if _exemplars(steering):
        parts.append(exemplar_text(steering, in_prose=True))
    if statement is not None or _exemplars(steering):
        parts.append(phrases.speak_so)
    parts.append(callers)
    return "\n\n".join(part for part in parts if part)


def chat_messages(messages: Sequence[Message], steering: Steering) -> tuple[Message, ...]:
    """Return a caller's chat with one system message at its start, ours before theirs.

    Raises:
        ValueError: the method needs a culture or a comparison that `steering` does not have.
    """
    callers = "\n\n".join(message.content for message in messages if message.role == "system")
    system = chat_system_message(steering, callers=callers)
    rest = tuple(message for message in messages if message.role != "system")
    return (Message("system", system), *rest) if system else rest


def exemplar_text(
    steering: Steering, *, scheme: LabelScheme = LabelScheme.NUMBERS, in_prose: bool = False
) -> str:
    """Return the exemplars as the model sees them, those of each kind introduced.

    Answers of other cultures to the asked question come before the culture's own to others. Where
    the model replies `in_prose` it may name the people, and is told who they are.
    """
    style, seed, phrases = steering.style, steering.seed, steering.phrases
    own, elsewhere = [], []
    for exemplar in steering.exemplars:
        block = exemplar_block(
            exemplar, style=style, seed=seed, scheme=scheme, language=steering.language
        )
        if exemplar.elsewhere is None:
            own.append(block)
        else:
            culture, weight = exemplar.elsewhere
            place, weighed = phrases.name_in_sentence(culture), phrases.weigh(weight)
            elsewhere.append(f"{phrases.elsewhere.format(place=place, weight=weighed)}\n{block}")
    parts = [phrases.elsewhere_follow, *elsewhere] if elsewhere else []
    if own:
        shows_shares = style is ExemplarStyle.SHARES
        follow = phrases.shares_follow if shows_shares else phrases.exemplars_follow
        people = _people_of(steering) if in_prose else phrases.people_like_you
        parts += [follow.format(people=people), *own]
    return "\n\n".join(parts)


def exemplar_block(
    exemplar: Exemplar,
    *,
    style: ExemplarStyle,
    seed: int = 0,
    scheme: LabelScheme = LabelScheme.NUMBERS,
    language: PromptLanguage = PromptLanguage.EN,
) -> str:
    """Return one exemplar: question, labelled options, and the answer as label and wording.

    In the `shares` style the answer is the modal one, and a further line gives every option's
    share in whole percent.
    """
    question, shares = exemplar.question, exemplar.distribution.shares
    answer = exemplar.distribution.mode
    if style is ExemplarStyle.DRAW:
        answer = draw(shares, key=f"{seed}|{exemplar.distribution.culture}|{question.key}")
    asked = AskedQuestion(question.text, question.options, question.first_number, scheme)
    phrases = find_phrases(language)
    lines = [question_text(asked, phrases), answer_line(asked, answer, phrases)]
    if style is ExemplarStyle.SHARES:
        lines.append(shares_line(asked, shares, phrases))
    return "\n".join(lines)


def question_text(asked: AskedQuestion, phrases: Phrases | None = None) -> str:
    """Return a question with its labelled options, if it has any; by default as in English."""
    phrases = phrases or find_phrases(PromptLanguage.EN)
    lines = [phrases.question.format(text=asked.text)]
    if asked.options:
        lines.append(phrases.options)
    for label, option in zip(asked.labels, asked.options, strict=True):
        # A point of a numbered scale has no text but its number, which a number already says.
        lines.append(f"{label}." if option == label else f"{label}. {option}")
    return "\n".join(lines)


def answer_line(asked: AskedQuestion, option: int, phrases: Phrases | None = None) -> str:
    """Return the line under an exemplar that gives its answer as label and wording."""
    phrases = phrases or find_phrases(PromptLanguage.EN)
    label, text = asked.labels[option], asked.options[option]
    answer = label if text == label else phrases.answer_with_text.format(label=label, text=text)
    return phrases.answer.format(answer=answer)


def shares_line(
    asked: AskedQuestion, shares: Sequence[float], phrases: Phrases | None = None
) -> str:
    """Return the line under an exemplar's answer that gives every option's share in percent."""
    phrases = phrases or find_phrases(PromptLanguage.EN)
    percents = zip(asked.labels, whole_percents(shares), strict=True)
    listed = (f"{label}. {phrases.percent.format(n=n)}" for label, n in percents)
    return phrases.shares.format(shares=phrases.list_comma.join(listed))


def draw(shares: Sequence[float], *, key: str) -> int:
    """Return an option index drawn with probability `shares`, the same for the same `key`."""
    digest = hashlib.sha256(key.encode()).digest()
    point = int.from_bytes(digest[:8], "big") / 2**64
    total = 0.0
    for index, share in enumerate(shares):
        total += share
        if point < total:
            return index
    return max(range(len(shares)), key=shares.__getitem__)


def _people_of(steering: Steering) -> str:
    """Return whose answers the culture's own are, by name where nothing else names them."""
    phrases, culture = steering.phrases, steering.culture
    is_named = steering.method.names_culture or steering.statement is not None
    if culture is None or is_named:
        return phrases.people_like_you
    return phrases.people_of.format(place=phrases.name_in_sentence(culture))


def _exemplars(steering: Steering) -> bool:
    return steering.method.shows_exemplars and bool(steering.exemplars)


def _role(steering: Steering, *, unnamed: str, named: str) -> list[str]:
    if not steering.method.names_culture:
        return [unnamed] if unnamed else []
    if steering.culture is None:
        raise ValueError(f"method '{steering.method}' names the culture, but none was given")
    culture, phrases = steering.culture, steering.phrases
    sentences = [
        named.format(
            article=culture.article, adjective=culture.adjective, culture=phrases.name(culture)
        )
    ]
    if steering.method.compares_cultures:
        if steering.comparison is None:
            raise ValueError(f"method '{steering.method}' compares cultures, but none were given")
        similar = [phrases.name(other) for other in steering.comparison.most_similar]
        different = [phrases.name(other) for other in steering.comparison.least_similar]
        sentences.append(
            phrases.compare.format(
                similar=phrases.list_names(similar), different=phrases.list_names(different)
            )
        )
    return sentences
