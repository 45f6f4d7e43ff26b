"""Recalling: two processes step by step: what others want goes back, what others changed is obeyed."""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from stiggctl import AccessDenied, AccessDeniedReason, LedgerUnavailable, UsageControl
from stiggctl.decision.reservations import release
from stiggctl.holder import recalling
from stiggctl.holder.page import read_page
from tests.simulation.baton import Baton
from tests.simulation.host import Process, VirtualClock
from tests.simulation.run import model

ANN: dict[str, Any] = {"resource_ids": ["ann"], "credit_currency": "t"}


class Pair:
    """Two processes on one ledger, of which neither does anything but what a test does."""

    def __init__(self, room: Path, limits: dict[str, int]) -> None:
        self.baton = Baton(0)
        self.path = room / "usage.db"
        with UsageControl(self.path, clock=VirtualClock(self.baton)) as control:
            control.apply(model(limits, ()))
        self.one, self.other = (Process(self.baton, self.path, name) for name in ("one", "other"))

    def beat(self, process: Process) -> None:
        process.holder.recalls.beat(self.baton.now_us)

    def shares(self) -> dict[int, list[tuple[int, bool]]]:
        """Holder -> (granted, exact) of each cell in which it has something."""
        with self.one.holder.ledger.reader() as reader:
            rows = reader.rows(
                "SELECT holder, granted, exact FROM shares WHERE granted > 0 AND until_us = 0 ORDER BY cell",
                {},
            )
        found: dict[int, list[tuple[int, bool]]] = {}
        for of, granted, exact in rows:
            found.setdefault(of, []).append((granted, exact == 1))
        return found

    def others_beat_meanwhile(self, process: Process) -> None:
        """Whoever waits finds that the other has had a beat."""
        beating = self.one if process is self.other else self.other

        def pause(seconds: float) -> None:
            self.baton.sleep(seconds)
            self.beat(beating)

        process.holder.waiting.pause = pause  # type: ignore[method-assign]  # a test's own


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(tmp_path, {"org": 100})
    yield pair
    for process in (pair.one, pair.other):
        process.holder.ledger._ledger.close()


def test_a_second_process_gets_what_the_first_had_for_itself_within_a_beat(pair: Pair) -> None:
    """RK2, RD1: and what that one still holds is exact from then on."""
    held = pair.one.control.reserve(**ANN, amount=30)
    assert pair.shares() == {pair.one.holder.row: [(100, False)]}
    pair.others_beat_meanwhile(pair.other)
    began_us = pair.baton.now_us
    assert pair.other.control.reserve(**ANN, amount=10).amount == 10
    assert pair.baton.now_us - began_us < 250_000
    assert pair.shares()[pair.one.holder.row] == [(30, True)]
    assert held.settle(30).charged == 30


def test_what_falls_free_near_a_limit_is_there_for_others_before_its_call_returns(pair: Pair) -> None:
    """RD1, C2: a release, and what a settle leaves over, in the commit that books."""
    pair.others_beat_meanwhile(pair.other)
    pair.others_beat_meanwhile(pair.one)
    first, second = (pair.one.control.reserve(**ANN, amount=45) for _ in range(2))
    assert pair.other.control.reserve(**ANN, amount=10).amount == 10
    with pytest.raises(AccessDenied) as full:
        pair.other.control.reserve(**ANN, amount=1)
    assert full.value.decision.access_denied_reason is AccessDeniedReason.BUDGET_EXCEEDED
    exchanges: list[object] = []
    send = pair.one.holder.ledger.exchange
    pair.one.holder.ledger.exchange = lambda batch: (exchanges.append(batch), send(batch))[1]
    assert first.settle(40).charged == 40
    assert len(exchanges) == 1
    assert pair.other.control.reserve(**ANN, amount=5).amount == 5
    second.release()
    assert len(exchanges) == 2
    assert pair.other.control.reserve(**ANN, amount=45).amount == 45
    with pytest.raises(AccessDenied):
        pair.one.control.reserve(**ANN, amount=1)


