"""Examine what the shipped model says in words, on held-out questions, peoples and phrasings.

python -m mini_model.reply_report --shared ../shared/data
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from mini_model.held_out import WVS7, Exam
from mini_model.new_questions import NewQuestions
from mini_model.questions import read_generated
from mini_model.reply_exam import Generate, ReplyExam
from mini_model.tokenizer import END
from mini_model.weights import WEIGHTS
from prompting.question_writing import TEMPERATURE, TOP_P
from retrieval.encoders.opening import open_encoder
from survey_data.cultures import read_catalogue
from survey_data.packs import read_pack
from survey_data.split import read_split


def main() -> None:
    """Print a table of rates, with the number of replies each is of."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--shared", type=Path, required=True, help="folder with culturespa/")
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--n", type=int, default=100, help="replies of each kind, about")
    args = parser.parse_args()
    torch.manual_seed(0)
    model = LlamaForCausalLM.from_pretrained(args.weights)
    words = Tokenizer.from_file(str(args.weights / "tokenizer.json"))
    exam = Exam.load(words, open_encoder(), read_split())
    cells = exam.cells[:: max(1, len(exam.cells) // args.n)]
    replies = ReplyExam(words, cells, read_catalogue())
    generated = args.shared / "culturespa" / "generated_questions.jsonl.gz"
    known = NewQuestions(read_generated(generated, seed=7), read_pack(WVS7).questions)
    greedy, sampled = (_make_generator(model, words, sample=sample) for sample in (False, True))
    found = replies.score_open(greedy) | replies.score_refusals(greedy)
    found |= replies.score_layouts(greedy) | replies.score_short(greedy)
    found |= replies.score_json(sampled, known, n=args.n)
    for name, rate in found.items():
        print(f"{name:20} {rate.share:.2f}  of {rate.n}")


def _make_generator(model: LlamaForCausalLM, words: Tokenizer, *, sample: bool) -> Generate:
    """Return what continues tokens: the likeliest ones, or drawn as the service draws."""
    end = words.token_to_id(END)

    @torch.inference_mode()
    def generate(ids: list[int], max_tokens: int) -> list[int]:
        new: list[int] = []
        step = model(torch.tensor([ids]), use_cache=True)
        while len(new) < max_tokens and end not in new:
            logits = step.logits[0, -1].float()
            new.append(_draw(logits) if sample else int(logits.argmax()))
            last = torch.tensor([new[-1:]])
            step = model(last, past_key_values=step.past_key_values, use_cache=True)
        return new

    return generate


def _draw(logits: torch.Tensor) -> int:
    shares, tokens = torch.softmax(logits / TEMPERATURE, dim=-1).sort(descending=True)
    # The fewest tokens that reach the share, as vLLM counts them.
    kept = shares * ((shares.cumsum(0) - shares) < TOP_P)
    return int(tokens[torch.multinomial(kept, 1)])


if __name__ == "__main__":
    main()
