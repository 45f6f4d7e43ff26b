"""Somebody is erased while several processes are at work, and by one that is killed at any point.

ER1, RN1, RN2.
"""

import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from stiggctl import ResourceNotFound, UsageControl

from .test_several import ROOT, workers

WHO = "ana.lovelace@example.com"
LIMIT = 1_000


def describe(path: Path, events: int = 0) -> None:
    with UsageControl(path) as control:
        control.apply(
            {
                "resourceTypes": [{"id": "team"}, {"id": "user", "parentResourceTypeId": "team"}],
                "resources": [
                    {"id": "team", "resourceTypeId": "team", "customerId": "c"},
                    {"id": WHO, "name": "Ana", "resourceTypeId": "user", "parentResourceId": "team"},
                ],
                "allocations": [
                    {"resourceId": WHO, "creditCurrency": "ai-tokens", "limit": LIMIT},
                    {
                        "resourceId": "team",
                        "creditCurrency": "ai-tokens",
                        "limit": LIMIT,
                        "scope": {"user": WHO},
                    },
                ],
            }
        )
        control.report_many(
            {
                "customerId": "c", "idempotencyKey": f"{WHO}/{at}", "dimensions": {"user": WHO},
                "creditCurrency": "ai-tokens", "amount": 1,
            }
            for at in range(events)
        )  # fmt: skip


def said(path: Path) -> bool:
    return any(WHO.encode() in one.read_bytes() for one in path.parent.iterdir() if one.is_file())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "usage.db"


def test_what_another_process_holds_is_settled_under_the_token(path: Path) -> None:  # RN2
    describe(path)
    with workers(path, 1) as [other], UsageControl(path) as control:
        assert other("reserve_for", WHO, 300) == 300
        erased = control.erase(WHO)
        assert erased.waiting_for == ()
        assert other("settle", 200) == 200
        [event] = control.events()
        assert event.resource_ids == ("team", erased.resource_id)
        assert event.dimensions == {"user_id": erased.resource_id}
        assert "unknown" in other("consume_for", WHO, 1)
        assert not said(path)
        assert control.verify() == []


@pytest.mark.parametrize("anew", [False, True])
def test_no_credit_is_doubled_where_others_knew_it_by_its_former_id(path: Path, anew: bool) -> None:  # RN1
    """What a process has of its cells lies where it lay: known by another name, and once."""
    describe(path)
    with workers(path, 2) as two, UsageControl(path) as control:
        for one in two:
            assert one("consume_for", WHO, 10) == 10
            assert one("reserve_for", WHO, 5) == 5
        token = control.erase(WHO).resource_id
        if anew:
            control.put_resource(WHO, resource_type_id="user", parent_resource_id="team")
            control.set_allocation(resource_id=WHO, credit_currency="ai-tokens", limit=50)
            spent = 0
            for one in [*two, *two]:
                for _ in range(30):
                    answer = one("consume_for", WHO, 1)
                    spent += answer == 1
            assert spent == 50
        admitted = 0
        for _ in range(60):
            for one in two:
                answer = one("consume_for", token, 20)
                if isinstance(answer, dict) and answer["denied"] == "SHARE_UNAVAILABLE":
                    continue
                admitted += answer if isinstance(answer, int) else 0
        assert admitted == 960  # of 970, in steps of 20: the holds still stand
        for one in two:
            assert one("settle", 5) == 5
        assert control.tree(token, "ai-tokens").used == 990
        assert control.verify() == []


def test_what_a_process_hides_of_it_is_given_back_though_the_id_is_anothers_now(path: Path) -> None:  # RN1
    describe(path)
    with workers(path, 1) as [other], UsageControl(path) as control:
        assert other("consume_for", WHO, 10) == 10  # alone: it takes all that there is
        token = control.erase(WHO).resource_id
        control.put_resource(WHO, resource_type_id="user", parent_resource_id="team")
        control.set_allocation(resource_id=WHO, credit_currency="ai-tokens", limit=50)
        assert other("consume_for", WHO, 1) == 1
        ask: dict[str, Any] = {"resource_ids": [token], "credit_currency": "ai-tokens"}
        assert control.consume(**ask, amount=990).charged == 990
        assert control.verify() == []