@pytest.mark.parametrize("knows", [True, False])
def test_what_falls_free_of_a_share_that_was_near_a_limit_is_told_also_by_who_is_alone_since(
    pair: Pair, knows: bool
) -> None:
    """RD1: until it draws again its share is exact, and whoever comes next is told that it hides nothing."""
    pair.others_beat_meanwhile(pair.other)
    held = pair.one.control.reserve(**ANN, amount=90)
    pair.other.control.consume(**ANN, amount=10)
    pair.other.holder.close()
    if knows:
        pair.beat(pair.one)
        assert pair.one.holder.alive == 1
    held.release()
    assert pair.shares() == {}
    third = Process(pair.baton, pair.path, "third")
    assert third.control.reserve(**ANN, amount=90).amount == 90
    third.holder.ledger._ledger.close()


def test_what_falls_free_on_an_event_loop_is_told_at_the_next_beat(pair: Pair) -> None:
    """RD1: a loop never waits for that, in whichever face it is set free."""
    pair.others_beat_meanwhile(pair.other)
    held = [pair.one.control.reserve(**ANN, amount=45) for _ in range(2)]
    pair.other.control.reserve(**ANN, amount=10)

    async def release() -> None:
        before = pair.one.ledger.at_work, pair.shares()
        held[0].release()
        await held[1].arelease()
        assert (pair.one.ledger.at_work, pair.shares()) == before

    asyncio.run(release())
    pair.beat(pair.one)
    assert pair.other.control.reserve(**ANN, amount=90).amount == 90


def test_a_release_with_the_ledger_out_of_reach_sets_free_all_the_same(pair: Pair) -> None:
    """RD1: the beat tells it when the ledger is back."""
    pair.others_beat_meanwhile(pair.other)
    held = pair.one.control.reserve(**ANN, amount=90)
    pair.other.control.reserve(**ANN, amount=10)
    pair.one.ledger.failing = 1.0
    assert held.release() is None
    pair.one.ledger.failing = 0.0
    for _ in range(2):  # the first learns what became of the lost answer
        pair.one.holder.keeper.beat(pair.baton.now_us)
        pair.beat(pair.one)
    assert pair.other.control.reserve(**ANN, amount=90).amount == 90


def test_who_does_not_answer_is_named_after_a_bound(pair: Pair) -> None:
    """RK1: and nothing is held of what was asked for."""
    pair.other.control.reserve(**ANN, amount=1)
    verbs = (pair.one.control.reserve, pair.one.control.consume)
    for asks in verbs:
        began_us = pair.baton.now_us
        with pytest.raises(AccessDenied) as denied:
            asks(**ANN, amount=50)
        waited = (pair.baton.now_us - began_us) / 1e6
        assert recalling.RECALL_SECONDS <= waited < 2 * recalling.RECALL_SECONDS
        assert denied.value.decision.access_denied_reason is AccessDeniedReason.SHARE_UNAVAILABLE
        assert f"process {pair.other.holder._presence.pid}" in str(denied.value)
    assert pair.shares() == {pair.other.holder.row: [(100, False)]}


def test_two_that_wait_for_each_other_both_get_on(pair: Pair) -> None:
    """RK2: each has told what it has to spare before it waits."""
    pair.others_beat_meanwhile(pair.one)
    pair.others_beat_meanwhile(pair.other)
    for _ in range(20):
        for process in (pair.one, pair.other):
            process.control.reserve(**ANN, amount=3).settle(1)
    assert pair.one.control.check(**ANN, requested_usage=60)
    assert not pair.one.control.check(**ANN, requested_usage=61)


def test_the_dead_are_buried_before_anybody_is_told_no(pair: Pair) -> None:
    """RK3: what it held is withheld to its end; the rest is there at once, and nobody waits."""
    pair.one.control.reserve(**ANN, amount=30, ttl_seconds=10)
    pair.other.holder.become_holder()
    pair.one.die()
    began_us = pair.baton.now_us
    assert pair.other.control.reserve(**ANN, amount=70).amount == 70
    assert pair.baton.now_us == began_us
    with pytest.raises(AccessDenied) as full:
        pair.other.control.reserve(**ANN, amount=1)
    assert full.value.decision.retry_at is not None
    pair.baton.now_us += 10_000_000
    assert pair.other.control.reserve(**ANN, amount=30).amount == 30


