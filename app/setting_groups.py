"""Groups of settings: vLLM, the encoder, answers, batches and experiments."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import NoDecode

from embedded_model.source import SMOLLM2
from experiments.unit import MIN_SECRET_BYTES
from prompting.recipe import MAX_K, ExemplarStyle, Method, PromptLanguage, Recipe
from retrieval.encoder import DEFAULT_ENCODER
from retrieval.other_languages import SAME_QUESTION, SIMILARITY_FLOOR
from retrieval.selector import NEAR_DUPLICATE
from retrieval.selector_name import SelectorName
from retrieval.steer import Steer

EMBEDDED_MODEL = SMOLLM2.name
AUTO, NONE = "auto", "none"
Strings = Annotated[tuple[str, ...], NoDecode]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Seconds = Annotated[float, Field(gt=0.0, le=3600.0)]


def _number(value: object) -> object:
    # A variable is text, which a Literal does not take for a number.
    return int(value) if isinstance(value, str) and value.isdecimal() else value


# What vLLM takes.
LoraRank = Annotated[Literal[1, 8, 16, 32, 64, 128, 256, 320, 512], BeforeValidator(_number)]


class Group(BaseModel):
    """Settings that belong together."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class VllmSettings(Group):
    """The vLLM servers, or the child that is started when `urls` is empty.

    The child serves the model in the folder `model_path`; unset, the embedded one. `reader` is the
    adapter that reads what prompts tell of a people: `auto` is the embedded model's own, and none
    for others; `none` leaves it out, and any other name is what `urls` serve it by. `dtype` is what
    the child computes in; `auto` is float32 for the embedded model and bfloat16 for most others.
    `n_threads` are those it computes with on a CPU. `lora` is whether they take adapters while they
    run; unset, the child does and others do not. The limits on adapters are those that the servers
    were started with.
    """

    urls: Strings = ()
    model: str = ""
    api_key: SecretStr = SecretStr("")
    timeout_s: Seconds = 120.0
    connect_timeout_s: Seconds = 2.0
    idle_timeout_s: Seconds = 60.0
    n_retries: int = Field(default=2, ge=0, le=10)
    max_in_flight: int = Field(default=64, ge=1, le=4096)
    max_queued: int = Field(default=256, ge=0, le=65536)
    model_path: Path | None = None
    reader: str = AUTO
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    n_threads: int = Field(default=1, ge=1, le=256)
    max_model_len: int = Field(default=2048, ge=256)
    kv_cache_gib: float = Field(default=0.75, gt=0)
    start_deadline_s: Seconds = 300.0
    lora: bool | None = None
    max_loras: int = Field(default=4, ge=1, le=256)
    max_cpu_loras: int = Field(default=16, ge=1, le=4096)
    # CultureSPA's. On a CPU vLLM computes every adapter as if it had this rank.
    max_lora_rank: LoraRank = 8

    @property
    def is_embedded(self) -> bool:
        """Whether the child serves the embedded model."""
        return not self.urls and self.model_path is None

    @property
    def named_reader(self) -> str | None:
        """The name of the reader that the servers have, None if they have none."""
        return None if self.reader in (AUTO, NONE) else self.reader

    @property
    def takes_adapters(self) -> bool:
        """Whether adapters can be loaded on the servers."""
        return not self.urls if self.lora is None else self.lora

    @model_validator(mode="before")
    @classmethod
    def _split(cls, data: object) -> object:
        if isinstance(data, Mapping) and isinstance(data.get("urls"), str):
            return {**data, "urls": split_list(data["urls"])}
        return data

    @model_validator(mode="after")
    def _check(self) -> Self:
        for url in self.urls:
            if not url.startswith(("http://", "https://")):
                raise ValueError(f"'{url}' is no URL; expected http://host:port")
            if "@" in url:
                raise ValueError("a URL holds a user or password; use MILIEU_VLLM__API_KEY")
        if self.urls and not self.model:
            raise ValueError("MILIEU_VLLM__URLS needs MILIEU_VLLM__MODEL, the name it serves")
        if self.model and self.is_embedded:
            raise ValueError(
                f"the embedded model would be served as '{self.model}'. Set MILIEU_VLLM__URLS to "
                "servers of that model, or MILIEU_VLLM__MODEL_PATH to its folder"
            )
        if self.named_reader and not self.urls:
            raise ValueError(
                f"reader is '{self.named_reader}', expected '{AUTO}' or '{NONE}': only servers of "
                "MILIEU_VLLM__URLS have one of another name"
            )
        if self.max_cpu_loras < self.max_loras:
            raise ValueError(
                f"max_cpu_loras is {self.max_cpu_loras}, expected max_loras ({self.max_loras}) or "
                "more: a server keeps every adapter in memory, those in use among them"
            )
        if self.urls and self.lora and self.model_path is None:
            raise ValueError(
                "lora needs MILIEU_VLLM__MODEL_PATH, a folder with the config.json of the model "
                "that the servers have: adapters are checked against it"
            )
        return self


class EncoderSettings(Group):
    """The sentence encoder: the packaged default, a folder, or a name on the hub.

    `multilingual` is whether texts that are not English have an encoder of their own beside the
    default one; another encoder takes all texts.
    """

    name: str = DEFAULT_ENCODER
    multilingual: bool = True
    n_threads: int = Field(default=1, ge=1, le=64)
    n_workers: int = Field(default=8, ge=1, le=64)
    cache_entries: int = Field(default=4096, ge=1)
    # At 4 ms each, the last one waits for about a second.
    max_waiting: int = Field(default=256, ge=0)


