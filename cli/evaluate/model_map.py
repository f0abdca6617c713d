"""From the figures of a run to the map of its model, which the page shows."""

from __future__ import annotations

from app.state.calibration import MODEL_FILES, MODEL_ROOT
from app.state.model_maps import MapPlace, ModelMap
from evaluation.figures import Figures
from evaluation.run_spec import RunSpec


def make_map(spec: RunSpec, figures: Figures) -> ModelMap | None:
    """Return the map of what the model answered by each method.

    None if there is no cultural map, or if no model behind vLLM was asked: of a service or of
    recorded answers nobody can tell whose they are.
    """
    chart = figures.cultural_map
    identity = {
        name: spec.identity[name] for name in (MODEL_FILES, MODEL_ROOT) if name in spec.identity
    }
    methods = {of.name for of in spec.conditions if of.kind == "method"}
    if chart is None or not identity:
        return None
    ways = {
        name: {place.culture: MapPlace(x=place.x, y=place.y) for place in places}
        for name, places in chart.conditions.items()
        if name in methods
    }
    if not ways:
        return None
    return ModelMap(
        model=spec.respondent,
        identity=identity,
        survey=figures.pack_title,
        n_questions=len(spec.questions),
        error=chart.error,
        ways=ways,
        settings=figures.settings,
        created=figures.created,
    )