def test_a_change_is_obeyed_at_a_beat_and_then_it_is_written(pair: Pair) -> None:
    """RK4: until then who changed it is told who has not seen it."""
    pair.one.control.consume(**ANN, amount=1)
    pair.other.control.check(**ANN)
    applied = pair.other.control.set_allocation(resource_id="org", credit_currency="t", limit=5)
    assert applied.waiting_for == (f"process {pair.one.holder._presence.pid}",)
    pair.others_beat_meanwhile(pair.other)
    seen: list[int] = []
    obey = pair.one.holder.ledger._ledger.obey

    def watched(holder: int, change: int) -> None:
        seen.append(pair.one.holder.stripes["acme"].version)
        obey(holder, change)

    version = pair.one.holder.stripes["acme"].version
    pair.one.holder.ledger._ledger.obey = watched
    assert pair.other.control.suspend("ann").waiting_for == ()
    assert seen
    assert seen[0] > version
    assert pair.one.control.check(**ANN).access_denied_reason is AccessDeniedReason.SUSPENDED


def test_who_was_buried_finds_that_out_at_a_beat(pair: Pair) -> None:
    """H3: it spends nothing more of what is others' by now."""
    pair.one.control.consume(**ANN, amount=1)
    pair.other.holder.become_holder()
    pair.one.holder._presence._lock_path.unlink()
    assert pair.other.control.consume(**ANN, amount=99).charged == 99
    with pytest.raises(LedgerUnavailable, match="lock file"):
        pair.beat(pair.one)
    with pytest.raises(LedgerUnavailable, match="lock file"):
        pair.one.control.reserve(**ANN, amount=1)


def test_who_finds_its_lock_file_gone_stops_before_it_is_buried(pair: Pair) -> None:
    """H3, V2: whoever needs something would take it for dead."""
    pair.one.control.consume(**ANN, amount=1)
    pair.beat(pair.one)
    pair.one.holder._presence._lock_path.unlink()
    with pytest.raises(LedgerUnavailable, match="lock file"):
        pair.beat(pair.one)
    with pytest.raises(LedgerUnavailable, match="lock file"):
        pair.one.control.reserve(**ANN, amount=1)
    assert pair.other.control.consume(**ANN, amount=99).charged == 99


def test_a_share_of_which_nothing_is_in_memory_goes_back_whole(pair: Pair) -> None:
    """RD1: it is what the ledger says, and the ledger is asked with the lead."""
    pair.one.control.consume(**ANN, amount=1)
    holder = pair.one.holder
    holder.stripes.clear()  # as if all of it had been swept
    holder.strands = {}
    pair.others_beat_meanwhile(pair.other)
    assert pair.other.control.consume(**ANN, amount=99).charged == 99
    assert pair.one.control.verify() == []


def test_who_waits_has_given_back_what_others_may_wait_for(tmp_path: Path) -> None:
    """RK2: before it waits."""
    pair = Pair(tmp_path, {"org": 1_000})
    for process in (pair.one, pair.other):
        process.control.reserve(**ANN, amount=1)
        pair.others_beat_meanwhile(pair.other)
    pair.baton.now_us += 2_000_000  # the recall is over: both draw a surplus
    pair.other.control.reserve(**ANN, amount=2)
    pair.one.control.reserve(**ANN, amount=2)
    before = pair.shares()
    assert [exact for [(_, exact)] in before.values()] == [False, False]
    spares: list[dict[int, list[tuple[int, bool]]]] = []

    def pause(seconds: float) -> None:
        del seconds
        spares.append(pair.shares())
        pair.beat(pair.other)

    pair.one.holder.waiting.pause = pause  # type: ignore[method-assign]  # a test's own
    assert pair.one.control.reserve(**ANN, amount=990).amount == 990
    assert spares[0][pair.one.holder.row] == [(3, True)]
    for process in (pair.one, pair.other):
        process.holder.ledger._ledger.close()


