"""The ledger cannot be reached: from spare, then as the policy says; and it comes back."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from stiggctl import (
    AccessDenied,
    LedgerCorrupt,
    LedgerError,
    LedgerTrouble,
    LedgerUnavailable,
    UsageControl,
)
from stiggctl.ledger.opening import open_ledger
from stiggctl.testing import ManualClock

from .saying import TOKENS, Face, Say, at_once, event_ids, flat, numbers

Lock = Callable[[], AbstractContextManager[None]]
ASK: dict[str, Any] = {"resource_ids": ["a"], "credit_currency": TOKENS}
COLD: dict[str, Any] = {"resource_ids": ["b"], "credit_currency": TOKENS}
REPORT: dict[str, Any] = {"customer_id": "c", "event_name": "e", "amount": 5, "idempotency_key": "k", **ASK}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """One second does where five are waited for: tests/crashes/test_stuck.py has all of them."""
    monkeypatch.setitem(open_ledger.__kwdefaults__, "patience_seconds", 1.0)


@pytest.fixture
def locked(ledger_path: str) -> Lock:
    """Makes the ledger unavailable: another connection keeps SQLite's write lock meanwhile."""

    @contextmanager
    def lock() -> Iterator[None]:
        other = sqlite3.connect(ledger_path, isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")
        finally:
            other.close()

    return lock


@pytest.fixture
def warm(ledger_path: str, policy: str) -> Iterator[UsageControl]:
    """A holder with spare of a (of 100, 1 is used) and nothing yet of b."""
    with UsageControl(ledger_path, on_ledger_failure=policy) as control:
        control.apply(flat({"a": 100, "b": 100}))
        control.consume(**ASK, amount=1)
        yield control


both = pytest.mark.parametrize("policy", ["fail_closed", "fail_open"])
closed = pytest.mark.parametrize("policy", ["fail_closed"])
opened = pytest.mark.parametrize("policy", ["fail_open"])


@both
def test_decisions_from_spare_go_on(warm: UsageControl, face: Face, locked: Lock) -> None:
    say = Say(warm, face)
    with locked():
        start = time.monotonic()
        assert say("check", **ASK, requested_usage=99)
        reservation = say("reserve", **ASK, amount=60)
        assert reservation.decision.policy is None
        say.to(say("reserve", **ASK, amount=39), "release")
        assert time.monotonic() - start < 1  # nobody waited
    assert say.to(reservation, "settle", 50).charged == 50
    assert numbers(warm, "a") == {"a": (51, 0, 49)}


@closed
def test_without_spare_it_is_denied_and_worth_a_retry(warm: UsageControl, face: Face, locked: Lock) -> None:
    say = Say(warm, face)
    with locked(), pytest.raises(AccessDenied) as denied:
        say("reserve", **COLD, amount=5)
    decision = denied.value.decision
    assert decision.access_denied_reason == "LEDGER_UNAVAILABLE"
    assert (decision.remaining, decision.remedy.kind) == (0, "RETRY")
    assert list(warm.reservations()) == []
    assert say("reserve", **COLD, amount=5).amount == 5  # it came back


@opened
def test_fail_open_admits_says_so_and_books_later(warm: UsageControl, face: Face, locked: Lock) -> None:
    # Q3
    say = Say(warm, face)
    with locked():
        reservation = say("reserve", **COLD, amount=5)
        assert reservation.decision.has_access
        assert reservation.decision.policy == "fail_open"
    receipt = say.to(reservation, "settle", 4)
    assert receipt.charged == 4
    assert numbers(warm, "b") == {"b": (4, 0, 96)}
    assert say("check", **COLD).policy is None
    assert list(warm.verify()) == []


@both
def test_what_books_raises_and_the_same_key_books_once(warm: UsageControl, locked: Lock) -> None:
    reservation = warm.reserve(**ASK, amount=9)
    calls: list[Callable[[], Any]] = [
        lambda: warm.consume(**ASK, amount=5, idempotency_key="consumed"),
        lambda: warm.report(**REPORT),
        lambda: reservation.settle(7),
    ]
    with locked():
        start = time.monotonic()
        answers = at_once(calls)
        assert [type(answer) for answer in answers] == [LedgerUnavailable] * 3
        assert time.monotonic() - start < 30  # a bound: about a second of waiting
    assert [call().charged for call in calls] == [5, 5, 7]
    assert [call().charged for call in calls] == [5, 5, 7]
    assert numbers(warm, "a") == {"a": (18, 0, 82)}
    assert len(event_ids(warm, "c")) == 4
    assert list(warm.verify()) == []


@closed
def test_report_many_raises_or_tells_it_for_each_and_books_once(warm: UsageControl, locked: Lock) -> None:
    batch = [REPORT | {"idempotency_key": f"k{place}"} for place in range(3)]
    with locked():
        try:
            answers = warm.report_many(batch)
        except LedgerUnavailable:
            answers = []
        assert all(isinstance(answer, LedgerUnavailable) for answer in answers)
    assert [receipt.charged for receipt in warm.report_many(batch)] == [5, 5, 5]
    assert numbers(warm, "a")["a"][0] == 16


@closed
def test_a_lock_that_is_gone_in_time_is_only_a_wait(warm: UsageControl, face: Face, ledger_path: str) -> None:
    other = sqlite3.connect(ledger_path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")

    def let_go() -> None:
        time.sleep(0.3)
        other.execute("ROLLBACK")

    receipt: Any
    _, receipt = at_once([let_go, lambda: Say(warm, face)("report", **REPORT)])
    assert receipt.charged == 5
    other.close()


@closed
def test_a_hold_does_not_end_while_its_settle_waits(
    ledger_path: str, clock: ManualClock, policy: str
) -> None:
    with UsageControl(ledger_path, clock=clock, on_ledger_failure=policy) as control:
        control.apply(flat({"a": 100}))
        reservation = control.reserve(**ASK, amount=100, ttl_seconds=60)
        other = sqlite3.connect(ledger_path, isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")

        def late() -> object:
            time.sleep(0.1)  # the settle waits for the ledger by now
            clock.advance(seconds=61)
            return control.reserve(**ASK, amount=100)

        def let_go() -> None:
            time.sleep(0.5)
            other.execute("ROLLBACK")

        receipt: Any
        receipt, answer, _ = at_once([lambda: reservation.settle(100), late, let_go])
        other.close()
        assert (receipt.charged, receipt.expired, receipt.overage) == (100, False, 0)
        assert isinstance(answer, AccessDenied)
        assert numbers(control, "a") == {"a": (100, 0, 0)}


@closed
def test_a_clock_that_stands_still_does_not_make_a_wait_endless(
    ledger_path: str, clock: ManualClock, locked: Lock, policy: str
) -> None:
    with UsageControl(ledger_path, clock=clock, on_ledger_failure=policy) as control:
        control.apply(flat({"a": 100}))
        control.consume(**ASK, amount=1)
        with locked():
            (answer,) = at_once([lambda: control.report(**REPORT)], within_seconds=30)
        assert isinstance(answer, LedgerUnavailable)


@both
def test_trouble_is_told_to_who_listens(warm: UsageControl, locked: Lock) -> None:
    # WT1
    told: list[object] = []

    def broken(record: object) -> None:
        raise RuntimeError(record)

    warm.subscribe(broken)  # one that raises changes nothing
    warm.subscribe(told.append)
    with locked(), pytest.raises(LedgerUnavailable):
        warm.consume(**ASK, amount=5)
    end = time.monotonic() + 5
    while not told and time.monotonic() < end:
        time.sleep(0.01)
    assert any(isinstance(record, LedgerTrouble) for record in told)
    assert warm.consume(**ASK, amount=5).charged == 5


@both
def test_a_file_that_was_replaced_raises_under_both(warm: UsageControl, ledger_path: str) -> None:
    for suffix in ("", "-wal", "-shm"):
        there = Path(ledger_path + suffix)
        if there.exists():
            there.rename(ledger_path + suffix + ".old")
    sqlite3.connect(ledger_path).execute("CREATE TABLE other (x)").connection.close()
    end = time.monotonic() + 10
    raised: Exception | None = None
    while raised is None and time.monotonic() < end:
        try:
            warm.consume(**COLD, amount=0)
        except LedgerError as error:
            raised = error
        time.sleep(0.02)
    assert isinstance(raised, LedgerError)
    with pytest.raises(LedgerError):
        warm.reserve(**COLD, amount=1)


@both
def test_a_directory_that_cannot_be_looked_into_is_trouble_and_passes(
    warm: UsageControl, ledger_path: str, tmp_path: Path, policy: str
) -> None:
    """Something else stands in its place: whether the file is there is not known, until it is again."""
    there, away = tmp_path, tmp_path.with_name(f"{tmp_path.name}-{policy}-away")
    assert Path(ledger_path).parent == there
    there.rename(away)
    there.touch()
    try:
        with pytest.raises(LedgerUnavailable) as raised:
            warm.report(**REPORT)
        assert raised.value.location == ledger_path
        assert warm.reserve(**ASK, amount=1).release() is None  # from spare
        assert bool(warm.check(**COLD, requested_usage=1)) == (policy == "fail_open")
    finally:
        there.unlink()
        away.rename(there)
    assert warm.report(**REPORT).charged == 5
    assert list(warm.verify()) == []


@both
@pytest.mark.parametrize(
    "contents",
    [b"this is no database at all, but long enough to be one" * 20, b"SQLite format 3\0" + b"\xff" * 2000],
)
def test_a_file_that_is_no_ledger_raises(ledger_path: str, policy: str, contents: bytes) -> None:
    Path(ledger_path).write_bytes(contents)
    with (
        pytest.raises(LedgerCorrupt) as raised,
        UsageControl(ledger_path, on_ledger_failure=policy) as control,
    ):
        control.apply(flat({"a": 10}))
    assert "usage.db" in str(raised.value)
    assert Path(ledger_path).read_bytes() == contents


def test_a_file_of_something_else_is_left_alone(ledger_path: str) -> None:
    other = sqlite3.connect(ledger_path)
    other.execute("CREATE TABLE customers (name TEXT)")
    other.execute("INSERT INTO customers VALUES ('Ann')")
    other.commit()
    with pytest.raises(LedgerError), UsageControl(ledger_path) as control:
        control.apply(flat({"a": 10}))
    assert other.execute("SELECT * FROM customers").fetchall() == [("Ann",)]
    assert [name for (name,) in other.execute("SELECT name FROM sqlite_master")] == ["customers"]
    other.close()


@pytest.mark.parametrize("where", ["postgresql://localhost/usage", "postgres://localhost/usage"])
def test_a_server_is_not_in_this_version(where: str) -> None:
    with pytest.raises(LedgerError, match="version"):
        UsageControl(where)


def test_a_folder_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    with (
        pytest.raises(LedgerError, match="no-such-folder"),
        UsageControl(str(tmp_path / "no-such-folder" / "u.db")) as control,
    ):
        control.apply(flat({"a": 10}))
    with pytest.raises(LedgerError), UsageControl(str(tmp_path)) as control:
        control.apply(flat({"a": 10}))
