"""Two gateways on one store are one service: same arms, same answers' ids, same report."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import pytest

from experiments.errors import SecretChanged
from tests.app.databases import new_database
from tests.app.experiments_by_http import (
    DEFINITION,
    KEY,
    METHODS,
    PATH,
    administer,
    arm_of,
    ask,
    give_feedback,
    is_running,
    report,
    start,
    until,
)
from tests.app.service import opened
from tests.fixtures.service import MakeSettings

OpenGateway: TypeAlias = Callable[..., Awaitable[httpx.AsyncClient]]
N_USERS = 40
# Nearly all units are in another range of the hash than with equal weights.
OTHER_WEIGHTS = dict(zip(METHODS, (0.01, 0.01, 0.01, 0.97), strict=True))
# A machine that is busy with other things must not make the store look slow.
PATIENT_REFRESH_S = 0.1
PATIENT = {
    "wait_s": 20.0,
    "refresh_s": PATIENT_REFRESH_S,
    "unit_secret": "the same for both gateways",
}
NEVER_S = 3600.0


@pytest.fixture(params=["sqlite", "postgres"])
async def store(request: pytest.FixtureRequest) -> str:
    """The store of the settings: the file of a shared data folder, or a database of its own."""
    if request.param == "sqlite":
        return ""
    return await new_database(request.getfixturevalue("postgres"))


@pytest.fixture
async def open_gateway(
    store: str, make_settings: MakeSettings, tmp_path: Path
) -> AsyncIterator[OpenGateway]:
    """Opens another gateway on the test's store, with settings of `experiments`."""
    numbers = itertools.count()
    async with AsyncExitStack() as gateways:

        async def another(**experiments: Any) -> httpx.AsyncClient:
            folder = tmp_path / f"gateway-{next(numbers)}" if store else tmp_path
            of = {"store": store} | PATIENT | experiments
            settings = make_settings(data_folder=folder, admin_keys=KEY, experiments=of)
            return await gateways.enter_async_context(opened(settings))

        yield another


async def test_both_give_every_user_the_same_arm(open_gateway: OpenGateway) -> None:
    one = await open_gateway()
    await start(one)
    two = await open_gateway()
    users = [f"u{i}" for i in range(N_USERS)]

    arms = await asyncio.gather(*(arm_of(each, user) for user in users for each in (one, two)))

    assert arms[::2] == arms[1::2]
    assert set(arms) == set(METHODS)


async def test_both_give_the_same_arm_while_only_one_has_new_weights(
    open_gateway: OpenGateway,
) -> None:
    one = await open_gateway()
    await start(one)
    behind = await open_gateway(refresh_s=NEVER_S)
    known = {f"u{i}": await arm_of(behind, f"u{i}") for i in range(N_USERS)}
    await administer(one, "PUT", PATH, **DEFINITION | {"weights": OTHER_WEIGHTS})
    new = [f"new{i}" for i in range(N_USERS)]

    of_one, of_behind = await asyncio.gather(
        asyncio.gather(*(arm_of(one, user) for user in new)),
        asyncio.gather(*(arm_of(behind, user) for user in new)),
    )

    assert of_one == of_behind
    assert {user: await arm_of(one, user) for user in known} == known
    # They were of two minds.
    revisions = [(await ask(each, "u0"))["experiment"]["revision"] for each in (one, behind)]
    assert revisions == [3, 2]


async def test_a_user_keeps_the_arm_over_a_restart_with_new_weights(
    open_gateway: OpenGateway,
) -> None:
    one = await open_gateway()
    await start(one)
    known = {f"u{i}": await arm_of(one, f"u{i}") for i in range(N_USERS)}
    await administer(one, "PUT", PATH, **DEFINITION | {"weights": OTHER_WEIGHTS})

    fresh = await open_gateway()

    assert {user: await arm_of(fresh, user) for user in known} == known


async def test_feedback_is_taken_by_the_one_that_did_not_answer(open_gateway: OpenGateway) -> None:
    one, two = await open_gateway(), await open_gateway()
    await start(one, two)
    answer = await ask(one, "u0")

    first, again = await give_feedback(two, answer), await give_feedback(one, answer)

    assert (first.status_code, first.json()["repeated"]) == (200, False)
    assert first.json()["counts"]
    assert (again.status_code, again.json()["repeated"]) == (200, True)
    assert again.json()["received_ms"] == first.json()["received_ms"]


async def test_both_give_the_same_report(open_gateway: OpenGateway) -> None:
    one, two = await open_gateway(), await open_gateway()
    await start(one, two)
    for i in range(N_USERS):
        answer = await ask(one if i % 2 else two, f"u{i}")
        await give_feedback(two if i % 3 else one, answer)
    # While it runs, a report says for how long.
    await administer(two, "POST", f"{PATH}/stop")

    said = await report(one)

    assert said == await report(two)
    users = sum(arm["n_units"] - arm["n_requests"] for arm in said["arms"])
    assert users == N_USERS


async def test_a_start_and_a_stop_on_one_are_followed_by_the_other(
    open_gateway: OpenGateway,
) -> None:
    one, two = await open_gateway(), await open_gateway()

    async def is_over() -> bool:
        return not await is_running(two)

    assert await is_over()
    await start(one, two)
    await administer(one, "POST", f"{PATH}/stop")
    await until(is_over)


async def test_what_is_deleted_through_one_is_gone_for_both(open_gateway: OpenGateway) -> None:
    one, two = await open_gateway(), await open_gateway()
    await start(one, two)
    answers = [await ask(each, "u0") for each in (one, two)]
    other = await ask(two, "u1")

    forgotten = await administer(one, "POST", "/v1/experiments/forget", user="u0")

    assert forgotten["n_exposures"] == len(answers)
    assert forgotten["n_assignments"] == 1
    gone = await administer(two, "POST", "/v1/experiments/forget", user="u0")
    assert set(gone.values()) == {0}
    assert [(await give_feedback(two, each)).status_code for each in answers] == [404, 404]
    assert (await give_feedback(one, other)).status_code == 200


async def test_a_deleted_user_has_one_arm_on_both_again(open_gateway: OpenGateway) -> None:
    one, two = await open_gateway(), await open_gateway()
    await start(one, two)
    users = [f"u{i}" for i in range(N_USERS)]
    for user in users:
        await ask(two, user)
    await administer(one, "PUT", PATH, **DEFINITION | {"weights": OTHER_WEIGHTS})
    for user in users:
        await administer(one, "POST", "/v1/experiments/forget", user=user)
    # The other one hears of it when it next reads what runs.
    await asyncio.sleep(5 * PATIENT_REFRESH_S)

    of_one = [await arm_of(one, user) for user in users]

    assert [await arm_of(two, user) for user in users] == of_one


async def test_a_gateway_with_another_secret_is_refused(open_gateway: OpenGateway) -> None:
    await open_gateway()

    with pytest.raises(SecretChanged):
        await open_gateway(unit_secret="of another gateway alone")
