"""Definitions of experiments as YAML and JSON: read with the fault named, and written."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from estimation.source import AnswerFrom
from experiments.definition import (
    ASKED_BY,
    DAY_S,
    Arm,
    Decoding,
    Experiment,
    HoldOut,
    Layer,
    State,
)
from experiments.errors import DefinitionInvalid
from experiments.metrics import (
    RECORDED_METRICS,
    RECORDED_TRUTHS,
    Direction,
    Guardrail,
    Metric,
    MetricKind,
    PrimaryMetric,
)
from experiments.statistics.units import UnitValue
from experiments.unit import MAX_UNIT_CHARS
from prompting.recipe import NO_ADAPTER, ExemplarStyle, Method, PromptLanguage, Recipe
from retrieval.selector_name import SelectorName

MAX_FILE_BYTES = 262_144
MAX_SHOWN_CHARS = 80
NAME_PATTERN = r"^[a-z0-9][a-z0-9+._-]{0,62}$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Culture = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
# Half a surrogate pair, which JSON can hold, does not pass a bound on length.
Tester = Annotated[str, Field(max_length=MAX_UNIT_CHARS + len("session:"))]
Text = Annotated[str, Field(max_length=4000)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class _MetricModel(_Model):
    metric: Name
    kind: MetricKind
    direction: Direction
    quantile: float | None = Field(default=None, gt=0.0, lt=1.0)
    lowest: Number | None = None
    highest: Number | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.kind is MetricKind.QUANTILE) != (self.quantile is not None):
            raise ValueError("'quantile' with the kind 'quantile', and with no other")
        if self.kind is MetricKind.RATING and (self.lowest is None or self.highest is None):
            raise ValueError("'lowest' and 'highest', the ends of the scale of a rating")
        if self.kind is MetricKind.PROPORTION and (self.lowest, self.highest) != (None, None):
            raise ValueError("no 'lowest' or 'highest': a proportion is of yes and no")
        if self.lowest is not None and self.highest is not None and self.lowest >= self.highest:
            raise ValueError("'lowest' below 'highest'")
        is_truth = self.metric in RECORDED_TRUTHS
        if self.metric in RECORDED_METRICS and is_truth != (self.kind is MetricKind.PROPORTION):
            fits = "'proportion'" if is_truth else "'mean' or 'quantile'"
            raise ValueError(f"the kind {fits} for '{self.metric}', which Milieu records so")
        if self.metric.startswith("n_") and self.metric not in RECORDED_METRICS:
            raise ValueError("one of " + ", ".join(RECORDED_METRICS) + ", or a name without 'n_'")
        return self

    def inside(self) -> Metric:
        return Metric(
            self.metric, self.kind, self.direction, self.quantile, self.lowest, self.highest
        )


class _PrimaryModel(_MetricModel):
    smallest_effect: Annotated[float, Field(gt=0.0, allow_inf_nan=False)]


class _GuardrailModel(_MetricModel):
    margin: Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


class _ArmModel(_Model):
    answer_from: AnswerFrom = AnswerFrom.MODEL
    method: Method
    k: int = Field(default=5, ge=1, le=20)
    style: ExemplarStyle = ExemplarStyle.SHARES
    retriever: SelectorName = SelectorName.DENSE
    n_orders: int = Field(default=1, ge=1, le=24)
    n_elsewhere: int = Field(default=0, ge=0, le=20)
    prompt_language: PromptLanguage = PromptLanguage.EN
    adapter: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    model: str = Field(default="", max_length=200)
    decoding: Decoding = Decoding()

    @model_validator(mode="before")
    @classmethod
    def _choose_method(cls, data: Any) -> Any:
        """Let an arm that answers from elsewhere leave open how the model is asked."""
        if isinstance(data, dict) and data.get("answer_from", "model") != "model":
            return {"method": ASKED_BY} | data
        return data

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.method.needs_adapter and self.adapter == NO_ADAPTER:
            raise ValueError(f"an adapter or 'auto', which the method '{self.method}' needs")
        return self

    def inside(self, name: str, weight: float) -> Arm:
        same = self.model_dump(exclude={"answer_from", "adapter", "model", "decoding"})
        recipe = Recipe(**same, adapter=self.adapter or self.method.usual_adapter)
        return Arm(name, weight, recipe, self.model, self.decoding, self.answer_from)


class _ExperimentModel(_Model):
    name: Name
    hypothesis: Annotated[str, Field(min_length=1, max_length=4000)]
    primary: _PrimaryModel
    guardrails: tuple[_GuardrailModel, ...] = ()
    arms: dict[Name, _ArmModel] = Field(min_length=2, max_length=32)
    control: Name
    weights: dict[Name, Share] | None = None
    traffic_share: float = Field(default=1.0, gt=0.0, le=1.0)
    cultures: tuple[Culture, ...] = ()
    layer: Layer = Layer()
    hold_out: HoldOut = HoldOut()
    outcome_window_s: float = Field(default=7 * DAY_S, gt=0.0, le=366 * DAY_S)
    unit_value: UnitValue = "first"
    max_duration_s: float = Field(default=28 * DAY_S, gt=0.0, le=3 * 366 * DAY_S)
    alpha: float = Field(default=0.05, gt=0.0, lt=0.5)
    salt: str = Field(default="", max_length=64)
    testers: tuple[Tester, ...] = Field(default=(), max_length=1000)
    decision: Text = ""
    state: State = State.DRAFT
    revision: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.weights is not None and self.weights.keys() != self.arms.keys():
            raise ValueError("'weights' for exactly the arms " + ", ".join(self.arms))
        metrics = [self.primary.metric, *(guardrail.metric for guardrail in self.guardrails)]
        if len(set(metrics)) < len(metrics):
            raise ValueError("every metric once, in 'primary' or 'guardrails'")
        if any(not tester.startswith(("user:", "session:")) for tester in self.testers):
            raise ValueError("'testers' as user:NAME or session:NAME")
        return self

    def inside(self) -> Experiment:
        weights = self.weights or dict.fromkeys(self.arms, 1.0 / len(self.arms))
        given = {name: getattr(self, name) for name in _SAME}
        return Experiment(
            primary=PrimaryMetric(self.primary.inside(), self.primary.smallest_effect),
            guardrails=tuple(Guardrail(each.inside(), each.margin) for each in self.guardrails),
            arms=tuple(arm.inside(name, weights[name]) for name, arm in self.arms.items()),
            **given,
        )


# The fields that are the same in the file and inside.
_SAME = tuple(
    name
    for name in _ExperimentModel.model_fields
    if name not in ("primary", "guardrails", "arms", "weights")
)


class _Loader(yaml.SafeLoader):
    """YAML without what can surprise: keys that come twice, anchors, tags, other bases and "no".

    As in YAML 1.2 only true and false are truths, so that NO is Norway and an arm may be "on".
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="an alias")
        event = self.peek_event()  # type: ignore[no-untyped-call]  # PyYAML's
        # What is no date, say, and is tagged as one fails in a way of its own.
        if getattr(event, "tag", None) in _TAGS:
            raise yaml.MarkedYAMLError(problem="a tag", problem_mark=event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = next((key for key, n in Counter(keys).items() if n > 1), None)
        if twice is not None:
            raise yaml.MarkedYAMLError(problem=f"'{twice}' twice", problem_mark=node.start_mark)
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found


_WHOLE, _TRUTH = "tag:yaml.org,2002:int", "tag:yaml.org,2002:bool"
_FLOAT = "tag:yaml.org,2002:float"
# Those of the safe loader's types that text is made into.
_TAGS = frozenset(
    f"tag:yaml.org,2002:{name}"
    for name in ("binary", "bool", "float", "int", "null", "omap", "pairs", "set", "timestamp")
)
_Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in forms if tag not in (_WHOLE, _TRUTH, _FLOAT)]
    for first, forms in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_TRUTH, re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), "tTfF")