def test_a_denial_tells_what_others_hold_and_when_that_ends(tmp_path: Path) -> None:
    """In shares that are not exact, too; what they have to spare is left."""
    pair = Pair(tmp_path, {"org": 10_000, "ann": 8_000})
    pair.other.control.consume(**ANN, amount=0)
    pair.one.control.reserve(**ANN, amount=30, ttl_seconds=40)
    [shares] = pair.shares().values()
    assert [exact for _, exact in shares] == [False, False]
    with pytest.raises(AccessDenied) as denied:
        pair.other.control.reserve(**ANN, amount=8_001)
    decision = denied.value.decision
    assert [(state.resource_id, state.held) for state in decision.limits] == [("org", 30), ("ann", 30)]
    assert decision.remaining == 7_970
    pair.others_beat_meanwhile(pair.other)
    assert pair.other.control.reserve(**ANN, amount=7_970).amount == 7_970
    with pytest.raises(AccessDenied) as full:
        pair.other.control.reserve(**ANN, amount=30)
    decision = full.value.decision
    assert (decision.remaining, decision.limits[1].held) == (0, 8_000)
    assert decision.retry_at is not None
    assert (decision.retry_at.timestamp() - pair.baton.now_us / 1e6) < 40
    for process in (pair.one, pair.other):
        process.holder.ledger._ledger.close()


def test_a_check_counts_what_others_hold_and_not_what_they_have_to_spare(tmp_path: Path) -> None:
    """H2: also of a process that is a holder, and to the unit."""
    pair = Pair(tmp_path, {"org": 10_000})
    pair.other.control.consume(**ANN, amount=0)
    pair.one.control.reserve(**ANN, amount=30)
    [[(granted, exact)]] = pair.shares().values()
    assert granted > 1_000
    assert not exact
    assert pair.other.control.check(**ANN, requested_usage=9_970)
    denied = pair.other.control.check(**ANN, requested_usage=9_971)
    assert not denied
    assert (denied.limits[0].held, denied.remaining) == (30, 9_970)
    for process in (pair.one, pair.other):
        process.holder.ledger._ledger.close()


def rest(pair: Pair, process: Process) -> None:
    """Beats, until whoever holds nothing meanwhile rests."""
    for _ in range(2):
        pair.baton.now_us += int(recalling.REST_SECONDS * 1_000_000)
        pair.beat(process)


def test_what_nobody_asks_for_any_more_goes_back_before_others_want_it(pair: Pair) -> None:
    """RK5: of the customer for whom nothing was held for a while; what is held stays."""
    held = pair.one.control.reserve(**ANN, amount=30)
    pair.other.holder.become_holder()
    pair.beat(pair.one)
    assert pair.shares() == {pair.one.holder.row: [(100, False)]}
    rest(pair, pair.one)
    assert pair.shares() == {pair.one.holder.row: [(30, False)]}
    assert not pair.one.holder.recalls.is_awake
    assert not pair.one.holder.giving
    began_us = pair.baton.now_us
    assert pair.other.control.reserve(**ANN, amount=70).amount == 70
    assert pair.baton.now_us == began_us  # nobody was waited for
    held.release()
    assert pair.one.control.verify() == []


def test_who_is_asked_again_has_its_share_again_and_rests_again(pair: Pair) -> None:
    """RK5: a decision wakes it, an extension too; what it draws then is given back once more."""
    held = pair.one.control.reserve(**ANN, amount=1)
    pair.other.holder.become_holder()
    pair.beat(pair.one)
    rest(pair, pair.one)
    for more in (lambda: pair.one.control.reserve(**ANN, amount=1), lambda: held.extend(1)):
        pair.baton.now_us += 2_000_000
        more()
        ((granted, _),) = pair.shares()[pair.one.holder.row]
        assert granted > 3  # with a surplus
        pair.baton.now_us += int(recalling.REST_SECONDS * 1_000_000)
        pair.beat(pair.one)
        assert pair.one.holder.recalls.is_awake
        assert pair.shares()[pair.one.holder.row] == [(granted, False)]
        rest(pair, pair.one)
        ((left, _),) = pair.shares()[pair.one.holder.row]
        assert left < granted
    assert pair.shares()[pair.one.holder.row] == [(3, False)]


