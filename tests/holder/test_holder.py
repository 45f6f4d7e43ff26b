"""The holder: one a file and process; how it begins, how its model changes, how it ends."""

import asyncio
import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from stiggctl import AccessDenied, ControlClosed, LedgerTrouble, LedgerUnavailable, Receipt, UsageControl
from stiggctl.holder import exchange as exchange_module
from stiggctl.ledger import Stale
from stiggctl.testing import ManualClock

from .faulty import ANN, BOB, Calls, Faulty, charges, gone, make_faulty, memory, numbers, soon

ROOT = Path(__file__).parents[2]


def limit_of(resource_id: str, limit: int) -> dict[str, Any]:
    """A model with one limit that is another."""
    return {"allocations": [{"resourceId": resource_id, "creditCurrency": "t", "limit": limit}]}


@pytest.fixture
def faulty(control: UsageControl) -> Faulty:
    faulty = make_faulty(control)
    control.consume(**ANN, amount=1)
    return faulty


# ------------------------------------------------------------------ beginning


def test_all_controls_on_one_file_are_one_holder(control: UsageControl, clock: ManualClock) -> None:
    """H1: however its path is written; what one holds, the other sees, and it ends with the last."""
    path = Path(control.location)
    with UsageControl(path.parent / "." / path.name, clock=clock) as other:
        assert other._holder is control._holder
        held = control.reserve(**ANN, amount=60)
        with pytest.raises(AccessDenied):
            other.reserve(**ANN, amount=41)
        control.close()
        with pytest.raises(ControlClosed):
            control.check(**ANN)
        assert other.check(**ANN, requested_usage=40)
        assert held.settle(10).charged == 10
        open_ = other.reserve(**ANN, amount=1)
    with pytest.raises(ControlClosed):
        open_.settle(1)


def test_a_file_may_be_opened_twice_with_the_clock_that_is_nobodys_own(tmp_path: Path) -> None:
    """H1: both read the system's."""
    with UsageControl(tmp_path / "usage.db") as one, UsageControl(tmp_path / "usage.db") as other:
        assert one._holder is other._holder


def test_who_looks_or_changes_the_model_is_no_holder(control: UsageControl) -> None:
    """H2: it hides nothing from others; who spends is one from then on."""
    control.check(**ANN)
    control.tree("org", "t")
    control.apply(limit_of("ann", 90))
    assert control.verify() == []
    assert not control._holder.is_holder
    control.reserve(**ANN, amount=1)
    assert control._holder.is_holder


@pytest.mark.parametrize("first", ["reserve", "consume", "report", "report_many"])
def test_many_threads_that_come_first_make_one_holder(control: UsageControl, first: str) -> None:
    """H2."""
    calls: dict[str, Any] = {
        "reserve": lambda: control.reserve(**ANN, amount=1),
        "consume": lambda: control.consume(**ANN, amount=1),
        "report": lambda: control.report(customer_id="acme", amount=1, **ANN),
        "report_many": lambda: control.report_many(
            [{"customerId": "acme", "resourceIds": ["ann"], "creditCurrency": "t", "amount": 1}]
        ),
    }
    results = Calls(*[calls[first]] * 8).done()
    assert not any(isinstance(result, BaseException) for result in results), results
    with control._holder.ledger.reader() as reader:
        assert [row.id for row in reader.holders()] == [control._holder.row]
    assert numbers(control, "ann")["ann"] == ((0, 8) if first == "reserve" else (8, 0))


# ------------------------------------------------------------------ the model


def test_a_change_counts_at_once_for_everybody(control: UsageControl, faulty: Faulty) -> None:
    """Also for who decides from memory at that moment: no path of an older model is used."""
    control.apply(limit_of("ann", 10))
    with pytest.raises(AccessDenied):
        control.reserve(**ANN, amount=10)
    assert control.reserve(**ANN, amount=9).amount == 9
    control.suspend("org", reason="a test")
    with pytest.raises(AccessDenied):
        control.reserve(**BOB, amount=1)


@pytest.mark.parametrize("said", ["after the commit", "reading"])
def test_a_change_that_raised_and_was_committed_counts_all_the_same(
    control: UsageControl, faulty: Faulty, said: str
) -> None:
    """The kill switch: its second call finds nothing to change, so the first must have told memory."""
    if said == "reading":

        def no_more_reading() -> None:
            faulty.reading = gone()

        faulty.after_change.append(no_more_reading)
        control.suspend("ann", reason="a test")  # it needs no reading after that
        assert control._holder.stripes["acme"].version > 0
        faulty.reading = None
    else:
        faulty.after_change.append(gone())
        with pytest.raises(LedgerUnavailable):
            control.suspend("ann", reason="a test")
    assert not control.check(**ANN, requested_usage=1).has_access
    with pytest.raises(AccessDenied):
        control.reserve(**ANN, amount=1)
    assert not control.suspend("ann", reason="a test").created
    with pytest.raises(AccessDenied):
        control.consume(**ANN, amount=1)


