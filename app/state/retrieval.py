"""The survey packs, the encoder and the index, as the settings name them."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from app.settings import Settings
from estimation.estimator import Estimator
from estimation.fit_files import WORDINGS, open_estimator
from retrieval.encoder import CachedEncoder, Encoder
from retrieval.encoders.bert_folder import default_vocabulary
from retrieval.encoders.opening import open_encoder
from retrieval.evidence import EvidenceFinder
from retrieval.index import QuestionIndex
from retrieval.index_files import open_index
from retrieval.recognition import QuestionRecogniser, find_cores
from retrieval.vector_files import encode_once
from survey_data.cultures import CultureCatalogue
from survey_data.library import SurveyLibrary, open_library

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Retrieval:
    """The survey questions as vectors, and what finds evidence and estimates with them."""

    index: QuestionIndex
    encoder: Encoder
    finder: EvidenceFinder
    estimator: Estimator


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
    """Load the encoder and open index and estimates, made anew where packs changed. Blocks."""
    encoder = load_encoder(settings)
    index = _open_index(settings, library, encoder)
    estimates = open_estimator(settings.index_folder, library, encoder, index)
    logger.info("estimates_opened", extra={"fields": {"refitted": estimates.refitted}})
    wordings = estimates.estimator.table.wordings
    vectors = encode_once(settings.index_folder, WORDINGS, wordings, encoder)
    known = dict(zip(wordings, vectors, strict=True))
    cached = CachedEncoder(encoder, max_entries=settings.encoder.cache_entries, known=known)
    finder = _make_finder(settings, library, index, encoder=cached)
    return Retrieval(index, cached, finder, estimates.estimator)


def open_finder(settings: Settings, library: SurveyLibrary) -> EvidenceFinder:
    """Load the encoder, open the index, and return what finds evidence in it. Blocks."""
    encoder = load_encoder(settings)
    index = _open_index(settings, library, encoder)
    cached = CachedEncoder(encoder, max_entries=settings.encoder.cache_entries)
    return _make_finder(settings, library, index, encoder=cached)


def _open_index(settings: Settings, library: SurveyLibrary, encoder: Encoder) -> QuestionIndex:
    opened = open_index(settings.index_folder, library, encoder)
    fields = {"rebuilt": opened.rebuilt, "n_questions": len(opened.question_index)}
    logger.info("index_opened", extra={"fields": fields})
    return opened.question_index


def _make_finder(
    settings: Settings, library: SurveyLibrary, index: QuestionIndex, *, encoder: Encoder
) -> EvidenceFinder:
    questions = tuple(library.questions.values())
    cores = find_cores(questions)
    core_vectors = encode_once(settings.index_folder, "cores", cores, encoder)
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
    )