@pytest.mark.parametrize("ends", ["settled for less", "released", "by itself"])
def test_what_falls_free_of_a_call_after_its_process_rested_goes_back_too(pair: Pair, ends: str) -> None:
    """RK5: though nothing was decided since."""
    held = pair.one.control.reserve(**ANN, amount=30, ttl_seconds=60)
    pair.other.holder.become_holder()
    pair.beat(pair.one)
    rest(pair, pair.one)
    assert pair.shares() == {pair.one.holder.row: [(30, False)]}
    if ends == "settled for less":
        held.settle(10)
    elif ends == "released":
        held.release()
    else:
        pair.baton.now_us += 60_000_000
        pair.one.holder.keeper.beat(pair.baton.now_us)
    ((left, _),) = pair.shares()[pair.one.holder.row]
    assert left == (20 if ends == "settled for less" else 30)
    rest(pair, pair.one)
    assert pair.shares() == {}


def test_what_falls_free_while_its_process_is_laying_down_goes_back_too(pair: Pair) -> None:
    """RK5: between the look and its answer from the ledger a call ends."""
    held = pair.one.control.reserve(**ANN, amount=30)
    pair.other.holder.become_holder()
    pair.beat(pair.one)
    exchange = pair.one.ledger.exchange

    def slow(batch: Any) -> Any:
        pair.one.ledger.exchange = exchange  # type: ignore[method-assign]  # a test's own
        reply = exchange(batch)
        release(pair.one.holder.stripes["acme"], held._number)
        return reply

    pair.one.ledger.exchange = slow  # type: ignore[method-assign]  # a test's own
    rest(pair, pair.one)
    rest(pair, pair.one)
    assert pair.shares() == {}


def test_alone_all_stays_in_memory_however_long_nobody_asks(pair: Pair) -> None:
    """RD3, RK5: nobody else could use it."""
    pair.one.control.reserve(**ANN, amount=30)
    rest(pair, pair.one)
    rest(pair, pair.one)
    assert pair.shares() == {pair.one.holder.row: [(100, False)]}


def test_who_comes_in_the_middle_of_resting_keeps_what_is_left(pair: Pair) -> None:
    """RK5: it is gone through step by step, and the next look begins anew."""
    recalls = pair.one.holder.recalls
    pair.one.control.reserve(**ANN, amount=30)
    pair.other.holder.become_holder()
    pair.beat(pair.one)
    ann = pair.one.holder.stripes["acme"]
    assert not recalls._lay_down(ann, ann.touched_us - 1)
    assert pair.shares() == {pair.one.holder.row: [(100, False)]}
    assert recalls._lay_down(ann, ann.touched_us)
    assert pair.shares() == {pair.one.holder.row: [(30, False)]}


def test_a_beat_asks_the_ledger_only_where_something_was_written(pair: Pair) -> None:
    """A reader is opened where somebody committed since the last beat, this process too."""
    pair.one.control.reserve(**ANN, amount=30)
    pair.other.holder.become_holder()
    pair.beat(pair.one)
    readers = 0
    reader = pair.one.ledger.reader

    def counted() -> Any:
        nonlocal readers
        readers += 1
        return reader()

    pair.one.ledger.reader = counted  # type: ignore[method-assign]  # a test's own
    for _ in range(10):
        pair.beat(pair.one)
    assert readers == 0
    pair.other.control.report(
        event_name="e", customer_id="acme", resource_ids=["ann"], credit_currency="t", amount=1
    )
    pair.beat(pair.one)
    assert readers > 0
    pair.beat(pair.one)  # what it gave back was written, too
    readers = 0
    pair.beat(pair.one)
    assert readers == 0


def test_what_a_beat_could_not_do_the_next_one_does(pair: Pair) -> None:
    """The look counts as done once all of it was done: a recall is not lost where its answer failed."""
    pair.one.control.reserve(**ANN, amount=30)
    with pytest.raises(AccessDenied) as denied:
        pair.other.control.reserve(**ANN, amount=50)
    assert denied.value.decision.access_denied_reason is AccessDeniedReason.SHARE_UNAVAILABLE
    pair.one.ledger.failing = 1.0
    with pytest.raises(LedgerUnavailable):
        pair.beat(pair.one)
    pair.one.ledger.failing = 0.0
    pair.one.holder.keeper.beat(pair.baton.now_us)
    pair.beat(pair.one)
    assert pair.shares()[pair.one.holder.row] == [(30, True)]


