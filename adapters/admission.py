"""What the registry says of an adapter that it takes in: what was given, else what it came with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

from adapters.base_model import AdapterBase
from adapters.errors import AdapterFault, AdapterRefused
from adapters.inspection import Inspection
from adapters.manifest import SCHEMA_VERSION, AdapterFacts, AdapterManifest, is_name


def build_manifest(
    inspected: Inspection,
    *,
    base: AdapterBase,
    name: str | None,
    cultures: Sequence[str] | None,
    about: AdapterFacts,
) -> AdapterManifest:
    """Return the manifest of an inspected adapter: what was given, else what it came with."""
    published = inspected.published
    if published is not None:
        name = published.name if name is None else name
        cultures = published.cultures if cultures is None else cultures
        kept = {f.name: getattr(published.about, f.name) for f in fields(AdapterFacts)}
        given = {f.name: getattr(about, f.name) for f in fields(AdapterFacts)}
        about = AdapterFacts(**{field: given[field] or kept[field] for field in kept})
    if name is None or not is_name(name):
        raise AdapterRefused(
            AdapterFault.NAME,
            found="no name" if name is None else f"the name {name[:80]!r}",
            expected="1 to 63 lower-case letters, digits and '-', no '-' first",
            remedy="Give it such a name.",
        )
    return AdapterManifest(
        schema_version=SCHEMA_VERSION,
        name=name,
        version=inspected.version,
        base_model=base.name,
        base_sha256=base.sha256,
        rank=inspected.rank,
        alpha=inspected.alpha,
        target_modules=inspected.target_modules,
        cultures=tuple(sorted(set(cultures or ()))),
        about=replace(about, metrics=dict(about.metrics)),
        sha256=inspected.sha256,
    )