def test_a_change_by_others_is_seen_by_the_next_exchange(control: UsageControl, faulty: Faulty) -> None:
    """What was made ready for the old model is withdrawn; nothing is set apart twice."""
    held = control.reserve(**ANN, amount=20)
    faulty.before.append(Stale())
    assert held.settle(30).charged == 30
    assert memory(control, "ann") == (69, 31, 69)
    assert [len(batch.bookings) for batch in faulty.batches[-2:]] == [1, 1]
    assert control.verify() == []


def test_what_was_to_be_given_back_is_told_after_a_withdrawal(control: UsageControl, faulty: Faulty) -> None:
    """C2: the next attempt carries it again, once."""
    control.apply(limit_of("ann", 90))
    control.check(**ANN, requested_usage=0)
    faulty.batches.clear()
    faulty.before.append(Stale())
    control.consume(**BOB, amount=1)
    gives = [[(give.units) for give in batch.gives] for batch in faulty.batches]
    assert gives == [[99], [99]]
    assert control._holder.stripes["acme"].gives == {}


def test_a_model_that_never_stands_still_is_an_answer_and_not_a_loop(
    control: UsageControl, faulty: Faulty
) -> None:
    """X2: with nothing set apart and the hold as it was."""
    held = control.reserve(**ANN, amount=20)
    faulty.before.extend([Stale()] * exchange_module.STALE_MAX)
    with pytest.raises(LedgerUnavailable, match="model changed"):
        held.settle(30)
    assert memory(control, "ann") == (79, 1, 99)
    assert held.settle(30).charged == 30
    assert memory(control, "ann") == (69, 31, 69)


def test_the_model_changes_while_exchanges_are_under_way(control: UsageControl, faulty: Faulty) -> None:
    """Limits up and down, moves, new limits, suspensions: every number stays the sum of its events."""
    seed = random.randrange(10**6)
    print(f"seed {seed}")  # noqa: T201 - so that a failure replays
    stop, used = threading.Event(), [0] * 4

    def spend(at: int) -> None:
        chance = random.Random(f"{seed} {at}")
        while not stop.is_set():
            asked = chance.choice([ANN, BOB, {**ANN, "resource_ids": ["bob", "emea"]}])
            amount = chance.randint(1, 3)
            try:
                held = control.reserve(**asked, amount=amount)
                used[at] += int(held.settle(chance.randint(0, amount)).charged or 0)
                used[at] += int(control.consume(**asked, amount=1).charged or 0)
            except AccessDenied:
                used[at] += int(control.report(customer_id="acme", amount=1, **asked).charged or 0)

    chance, bob = random.Random(seed), {"resource_id": "bob", "credit_currency": "t"}
    control.put_resource("other", resource_type_id="org", customer_id="acme")
    spenders = Calls(*[lambda at=at: spend(at) for at in range(4)])
    for turn in range(40):
        control.set_allocation(**bob, limit=chance.randint(0, 500))
        control.apply(limit_of(chance.choice(["ann", "org"]), chance.randint(0, 10_000)))
        if turn % 2:
            control.suspend("ann", reason="a test")
            control.move_resource("bob", parent_resource_id="other")
        else:
            control.resume("ann")
            control.move_resource("bob", parent_resource_id="org")
            control.remove_allocation(**bob)
    stop.set()
    assert spenders.done() == [None] * 4
    assert sum(charges(control)) == 1 + sum(used)
    assert control.verify() == []
    stripe = control._holder.stripes["acme"]
    assert (stripe.holds, stripe.settling, stripe.apart) == ({}, {}, {})


# ------------------------------------------------------------------ both faces, many at once