def test_a_look_that_failed_is_done_again(pair: Pair) -> None:
    """RD2: though nothing was written since."""
    pair.one.control.reserve(**ANN, amount=30)
    with pytest.raises(AccessDenied):
        pair.other.control.reserve(**ANN, amount=50)
    reader = pair.one.ledger.reader

    def fails() -> Any:
        raise LedgerUnavailable(location="usage.db", reason="the disk is gone", remedy="try again")

    pair.one.ledger.reader = fails  # type: ignore[method-assign]  # a test's own
    with pytest.raises(LedgerUnavailable):
        pair.beat(pair.one)
    pair.one.ledger.reader = reader  # type: ignore[method-assign]  # a test's own
    pair.beat(pair.one)
    assert pair.shares()[pair.one.holder.row] == [(30, True)]


def test_how_many_live_is_never_told_by_an_older_look(pair: Pair) -> None:
    """RK3: a beat that has read that it is alone does not undo what a later exchange found."""
    pair.one.control.consume(**ANN, amount=1)
    pair.other.holder.become_holder()
    pair.beat(pair.one)
    assert pair.one.holder.alive == 2
    pair.other.holder.close()
    holder, reader = pair.one.holder, pair.one.ledger.reader
    third = Process(pair.baton, pair.path, "third")

    class Early:
        """A snapshot; once it has told who lives another begins, and an exchange here finds it."""

        def __enter__(self) -> Any:
            self._snapshot = reader().__enter__()
            return self

        def __exit__(self, *raised: object) -> None:
            self._snapshot.__exit__(*raised)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._snapshot, name)

        def holders(self) -> list[Any]:
            rows = list(self._snapshot.holders())
            pair.one.ledger.reader = reader  # type: ignore[method-assign]  # once
            third.holder.become_holder()
            holder.exchange.give_back()
            assert holder.alive == 2
            return rows

    pair.one.ledger.reader = Early  # type: ignore[method-assign,assignment]  # a test's own
    pair.beat(pair.one)
    assert holder.alive == 2
    third.holder.ledger._ledger.close()


def test_an_exactness_that_the_ledger_never_heard_is_told_again(pair: Pair) -> None:
    """RD2: it was told while nobody else was there; who comes next is told no, and not to come again."""
    pair.one.control.reserve(**ANN, amount=70, ttl_seconds=60)
    with pytest.raises(AccessDenied):
        pair.other.control.reserve(**ANN, amount=50)
    pair.one.control.consume(**ANN, amount=1)  # it sees the recall: exact in memory
    pair.other.holder.close()
    pair.beat(pair.one)
    third = Process(pair.baton, pair.path, "third")

    def pause(seconds: float) -> None:
        pair.baton.sleep(seconds)
        pair.beat(pair.one)

    third.holder.waiting.pause = pause  # type: ignore[method-assign]  # a test's own
    with pytest.raises(AccessDenied) as full:
        third.control.reserve(**ANN, amount=31)
    assert full.value.decision.access_denied_reason is AccessDeniedReason.BUDGET_EXCEEDED
    assert third.control.reserve(**ANN, amount=29).amount == 29
    third.holder.ledger._ledger.close()


def test_an_extension_that_is_undone_leaves_nothing_to_spare_under_an_exact_share(pair: Pair) -> None:
    """RD1: its page had no room."""
    pair.others_beat_meanwhile(pair.one)
    pair.others_beat_meanwhile(pair.other)
    held = pair.one.control.reserve(**ANN, amount=45)
    pair.other.control.reserve(**ANN, amount=45)
    mirror = pair.one.holder.keeping._mirror

    def full(*_: object) -> tuple[int, ...]:
        raise LedgerUnavailable(location="usage.db", reason="the disk is full", remedy="make room")

    pair.one.holder.keeping._mirror = full  # type: ignore[method-assign]  # a test's own
    with pytest.raises(LedgerUnavailable):
        held.extend(10)
    pair.one.holder.keeping._mirror = mirror  # type: ignore[method-assign]  # as it was
    pair.beat(pair.one)
    assert pair.other.control.reserve(**ANN, amount=10).amount == 10


