"""What a PromQL expression reads: metrics, and the labels that it names of them."""

from __future__ import annotations

from typing import NamedTuple

import promql_parser
from promql_parser import AggModifierType, AggregateExpr, Expr, VectorSelector


class Read(NamedTuple):
    """A metric, the labels it is chosen by, and those it is grouped by further out."""

    metric: str
    labels: frozenset[str]


def list_reads(expression: str) -> list[Read]:
    """Return what an expression reads; ValueError where it is no PromQL."""
    found: list[Read] = []
    grouped: list[frozenset[str]] = []

    def enter(node: Expr) -> None:
        if isinstance(node, AggregateExpr):
            modifier = node.modifier
            assert modifier is None or modifier.type == AggModifierType.By
            grouped.append(frozenset(modifier.labels if modifier else ()))
        elif isinstance(node, VectorSelector):
            matched = frozenset(matcher.name for matcher in node.matchers.matchers)
            found.append(Read(node.name or "", matched.union(*grouped)))

    def leave(node: Expr) -> None:
        if isinstance(node, AggregateExpr):
            grouped.pop()

    # With a number for Grafana's own variable, which Prometheus never sees.
    text = expression.replace("$__rate_interval", "5m")
    promql_parser.walk(promql_parser.parse(text), enter, leave)
    return found
