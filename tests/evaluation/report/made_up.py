"""Figures like those of a run, made of seeded random numbers."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from evaluation.asking import ConditionKind
from evaluation.figures import (
    Ability,
    AbilityFigures,
    Before,
    BootstrapInterval,
    ConditionFigures,
    CulturalMap,
    CultureFigures,
    CulturePlace,
    Figures,
    SampleQuestion,
    Section,
    SteeringFigures,
)
from evaluation.report.compose import write_report
from survey_data.cultures import read_catalogue

_CODES = "AUS BOL BRA CAN CHN DEU ETH GBR IND KEN MEX NGA NLD NZL RUS THA UKR USA ZWE"
CULTURES = tuple(_CODES.split())
CONDITIONS: tuple[tuple[str, ConditionKind, float], ...] = (
    ("plain", "method", 0.73),
    ("persona", "method", 0.735),
    ("cross-culture", "method", 0.728),
    ("icl, mode", "method", 0.737),
    ("icl, shares", "method", 0.761),
    ("persona+icl, shares", "method", 0.752),
    ("icl, shares: answers reversed", "control", 0.701),
    ("icl, shares: another culture's", "control", 0.719),
    ("Llama-3-8B, as released", "recorded", 0.69),
    ("uniform", "reference", 0.705),
    ("prior by number of options", "reference", 0.72),
    ("world mean", "reference", 0.80),
    ("most similar country", "reference", 0.82),
    ("5 nearest exemplars, averaged", "reference", 0.79),
)
TOPICS = ("Social values", "Happiness and well-being", "Religious values", "Migration")


def gain(value: float, half: float = 0.011) -> BootstrapInterval:
    return BootstrapInterval(value, value - half, value + half)


def around(rng: random.Random, value: float, half: float = 0.025) -> BootstrapInterval:
    middle = value + rng.gauss(0, half / 3)
    return BootstrapInterval(middle, middle - half, middle + half)


def steering(
    rng: random.Random, cultures: Sequence[str], level: float, own: float
) -> SteeringFigures:
    liked = [rng.gauss(level, 0.04) for _ in cultures]
    matrix = tuple(
        tuple(liked[j] + rng.gauss(0, 0.012) + own * (i == j) for j in range(len(cultures)))
        for i in range(len(cultures))
    )
    ranks = {
        code: 1 + sum(value > matrix[i][i] for value in matrix[i])
        for i, code in enumerate(cultures)
    }
    best = sum(rank == 1 for rank in ranks.values()) / len(ranks)
    return SteeringFigures(
        cultures=tuple(cultures), matrix=matrix, ranks=ranks, own_best_share=best
    )


def condition(
    rng: random.Random, name: str, kind: ConditionKind, level: float, cultures: Sequence[str]
) -> ConditionFigures:
    model = kind != "reference"
    references = {ref: gain(level - at) for ref, k, at in CONDITIONS if k == "reference"}
    knows_culture = model and name not in {"plain", "Llama-3-8B, as released"}
    return ConditionFigures(
        name=name,
        kind=kind,
        alignment=around(rng, level - 0.12),
        similarity=around(rng, level),
        wasserstein=around(rng, 0.9 - level),
        exact=around(rng, level - 0.3, 0.08),
        soft=around(rng, level, 0.04),
        over_plain=None if name == "plain" else gain(level - 0.73),
        alignment_over_plain=None if name == "plain" else gain(level - 0.725, 0.032),
        soft_over_plain=None if name == "plain" else gain(level - 0.721, 0.017),
        over_reference=references if model else {},
        unreadable=0.013 if "mode" in name else 0.0,
        refused=0.004 if "mode" in name else 0.0,
        order_shift=0.08 if kind == "method" else None,
        order_flips=0.21 if kind == "method" else None,
        diversity=0.09 if model else None,
        steering=steering(rng, cultures, level, 0.05) if knows_culture else None,
        by_culture={
            code: CultureFigures(
                alignment=around(rng, level - 0.12, 0.05),
                similarity=around(rng, level + rng.gauss(0, 0.03), 0.04),
            )
            for code in cultures
        },
        by_topic={topic: around(rng, level) for topic in TOPICS},
        by_n_options={n: around(rng, level) for n in (10, 2, 4)},
        n_cells=len(cultures) * 50,
        n_requests=0 if not model else 50 if name == "plain" else len(cultures) * 50,
        prompt_tokens=412_345 if model else 0,
        completion_tokens=len(cultures) * 50 if model else 0,
        not_steered=0.02 if "icl" in name else 0.0,
    )


def section(
    title: str = "All cells", *, cultures: Sequence[str] = CULTURES, seed: int = 1
) -> Section:
    rng = random.Random(seed)
    return Section(
        title=title,
        note="Every question that was asked, in every culture.",
        cultures=tuple(cultures),
        n_questions=50,
        n_cells=50 * len(cultures),
        people_diversity=0.223,
        conditions=tuple(condition(rng, *c, cultures) for c in CONDITIONS),
    )


def sample(rng: random.Random, text: str, options: tuple[str, ...], culture: str) -> SampleQuestion:
    def shares() -> tuple[float, ...]:
        drawn = [rng.expovariate(1.0) for _ in options]
        return tuple(value / sum(drawn) for value in drawn)

    return SampleQuestion(
        key="wvs7:Q6",
        text=text,
        options=options,
        culture=culture,
        people=shares(),
        answers={name: shares() for name, kind, _ in CONDITIONS if kind == "method"},
    )


def chart(rng: random.Random) -> CulturalMap:
    catalogue = read_catalogue()
    people = []
    for code in CULTURES:
        position = catalogue[code].position
        assert position is not None
        people.append(
            CulturePlace(
                culture=code, x=position.survival_expression, y=position.traditional_secular
            )
        )

    def answers(pull: float) -> tuple[CulturePlace, ...]:
        return tuple(
            CulturePlace(
                culture=p.culture,
                x=p.x * (1 - pull) + pull + rng.gauss(0, 0.15),
                y=p.y * (1 - pull) + 0.5 * pull + rng.gauss(0, 0.15),
            )
            for p in people
        )

    conditions = {"plain": answers(1.0), "persona": answers(0.7), "icl, shares": answers(0.4)}
    return CulturalMap(people=tuple(people), conditions=conditions, error=0.24)


def figures(*, text: str = "How important is religion in your life?") -> Figures:
    rng = random.Random(7)
    catalogue = read_catalogue()
    names = {code: catalogue[code].name for code in CULTURES}
    importance = ("Highly important", "Fairly important", "Not that important", "Not at all")
    degrees = ("Can never be justified", *"23456789", "Can always be justified")
    return Figures(
        respondent="tiny-llama",
        pack="wvs7",
        compared="hash",
        pack_title="World Values Survey, wave 7",
        created="2026-11-21T06:00:00Z",
        settings={"Exemplars": "5", "Option orders": "2", "Seed": "0"},
        culture_names=names,
        sections=(
            section(),
            section("Held out of the embedded model's training", cultures=CULTURES[:4], seed=2),
        ),
        samples=(
            sample(rng, text, importance, "DEU"),
            sample(rng, "Can homosexuality ever be justified?", degrees, "NGA"),
            sample(
                rng,
                "Can most people be trusted?",
                ("Most people deserve trust", "One must be very cautious"),
                "USA",
            ),
        ),
        cultural_map=chart(rng),
    )


def small(
    *,
    text: str = "How important is religion in your life?",
    name: str = "plain",
    options: tuple[str, ...] = ("Yes", "No"),
) -> Figures:
    """Return figures that are drawn fast: two conditions, two cultures, one sample."""
    rng = random.Random(3)
    cultures = CULTURES[:2]
    conditions = (
        condition(rng, name, "method", 0.7, cultures),
        condition(rng, "persona", "method", 0.72, cultures),
    )
    part = section(cultures=cultures).model_copy(update={"conditions": conditions})
    asked = sample(rng, text, options, "AUS").model_copy(
        update={"answers": {name: (1.0,) + (0.0,) * (len(options) - 1)}}
    )
    return figures(text=text).model_copy(
        update={"sections": (part,), "samples": (asked,), "cultural_map": None}
    )


def rendered(made: Figures, folder: Path) -> tuple[str, str]:
    """Return report.html and report.md of `made`."""
    write_report(made, folder)
    return (folder / "report.html").read_text(), (folder / "report.md").read_text()


def tuned(*, base_accuracy: float = 0.8) -> Figures:
    """Return small figures with a condition of adapters, and general ability that dropped."""
    made = small(name="plain")
    (part,) = made.sections
    plain, persona = part.conditions
    adapter = persona.model_copy(
        update={
            "name": "adapter, joint",
            "over_method": {"persona": gain(0.03), "adapter, first": gain(-0.002)},
            "before": Before(condition="persona", gain=gain(0.03), diversity=0.12, entropy=0.9),
            "diversity": 0.05,
            "people_diversity": 0.22,
            "entropy": 0.5,
            "people_entropy": 0.7,
        }
    )
    section = part.model_copy(update={"conditions": (plain, persona, adapter)})
    base = AbilityFigures(
        name="base model",
        adapters=(),
        accuracy=gain(base_accuracy, 0.05),
        log_probability=gain(-0.6, 0.1),
        over_base=None,
        log_probability_over_base=None,
        unreadable=0.0,
        by_kind={"sums": base_accuracy, "days": base_accuracy},
    )
    joint = base.model_copy(
        update={
            "name": "joint",
            "adapters": ("a@00000001",),
            "over_base": gain(-0.01, 0.02),
            "log_probability_over_base": gain(-0.2, 0.1),
        }
    )
    ability = Ability(
        n_questions=288, chance=0.25, chance_log_probability=-1.386, weights=(base, joint)
    )
    notes = ("Adapters “joint” serve no KEN.",)
    return made.model_copy(update={"sections": (section,), "ability": ability, "notes": notes})