class AnswerSettings(Group):
    """How a request is answered that does not say so itself.

    `last_rung` is what is left where a culture cannot be spoken for as asked, nor by exemplars:
    an answer of the model as it is, which says so, or a refusal.
    """

    method: Method = Method.ICL
    last_rung: Literal["plain", "refuse"] = "plain"
    k: int = Field(default=5, ge=1, le=MAX_K)
    exemplar_style: ExemplarStyle = ExemplarStyle.SHARES
    retriever: SelectorName = SelectorName.DENSE
    n_elsewhere: int = Field(default=0, ge=0, le=MAX_K)
    prompt_language: PromptLanguage = PromptLanguage.EN
    steer: Steer = Steer.AUTO
    similarity_floor: Fraction = 0.30
    same_question: Fraction = 0.80
    # The same two for texts that are not English, by the cosines of their own encoder.
    other_similarity_floor: Fraction = SIMILARITY_FLOOR
    other_same_question: Fraction = SAME_QUESTION
    near_duplicate: Fraction = NEAR_DUPLICATE
    min_label_mass: Fraction = 0.05
    max_tokens: int = Field(default=128, ge=1, le=4096)
    # Of the last answers, for who asks for their evidence later.
    n_recent: int = Field(default=1000, ge=0, le=1_000_000)

    @property
    def recipe(self) -> Recipe:
        """The recipe of a request that says nothing of its own."""
        return Recipe(
            self.method,
            k=self.k,
            style=self.exemplar_style,
            retriever=self.retriever,
            adapter=self.method.usual_adapter,
            n_elsewhere=self.n_elsewhere,
            prompt_language=self.prompt_language,
        )


class BatchSettings(Group):
    """What one batch may ask for, and how many answers of all batches are made at a time."""

    max_rows: int = Field(default=5_000, ge=1)
    max_answers: int = Field(default=100_000, ge=1)
    max_bytes: int = Field(default=8 * 1024 * 1024, ge=1024)
    concurrency: int = Field(default=8, ge=1, le=1024)


class LimitSettings(Group):
    """How much each key may ask for; nothing is limited where nothing is set.

    `rate` is one limit or several, as `60/minute; 1000/hour`; `concurrency` is how many requests
    may be under way at once.
    """

    rate: str = ""
    concurrency: int | None = Field(default=None, ge=1, le=65536)

    @property
    def is_off(self) -> bool:
        """Whether nothing is limited."""
        return not self.rate and self.concurrency is None

    @field_validator("rate")
    @classmethod
    def _check_rate(cls, rate: str) -> str:
        if rate.strip():
            # It takes a moment to import, which only a service with limits needs.
            from limits import parse_many

            expected = "no rates; expected such as 60/minute; 1000/hour"
            try:
                found = parse_many(rate)
            except ValueError as exc:
                raise ValueError(expected) from exc
            if min(each.amount for each in found) < 1:
                raise ValueError(expected)
        return rate.strip()


class TraceSettings(Group):
    """Where OpenTelemetry traces go: the OTLP address of a collector, over HTTP; none by default.

    `sample` is the share of requests that are traced, of those whose client does not say so itself.
    """

    endpoint: str = Field(default="", pattern="^(https?://.+)?$")
    sample: Fraction = 1.0


class ExperimentSettings(Group):
    """Where experiments and what came of answers are kept, and what is kept.

    `store` is empty for a SQLite file in the data folder, a PostgreSQL URL for several gateways, or
    `none`: then there are no experiments and no feedback. `unit_secret` is what users are hashed
    with; empty for one that is made once in the data folder. An answer waits `wait_s` at most for
    its record, which is safe from the end of any process of Milieu; with `sync` also from a power
    cut and a crash of PostgreSQL.
    `texts` is whose questions and answers are kept.
    """

    store: SecretStr = SecretStr("")
    unit_secret: SecretStr = SecretStr("")
    wait_s: Seconds = 0.1
    sync: bool = False
    texts: Literal["none", "consented", "all"] = "none"
    retention_days: int | None = Field(default=None, ge=1, le=36_500)
    refresh_s: Seconds = 1.0

    @property
    def is_off(self) -> bool:
        """Whether nothing is kept."""
        return self.store.get_secret_value() == "none"

    @property
    def postgres_url(self) -> str | None:
        """The PostgreSQL database, None where the store is another one."""
        store = self.store.get_secret_value()
        return store if store.startswith(("postgresql://", "postgres://")) else None

    @model_validator(mode="after")
    def _check(self) -> Self:
        store, secret = self.store.get_secret_value(), self.unit_secret.get_secret_value()
        is_postgres = self.postgres_url is not None
        if store not in ("", "none") and not is_postgres:
            raise ValueError(
                "the store is none of: nothing, for a SQLite file in the data folder; "
                "postgresql://…; none"
            )
        if is_postgres and not secret:
            raise ValueError(
                "a PostgreSQL store needs MILIEU_EXPERIMENTS__UNIT_SECRET, the same for every "
                "gateway: else each would take a user for somebody else"
            )
        if secret and len(secret.encode()) < MIN_SECRET_BYTES:
            raise ValueError(f"unit_secret has less than {MIN_SECRET_BYTES} bytes")
        return self


def split_list(text: str) -> tuple[str, ...]:
    """Return the parts of a comma-separated list, without empty ones."""
    return tuple(part.strip() for part in text.split(",") if part.strip())
