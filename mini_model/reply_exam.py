"""The exam of free text: replies to open questions, to other requests, and new questions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
from tokenizers import Tokenizer

from mini_model.conversations import chat, render_prompt
from mini_model.new_questions import NewQuestions
from mini_model.phrasings import (
    HELD_OUT_FRAMES,
    HELD_OUT_LAYOUTS,
    HELD_OUT_SUBJECTS,
    OPEN_FRAMES,
    Frame,
    phrase_closed_question,
    phrase_open_question,
    phrase_short_question,
)
from mini_model.replies import CANNOT_HELP, LIKE_ME, Said, put_in_words, read, what_to_say
from mini_model.requests import HELD_OUT, draw_other_request
from mini_model.tokenizer import CONTEXT_TOKENS, END
from prompting.messages import AskedQuestion, Message, Steering, survey_messages
from prompting.question_writing import MAX_TOKENS, AttemptOutcome, read_reply
from prompting.recipe import ExemplarStyle, Method
from retrieval.exemplar import Exemplar
from survey_data.cultures import CultureCatalogue
from survey_data.model import Question

REPLY_TOKENS = 96
_STYLES = (ExemplarStyle.SHARES, ExemplarStyle.SHARES, ExemplarStyle.MODE, ExemplarStyle.DRAW)
_METHODS = (Method.ICL, Method.PERSONA_ICL)

# From a prompt's tokens and the most tokens of a reply, the reply's, with the end token if it came.
Generate: TypeAlias = Callable[[list[int], int], list[int]]


class Case(Protocol):
    """A question with the exemplars that its prompt shows, such as `held_out.Cell`."""

    @property
    def question(self) -> Question:
        """The asked question."""

    @property
    def exemplars(self) -> tuple[Exemplar, ...]:
        """The answers that one culture gave to other questions, nearest first."""


class Rate(NamedTuple):
    """A share in [0, 1], NaN over nothing, and the number of cases that it is over."""

    share: float
    n: int


@dataclass(frozen=True)
class ReplyExam:
    """Prompts whose right reply is known, put to a model.

    Attributes:
        words: the model's tokenizer.
        cells: questions with exemplars; those without any are left out.
        catalogue: names of the cultures that prompts say.
        n_exemplars: shown at most.
        seed: decides every draw.
    """

    words: Tokenizer
    cells: Sequence[Case]
    catalogue: CultureCatalogue
    n_exemplars: int = 5
    seed: int = 0

    def score_open(self, generate: Generate) -> dict[str, Rate]:
        """Return how replies to open questions fare; `generate` is greedy.

        `formed` have one of the right forms; `people`, `option` and `share` say what the first
        exemplar says (`share` if there is one to state), `exact` in exactly the right words.
        The same for the phrasings that are not taught, under `new_…`. Cells take turns in style, in
        whether the culture is named, and in phrasing.
        """
        rng = np.random.default_rng(self.seed)
        found: dict[str, list[tuple[Said, str]]] = {"": [], "new_": []}
        for i, cell in enumerate(self._list_cells()):
            steering = self._steer(cell, i)
            wanted = what_to_say(steering)
            if wanted is None:
                continue
            taught = self._phrase(rng, cell, steering, OPEN_FRAMES)
            if i // 8 % 2:
                taught = list(survey_messages(AskedQuestion(cell.question.text), steering))
            untaught = self._phrase(rng, cell, steering, HELD_OUT_FRAMES)
            found[""].append((wanted, self._ask(generate, taught)))
            found["new_"].append((wanted, self._ask(generate, untaught)))
        return {
            f"open_{prefix}{name}": rate
            for prefix, pairs in found.items()
            for name, rate in _compare(pairs).items()
        }

    def score_short(self, generate: Generate) -> dict[str, Rate]:
        """Return how often a short question about a subject that is not taught is not refused."""
        rng = np.random.default_rng(self.seed)
        formed = []
        for i, cell in enumerate(self._list_cells()):
            asked = chat(phrase_short_question(rng, HELD_OUT_SUBJECTS), self._steer(cell, i))
            formed.append(read(self._ask(generate, asked)) is not None)
        return {"short_formed": _count(formed)}

    def score_refusals(self, generate: Generate) -> dict[str, Rate]:
        """Return how often a request of no taught template is refused; `generate` is greedy.

        `unasked` is the share of open questions without exemplars that are refused, as they should.
        """
        rng = np.random.default_rng(self.seed)
        other, unasked = [], []
        for i, cell in enumerate(self._list_cells()):
            asked = chat(draw_other_request(rng, HELD_OUT), self._steer(cell, i))
            other.append(self._ask(generate, asked) == CANNOT_HELP)
            plain = chat(phrase_open_question(rng, cell.question.text), Steering(Method.PLAIN))
            unasked.append(self._ask(generate, plain) == CANNOT_HELP)
        return {"other_refused": _count(other), "unasked_refused": _count(unasked)}

    def score_layouts(self, generate: Generate) -> dict[str, Rate]:
        """Return how often a closed question of no taught layout gets one of its labels alone."""
        rng = np.random.default_rng(self.seed)
        answered = []
        for i, cell in enumerate(self._list_cells()):
            q = cell.question
            asked = AskedQuestion(q.text, q.options, q.first_number)
            layout = HELD_OUT_LAYOUTS[i % len(HELD_OUT_LAYOUTS)]
            user = phrase_closed_question(rng, asked, layout=layout)
            text = self._ask(generate, chat(user, self._steer(cell, i)))
            answered.append(text in asked.labels)
        return {"layout_answered": _count(answered)}

    def score_json(
        self, sample: Generate, questions: NewQuestions, *, n: int = 100
    ) -> dict[str, Rate]:
        """Return how many of `n` replies are a new question as JSON.

        `valid` ones are read by the service's own reader and are nothing but the JSON; `new` are
        those of the valid ones whose text no known question and no reply before had, whatever the
        case.

        Args:
            sample: draws with `TEMPERATURE` and `TOP_P` of `prompting.question_writing`.
            questions: what prompts show.
            n: number of prompts.
        """
        rng = np.random.default_rng(self.seed)
        texts: list[str] = []
        valid = []
        for _ in range(n):
            text = self._ask(sample, questions.draw(rng).messages, max_tokens=MAX_TOKENS)
            found = read_reply(text)
            valid.append(found.outcome is AttemptOutcome.WRITTEN and text[:1] + text[-1:] == "{}")
            if valid[-1]:
                texts.append(found.text.casefold())
        new = [
            text not in questions.texts and text not in texts[:i] for i, text in enumerate(texts)
        ]
        return {"json_valid": _count(valid), "json_new": _count(new)}

    def _list_cells(self) -> list[Case]:
        return [cell for cell in self.cells if cell.exemplars]

    def _steer(self, cell: Case, turn: int) -> Steering:
        code = cell.exemplars[0].distribution.culture
        return Steering(
            _METHODS[turn // len(_STYLES) % 2] if code else Method.ICL,
            culture=self.catalogue[code] if code else None,
            exemplars=cell.exemplars[: self.n_exemplars],
            style=_STYLES[turn % len(_STYLES)],
            seed=self.seed,
        )

    def _phrase(
        self, rng: np.random.Generator, cell: Case, steering: Steering, frames: Sequence[Frame]
    ) -> list[Message]:
        frame = frames[int(rng.integers(len(frames)))]
        return chat(phrase_open_question(rng, cell.question.text, frame=frame), steering)

    def _ask(
        self, generate: Generate, asked: Sequence[Message], *, max_tokens: int = REPLY_TOKENS
    ) -> str:
        """Return the reply, empty if it has no end or the prompt leaves no room for one."""
        ids = list(self.words.encode(render_prompt(asked)).ids)
        if len(ids) + max_tokens > CONTEXT_TOKENS:
            return ""
        found, end = generate(ids, max_tokens), self.words.token_to_id(END)
        return self.words.decode(found[: found.index(end)]) if end in found else ""


def _compare(pairs: Sequence[tuple[Said, str]]) -> dict[str, Rate]:
    said = [(wanted, read(text)) for wanted, text in pairs]
    named = [pair for pair in said if pair[0].people != LIKE_ME]
    shown = [pair for pair in said if pair[0].percent is not None]
    return {
        "formed": _count([got is not None for _, got in said]),
        "people": _count([got is not None and got.people == want.people for want, got in said]),
        "culture": _count([got is not None and got.people == want.people for want, got in named]),
        "option": _count([got is not None and got.option == want.option for want, got in said]),
        "share": _count([got is not None and got.percent == want.percent for want, got in shown]),
        "exact": _count([text == put_in_words(wanted) for wanted, text in pairs]),
    }


def _count(hits: Sequence[bool]) -> Rate:
    return Rate(sum(hits) / len(hits) if hits else float("nan"), len(hits))
