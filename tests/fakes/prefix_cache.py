"""The prefix cache of the fake vLLM: whole blocks of prompts, the least recently used one goes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b


class PrefixCache:
    """Keeps up to `n_blocks` blocks, all of them where it is None; counts as vLLM does, in tokens.

    Attributes:
        n_queried: tokens of all prompts.
        n_hit: tokens of them that were cached.
    """

    def __init__(self, block_tokens: int, n_blocks: int | None = None) -> None:
        self.block_tokens, self.n_blocks = block_tokens, n_blocks
        self.n_queried = self.n_hit = 0
        self._blocks: OrderedDict[bytes, None] = OrderedDict()

    def look_up(self, owner: str, ids: Sequence[int]) -> int:
        """Return how many tokens at the start of a prompt of model `owner` are cached; keep it."""
        digest, n_cached, is_hit = blake2b(owner.encode(), digest_size=16), 0, True
        # The last token is always computed, for there is an answer to be had from it.
        for end in range(self.block_tokens, len(ids), self.block_tokens):
            # A block is known by itself and all before it.
            digest.update(repr(ids[end - self.block_tokens : end]).encode())
            key = digest.digest()
            is_hit = is_hit and key in self._blocks
            n_cached = end if is_hit else n_cached
            self._blocks[key] = None
            self._blocks.move_to_end(key)
            if self.n_blocks is not None and len(self._blocks) > self.n_blocks:
                self._blocks.popitem(last=False)
        self.n_queried += len(ids)
        self.n_hit += n_cached
        return n_cached

    def clear(self) -> None:
        """Forget all blocks and counts."""
        self._blocks.clear()
        self.n_queried = self.n_hit = 0
