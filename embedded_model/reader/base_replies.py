"""Write the base model's own replies to the everyday requests beside them.

python -m embedded_model.reader.base_replies --model FOLDER
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from embedded_model.reader.everyday import EVERYDAY, read_everyday, write_everyday
from embedded_model.reader.generation import FolderModel
from prompting.messages import Message

MAX_TOKENS = 64


def main() -> None:
    """Reply to every request, greedily and in float32, and write the file anew."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True, help="folder of the unpacked model")
    parser.add_argument("--threads", type=int, help="of a CPU")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    model = FolderModel(args.model)
    requests = read_everyday(EVERYDAY)
    chats = [[Message("user", each.request)] for each in requests]
    replies = model.reply(chats, max_tokens=MAX_TOKENS)
    pairs = zip(requests, replies, strict=True)
    write_everyday(
        EVERYDAY, [replace(each, reply=r.text, is_whole=r.is_whole) for each, r in pairs]
    )


if __name__ == "__main__":
    main()
