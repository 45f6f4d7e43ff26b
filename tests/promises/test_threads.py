"""Exactness under threads: never over, and nothing that fits is refused."""

import random
import sys
import threading
import time
from typing import Any

import pytest

from stiggctl import AccessDenied, UsageControl

from .saying import TOKENS, at_once, event_ids, flat, numbers

pytestmark = pytest.mark.usefixtures("impatient")

THREADS = 64
LEVELS = 5


def tall(limits: dict[str, int], users: int) -> dict[str, Any]:
    """A tree of five levels, a fan of users at its foot; two regions and a feature beside it."""
    resources: list[dict[str, Any]] = []
    for level in range(LEVELS - 1):
        parent = f"level-{level - 1}" if level else None
        resources.append({"id": f"level-{level}", "resourceTypeId": "node", "parentResourceId": parent})
    resources += [
        {"id": f"user-{user}", "resourceTypeId": "node", "parentResourceId": f"level-{LEVELS - 2}"}
        for user in range(users)
    ]
    resources += [{"id": name, "resourceTypeId": "node"} for name in ("emea", "apac", "feature")]
    return {
        "customers": [{"id": "c"}],
        "resourceTypes": [{"id": "node"}],
        "resources": resources,
        "allocations": [
            {"resourceId": name, "creditCurrency": TOKENS, "limit": limit} for name, limit in limits.items()
        ],
    }


LIMITS = {
    "level-0": 6000,
    "level-1": 5000,
    "level-2": 4500,
    "level-3": 4100,
    "emea": 2300,
    "apac": 2500,
    "feature": 4000,
    **{f"user-{user}": 700 + 50 * user for user in range(8)},
}
IDS = [f"user-{user}" for user in range(8)] + ["emea", "apac", "feature"]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_hard_limit_is_never_exceeded_by_threads(control: UsageControl, seed: int) -> None:
    control.apply(tall(LIMITS, users=8))
    refused: list[tuple[list[str], int]] = []
    booked: list[tuple[list[str], int]] = []

    def work(worker: int) -> None:
        chance = random.Random(f"{seed}-{worker}")
        for _ in range(12):
            ids = [f"user-{chance.randrange(8)}", chance.choice(["emea", "apac"]), "feature"]
            amount = chance.randint(1, 40)
            ask: dict[str, Any] = {"resource_ids": ids, "credit_currency": TOKENS}
            try:
                if chance.random() < 0.5:
                    control.consume(**ask, amount=amount)
                    booked.append((ids, amount))
                else:
                    reservation = control.reserve(**ask, amount=amount)
                    spent = chance.randint(0, amount)
                    if chance.random() < 0.2:
                        reservation.release()
                    else:
                        booked.append((ids, reservation.settle(spent).charged))
            except AccessDenied:
                refused.append((ids, amount))

    results = at_once([lambda worker=worker: work(worker) for worker in range(THREADS)])
    assert results == [None] * THREADS
    assert refused, "the limits must be reached for this to show anything"
    state = numbers(control, *IDS)
    for name, limit in LIMITS.items():
        used, held, remaining = state[name]
        assert held == 0
        assert used + remaining == limit  # never over: remaining is never below 0
        assert used <= limit
    users = {name: sum(amount for ids, amount in booked if ids[0] == name) for name in IDS if "user" in name}
    assert {name: state[name][0] for name in users} == users
    for name in ("emea", "apac", "feature"):
        assert state[name][0] == sum(amount for ids, amount in booked if name in ids)
    for level in range(LEVELS - 1):
        assert state[f"level-{level}"][0] == sum(users.values())
    assert list(control.verify()) == []


def test_at_the_end_no_refused_request_would_fit(control: UsageControl) -> None:
    control.apply(tall(LIMITS, users=8))
    refused: list[tuple[list[str], int]] = []
    told: list[tuple[Any, int]] = []

    def work(worker: int) -> None:
        chance = random.Random(worker)
        for _ in range(30):  # nothing is ever given back here: what did not fit once never will
            ids = [f"user-{chance.randrange(8)}", chance.choice(["emea", "apac"]), "feature"]
            amount = chance.randint(1, 40)
            try:
                control.consume(resource_ids=ids, credit_currency=TOKENS, amount=amount)
            except AccessDenied as denied:
                refused.append((ids, amount))
                told.append((denied.decision.remaining, amount))

    assert at_once([lambda worker=worker: work(worker) for worker in range(THREADS)]) == [None] * THREADS
    assert refused
    assert all(remaining < amount for remaining, amount in told)
    for ids, amount in refused:
        assert not control.check(resource_ids=ids, credit_currency=TOKENS, requested_usage=amount)


def test_what_fits_is_never_refused_while_a_larger_request_is_being_refused(control: UsageControl) -> None:
    control.apply(tall({"level-0": 100, "level-2": 90, "user-0": 80, "emea": 70, "feature": 60}, users=1))
    ask: dict[str, Any] = {"resource_ids": ["user-0", "emea", "feature"], "credit_currency": TOKENS}
    stop = threading.Event()

    def large() -> int:
        refused = 0
        while not stop.is_set():
            with pytest.raises(AccessDenied):
                control.reserve(**ask, amount=61 + refused % 60)
            refused += 1
        return refused

    def small() -> None:
        try:
            for _ in range(150):
                control.reserve(**ask, amount=1).release()  # at most 32 at once, and 60 fit
        finally:
            stop.set()

    results: Any = at_once([large] * 32 + [small] * 32)
    assert results[32:] == [None] * 32
    assert sum(results[:32]) > 0
    assert numbers(control, "user-0")["user-0"] == (0, 0, 80)


