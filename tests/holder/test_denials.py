"""Denials on their way to the ledger: never waited for, bounded, and counted where they are dropped."""

import contextlib
import threading
from typing import Any

import pytest

from stiggctl import InvalidRequest, UsageControl
from stiggctl.holder import denials as denials_module
from stiggctl.holder.denials import AT_ONCE_MAX, OF_ONE_MAX
from stiggctl.testing import ManualClock

from .faulty import ANN, BOB, Faulty, gone
from .stepping import at_every_step


def deny(control: UsageControl, amount: int = 5_000, **ask: Any) -> str:
    """One that is not kept yet."""
    decision = control.check(**{**ANN, **ask}, requested_usage=amount)
    assert not decision
    return decision.decision_id


def standing_still(control: UsageControl, faulty: Faulty | None = None) -> Any:
    """What the control has noted; nothing keeps it but what the test does."""
    holder = control._holder
    holder.keeper.stop()
    holder.denials._keep_soon = lambda: None  # type: ignore[method-assign]  # a test's own
    if faulty is not None:
        holder.ledger = faulty
    return holder.denials


def test_who_is_denied_waits_for_nothing(control: UsageControl) -> None:
    """DN1: not even where nobody can write."""
    faulty = Faulty(control._holder.ledger)
    noted = standing_still(control, faulty)
    deny(control)  # the first look reads the model
    faulty.calls.clear()
    deny(control)
    assert "keep_denials" not in faulty.calls
    assert len(noted._waiting) == 2


def test_a_process_that_only_checks_keeps_them_in_a_moment(control: UsageControl) -> None:
    """It has no beat; the thread that keeps them ends, and the next denial begins another."""
    assert not control._holder.is_holder
    for times in (1, 2):
        deny(control)
        thread = control._holder.denials._soon
        assert thread is not None
        thread.join(30)
        assert not thread.is_alive()
        with control._holder.ledger.reader() as reader:
            assert sum(one.times for one in reader.denials()) == times


def test_where_no_thread_can_be_started_they_are_kept_when_it_closes(
    control: UsageControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoThread(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread at interpreter shutdown")

    monkeypatch.setattr(denials_module, "Thread", NoThread)
    name = deny(control)
    path = control.location
    control.close()
    with UsageControl(path) as again:
        assert str(again.explain(name)).startswith("check for ann was denied")


def test_while_the_ledger_is_away_they_wait_and_what_is_too_much_is_counted(
    control: UsageControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DN2: then all of it is kept, or is in the number."""
    away = Faulty(control._holder.ledger)
    noted = standing_still(control, away)

    def refuse(*_: object) -> None:
        raise gone()

    away.keep_denials = refuse  # type: ignore[attr-defined]  # a test's own
    monkeypatch.setattr(denials_module, "WAITING_MAX", 8)
    names = [deny(control, amount) for amount in range(1_001, 1_012)]
    noted.beat()
    noted.beat()
    assert control.denials_dropped() == 3  # also while only this process knows
    del away.keep_denials  # type: ignore[attr-defined]  # a test's own
    noted.beat()
    assert [one.decision_id for one in control.denials()] == names[7::-1]
    assert (noted.dropped, control.denials_dropped()) == (0, 3)


def test_more_than_are_written_at_once_are_all_kept_in_their_order(control: UsageControl) -> None:
    """A booking waits for some of them, never for all."""
    faulty = Faulty(control._holder.ledger)
    noted = standing_still(control, faulty)
    sizes: list[int] = []
    keep = faulty._ledger.keep_denials

    def watched(writes: Any, dropped: int, most: int) -> None:
        sizes.append(sum(one.times for one in writes) + dropped)
        keep(writes, dropped, most)

    faulty.keep_denials = watched  # type: ignore[attr-defined]  # a test's own
    for _ in range(2 * AT_ONCE_MAX + 3):
        deny(control)
    noted.beat()
    assert sizes == [AT_ONCE_MAX, AT_ONCE_MAX, 3]
    [row] = control.denials()
    assert row.times == 2 * AT_ONCE_MAX + 3


def test_a_client_that_hammers_with_other_amounts_pushes_nobody_out(
    control: UsageControl, clock: ManualClock
) -> None:
    """DN2: so many rows a minute are its own, the rest is counted; what it said before still counts."""
    noted = standing_still(control)
    for at in range(OF_ONE_MAX + 40):
        deny(control, 1_000 + at)
    deny(control, 1_000)  # as the first: one more of its times
    deny(control, 5_000, **BOB)
    noted.beat()
    rows = list(control.denials())
    assert len(rows) == OF_ONE_MAX + 1
    assert sum(row.times for row in rows) == OF_ONE_MAX + 2
    assert control.denials_dropped() == 40
    clock.advance(seconds=61)
    name = deny(control, 1_000 + OF_ONE_MAX)
    assert str(control.explain(name)).startswith("check for ann")


def test_a_finalizer_that_looks_back_while_they_are_written_is_refused(control: UsageControl) -> None:
    """It would wait for its own thread, for ever."""
    faulty = Faulty(control._holder.ledger)
    noted = standing_still(control, faulty)
    keep = faulty._ledger.keep_denials
    told: list[InvalidRequest] = []

    def finalize(writes: Any, dropped: int, most: int) -> None:
        """As code of others does that comes between two steps of ours, on our thread."""
        with pytest.raises(InvalidRequest, match="finalizer") as refused:
            control.denials_dropped()
        if not told:
            deny(control)  # that waits for nothing
        told.append(refused.value)
        keep(writes, dropped, most)

    faulty.keep_denials = finalize  # type: ignore[attr-defined]  # a test's own
    deny(control)
    noted.beat()
    del faulty.keep_denials  # type: ignore[attr-defined]  # a test's own
    assert len(told) == 2  # what was noted meanwhile was kept after it
    assert sum(one.times for one in control.denials()) == 2


class Interrupt(BaseException):
    """What a signal handler raises."""


def test_who_is_interrupted_while_it_writes_loses_none_and_counts_none_twice(control: UsageControl) -> None:
    """DN2: at any step, on the thread of whoever looks back."""
    noted = standing_still(control)
    given: list[str] = []

    def give() -> None:
        given.extend(deny(control, amount) for amount in (1_001, 1_001, 1_002))
        noted._drop(1)

    def look_back() -> None:
        elsewhere = threading.Thread(target=give)  # so that nobody comes in there
        elsewhere.start()
        elsewhere.join()
        with contextlib.suppress(Interrupt):
            noted.beat()

    def interrupt() -> None:
        raise Interrupt

    places = list(at_every_step(look_back, interrupt))
    assert len(places) > 20
    noted.beat()
    rows = list(control.denials())
    names = [name for one in rows for name in (one.decision_id, *one.other_ids)]
    assert len(set(names)) == len(names), "one is kept twice"
    assert sum(one.times for one in rows) == len(given)
    # An interrupt between the commit and what is noted of it drops the same twice.
    assert 0 <= control.denials_dropped() - len(given) // 3 <= len(places)
