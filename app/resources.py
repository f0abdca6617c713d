"""Everything the service stands on, opened in one place and closed in reverse order."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple, Self

from threadpoolctl import threadpool_limits

from adapters.pool import WeightsPool
from adapters.serving import AdapterServing
from app.answering.alignment import PeopleAlignment
from app.answering.asking import ModelAsker
from app.answering.batches import BatchRunner
from app.answering.context import ContextWindow, file_counter
from app.answering.estimating import EstimateFinder
from app.answering.fallbacks import FallbackPlanner
from app.answering.lookup import EvidenceLookup
from app.answering.peoples import PeoplesFigures
from app.answering.pipeline import Pipeline
from app.answering.pooling import Pooler
from app.answering.questions import QuestionBrowser
from app.answering.words import PromptWriter
from app.errors import UpstreamBusy, UpstreamTimeout, UpstreamUnavailable
from app.model_files import ModelFiles, prepare_model_files
from app.settings import Settings
from app.state.adapters import open_adapters
from app.state.calibration import NO_CALIBRATION, OpenedCalibration, open_calibration
from app.state.experiments import (
    LiveExperiments,
    make_arm_selector,
    make_recorder,
    open_experiments,
)
from app.state.local_vllm import ParentsVllm, make_local_vllm
from app.state.model_maps import NO_MAP, OpenedMap, open_map
from app.state.recent_answers import RecentAnswers
from app.state.retrieval import Retrieval, open_retrieval, read_library
from app.state.shared import SharedAnswers, SharedFile
from app.telemetry import Metrics
from app.vllm.child import LocalVllm
from app.vllm.client import VllmClient
from app.vllm.pool import Limits, Retries, Timeouts
from survey_data.cultures import CultureCatalogue, read_catalogue
from survey_data.library import SurveyLibrary

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Resources:
    """What routes and runs use.

    `local_vllm` is None where the settings name servers, `experiments` where they want none.
    """

    settings: Settings
    files: ModelFiles
    metrics: Metrics
    library: SurveyLibrary
    pipeline: Pipeline
    lookup: EvidenceLookup
    retrieval: Retrieval
    alignment: PeopleAlignment
    peoples: PeoplesFigures
    vllm: VllmClient
    context: ContextWindow
    weights: WeightsPool
    local_vllm: LocalVllm | ParentsVllm | None
    experiments: LiveExperiments | None = None
    calibration: OpenedCalibration = NO_CALIBRATION
    model_map: OpenedMap = NO_MAP
    shared: SharedFile | None = None
    started_at: float = field(default_factory=time.time)

    @cached_property
    def questions(self) -> QuestionBrowser:
        """What finds survey questions."""
        return QuestionBrowser(self.library, self.retrieval.search, self.lookup)

    @cached_property
    def recent_answers(self) -> RecentAnswers:
        """The last answers, each for who asked."""
        n_recent = self.settings.answer.n_recent
        if self.shared is not None:
            return SharedAnswers(self.shared, max_answers=n_recent)
        return RecentAnswers(max_answers=n_recent)

    @cached_property
    def batches(self) -> BatchRunner:
        """What answers batches, all of them together so many items at a time."""
        return BatchRunner(self.pipeline, concurrency=self.settings.batch.concurrency)


Opener = Callable[[Settings, Metrics], AbstractAsyncContextManager[Resources]]
LibraryReader = Callable[[Settings, CultureCatalogue], SurveyLibrary]
RetrievalOpener = Callable[[Settings, SurveyLibrary], Retrieval]


@asynccontextmanager
async def open_resources(
    settings: Settings,
    metrics: Metrics,
    *,
    is_service: bool = False,
    read: LibraryReader = read_library,
    retrieve: RetrievalOpener = open_retrieval,
    started: ParentsVllm | None = None,
) -> AsyncIterator[Resources]:
    """Open everything; the vLLM child starts while survey data and encoder load.

    Only a service has experiments, records its answers and pools those of a calibrated model.
    `read` and `retrieve` may hand in what is open already, `started` the vLLM of a worker's parent.

    Raises:
        ExperimentError, SecretFileInvalid, SecretNotKept: the store of events cannot be opened.
        SurveyDataError, RetrievalError: packs, encoder or index cannot be had.
        EmbeddedModelError, VllmStartFailed: the embedded model cannot be had, or does not start.
        UpstreamModelMissing: the named servers do not serve the model of the settings.
        BaseModelInvalid, RegistryInvalid: what adapters stand on cannot be read.
    """
    async with AsyncExitStack() as stack:
        # Packs first: they are read in a blink, and a fault in them should not wait for vLLM.
        library = read(settings, read_catalogue())
        files = await asyncio.to_thread(prepare_model_files, settings)
        experiments = await _open_experiments(stack, settings, metrics, library, is_service)
        threads = _make_threads(stack, settings)
        local = _make_vllm(stack, settings, files, started)
        load = partial(_load, retrieve, settings, library, prepares=is_service)
        retrieval = await _load_while_starting(local, threads, load)
        servers = _Servers.of(settings, local)
        live = await _open_adapters(stack, settings, files, metrics, servers, library)
        vllm = await stack.enter_async_context(_make_client(settings, servers, metrics, live))
        await _check_model(vllm, settings.model)
        measured = await _open_measured(settings, files, vllm, library, retrieval, is_service)
        logger.info("service_started", extra={"fields": {"vllm": ",".join(servers.urls)}})
        yield _assemble(
            *(settings, files, metrics, library, retrieval, threads, vllm, live, local),
            *(experiments, *measured),
        )


class _Servers(NamedTuple):
    """Where vLLM is, and the key to it."""

    urls: tuple[str, ...]
    api_key: str

    @classmethod
    def of(cls, settings: Settings, local: LocalVllm | ParentsVllm | None) -> Self:
        if local is not None:
            return cls((local.url,), local.api_key)
        return cls(settings.vllm.urls, settings.vllm.api_key.get_secret_value())


async def _open_experiments(
    stack: AsyncExitStack,
    settings: Settings,
    metrics: Metrics,
    library: SurveyLibrary,
    is_service: bool,
) -> LiveExperiments | None:
    if not is_service or settings.experiments.is_off:
        return None
    opening = open_experiments(settings, cultures=library.cultures)
    experiments = await stack.enter_async_context(opening)
    metrics.watch_store(experiments.store)
    return experiments


async def _open_adapters(
    stack: AsyncExitStack,
    settings: Settings,
    files: ModelFiles,
    metrics: Metrics,
    servers: _Servers,
    library: SurveyLibrary,
) -> AdapterServing | None:
    if not settings.vllm.takes_adapters:
        return None
    urls, api_key = servers
    opening = open_adapters(settings, files, urls, api_key=api_key, catalogue=library.catalogue)
    live = await stack.enter_async_context(opening)
    metrics.watch_adapters(live)
    return live


async def _open_measured(
    settings: Settings,
    files: ModelFiles,
    vllm: VllmClient,
    library: SurveyLibrary,
    retrieval: Retrieval,
    is_service: bool,
) -> tuple[OpenedCalibration, OpenedMap]:
    """Return what was measured of the served model; only a service has it."""
    if not is_service:
        return NO_CALIBRATION, NO_MAP
    encoder = retrieval.index.model_id
    opening = open_calibration(settings, files, vllm, library=library, encoder=encoder)
    return await opening, await open_map(settings, files, vllm)


def _make_threads(stack: AsyncExitStack, settings: Settings) -> ThreadPoolExecutor:
    """Return the threads that look things up, each of which computes by itself."""
    # A request's matrices are small: threads of BLAS would wait for a busy core for 50 ms.
    stack.enter_context(threadpool_limits(limits=1, user_api="blas"))
    threads = ThreadPoolExecutor(settings.encoder.n_workers, thread_name_prefix="retrieval")
    stack.callback(threads.shutdown, wait=False, cancel_futures=True)
    return threads


def _make_vllm(
    stack: AsyncExitStack, settings: Settings, files: ModelFiles, started: ParentsVllm | None
) -> LocalVllm | ParentsVllm | None:
    if started is not None:
        return started
    local = make_local_vllm(settings, files)
    if local is not None:
        stack.push_async_callback(local.stop)
    return local


def _load(
    retrieve: RetrievalOpener, settings: Settings, library: SurveyLibrary, *, prepares: bool
) -> Retrieval:
    retrieval = retrieve(settings, library)
    if prepares:
        retrieval.prepare()
    return retrieval


async def _load_while_starting(
    local: LocalVllm | ParentsVllm | None,
    threads: ThreadPoolExecutor,
    load: Callable[[], Retrieval],
) -> Retrieval:
    """Load encoder and index while the child starts; return when both are done."""
    starting = None if local is None else asyncio.create_task(local.start())
    loop = asyncio.get_running_loop()
    try:
        retrieval = await loop.run_in_executor(threads, load)
    except BaseException:
        if starting is not None:
            starting.cancel()
        raise
    if starting is not None:
        await starting
    return retrieval


def _assemble(
    settings: Settings,
    files: ModelFiles,
    metrics: Metrics,
    library: SurveyLibrary,
    retrieval: Retrieval,
    threads: ThreadPoolExecutor,
    vllm: VllmClient,
    live: AdapterServing | None,
    local: LocalVllm | ParentsVllm | None,
    experiments: LiveExperiments | None,
    calibration: OpenedCalibration,
    model_map: OpenedMap,
) -> Resources:
    """Return the resources, with the pipeline made of them."""
    of, pooler = settings.answer, Pooler(calibration.calibration)
    alignment = PeopleAlignment(library, retrieval.finder.alike)
    context = _make_context(vllm, files, is_here=local is not None)
    weights = WeightsPool(settings.model, live, reader=files.reader_name)
    lookup = _make_lookup(settings, metrics, retrieval, threads)
    peoples = PeoplesFigures(library, lambda: retrieval.estimator, threads)
    pipeline = Pipeline(
        library=library,
        arms=make_arm_selector(settings, experiments),
        weights=weights,
        lookup=lookup,
        estimates=_make_estimates(settings, library, retrieval, threads),
        fallbacks=FallbackPlanner(of, library, pooler),
        writer=PromptWriter(vllm, context, n_reply_tokens=of.max_tokens),
        asker=ModelAsker(vllm),
        pooler=pooler,
        recorder=make_recorder(settings, experiments, alignment=alignment),
        metrics=metrics,
        min_label_mass=of.min_label_mass,
    )
    return Resources(
        *(settings, files, metrics, library, pipeline, lookup, retrieval, alignment, peoples),
        *(vllm, context, weights, local, experiments, calibration, model_map),
    )


def _make_lookup(
    settings: Settings, metrics: Metrics, retrieval: Retrieval, threads: ThreadPoolExecutor
) -> EvidenceLookup:
    return EvidenceLookup(
        retrieval.finder,
        threads,
        steer=settings.answer.steer,
        max_looking=settings.encoder.max_waiting,
        on_found=metrics.similarity.observe,
    )


def _make_estimates(
    settings: Settings, library: SurveyLibrary, retrieval: Retrieval, threads: ThreadPoolExecutor
) -> EstimateFinder:
    return EstimateFinder(
        *(library, lambda: retrieval.estimator, retrieval.encoder, threads),
        cache_entries=settings.encoder.cache_entries,
    )


def _make_context(vllm: VllmClient, files: ModelFiles, *, is_here: bool) -> ContextWindow:
    count_text = _counter(files.folder) if is_here and files.folder else None
    return ContextWindow(vllm, count_text=count_text)


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


def _make_client(
    settings: Settings, servers: _Servers, metrics: Metrics, live: AdapterServing | None
) -> VllmClient:
    of = settings.vllm
    return VllmClient(
        servers.urls,
        api_key=servers.api_key or None,
        timeouts=Timeouts(
            connect_s=of.connect_timeout_s,
            first_byte_s=of.idle_timeout_s,
            idle_s=of.idle_timeout_s,
            total_s=of.timeout_s,
        ),
        retries=Retries(n_retries=of.n_retries),
        limits=_share_limits(settings),
        observer=metrics,
        placement=None if live is None else live.hot,
    )


def _share_limits(settings: Settings) -> Limits:
    """Return the limits of this worker: its share of those of the service, rounded up."""
    of, n = settings.vllm, settings.workers
    return Limits(max_in_flight=-(-of.max_in_flight // n), max_queued=-(-of.max_queued // n))