def test_a_hold_that_is_settled_leaves_its_page_before_its_caller_goes_on(pair: Pair) -> None:
    """KP1: on a busy event loop he goes on later, and others would count it twice meanwhile."""
    pair.others_beat_meanwhile(pair.other)
    held = pair.one.control.reserve(**ANN, amount=60)
    seen: list[bool] = []

    async def settle() -> None:
        settling = asyncio.ensure_future(held.asettle(60))
        await asyncio.sleep(0)  # it is handed to the committer
        for _ in range(2_000):
            if pair.other.control.tree("org", "t").used == 60:
                break
            time.sleep(0.005)  # noqa: ASYNC251 - the loop is busy
        seen.append(bool(pair.other.control.check(**ANN, requested_usage=40)))
        await settling

    asyncio.run(settle())
    assert seen == [True]


def test_in_a_storm_of_starts_each_enlists(pair: Pair) -> None:
    """H2: however many come while it looks who is dead."""
    newcomers = [Process(pair.baton, pair.path, f"p{number}") for number in range(18)]
    late = pair.other
    enlist = late.ledger._ledger.enlist

    def beside_another(*given: Any) -> Any:
        if newcomers:
            newcomers.pop().holder.become_holder()
        return enlist(*given)

    late.ledger._ledger.enlist = beside_another
    assert late.control.reserve(**ANN, amount=1).amount == 1
    assert late.holder.others.row == late.holder.row


def test_what_is_counted_by_now_is_not_held_against_a_limit_that_was(pair: Pair) -> None:
    """Q1: an override ends while it is asked for, and others use what that sets free."""
    pair.other.control.consume(**ANN, amount=40)
    pair.others_beat_meanwhile(pair.one)
    pair.one.control.consume(**ANN, amount=1)
    ends = datetime.fromtimestamp(pair.baton.now_us / 1e6 + 1, UTC)
    pair.one.control.override_limit("org", "t", limit=50, until=ends, reason="a test", customer_id="acme")
    pair.beat(pair.one)
    send = pair.one.ledger.exchange

    def slow(batch: Any) -> Any:
        pair.one.ledger.exchange = send  # type: ignore[method-assign]  # once
        pair.baton.now_us += 1_000_000
        pair.other.control.consume(**ANN, amount=30)
        return send(batch)

    pair.one.ledger.exchange = slow  # type: ignore[method-assign]  # a test's own
    assert pair.one.control.reserve(**ANN, amount=5).amount == 5  # 41 of 50 were used, then 71 of 100


@pytest.fixture
def late(pair: Pair) -> Pair:
    """One stands still since before its hold of 60 ended; it was near the limit, so its share is exact."""
    pair.others_beat_meanwhile(pair.other)
    pair.one.control.reserve(**ANN, amount=60, ttl_seconds=1)
    pair.other.control.consume(**ANN, amount=30)
    assert pair.shares()[pair.one.holder.row] == [(60, True)]
    pair.other.holder.waiting.pause = pair.baton.sleep  # type: ignore[method-assign]  # a test's own
    pair.baton.now_us += 1_000_000
    return pair


@pytest.mark.parametrize("asks", ["reserve", "consume", "extend"])
def test_what_a_stopped_process_holds_no_more_is_hidden_and_not_held(late: Pair, asks: str) -> None:
    """RK6, RK1: it is waited for, within the bound, and who has it is named."""
    held = late.other.control.reserve(**ANN, amount=1)
    control, began_us = late.other.control, late.baton.now_us
    with pytest.raises(AccessDenied) as denied:
        held.extend(50) if asks == "extend" else getattr(control, asks)(**ANN, amount=50)
    waited = (late.baton.now_us - began_us) / 1e6
    assert recalling.RECALL_SECONDS <= waited < 2 * recalling.RECALL_SECONDS
    assert denied.value.decision.access_denied_reason is AccessDeniedReason.SHARE_UNAVAILABLE
    assert f"process {late.one.holder._presence.pid}" in str(denied.value)
    assert control.check(**ANN, requested_usage=69)


