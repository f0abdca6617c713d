"""Everything the service stands on, opened in one place and closed in reverse order."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from adapters.pool import WeightsPool
from adapters.serving import AdapterServing
from app.answering.alignment import PeopleAlignment
from app.answering.context import ContextWindow, file_counter
from app.answering.fallbacks import Planner
from app.answering.lookup import EvidenceLookup
from app.answering.pipeline import Pipeline
from app.errors import UpstreamBusy, UpstreamTimeout, UpstreamUnavailable
from app.settings import Settings
from app.state.adapters import open_adapters
from app.state.experiments import (
    LiveExperiments,
    arm_selector_of,
    open_experiments,
    recorder_of,
)
from app.telemetry import Metrics
from app.vllm.child import LocalVllm
from app.vllm.child_command import LocalVllmOptions, LoraOptions
from app.vllm.client import VllmClient
from app.vllm.pool import Limits, Retries, Timeouts
from mini_model.weights import WEIGHTS, check_weights
from retrieval.encoder import CachedEncoder, Encoder
from retrieval.encoders.opening import open_encoder
from retrieval.evidence import EvidenceFinder
from retrieval.index import QuestionIndex
from retrieval.index_files import open_index
from survey_data.cultures import CultureCatalogue, read_catalogue
from survey_data.library import SurveyLibrary, open_library
from survey_data.similarity import CultureSimilarity

logger = logging.getLogger(__name__)
SEE_NOTICE = {"fields": {"see": "NOTICE", "remedy": "set MILIEU_VLLM__URLS"}}


@dataclass(frozen=True)
class Retrieval:
    """The survey questions as vectors, the encoder that made them, and what finds evidence."""

    index: QuestionIndex
    encoder: Encoder
    finder: EvidenceFinder


@dataclass(frozen=True)
class Resources:
    """What routes and runs use.

    `local_vllm` is None where the settings name servers, `experiments` where they want none.
    """

    settings: Settings
    metrics: Metrics
    pipeline: Pipeline
    retrieval: Retrieval
    alignment: PeopleAlignment
    vllm: VllmClient
    context: ContextWindow
    weights: WeightsPool
    local_vllm: LocalVllm | None
    experiments: LiveExperiments | None = None
    started_at: float = field(default_factory=time.time)


Opener = Callable[[Settings, Metrics], AbstractAsyncContextManager[Resources]]
LibraryReader = Callable[[Settings, CultureCatalogue], SurveyLibrary]
RetrievalOpener = Callable[[Settings, SurveyLibrary], Retrieval]


@asynccontextmanager
async def open_resources(
    settings: Settings,
    metrics: Metrics,
    *,
    is_service: bool = False,
    read: LibraryReader | None = None,
    retrieve: RetrievalOpener | None = None,
) -> AsyncIterator[Resources]:
    """Open everything; the vLLM child starts while survey data and encoder load.

    Only a service has experiments and records its answers; a run of questions does not. `read` and
    `retrieve` may hand in packs and index that are open already.

    Raises:
        ExperimentError, SecretFileInvalid, SecretNotKept: the store of events cannot be opened.
        SurveyDataError, RetrievalError: packs, encoder or index cannot be had.
        WeightsInvalid: the embedded model's files were altered.
        VllmStartFailed: the child does not start.
        UpstreamModelMissing: the named servers do not serve the model of the settings.
        BaseModelInvalid, RegistryInvalid: what adapters stand on cannot be read.
    """
    async with AsyncExitStack() as stack:
        # Packs first: they are read in a blink, and a fault in them should not wait for vLLM.
        catalogue = read_catalogue()
        library = (read or read_library)(settings, catalogue)
        experiments = None
        if is_service and not settings.experiments.is_off:
            opening = open_experiments(settings, cultures=library.cultures)
            experiments = await stack.enter_async_context(opening)
            metrics.watch_store(experiments.store)
        local = None
        starting: asyncio.Task[None] | None = None
        if not settings.vllm.urls:
            if settings.vllm.model_path == WEIGHTS:
                check_weights(WEIGHTS)
                if settings.commercial_use:
                    logger.warning("embedded_model_is_non_commercial", extra=SEE_NOTICE)
            local = LocalVllm(_local_options(settings))
            stack.push_async_callback(local.stop)
            starting = asyncio.create_task(local.start())
        threads = ThreadPoolExecutor(settings.encoder.n_workers, thread_name_prefix="retrieval")
        stack.callback(threads.shutdown, wait=False, cancel_futures=True)
        loop = asyncio.get_running_loop()
        try:
            retrieval = await loop.run_in_executor(
                threads, retrieve or open_retrieval, settings, library
            )
        except BaseException:
            if starting is not None:
                starting.cancel()
            raise
        if starting is not None:
            await starting
        urls = settings.vllm.urls if local is None else (local.url,)
        api_key = settings.vllm.api_key.get_secret_value() if local is None else local.api_key
        live = None
        if settings.vllm.takes_adapters:
            live = await stack.enter_async_context(
                open_adapters(settings, urls, api_key=api_key, catalogue=catalogue)
            )
            metrics.watch_adapters(live)
        weights = WeightsPool(settings.model, live)
        vllm = await stack.enter_async_context(_client(settings, urls, metrics, api_key, live))
        context = ContextWindow(
            vllm,
            count_text=_counter(settings.vllm.model_path) if local is not None else None,
        )
        await _check_model(vllm, settings.model)
        alignment = PeopleAlignment(
            library, retrieval.index, same_question=settings.answer.same_question
        )
        lookup = EvidenceLookup(retrieval.finder, threads, max_looking=settings.encoder.max_waiting)
        planner = Planner(
            settings.answer, catalogue=catalogue, similarity=CultureSimilarity(library)
        )
        pipeline = Pipeline(
            catalogue=catalogue,
            library=library,
            planner=planner,
            arms=arm_selector_of(settings, experiments),
            lookup=lookup,
            weights=weights,
            vllm=vllm,
            context=context,
            recorder=recorder_of(settings, experiments, alignment=alignment),
            metrics=metrics,
            settings=settings.answer,
        )
        logger.info("service_started", extra={"fields": {"vllm": ",".join(urls)}})
        yield Resources(
            settings=settings,
            metrics=metrics,
            pipeline=pipeline,
            retrieval=retrieval,
            alignment=alignment,
            vllm=vllm,
            context=context,
            weights=weights,
            local_vllm=local,
            experiments=experiments,
        )


def read_library(settings: Settings, catalogue: CultureCatalogue) -> SurveyLibrary:
    """Return the survey packs that the settings name, all where they name none."""
    return open_library(
        settings.pack_roots,
        names=settings.packs or None,
        commercial_use=settings.commercial_use,
        catalogue=catalogue,
    )


def load_encoder(settings: Settings) -> Encoder:
    """Return the encoder that the settings name. Blocks, for seconds if not the default."""
    return open_encoder(settings.encoder.name, n_threads=settings.encoder.n_threads)


def open_retrieval(settings: Settings, library: SurveyLibrary) -> Retrieval:
    """Load the encoder and open the index, rebuilt where packs or encoder changed. Blocks."""
    encoder = load_encoder(settings)
    opened = open_index(settings.index_folder, library, encoder)
    fields = {"rebuilt": opened.rebuilt, "n_questions": len(opened.question_index)}
    logger.info("index_opened", extra={"fields": fields})
    cached = CachedEncoder(encoder, max_entries=settings.encoder.cache_entries)
    finder = EvidenceFinder(
        library,
        index=opened.question_index,
        encoder=cached,
        similarity_floor=settings.answer.similarity_floor,
        same_question=settings.answer.same_question,
        near_duplicate=settings.answer.near_duplicate,
    )
    return Retrieval(opened.question_index, cached, finder)


def _counter(model_folder: Path) -> Callable[[str], int] | None:
    """Return the token counter of a model on disk, None where its tokenizer has another form."""
    file = model_folder / "tokenizer.json"
    return file_counter(file) if file.is_file() else None


async def _check_model(vllm: VllmClient, model: str) -> None:
    """Refuse to start beside a server that does not serve `model`; a silent one may come yet."""
    try:
        await vllm.context_tokens(model)
    except (UpstreamUnavailable, UpstreamBusy, UpstreamTimeout) as exc:
        logger.warning("vllm_not_reached", extra={"fields": {"reason": str(exc)}})


def _client(
    settings: Settings,
    urls: tuple[str, ...],
    metrics: Metrics,
    api_key: str,
    live: AdapterServing | None,
) -> VllmClient:
    of = settings.vllm
    return VllmClient(
        urls,
        api_key=api_key or None,
        timeouts=Timeouts(
            connect_s=of.connect_timeout_s,
            first_byte_s=of.idle_timeout_s,
            idle_s=of.idle_timeout_s,
            total_s=of.timeout_s,
        ),
        retries=Retries(n_retries=of.n_retries),
        limits=Limits(max_in_flight=of.max_in_flight, max_queued=of.max_queued),
        observer=metrics,
        restore=None if live is None else live.restore,
    )


def _local_options(settings: Settings) -> LocalVllmOptions:
    of = settings.vllm
    return LocalVllmOptions(
        model_dir=of.model_path,
        served_name=settings.model,
        max_model_len=of.max_model_len,
        kv_cache_gib=of.kv_cache_gib,
        log_file=settings.cache_folder / f"vllm-{settings.port}.log",
        start_deadline_s=of.start_deadline_s,
        lora=LoraOptions(of.max_loras, of.max_lora_rank, of.max_cpu_loras)
        if of.takes_adapters
        else None,
    )
