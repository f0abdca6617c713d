"""The shapes of what `/v1/adapters` and `milieu adapters` say of adapters."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import Field

from adapters.manifest import AdapterManifest
from adapters.readiness import Readiness, ReplicaStatus
from app.api.schemas.answer import DIGITS, Body, CultureText
from app.api.schemas.sources import ResponseModel


class ActivateBody(Body):
    """The cultures that an adapter is to be active for."""

    cultures: list[CultureText] = Field(
        default_factory=list,
        max_length=300,
        description="Codes, names or language tags; all that the adapter serves where none is.",
        examples=[["DE", "AT"]],
    )


class CultureBody(Body):
    """The culture that an adapter is to be active for no more."""

    culture: CultureText = Field(description="Code, name or language tag.", examples=["DE"])


class AdapterSummary(ResponseModel):
    """An adapter of the registry."""

    version_name: str = Field(description="What it is asked for by: `name@version`.")
    base_model: str
    rank: int
    cultures: list[str] = Field(description="Alpha-3 codes; none where it serves any culture.")
    active_for: list[str] = Field(description="Alpha-3 codes.")
    loaded: bool | None = Field(description="On the servers now; null where none was asked.")
    proven: bool = Field(description="Whether its effect was measured here.")
    method: str
    licence: str
    data: str
    metrics: dict[str, float]


class AdapterDetail(AdapterSummary):
    """All that is known of an adapter, but for the texts of its canaries."""

    name: str
    version: str
    base_sha256: str | None
    alpha: float
    target_modules: list[str]
    source: str
    n_published_canaries: int = Field(description="Prompts whose answers its publisher recorded.")
    effect_nat: float | None = Field(
        description="The largest change of a canary's log-probability, as measured here."
    )
    sha256: dict[str, str]


class AdaptersResponse(ResponseModel):
    """The adapters of the registry, and which are active."""

    adapters: list[AdapterSummary]
    active: dict[str, str] = Field(description="Version name by culture, alpha-3 code.")


class VersionOnReplica(ResponseModel):
    """How far a replica is with a version."""

    version_name: str
    state: Readiness = Field(
        description="`ready`: loaded and verified since the replica's last start; only then is a "
        "request sent there. `failed`: it is tried again after half a minute."
    )
    since: datetime | None = Field(description="When it became ready, or failed.")
    reason: str = Field(description="Why it is not ready, where that is known.")


class ReplicaSummary(ResponseModel):
    """A server of the model, and the versions that should be on it."""

    replica: str = Field(description="Host and port.")
    reachable: bool | None = Field(description="Null before it was asked for the first time.")
    since: datetime = Field(description="Since when it is so.")
    reason: str = Field(description="Why it cannot be reached.")
    versions: list[VersionOnReplica]


class StatusResponse(ResponseModel):
    """Every server of the model, and how far it is with the versions that should be on it."""

    replicas: list[ReplicaSummary]
    active: dict[str, str] = Field(description="Version name by culture, alpha-3 code.")


class ChangeResponse(ResponseModel):
    """What is active after a change."""

    cultures: list[str] = Field(description="Those that were changed, alpha-3 codes.")
    adapter: str | None = Field(description="What answers for them now; null: the base model.")
    active: dict[str, str] = Field(description="Version name by culture, alpha-3 code.")
    took_ms: float


class RemovedResponse(ResponseModel):
    """What was removed."""

    removed: str
    took_ms: float


def summary_of_replica(status: ReplicaStatus) -> ReplicaSummary:
    """Return a replica as the status shows it."""
    return ReplicaSummary(
        replica=status.name,
        reachable=status.is_reachable,
        since=_utc(status.since),
        reason=status.reason,
        versions=[
            VersionOnReplica(
                version_name=version,
                state=readiness,
                since=None if since is None else _utc(since),
                reason=reason,
            )
            for version, readiness, since, reason in status.versions
        ],
    )


def summary_of(
    manifest: AdapterManifest,
    active_for: tuple[str, ...],
    *,
    loaded: bool | None,
    effect_nat: float | None,
) -> AdapterSummary:
    """Return an adapter as the list shows it."""
    about = manifest.about
    return AdapterSummary(
        version_name=manifest.version_name,
        base_model=manifest.base_model,
        rank=manifest.rank,
        cultures=list(manifest.cultures),
        active_for=list(active_for),
        loaded=loaded,
        proven=effect_nat is not None,
        method=about.method,
        licence=about.licence,
        data=about.data,
        metrics=dict(about.metrics),
    )


def detail_of(
    manifest: AdapterManifest,
    active_for: tuple[str, ...],
    *,
    loaded: bool | None,
    effect_nat: float | None,
) -> AdapterDetail:
    """Return an adapter with all that is known of it."""
    summary = summary_of(manifest, active_for, loaded=loaded, effect_nat=effect_nat)
    return AdapterDetail(
        **summary.model_dump(),
        name=manifest.name,
        version=manifest.version,
        base_sha256=manifest.base_sha256,
        alpha=manifest.alpha,
        target_modules=list(manifest.target_modules),
        source=manifest.about.source,
        n_published_canaries=len(manifest.about.canaries),
        effect_nat=None if effect_nat is None else round(effect_nat, DIGITS),
        sha256=dict(manifest.sha256),
    )


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(round(seconds, 3), UTC)
