"""The figures of a run, as they stand in `figures.json` and as the report shows them.

All values are on the metric's own scale (alignment score and similarities at most 1), never times
100. An interval is 95 % by bootstrap over questions. What is unknown is None, never 0.
"""

from __future__ import annotations

from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from evaluation.asking import ConditionKind

SCHEMA_VERSION = 1


class BootstrapInterval(NamedTuple):
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


class _Figures(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CultureFigures(_Figures):
    """How near one condition's answers came to one culture's people."""

    alignment: BootstrapInterval | None
    similarity: BootstrapInterval


class SteeringFigures(_Figures):
    """Whether answers given as a culture are nearest to that culture.

    `matrix[i][j]` is the mean distribution similarity between answers given as `cultures[i]` and
    the people of `cultures[j]`; `ranks` gives each culture's place in its own row, 1 the best.
    """

    cultures: tuple[str, ...]
    matrix: tuple[tuple[float, ...], ...]
    ranks: dict[str, int]
    own_best_share: float


class Before(_Figures):
    """What the model as it is did with the prompt that an adapter was asked with.

    Attributes:
        condition: the name of that condition.
        gain: paired gain in distribution similarity of the adapter over it.
        diversity, entropy: as in `ConditionFigures`, over the cultures that the adapter answered
            as.
    """

    condition: str
    gain: BootstrapInterval | None
    diversity: float | None
    entropy: float | None


class ConditionFigures(_Figures):
    """All figures of one condition.

    Attributes:
        over_plain: paired gain in distribution similarity over `plain`; None for `plain` itself
            and if `plain` was not asked.
        alignment_over_plain, soft_over_plain: the same in alignment score, over what could be read
            of both, and in soft accuracy.
        over_reference: the same over each reference, by its name.
        over_method: of adapters, the same over the methods that they are best compared with.
        before: of adapters, the model as it is with the same prompt, if it was asked.
        unreadable, refused: shares of answers, refusals among the unreadable ones.
        order_shift: mean total variation distance between the shares read in different option
            orders; None with one order.
        order_flips: share of questions whose chosen option depends on the order.
        diversity: mean distance between what two cultures chose, as a share of the scale.
        entropy: mean entropy of the shares of an answer, as a part of the largest that this
            number of options can have; None if answers have no shares.
        people_diversity, people_entropy: the same of the people of the cultures that the condition
            answered as.
        n_cells: answers, one per culture and question.
        n_requests: different requests that they took; `plain` takes one for all cultures.
        prompt_tokens, completion_tokens: of those requests.
        not_steered: share of answers whose prompt had no room for any exemplar.
    """

    name: str
    kind: ConditionKind
    alignment: BootstrapInterval | None
    similarity: BootstrapInterval
    wasserstein: BootstrapInterval | None
    exact: BootstrapInterval
    soft: BootstrapInterval
    over_plain: BootstrapInterval | None
    over_reference: dict[str, BootstrapInterval]
    unreadable: float
    refused: float
    order_shift: float | None
    order_flips: float | None
    diversity: float | None
    steering: SteeringFigures | None
    by_culture: dict[str, CultureFigures]
    by_topic: dict[str, BootstrapInterval]
    by_n_options: dict[int, BootstrapInterval]
    n_cells: int
    n_requests: int
    prompt_tokens: int
    completion_tokens: int
    not_steered: float
    # With defaults, as figures from before they were measured are still baselines of a gate.
    over_method: dict[str, BootstrapInterval] = {}
    before: Before | None = None
    entropy: float | None = None
    people_diversity: float | None = None
    people_entropy: float | None = None
    alignment_over_plain: BootstrapInterval | None = None
    soft_over_plain: BootstrapInterval | None = None


class IntervalFigures(_Figures):
    """How well 90 % intervals of estimates, learned on other questions, hold what people said.

    Attributes:
        source: name of the condition that estimates.
        coverage: share of people's shares that lie in their interval.
        width: mean width of an interval.
        by_culture: coverage by culture.
    """

    source: str
    coverage: float
    width: float
    by_culture: dict[str, float]


class Section(_Figures):
    """Figures over one set of cells: all of them, or those held out of a model's training."""

    title: str
    note: str
    cultures: tuple[str, ...]
    n_questions: int
    n_cells: int
    people_diversity: float | None
    people_entropy: float | None = None
    conditions: tuple[ConditionFigures, ...]
    intervals: tuple[IntervalFigures, ...] = ()


class AbilityFigures(_Figures):
    """How the model, or a set of adapters on it, answered general questions.

    Attributes:
        adapters: the versions whose mean this is; none for the model as it is.
        accuracy: share of right answers, unreadable ones counted as wrong.
        log_probability: mean natural logarithm of the right label's share of all labels; None
            if answers are text. It moves before an answer changes.
        over_base, log_probability_over_base: paired differences from the model as it is; None for
            that model itself.
        by_kind: accuracy by kind of question.
    """

    name: str
    adapters: tuple[str, ...]
    accuracy: BootstrapInterval
    log_probability: BootstrapInterval | None
    over_base: BootstrapInterval | None
    log_probability_over_base: BootstrapInterval | None
    unreadable: float
    by_kind: dict[str, float]


class Ability(_Figures):
    """Whether general abilities dropped: closed questions with one right answer.

    `chance` and `chance_log_probability` are what guessing gives. The first of the weights is the
    model as it is.
    """

    n_questions: int
    chance: float
    chance_log_probability: float
    weights: tuple[AbilityFigures, ...]


class SampleQuestion(_Figures):
    """One question in one culture: what people said beside what each condition said."""

    key: str
    text: str
    options: tuple[str, ...]
    culture: str
    people: tuple[float, ...]
    answers: dict[str, tuple[float, ...]]


class CulturePlace(_Figures):
    """A place on the cultural map: x survival to self-expression, y traditional to secular."""

    culture: str
    x: float
    y: float


class CulturalMap(_Figures):
    """Where people stand on the cultural map, and where each condition's answers would stand.

    `error` is the root mean square distance, in units of the map, between the published place of
    a country and the place estimated from its own people's answers with that country left out.
    """

    people: tuple[CulturePlace, ...]
    conditions: dict[str, tuple[CulturePlace, ...]]
    error: float


class Figures(_Figures):
    """Everything that a report says.

    `compared` is a hash over what was asked: runs with the same one can be compared, culture by
    culture. `culture_names` gives the English name of each code. `settings` are the run's, for the
    reader: label to value. The first section is over all cells. `notes` say what a reader should
    know before comparing conditions.
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
    ability: Ability | None = None
    notes: tuple[str, ...] = ()