def test_what_is_reported_meanwhile_is_booked(path: Path) -> None:
    """Before the erasure to who it was, after it to nobody that is known: never refused."""
    describe(path, events=500)
    with workers(path, 3) as three, UsageControl(path) as control:
        for one in three:
            one.begin("report_for", WHO, 200)
        erased = control.erase(WHO)
        unattributed = sum(one.answer() for one in three)
        events = list(control.events())
        assert len(events) == 500 + 600
        assert sum(erased.resource_id in one.resource_ids for one in events) == 500 + 600 - unattributed
        assert sum(one.unattributed == (WHO,) for one in events) == unattributed
        assert control.verify() == []


def test_a_thread_that_reports_meanwhile_is_not_refused(path: Path) -> None:
    describe(path, events=2_000)
    with UsageControl(path) as control:
        errors: list[BaseException] = []
        receipts: list[Any] = []
        stop = threading.Event()

        def report() -> None:
            try:
                while not stop.is_set():
                    receipts.append(
                        control.report(
                            customer_id="c", credit_currency="ai-tokens", amount=1, dimensions={"user": WHO}
                        )
                    )
            except BaseException as error:  # noqa: BLE001 - it is judged below
                errors.append(error)

        threads = [threading.Thread(target=report) for _ in range(4)]
        for one in threads:
            one.start()
        erased = control.erase(WHO)
        stop.set()
        for one in threads:
            one.join()
        assert errors == []
        assert len(list(control.events())) == 2_000 + len(receipts)
        assert erased.resource_id.startswith("erased-")
        assert control.verify() == []


def erase_until_killed(path: Path, point: object) -> None:
    run = [sys.executable, "-m", "tests.crashes.eraser", str(path), WHO, str(point)]
    ended = subprocess.run(run, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False)
    assert ended.returncode in {0, -signal.SIGKILL}


def is_erased(path: Path) -> bool:
    """All of it, or nothing."""
    with UsageControl(path) as control:
        assert control.verify() == []
        mine = [one for one in control.events() if WHO in one.resource_ids]
        said_it = [one for one in control.events() if WHO in f"{one.dimensions}{one.idempotency_key}"]
        in_audit = [one for one in control.audit() if WHO in f"{one.subject}{one.after}"]
        done = not mine
        assert (len(mine), len(said_it)) == ((0, 0) if done else (300, 300))
        assert bool(in_audit) != done
        assert sum(row.events for row in control.usage(customer_id="c")) == 300
        if done:
            with pytest.raises(ResourceNotFound):
                control.erase(WHO)
    assert done != said(path)  # killed before the file was written anew, it was to be said again
    return done


@pytest.mark.parametrize(
    ("point", "done"),
    [
        ("alter", False),
        ("_in_resources", False),
        ("_in_events", False),
        ("_in_audit", False),
        ("_audit_line", False),
        ("leave_none", True),
        ("_cut", True),
        ("model_changed", True),
        ("await_obedience", True),
    ],
)
def test_who_is_killed_while_erasing_has_erased_all_or_nothing(
    path: Path, point: str, done: bool
) -> None:  # ER1
    describe(path, events=300)
    erase_until_killed(path, point)
    assert is_erased(path) == done
    if not done:  # and once more, to its end
        with UsageControl(path) as control:
            control.erase(WHO)
        assert is_erased(path)


@pytest.mark.parametrize("seed", range(3))
def test_who_is_killed_anywhere_while_erasing_has_erased_all_or_nothing(path: Path, seed: int) -> None:  # ER1
    print(f"seed {seed}")  # noqa: T201 - so that a failure replays
    chance = random.Random(seed)
    describe(path, events=300)
    for _ in range(4):
        if not is_erased(path):
            erase_until_killed(path, chance.randrange(100, 3_300))
    is_erased(path)
