"""What OpenAPI says holds: made-up requests, good and bad, find no reply that it does not tell."""

from __future__ import annotations

from typing import Any

import schemathesis
from hypothesis import settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import positive_data_acceptance, unsupported_method

from app.api.middleware import ADMIN_PATHS
from app.main import create_app
from app.settings import Settings
from tests.fakes.vllm import MODEL

# A body that breaks the schema may be too large to be looked at, which is a refusal as well.
REFUSALS = ["400", "401", "403", "404", "413", "415", "422", "5xx"]
CONFIG = schemathesis.Config.from_dict(
    {"checks": {"negative_data_rejection": {"expected-statuses": REFUSALS}}}
)
SCHEMA = schemathesis.openapi.from_dict(create_app(Settings()).openapi(), config=CONFIG)
ASKING = ("/answer", "/v1/exemplars", "/v1/chat/completions")
KNOWN = {"culture": "DE", "model": MODEL}


@SCHEMA.parametrize()
@settings(max_examples=6, derandomize=True, deadline=None)
def test_every_reply_is_one_that_the_schema_tells(case: Case[Any], milieu_url: str) -> None:
    check_reply(case, milieu_url)


def check_reply(case: Case[Any], milieu_url: str) -> None:
    # The schema cannot say that two options must differ, or who may speak last.
    excluded: list[Any] = [positive_data_acceptance]
    if case.path.startswith(ADMIN_PATHS):
        # Without a key nobody is told what can be done there.
        excluded.append(unsupported_method)
    case.call_and_validate(base_url=milieu_url, excluded_checks=excluded)


@SCHEMA.include(path=list(ASKING)).parametrize()
@settings(max_examples=6, derandomize=True, deadline=None)
def test_what_reaches_the_pipeline_finds_no_fault(case: Case[Any], milieu_url: str) -> None:
    check_pipeline(case, milieu_url)


def check_pipeline(case: Case[Any], milieu_url: str) -> None:
    # A made-up culture is hardly ever one.
    for fields in (case.query, case.body):
        if isinstance(fields, dict):
            fields |= {name: value for name, value in KNOWN.items() if name in fields}
    case.headers.pop("x-culture", None)
    case.call_and_validate(base_url=milieu_url, checks=[not_a_server_error])
