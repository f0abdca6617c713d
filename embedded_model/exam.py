"""Examine the embedded model: does it reply from what its prompt says, and as before elsewhere?

    python -m embedded_model.exam --weights FOLDER                      # with the reader of Milieu
    python -m embedded_model.exam --weights FOLDER --reader FOLDER      # with another one
    python -m embedded_model.exam --weights FOLDER --service http://127.0.0.1:8000
    python -m embedded_model.exam --url http://127.0.0.1:8001/v1 --model NAME

Asks held-out questions of held-out and other peoples, greedily. With --service, everyday requests
are put to a running Milieu as to Germans, and the replies compared with the bare model's.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from embedded_model.reader.encoding import encode
from embedded_model.reader.everyday import EVERYDAY, Everyday, read_everyday
from embedded_model.reader.exam_cases import Case, LabelCase, draw_cases, draw_label_cases
from embedded_model.reader.generation import FolderModel, Replier, ServedModel
from embedded_model.reader.grading import Grade, grade
from embedded_model.reader.material import read_packs, select_examined
from embedded_model.reader_files import FOLDER as READER
from embedded_model.source import SMOLLM2
from prompting.messages import Message
from retrieval.encoders.opening import open_encoder
from survey_data.cultures import read_catalogue
from survey_data.distances import distribution_similarity
from survey_data.split import read_split

REPLY_TOKENS, EVERYDAY_TOKENS = 112, 64
TARGETS = {"right": 0.95, "figures": 0.99, "formed": 0.98, "everyday unchanged": 0.90}


class Answered(NamedTuple):
    """A case, what was replied, and what is right about it."""

    case: Case
    reply: str
    grade: Grade


def examine(model: Replier, cases: Sequence[Case]) -> list[Answered]:
    """Return the graded reply to each case."""
    replies = model.reply([case.messages for case in cases], max_tokens=REPLY_TOKENS)
    return [
        Answered(case, reply.text, grade(reply.text, case.expected, is_whole=reply.is_whole))
        for case, reply in zip(cases, replies, strict=True)
    ]


def summarize(answered: Sequence[Answered]) -> dict[str, float]:
    """Return the fractions of replies that are right in each respect, in all, and by kind."""
    by_kind: dict[str, list[bool]] = defaultdict(list)
    for each in answered:
        by_kind[f"right, {each.case.kind}"].append(each.grade.is_right)
    parts = {name: [getattr(a.grade, name) for a in answered] for name in Grade._fields}
    whole = {"right": [a.grade.is_right for a in answered]}
    found = {**whole, **dict(sorted(by_kind.items())), **parts}
    return {name: float(np.mean(hits)) for name, hits in found.items() if hits}


def examine_everyday(model: Replier, requests: Sequence[Everyday]) -> dict[str, float]:
    """Return how many everyday replies are the base model's, and how far they agree with it."""
    chats = [[Message("user", each.request)] for each in requests]
    replies = model.reply(chats, max_tokens=EVERYDAY_TOKENS)
    agreed = [
        share_of_prefix(reply.text, each.reply)
        for reply, each in zip(replies, requests, strict=True)
    ]
    return {
        "everyday unchanged": float(np.mean([share == 1.0 for share in agreed])),
        "everyday words before the first change": float(np.mean(agreed)),
    }


def share_of_prefix(reply: str, before: str) -> float:
    """Return the share of the words of `before` that a reply begins with, 1 if it is the same."""
    if reply == before:
        return 1.0
    words, wanted = reply.split(), before.split()
    n_same = next(
        (i for i, (a, b) in enumerate(zip(words, wanted, strict=False)) if a != b),
        min(len(words), len(wanted)),
    )
    return min(n_same / max(1, len(wanted)), 0.99)


def examine_labels(model: FolderModel, cases: Sequence[LabelCase]) -> dict[str, float]:
    """Return the mean label mass, and 1 - JS distance to the people's shares, likewise of others.

    The others are the mean of the like questions that are shown, and uniform shares.
    """
    rows = []
    for case in cases:
        chances = model.score_labels(encode(case.request, model.tokenizer))
        wanted, mass = case.request.shares, sum(chances)
        uniform = [1.0 / len(wanted)] * len(wanted)
        shares = [chance / mass for chance in chances]
        compared = (shares, list(case.nearest), uniform)
        rows.append([mass, *(distribution_similarity(each, wanted) for each in compared)])
    names = ("label mass", "labels like the people", "like questions' mean", "uniform shares")
    return dict(zip(names, np.mean(rows, axis=0).tolist(), strict=True)) if rows else {}


def main() -> None:
    """Print the fractions beside their targets."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--weights", type=Path, help="folder of the model")
    parser.add_argument("--reader", type=Path, default=READER, help="folder of the reader")
    parser.add_argument("--bare", action="store_true", help="without a reader")
    parser.add_argument("--service", help="URL of a Milieu that serves the model")
    parser.add_argument("--url", help="of a server, up to /v1")
    parser.add_argument("--model", default="", help="the name that it is served by")
    parser.add_argument("--n", type=int, default=200, help="questions to ask")
    parser.add_argument("--n-everyday", type=int, default=40, help="everyday requests")
    parser.add_argument("--threads", type=int, help="of a CPU")
    parser.add_argument("--replies", type=Path, help="file for what was replied, JSON lines")
    args = parser.parse_args()
    if (args.weights is None) == (args.url is None):
        parser.error("name either --weights or --url")
    if args.threads:
        torch.set_num_threads(args.threads)
    held_out = read_split()
    material = select_examined(read_packs(), read_catalogue(), held_out, open_encoder())
    model: FolderModel | ServedModel
    if args.weights:
        model = FolderModel(args.weights, reader=None if args.bare else args.reader)
    else:
        model = ServedModel(args.url, args.model)
    answered = examine(model, draw_cases(material, held_out, n=args.n))
    found = summarize(answered)
    if args.service:
        served = ServedModel(f"{args.service.rstrip('/')}/v1", f"{SMOLLM2.name}@DE")
        found |= examine_everyday(served, read_everyday(EVERYDAY)[: args.n_everyday])
    if isinstance(model, FolderModel):
        found |= examine_labels(model, draw_label_cases(material, held_out, n=args.n // 2))
    for name, share in found.items():
        target = f"  target {TARGETS[name]:.2f}" if name in TARGETS else ""
        print(f"{name:42} {share:.3f}{target}")
    if args.replies:
        _write_replies(args.replies, answered)


def _write_replies(file: Path, answered: Sequence[Answered]) -> None:
    lines = [
        json.dumps(
            {
                "kind": each.case.kind,
                "user": each.case.messages[-1].content,
                "reply": each.reply,
                "expected": [each.case.expected.option, each.case.expected.share],
                **each.grade._asdict(),
            },
            ensure_ascii=False,
        )
        for each in answered
    ]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
