"""A Unigram tokenizer with the vocabulary of XLM-RoBERTa.

In Python, since a question has a hundred characters: `tokenizers` takes seconds and 270 MB to
prepare a quarter of a million pieces. Source: Kudo (2018), "Subword Regularization".
"""

from __future__ import annotations

import unicodedata
from array import array
from collections.abc import Collection, Mapping, Sequence

# What a blank becomes, and what every text begins with.
BLANK = "▁"
# How much less than the least likely piece an unknown character is.
_UNKNOWN_PENALTY = 10.0


class UnigramTokenizer:
    """Cuts texts into the most likely pieces. Safe to share between threads."""

    def __init__(
        self,
        pieces: Sequence[str],
        scores: Sequence[float],
        *,
        replaced: Mapping[int, str],
        first: int,
        last: int,
        unknown: int,
        special: Collection[int],
    ) -> None:
        """Take the pieces and the logarithms of their probabilities.

        `replaced` has for characters, by code, what stands for them. `first` and `last` are put
        around a text; pieces in `special` are never found in one.
        """
        self._id_of = {piece: i for i, piece in enumerate(pieces) if piece and i not in special}
        self._scores = array("f", scores)
        self._replaced = dict(replaced)
        self._first, self._last, self._unknown = first, last, unknown
        self._longest = max(map(len, self._id_of))
        self._unknown_score = min(scores) - _UNKNOWN_PENALTY

    def encode(self, text: str, *, at_most: int) -> list[int]:
        """Return the ids of a text's pieces, `at_most` of them, the first and the last included."""
        replaced = unicodedata.normalize("NFC", text).translate(self._replaced)
        marked = "".join(f"{BLANK}{word}" for word in replaced.split())
        return [self._first, *self._cut(marked)[: at_most - 2], self._last]

    def _cut(self, text: str) -> list[int]:
        """Return the ids of the most likely pieces that `text` consists of (Viterbi)."""
        n = len(text)
        best = [0.0] + [float("-inf")] * n
        came: list[tuple[int, int]] = [(0, 0)] * (n + 1)
        find, scores, longest = self._id_of.get, self._scores, self._longest
        for start in range(n):
            so_far = best[start]
            for end in range(start + 1, min(n, start + longest) + 1):
                piece = find(text[start:end])
                if piece is not None and so_far + scores[piece] > best[end]:
                    best[end], came[end] = so_far + scores[piece], (start, piece)
            if so_far + self._unknown_score > best[start + 1]:
                best[start + 1] = so_far + self._unknown_score
                came[start + 1] = (start, self._unknown)
        ids = []
        while n:
            n, piece = came[n]
            ids.append(piece)
        return ids[::-1]