def test_exactly_one_of_two_that_fit_only_one_by_one(control: UsageControl) -> None:
    control.apply(flat({f"a{round_}": 10 for round_ in range(40)}))
    for round_ in range(40):
        ask: dict[str, Any] = {"resource_ids": [f"a{round_}"], "credit_currency": TOKENS}
        answers = at_once([lambda ask=ask: control.reserve(**ask, amount=6)] * 2)
        assert sum(isinstance(answer, AccessDenied) for answer in answers) == 1


def step_by_step(frame: object, event: str, given: object) -> None:
    """As a profile function: lets another thread go on at every call and every return."""
    time.sleep(0)


def test_of_threads_that_race_for_one_unit_in_memory_exactly_one_has_it(control: UsageControl) -> None:
    names = [f"a{place}" for place in range(20)]
    control.apply(flat(dict.fromkeys(names, 1)))
    for name in names:  # drawn now: what follows needs no ledger
        control.reserve(resource_ids=[name], credit_currency=TOKENS, amount=1).release()
    together = threading.Barrier(3)

    def work() -> list[str]:
        had = []
        for name in names:
            together.wait()
            sys.setprofile(step_by_step)
            try:
                control.reserve(resource_ids=[name], credit_currency=TOKENS, amount=1)
            except AccessDenied:
                continue
            finally:
                sys.setprofile(None)
            had.append(name)
        return had

    told: Any = at_once([work] * 3)
    assert sorted(name for had in told for name in had) == sorted(names)


def test_the_last_credits_go_to_someone(control: UsageControl) -> None:
    control.apply(flat({"a": 1000}))
    ask: dict[str, Any] = {"resource_ids": ["a"], "credit_currency": TOKENS}

    def work() -> int:
        taken = 0
        while True:
            try:
                taken += control.consume(**ask, amount=1).charged
            except AccessDenied:
                return taken

    taken: Any = at_once([work] * THREADS)
    assert sum(taken) == 1000
    assert numbers(control, "a") == {"a": (1000, 0, 0)}
    assert len(event_ids(control, "c")) == 1000


def test_each_denial_leaves_every_number_as_it_was(control: UsageControl) -> None:
    # Q1
    control.apply(tall({"level-0": 100, "level-2": 90, "user-0": 80, "emea": 70, "feature": 60}, users=1))
    ask: dict[str, Any] = {"resource_ids": ["user-0", "emea", "feature"], "credit_currency": TOKENS}
    control.consume(**ask, amount=20)
    control.reserve(**ask, amount=7)
    before = numbers(control, "user-0", "emea", "feature")

    def denied() -> None:
        for amount in (34, 60, 10**17):
            for verb in (control.reserve, control.consume):
                with pytest.raises(AccessDenied) as raised:
                    verb(**ask, amount=amount)
                (state,) = [limit for limit in raised.value.decision.limits if limit.resource_id == "feature"]
                assert (state.used, state.held, state.remaining) == (20, 7, 33)

    assert at_once([denied] * 16) == [None] * 16
    assert numbers(control, "user-0", "emea", "feature") == before
    assert len(event_ids(control, "c")) == 1


def test_reports_of_many_threads_are_all_there_once(control: UsageControl) -> None:
    control.apply(flat({"a": None, "b": 10}, soft=["b"]))
    control.apply({"creditCurrencies": [{"id": TOKENS}]})

    def work(worker: int) -> list[object]:
        return [
            control.report(
                customer_id="c",
                event_name="e",
                resource_ids=["a", "b"],
                credit_currency=TOKENS,
                amount=1,
                idempotency_key=f"{worker}-{place}",
            ).event_id
            for place in range(20)
        ]

    told: Any = at_once([lambda worker=worker: work(worker) for worker in range(THREADS)])
    ids = [event_id for worker in told for event_id in worker]
    assert len(set(ids)) == THREADS * 20
    assert sorted(ids) == sorted(event_ids(control, "c"))
    assert numbers(control, "b") == {"b": (THREADS * 20, 0, 0)}


def test_overages_of_many_threads_sum_to_what_the_limit_is_over(control: UsageControl) -> None:
    control.apply(flat({"a": 500}))

    def work(worker: int) -> int:
        report: dict[str, Any] = {"customer_id": "c", "event_name": "e", "resource_ids": ["a"]}
        return sum(
            control.report(**report, credit_currency=TOKENS, amount=worker % 7).overage for _ in range(10)
        )

    told: Any = at_once([lambda worker=worker: work(worker) for worker in range(THREADS)])
    used = 10 * sum(worker % 7 for worker in range(THREADS))
    assert numbers(control, "a")["a"][0] == used
    assert sum(told) == used - 500