def test_what_is_held_no_more_is_there_as_soon_as_its_process_goes_on(late: Pair) -> None:
    """RK6: within the call that waits; its page says that it is over until the ledger has it."""

    def pause(seconds: float) -> None:
        late.baton.sleep(seconds)
        if late.baton.now_us % 1_000_000 > 100_000:
            late.one.holder.keeper.beat(late.baton.now_us)

    late.other.holder.waiting.pause = pause  # type: ignore[method-assign]  # a test's own
    assert late.other.control.reserve(**ANN, amount=70).amount == 70
    assert late.one.control.verify() == []


def test_what_has_ended_stays_on_the_page_until_the_ledger_has_it(late: Pair) -> None:
    """RK6: in between nobody would know whose it is."""
    assert not late.one.control.check(**ANN, requested_usage=1_000)  # it goes on: its hold ends
    assert late.one.holder.giving
    with pytest.raises(AccessDenied) as denied:
        late.other.control.reserve(**ANN, amount=70)
    assert denied.value.decision.access_denied_reason is AccessDeniedReason.SHARE_UNAVAILABLE
    late.one.holder.keeper.beat(late.baton.now_us)
    late.one.holder.keeper.beat(late.baton.now_us)
    assert not read_page(late.one.holder._presence.page.path).records
    assert late.other.control.reserve(**ANN, amount=70).amount == 70


def test_what_would_not_fit_beside_what_is_late_either_is_denied_at_once(late: Pair) -> None:
    """RK6: and what is late is not told as held: it is left, though not to be had."""
    late.other.control.reserve(**ANN, amount=5)
    began_us = late.baton.now_us
    with pytest.raises(AccessDenied) as denied:
        late.other.control.reserve(**ANN, amount=66)
    decision = denied.value.decision
    assert late.baton.now_us == began_us
    assert decision.access_denied_reason is AccessDeniedReason.BUDGET_EXCEEDED
    (org,) = decision.limits
    assert (org.used, org.held, org.remaining) == (30, 5, 65)
    late.other.holder.denials.beat()
    (told,) = late.other.control.explain(decision.decision_id).decision.limits
    assert (told.used, told.held) == (30, 5)


def test_who_wakes_admits_by_an_old_limit_no_more_than_it_was_granted(tmp_path: Path) -> None:
    """RK4: what it had to spare, and what it draws is by the limit of now; after a beat nothing."""
    pair = Pair(tmp_path, {"org": 10_000})
    pair.other.holder.become_holder()
    pair.one.control.reserve(**ANN, amount=10)
    ((granted, _),) = pair.shares()[pair.one.holder.row]
    applied = pair.other.control.set_allocation(resource_id="org", credit_currency="t", limit=500)
    assert applied.waiting_for == (f"process {pair.one.holder._presence.pid}",)
    assert 10 < granted - 100 < 5_000
    assert pair.one.control.reserve(**ANN, amount=granted - 110).amount == granted - 110  # 100 are left
    with pytest.raises(AccessDenied) as denied:
        pair.one.control.reserve(**ANN, amount=101)
    assert denied.value.decision.binding is not None
    assert denied.value.decision.binding.limit == 500
    with pytest.raises(AccessDenied):  # by what it was told just now
        pair.one.control.reserve(**ANN, amount=1)
    pair.beat(pair.one)
    assert pair.shares()[pair.one.holder.row] == [(granted - 100, True)]
    with pytest.raises(AccessDenied):
        pair.other.control.reserve(**ANN, amount=1)
    for process in (pair.one, pair.other):
        process.holder.ledger._ledger.close()


def test_who_wakes_denies_nothing_by_an_old_limit(pair: Pair) -> None:
    """RK4, Q1: it was raised meanwhile."""
    pair.one.control.reserve(**ANN, amount=100)
    pair.other.control.set_allocation(resource_id="org", credit_currency="t", limit=200)
    assert pair.one.control.reserve(**ANN, amount=100).amount == 100