def test_threads_and_tasks_book_together(control: UsageControl, faulty: Faulty) -> None:
    """X2: each its receipt; whoever leads, leads for both."""
    control.apply(limit_of("ann", 10**6))
    control.apply(limit_of("org", 10**6))

    async def many() -> list[Any]:
        booked = [
            control.areport(customer_id="acme", amount=1, idempotency_key=f"a{at}", **ANN)
            for at in range(200)
        ]
        taken = [control.aconsume(**ANN, amount=1) for _ in range(100)]
        held = await asyncio.gather(*[control.areserve(**ANN, amount=2) for _ in range(50)])
        settled = [one.asettle(1) for one in held]
        return await asyncio.gather(*booked, *taken, *settled)

    def thread(at: int) -> list[Any]:
        return [
            control.report(customer_id="acme", amount=1, idempotency_key=f"t{at} {step}", **ANN)
            for step in range(60)
        ]

    results = Calls(
        *[lambda at=at: thread(at) for at in range(6)],
        lambda: asyncio.run(many()),
        lambda: asyncio.run(many()),
    ).done(60)
    receipts = [receipt for result in results for receipt in result]  # type: ignore[attr-defined]  # lists
    assert all(isinstance(receipt, Receipt) for receipt in receipts)
    # The tasks of both loops sent the same 200 keys.
    assert sum(receipt.duplicate for receipt in receipts) == 200
    assert sum(charges(control)) == 1 + 6 * 60 + 200 + 2 * 150
    assert memory(control, "ann")[1] == sum(charges(control))
    assert control.verify() == []


# ------------------------------------------------------------------ ending


def test_what_is_held_when_it_closes_is_withheld_and_nothing_more(
    control: UsageControl, clock: ManualClock
) -> None:
    """H3."""
    control.reserve(**ANN, amount=30, ttl_seconds=50)
    control.reserve(**ANN, amount=5).settle(4)
    control.close()
    with UsageControl(control.location, clock=clock) as again:
        assert numbers(again, "ann")["ann"] == (4, 30)
        assert again.reserve(**ANN, amount=66).amount == 66
        clock.advance(seconds=50)
        assert numbers(again, "ann")["ann"] == (4, 66)


def test_closing_in_doubt_lets_go_of_the_file_all_the_same(
    control: UsageControl, faulty: Faulty, clock: ManualClock
) -> None:
    """H3: the next one finds the event, or the hold."""
    held = control.reserve(**ANN, amount=30)
    told: list[object] = []
    control.subscribe(told.append)
    faulty.after.append(gone())
    with pytest.raises(LedgerUnavailable):
        held.settle(20)
    faulty.reading = gone()
    control.close()
    assert any(isinstance(record, LedgerTrouble) for record in told)
    with UsageControl(control.location, clock=clock) as again:
        assert numbers(again, "ann")["ann"][0] == 21
        assert again.consume(**ANN, amount=40).charged == 40
        assert again.verify() == []


def test_what_is_queued_when_it_closes_is_served_or_told(control: UsageControl, faulty: Faulty) -> None:
    """H3, X2: nobody is left waiting."""
    reached, go_on = threading.Event(), threading.Event()

    def gate() -> None:
        reached.set()
        assert go_on.wait(20)

    faulty.before.append(gate)
    first = Calls(lambda: control.consume(**ANN, amount=2))
    assert reached.wait(10)
    others = Calls(*[lambda: control.report(customer_id="acme", amount=1, **ANN)] * 4)
    soon(lambda: len(control._holder.exchange._queue) == 5)
    holder = control._holder
    closing = Calls(control.close)
    soon(lambda: len(holder.exchange._alone) == 1)
    go_on.set()
    closing.done()
    assert [type(one) for one in first.done() + others.done()] == [Receipt] * 5
    with pytest.raises(ControlClosed):
        control.consume(**ANN, amount=1)


def test_a_process_that_was_taken_for_dead_says_so_and_spends_nothing_more(
    control: UsageControl, faulty: Faulty, clock: ManualClock
) -> None:
    """Somebody removed its lock file; another process has buried it, and has the credits now."""
    held = control.reserve(**ANN, amount=30)
    for lock in Path(f"{control.location}-holders").glob("*.lock"):
        lock.unlink()
    other = (
        "from stiggctl import UsageControl\n"
        f"with UsageControl({str(control.location)!r}) as control:\n"
        "    control.consume(resource_ids=['ann'], credit_currency='t', amount=99)\n"
    )
    subprocess.run([sys.executable, "-c", other], check=True, cwd=ROOT)
    with pytest.raises(LedgerUnavailable, match="lock file"):
        control.report(customer_id="acme", amount=1, **ANN)
    for spends in (
        lambda: control.reserve(**ANN, amount=1),
        lambda: held.settle(1),
        lambda: control.check(**ANN),
    ):
        with pytest.raises(LedgerUnavailable, match="lock file"):
            spends()
    control.close()
    with UsageControl(control.location, clock=clock) as again:
        assert numbers(again, "ann")["ann"] == (100, 0)
        assert again.verify() == []
