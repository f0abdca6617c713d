"""The figures of a run, as they stand in `figures.json` and as the report shows them.

All values are on the metric's own scale (alignment score and similarities at most 1), never times
100. An interval is 95 % by bootstrap over questions. What cannot be had is None, never 0.
"""

from __future__ import annotations

from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from evaluation.asking import ConditionKind

SCHEMA_VERSION = 1


class Interval(NamedTuple):
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


class _Figures(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CultureFigures(_Figures):
    """How near one condition's answers came to one culture's people."""

    alignment: Interval | None
    similarity: Interval


class Steering(_Figures):
    """Whether answers given as a culture are nearest to that culture.

    `matrix[i][j]` is the mean distribution similarity between answers given as `cultures[i]` and
    the people of `cultures[j]`; `ranks` gives each culture's place in its own row, 1 the best.
    """

    cultures: tuple[str, ...]
    matrix: tuple[tuple[float, ...], ...]
    ranks: dict[str, int]
    own_best_share: float


class ConditionFigures(_Figures):
    """All figures of one condition.

    Attributes:
        over_plain: paired gain in distribution similarity over `plain`; None for `plain` itself
            and where `plain` was not asked.
        over_reference: the same over each reference, by its name.
        unreadable, refused: shares of answers, refusals among the unreadable ones.
        order_shift: mean total variation distance between the shares read in different option
            orders; None with one order.
        order_flips: share of questions whose chosen option depends on the order.
        diversity: mean distance between what two cultures chose, as a share of the scale.
        n_cells: answers, one per culture and question.
        n_requests: different requests that they took; `plain` takes one for all cultures.
        prompt_tokens, completion_tokens: of those requests.
        not_steered: share of answers whose prompt had no room for any exemplar.
    """

    name: str
    kind: ConditionKind
    alignment: Interval | None
    similarity: Interval
    wasserstein: Interval | None
    exact: Interval
    soft: Interval
    over_plain: Interval | None
    over_reference: dict[str, Interval]
    unreadable: float
    refused: float
    order_shift: float | None
    order_flips: float | None
    diversity: float | None
    steering: Steering | None
    by_culture: dict[str, CultureFigures]
    by_topic: dict[str, Interval]
    by_n_options: dict[int, Interval]
    n_cells: int
    n_requests: int
    prompt_tokens: int
    completion_tokens: int
    not_steered: float


class Section(_Figures):
    """Figures over one set of cells: all of them, or those held out of a model's training."""

    title: str
    note: str
    cultures: tuple[str, ...]
    n_questions: int
    n_cells: int
    people_diversity: float | None
    conditions: tuple[ConditionFigures, ...]


class SampleQuestion(_Figures):
    """One question in one culture: what people said beside what each condition said."""

    key: str
    text: str
    options: tuple[str, ...]
    culture: str
    people: tuple[float, ...]
    answers: dict[str, tuple[float, ...]]


class MapPoint(_Figures):
    """A place on the cultural map: x survival to self-expression, y traditional to secular."""

    culture: str
    x: float
    y: float


class CulturalMap(_Figures):
    """Where people stand on the cultural map, and where each condition's answers would stand.

    `error` is the root mean square distance, in units of the map, between the published place of
    a country and the place estimated from its own people's answers with that country left out.
    """

    people: tuple[MapPoint, ...]
    conditions: dict[str, tuple[MapPoint, ...]]
    error: float


class Figures(_Figures):
    """Everything that a report says.

    `compared` is a hash over what was asked: two runs with the same one can be compared, culture by
    culture. `culture_names` gives the English name of each code. `settings` are the run's, for the
    reader: label to value. The first section is over all cells.
    """

    schema_version: int = SCHEMA_VERSION
    respondent: str
    pack: str
    compared: str
    pack_title: str
    created: str
    settings: dict[str, str]
    culture_names: dict[str, str]
    sections: tuple[Section, ...]
    samples: tuple[SampleQuestion, ...]
    cultural_map: CulturalMap | None
