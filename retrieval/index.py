"""An exact index over the vectors of all questions, searched with one culture's mask.

A question has one vector, whichever cultures answered it; a bitmap per culture says which. That
is exact and, for the size of surveys, faster than any approximate index.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import faiss
import numpy as np

from retrieval.encoder import Encoder, Vectors
from retrieval.errors import CultureNotIndexed, VectorsInvalid
from survey_data.model import Question

UNIT_TOLERANCE = 1e-3
# Processors differ in the last bits of a sum; rounded, they agree on what is a tie.
SIMILARITY_DECIMALS = 5


class Hit(NamedTuple):
    """A question and the cosine, in [-1, 1], between its vector and the searched one."""

    key: str
    similarity: float


class QuestionIndex:
    """Question vectors by key, and which culture answered which question. Safe to share.

    Attributes:
        keys: the questions, in the order that decides between equal similarities.
        model_id: the encoder that made the vectors.
        dim: number of components of a vector.
    """

    def __init__(
        self,
        keys: Sequence[str],
        vectors: Vectors,
        *,
        answered: Mapping[str, Collection[str]],
        model_id: str,
    ) -> None:
        """Index `vectors`, float32[n, dim], whose i-th unit row belongs to `keys[i]`.

        `answered` has for each culture the keys of the questions it answered; keys that are not
        indexed do not matter.

        Raises:
            VectorsInvalid: wrong type, layout or shape, no row, rows not of unit length, or keys
                that are not one per row and all different.
        """
        check_vectors(vectors)
        if not len(vectors):
            raise VectorsInvalid("Found no vector, expected one per question; load a pack.")
        if len(keys) != len(vectors) or len(set(keys)) != len(keys):
            raise VectorsInvalid(
                f"Found {len(keys)} keys, {len(set(keys))} of them different, for {len(vectors)} "
                "vectors; expected one key per vector."
            )
        self.keys = tuple(keys)
        self.model_id = model_id
        self.dim = int(vectors.shape[1])
        self._vectors = vectors.view()
        self._vectors.flags.writeable = False
        self._row_of = {key: row for row, key in enumerate(self.keys)}
        self._flat = faiss.IndexFlatIP(self.dim)
        self._flat.add(vectors)
        self._masks = {culture: self._mask(answered[culture]) for culture in sorted(answered)}

    def __len__(self) -> int:
        """Return the number of questions."""
        return len(self.keys)

    @property
    def vectors(self) -> Vectors:
        """All vectors, float32[n, dim], in the order of `keys`; read-only."""
        return self._vectors

    def vector(self, key: str) -> Vectors:
        """Return the vector of a question, float32[dim]; KeyError for a key not indexed."""
        row: Vectors = self._vectors[self._row_of[key]]
        return row

    def search(
        self, vector: Vectors, culture: str, k: int, exclude: Collection[str] = ()
    ) -> list[Hit]:
        """Return the `k` questions that `culture` answered nearest to `vector`, nearest first.

        Equal similarities are in the order of `keys`. Questions in `exclude` are passed over.
        Fewer than `k` only where the culture answered fewer.

        Args:
            vector: float32[dim], of unit length.
            culture: alpha-3 code.
            k: number of hits, 0 or more.
            exclude: keys that may not be among the hits.

        Raises:
            VectorsInvalid: `vector` has the wrong type, layout, dimension or length.
            CultureNotIndexed: the culture answered none of the questions.
            ValueError: `k` is negative.
        """
        if k < 0:
            raise ValueError(f"k is {k}, expected 0 or more")
        if culture not in self._masks:
            raise CultureNotIndexed(culture, tuple(self._masks))
        mask = self._masks[culture]
        excluded = {row for key in exclude if (row := self._row_of.get(key)) is not None}
        found = self._rows(vector, k + len(excluded), parameters=mask.parameters, n=mask.n_rows)
        kept = [(row, similarity) for row, similarity in found if row not in excluded]
        return [Hit(self.keys[row], similarity) for row, similarity in kept[:k]]

    def nearest_question(self, vector: Vectors) -> Hit:
        """Return the question nearest to `vector`, whichever culture answered it.

        Raises:
            VectorsInvalid: `vector` has the wrong type, layout, dimension or length.
        """
        row, similarity = self._rows(vector, 1, parameters=None, n=len(self))[0]
        return Hit(self.keys[row], similarity)

    def _rows(
        self,
        vector: Vectors,
        k: int,
        *,
        parameters: faiss.SearchParameters | None,
        n: int,
    ) -> list[tuple[int, float]]:
        """Return the k nearest of the n selected rows, ordered by (-similarity, row)."""
        query = vector.reshape(1, -1) if vector.ndim == 1 else vector
        check_vectors(query, dim=self.dim)
        if len(query) != 1:
            raise VectorsInvalid(f"Found {len(query)} vectors, expected one.")
        # OpenMP keeps the number of threads per calling thread, so it is set where it is used.
        faiss.omp_set_num_threads(1)
        depth = min(k, n)
        while depth:
            similarities, rows = self._flat.search(query, min(depth + 1, n), params=parameters)
            found = [
                (int(row), round(float(similarity), SIMILARITY_DECIMALS))
                for row, similarity in zip(rows[0], similarities[0], strict=True)
                if row >= 0
            ]
            # Rows as near as the k-th may lie beyond what was searched: faiss picks any of them.
            if len(found) >= n or len(found) <= k or found[-1][1] < found[k - 1][1]:
                return sorted(found, key=lambda hit: (-hit[1], hit[0]))[:k]
            depth *= 2
        return []

    def _mask(self, keys: Collection[str]) -> _Mask:
        bits = np.zeros(len(self), dtype=bool)
        bits[[self._row_of[key] for key in keys if key in self._row_of]] = True
        bitmap = np.packbits(bits, bitorder="little")
        selector = faiss.IDSelectorBitmap(len(bitmap), faiss.swig_ptr(bitmap))
        parameters = faiss.SearchParameters()
        parameters.sel = selector
        return _Mask(parameters, int(bits.sum()), selector, bitmap)


class _Mask(NamedTuple):
    """One culture's filter. faiss keeps bare pointers, so what they point to is kept here."""

    parameters: faiss.SearchParameters
    n_rows: int
    selector: faiss.IDSelectorBitmap
    bitmap: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


