"""A process that records until it is killed, and says on its output what was acknowledged.

    python -m tests.experiments.gateway_child PLACE NAME ARM

A line is written after the acknowledgement: `answer ID`, `outcome KEY` or `unit NAME ARM`. Units
are shared by all such processes, answers carry the process's name.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys

from experiments.events import Receipt
from tests.experiments.conftest import opened
from tests.experiments.events import a_claim, an_exposure, an_outcome

N_AT_ONCE = 16
N_UNITS = 500


async def work(place: str, name: str, arm: str) -> None:
    numbers = itertools.count()
    async with await opened(place) as store:
        say("ready")

        async def answer() -> None:
            while True:
                number = next(numbers)
                answer_id, unit = f"{name}-{number:06}", f"u{number % N_UNITS}"
                settled = await store.settle(a_claim(unit, arm))
                say(f"unit {unit} {settled}")
                exposure = an_exposure(answer_id, unit=unit, arm=str(settled), time_ms=number)
                if await store.record(exposure) is not Receipt.RECORDED:
                    say(f"lost {answer_id}")
                    continue
                say(f"answer {answer_id}")
                if number % 4 == 0:
                    receipt = await store.add_outcome(an_outcome(answer_id, time_ms=number))
                    say(f"outcome {receipt.key}")

        await asyncio.gather(*(answer() for _ in range(N_AT_ONCE)))


def say(line: str) -> None:
    # One write, past every buffer of this process: what is acknowledged is said, or not said.
    os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    asyncio.run(work(*sys.argv[1:]))
