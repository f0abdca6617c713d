"""Write the base model's own replies to the everyday requests beside them.

python -m embedded_model.reader.base_replies --model FOLDER
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from embedded_model.reader.everyday import EXAMINED, TAUGHT, read_everyday, write_everyday
from embedded_model.reader.generation import FolderModel
from prompting.messages import Message

MAX_TOKENS = 64


def main() -> None:
    """Reply to every request, greedily and in float32, and write both files anew."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True, help="folder of the unpacked model")
    parser.add_argument("--threads", type=int, help="of a CPU")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    model = FolderModel(args.model)
    for file in (EXAMINED, TAUGHT):
        requests = read_everyday(file)
        chats = [[Message("user", each.request)] for each in requests]
        replies = model.reply(chats, max_tokens=MAX_TOKENS)
        write_everyday(
            file,
            [
                replace(each, reply=reply.text, is_whole=reply.is_whole)
                for each, reply in zip(requests, replies, strict=True)
            ],
        )


if __name__ == "__main__":
    main()