def build_index(
    questions: Sequence[Question],
    *,
    answered: Mapping[str, Collection[str]],
    encoder: Encoder,
) -> QuestionIndex:
    """Return the index of `questions`, each encoded by its text alone.

    Raises:
        VectorsInvalid: there is no question, or the encoder gives no unit float32 vectors.
    """
    vectors = encoder.encode([question.text for question in questions])
    keys = [question.key for question in questions]
    return QuestionIndex(keys, vectors, answered=answered, model_id=encoder.model_id)


def check_vectors(vectors: Vectors, *, dim: int | None = None) -> None:
    """Return if `vectors` is float32[n, dim], C-contiguous, with rows of unit length.

    Raises:
        VectorsInvalid: it is not; found and expected are named.
    """
    if vectors.dtype != np.float32 or vectors.ndim != 2 or not vectors.flags.c_contiguous:
        layout = "C-contiguous" if vectors.flags.c_contiguous else "not C-contiguous"
        raise VectorsInvalid(
            f"Found {vectors.dtype}{list(vectors.shape)}, {layout}; expected C-contiguous "
            "float32[n, dim]. Convert with numpy.ascontiguousarray(vectors, dtype=numpy.float32)."
        )
    if dim is not None and vectors.shape[1] != dim:
        raise VectorsInvalid(
            f"Found vectors of {vectors.shape[1]} components, expected {dim}. Use the encoder "
            "that the index was made with."
        )
    lengths = np.linalg.norm(vectors, axis=1)
    # Written so that NaN fails too.
    wrong = np.flatnonzero(~(np.abs(lengths - 1.0) <= UNIT_TOLERANCE))
    if len(wrong):
        raise VectorsInvalid(
            f"Row {wrong[0]} has length {lengths[wrong[0]]:.4f}, expected 1. Normalise the rows."
        )
