"""Where a worker's process begins. It imports little: the metrics have to be told of others."""

from __future__ import annotations

import os
import sys

from app.workers.terms import WorkerTerms

# prometheus_client reads it when it is imported.
METRICS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


def run_worker(terms: WorkerTerms) -> None:
    """Serve in this process, until the parent says otherwise or is gone."""
    assert "prometheus_client" not in sys.modules, "it would count for this process alone"
    os.environ[METRICS_VARIABLE] = str(terms.metrics_folder)
    from app.workers.worker import serve_as_worker

    serve_as_worker(terms)