# Without base 60: 1:30.0 is text.
_Loader.add_implicit_resolver(
    _FLOAT,
    re.compile(
        r"^[-+]?(?:(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+][0-9]+)?"
        r"|\.(?:inf|Inf|INF))$|^\.(?:nan|NaN|NAN)$"
    ),
    "-+0123456789.",
)
_Loader.add_implicit_resolver(_WHOLE, re.compile(r"^[-+]?(?:0|[1-9]\d*)$"), "-+0123456789")


def read_experiment(path: Path) -> Experiment:
    """Return the draft that a YAML file defines, as revision 1.

    Raises:
        DefinitionInvalid: the file cannot be read or breaks the format; file and field are named.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
        if len(raw) > MAX_FILE_BYTES:
            raise DefinitionInvalid(
                str(path), field="-", found="a larger file", expected=f"{MAX_FILE_BYTES} bytes"
            )
        data = yaml.load(raw.decode(), Loader=_Loader)  # noqa: S506  # a SafeLoader
    except (OSError, RecursionError, ValueError, yaml.YAMLError) as exc:
        found, expected = _explain_unread(exc)
        raise DefinitionInvalid(str(path), field="-", found=found, expected=expected) from exc
    return replace(parse_experiment(data, str(path)), state=State.DRAFT, revision=1)


def parse_experiment(data: object, place: str) -> Experiment:
    """Return the experiment that `data`, as read from YAML or JSON, defines.

    Raises:
        DefinitionInvalid: it breaks the format; `place` and the field are named.
    """
    if not isinstance(data, dict):
        raise DefinitionInvalid(
            place, field="-", found=_shorten(data), expected="fields with values, from 'name' on"
        )
    try:
        return _ExperimentModel.model_validate(data).inside()
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        raise DefinitionInvalid(
            place,
            field=".".join(str(part) for part in first["loc"]) or "-",
            found=_show_input(first),
            expected=_explain_expected(first["type"], first["msg"]),
        ) from exc
    except DefinitionInvalid as exc:
        raise DefinitionInvalid(
            place, field=exc.field, found=exc.found, expected=exc.expected
        ) from exc


def dump_experiment(experiment: Experiment) -> dict[str, Any]:
    """Return the experiment as `parse_experiment` reads it: plain values for JSON or YAML."""
    primary, arms = experiment.primary, experiment.arms
    given = {name: getattr(experiment, name) for name in _SAME} | {
        "primary": _metric_fields(primary.metric) | {"smallest_effect": primary.smallest_effect},
        "guardrails": [
            _metric_fields(each.metric) | {"margin": each.margin} for each in experiment.guardrails
        ],
        "arms": {arm.name: _arm_fields(arm) for arm in arms},
        "weights": {arm.name: arm.weight for arm in arms},
    }
    plain: dict[str, Any] = json.loads(json.dumps(given, default=asdict))
    return plain


def _arm_fields(arm: Arm) -> dict[str, Any]:
    said = asdict(arm.recipe) | {"model": arm.model, "decoding": arm.decoding}
    # Left out as it is in the definitions that stores hold.
    if arm.recipe.prompt_language is PromptLanguage.EN:
        del said["prompt_language"]
    return said if arm.answer_from is AnswerFrom.MODEL else {"answer_from": arm.answer_from} | said


def _metric_fields(metric: Metric) -> dict[str, Any]:
    content = asdict(metric)
    content["metric"] = content.pop("name")
    return {key: value for key, value in content.items() if value is not None}


def _show_input(fault: Any) -> str:
    """Return what was found, in few words, which a whole definition is not."""
    if fault["type"] == "missing":
        return "nothing"
    if isinstance(fault["input"], dict) and fault["type"] == "value_error":
        return "values that do not go together"
    return _shorten(fault["input"])


def _shorten(value: object) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= MAX_SHOWN_CHARS else text[:MAX_SHOWN_CHARS] + "…"


def _explain_expected(kind: str, message: str) -> str:
    if kind == "missing":
        return "a value"
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        return "no field of this name"
    if "[A-Z]{3}" in message:
        return "an alpha-3 code, such as DEU"
    if kind == "string_pattern_mismatch":
        return "small letters, digits and + . _ -, 63 at most"
    if kind == "string_type":
        return "a valid string (in YAML between quotes)"
    if kind in ("dict_type", "model_type", "dataclass_type"):
        return "fields with values"
    for start in ("Value error, ", "Input should be ", "String should "):
        message = message.removeprefix(start)
    return message


def _explain_unread(exc: Exception) -> tuple[str, str]:
    """Return what was found in a file that cannot be read as YAML, and what is expected."""
    utf8 = "a YAML file in UTF-8"
    match exc:
        case OSError():
            return (exc.strerror or type(exc).__name__).lower(), utf8
        case UnicodeDecodeError() | RecursionError():
            return type(exc).__name__, utf8
        case yaml.MarkedYAMLError():
            mark = exc.problem_mark
            where = "" if mark is None else f" in line {mark.line + 1}"
            return f"a fault{where} ({exc.problem})", "YAML without anchors"
        case yaml.YAMLError():
            return "a fault", "YAML without anchors"
    # YAML reads an invalid date so.
    return str(exc), "quotes around values that are text"
