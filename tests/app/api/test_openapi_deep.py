"""What OpenAPI says holds, of many more made-up requests than `test_openapi` sends."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from schemathesis import Case

from tests.app.api.test_openapi import ASKING, SCHEMA, check_pipeline, check_reply


@pytest.mark.deep
@SCHEMA.parametrize()
@settings(max_examples=50, derandomize=True, deadline=None)
def test_many_replies_are_those_that_the_schema_tells(case: Case[Any], milieu_url: str) -> None:
    check_reply(case, milieu_url)


@pytest.mark.deep
@SCHEMA.include(path=list(ASKING)).parametrize()
@settings(max_examples=50, derandomize=True, deadline=None)
def test_much_that_reaches_the_pipeline_finds_no_fault(case: Case[Any], milieu_url: str) -> None:
    check_pipeline(case, milieu_url)
