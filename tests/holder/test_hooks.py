"""Hooks: one that is told of trouble may say any verb, whoever else still waits."""

import asyncio
import threading
from typing import Any

import pytest

from stiggctl import LedgerTrouble, LedgerUnavailable, Receipt, UsageControl
from stiggctl.holder.exchange import BATCH_MAX

from .faulty import ANN, BOB, Calls, Faulty, charges, gone, make_faulty, soon

ONE: dict[str, Any] = {"customerId": "acme", "creditCurrency": "t", "amount": 1, "resourceIds": ["ann"]}


@pytest.fixture
def faulty(control: UsageControl) -> Faulty:
    faulty = make_faulty(control)
    control.consume(**ANN, amount=1)
    control.consume(**BOB, amount=1)
    return faulty


@pytest.fixture
def reported(control: UsageControl, faulty: Faulty) -> list[Receipt]:
    """What a hook has reported: seven of bob for each trouble."""
    receipts: list[Receipt] = []

    def hook(_: LedgerTrouble) -> None:
        receipts.append(control.report(customer_id="acme", amount=7, **BOB))

    control.subscribe(hook)
    return receipts


def test_a_hook_reports_while_more_of_the_failed_call_is_to_be_booked(
    control: UsageControl, faulty: Faulty, reported: list[Receipt]
) -> None:
    """WT1, X2: the first exchange of a large report_many fails; the same thread is to lead the next."""
    faulty.before.append(gone())
    (outcomes,) = Calls(lambda: control.report_many([ONE] * (BATCH_MAX + 9))).done()
    kinds = [type(one) for one in outcomes]  # type: ignore[attr-defined]  # list
    assert kinds == [LedgerUnavailable] * BATCH_MAX + [Receipt] * 9
    assert [receipt.charged for receipt in reported] == [7]
    assert sum(charges(control)) == 2 + 9 + 7


def test_a_hook_reports_while_more_tasks_of_its_event_loop_wait(
    control: UsageControl, faulty: Faulty, reported: list[Receipt]
) -> None:
    """WT1, X2: the committer thread has the lead again by then, and serves the hook, too."""
    reached, go = threading.Event(), threading.Event()

    def fail() -> None:
        reached.set()
        assert go.wait(30)
        raise gone()

    faulty.before.append(fail)

    async def both() -> list[Any]:
        first = asyncio.ensure_future(control.aconsume(**ANN, amount=3))
        await asyncio.to_thread(reached.wait, 20)
        second = asyncio.ensure_future(control.aconsume(**ANN, amount=4))
        await asyncio.sleep(0)
        go.set()
        return await asyncio.gather(first, second, return_exceptions=True)

    (answers,) = Calls(lambda: asyncio.run(both())).done()
    assert [type(one) for one in answers] == [LedgerUnavailable, Receipt]
    soon(lambda: reported)
    assert [receipt.charged for receipt in reported] == [7]
    assert sorted(charges(control)) == [1, 1, 4, 7]


def test_a_hook_that_waits_for_another_thread_to_report_stops_nobody(
    control: UsageControl, faulty: Faulty
) -> None:
    """WT1: the thread that tells it has no lead that the other would wait for."""
    told: list[list[object]] = []
    control.subscribe(
        lambda _: told.append(
            Calls(lambda: control.report(customer_id="acme", amount=7, **BOB).charged).done(10)
        )
    )
    faulty.before.append(gone())
    (outcomes,) = Calls(lambda: control.report_many([ONE] * (BATCH_MAX + 9))).done()
    assert len(outcomes) == BATCH_MAX + 9  # type: ignore[arg-type]  # a list
    assert told == [[7]]
