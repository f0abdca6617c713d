"""Any sentence-transformers model. Importing this module loads torch, which takes seconds."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from transformers.utils.logging import disable_progress_bar

from retrieval.encoder import Vectors
from retrieval.encoders.joint_encoding import BATCH_SIZE, JointEncoding
from retrieval.errors import EncoderUnavailable


class SentenceTransformerEncoder:
    """A sentence-transformers model on the CPU. Safe to call from several threads."""

    def __init__(self, name: str, *, n_threads: int = 1) -> None:
        """Load the encoder `name`: a folder, or a name on the hub.

        Only safetensors weights are read and no code of the model's is run. `n_threads` is
        torch's number of threads, for the whole process.

        Raises:
            EncoderUnavailable: there is no such model, or it cannot be loaded so.
        """
        folder = Path(name) if Path(name).is_dir() else None
        # Tokenizer threads would not survive a fork and gain nothing on single queries.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        try:
            disable_progress_bar()
            torch.set_num_threads(n_threads)
            self._model = SentenceTransformer(
                name,
                device="cpu",
                trust_remote_code=False,
                local_files_only=folder is not None,
                model_kwargs={"use_safetensors": True},
            )
        except (ImportError, OSError, ValueError, RuntimeError) as exc:
            reason = " ".join(f"{type(exc).__name__}: {exc}".split())
            raise EncoderUnavailable(name, reason) from exc
        weights = hashlib.sha256()
        for key, tensor in sorted(self._model.state_dict().items()):
            weights.update(key.encode())
            weights.update(tensor.contiguous().numpy().data)
        self.model_id = f"{folder.name if folder else name}@{weights.hexdigest()[:8]}"
        self.dim = int(self._model.encode(["a"], show_progress_bar=False).shape[1])
        self._set_num_threads = partial(torch.set_num_threads, n_threads)
        # One call at a time also because the tokenizer's truncation state is shared: two threads
        # at once raise "Already borrowed".
        self._encode_jointly = JointEncoding(self._encode)

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return float32[n, dim], one unit vector per text; overlong texts are cut.

        Calls that come while another one is encoding are encoded together, as one batch.
        """
        return self._encode_jointly(texts)

    def _encode(self, texts: list[str]) -> Vectors:
        if not texts:
            return np.zeros((0, self.dim), dtype=np.float32)
        # OpenMP keeps the number of threads per calling thread, so it is set where it is used.
        self._set_num_threads()
        vectors = self._model.encode(
            texts,
            batch_size=BATCH_SIZE,
            normalize_embeddings=True,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        return np.ascontiguousarray(vectors, dtype=np.float32)
