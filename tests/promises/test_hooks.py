"""Hooks: what is told, to whom, when, and what a hook may do."""

import asyncio
import logging
import sqlite3
import subprocess
import sys
import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from stiggctl import (
    AccessDenied,
    Candidate,
    DecisionMade,
    DifferencesFound,
    GrantExpiring,
    Happening,
    InvalidRequest,
    LedgerError,
    LedgerTrouble,
    ThresholdCrossed,
    UsageBooked,
    UsageControl,
)
from stiggctl.testing import ManualClock, deny

from .saying import TOKENS, Say, flat

ASK: dict[str, Any] = {"resource_ids": ["a"], "credit_currency": TOKENS}
REPORT: dict[str, Any] = {"customer_id": "c", "event_name": "e", **ASK}
COSTLY = (DecisionMade, UsageBooked)


@pytest.fixture
def spent(control: UsageControl) -> UsageControl:
    """A control with a limit of 100 on a, with thresholds."""
    model = flat({"a": 100, "b": 10})
    model["allocations"][0]["thresholds"] = [50, 100]
    control.apply(model)
    return control


def wait_until(what: Any) -> None:
    for _ in range(2_000):
        if what():
            return
        threading.Event().wait(0.01)
    assert what()


# ------------------------------------------------------------------ decisions


def test_every_decision_is_told_with_the_verb_that_asked(say: Say, spent: UsageControl) -> None:
    """NW1: yes and no, from memory and from the ledger."""
    told: list[DecisionMade] = []
    spent.subscribe(told.append, kinds=DecisionMade)
    decisions = [say("check", **ASK, requested_usage=amount) for amount in (1, 101)]
    held = say("reserve", **ASK, amount=60)
    say("consume", **ASK, amount=30)
    with pytest.raises(AccessDenied) as denied:
        say("consume", **ASK, amount=11)
    with pytest.raises(AccessDenied) as denied_again:
        say("reserve", **ASK, amount=11)
    with pytest.raises(AccessDenied) as denied_more:
        say.to(held, "extend", 11)
    decisions += [held.decision, told[3].decision]
    decisions += [one.value.decision for one in (denied, denied_again, denied_more)]
    verbs = ["check", "check", "reserve", "consume", "consume", "reserve", "extend"]
    assert [one.verb for one in told] == verbs
    assert [one.decision.decision_id for one in told] == [one.decision_id for one in decisions]
    assert [one.decision.has_access for one in told] == [True, False, True, True, False, False, False]
    assert str(told[1]) == f"check denied: {decisions[1]}"
    assert told[3].decision.requested == {TOKENS: 30}


def test_what_guards_and_candidates_ask_is_told_as_a_reserve(spent: UsageControl) -> None:
    told: list[DecisionMade] = []
    spent.set_rate(
        event_name="chat", credit_currency=TOKENS, terms=[{"dimension": "output_tokens", "credits": 1}]
    )
    spent.subscribe(told.append, kinds=DecisionMade)
    with spent.guard(**ASK, estimate=5) as call:
        call.used(3)
    candidates = [Candidate("large", 1, 200, 150), Candidate("small", 1, 90, 5)]
    asked = {"resource_ids": ["a"], "event_name": "chat", "candidates": candidates}
    assert spent.fit(**asked).model == "small"
    held = spent.reserve(resource_ids=["a"], event_name="chat", fit=candidates)
    assert [(one.verb, one.decision.has_access) for one in told] == [
        ("reserve", True),
        ("fit", False),
        ("fit", True),
        ("reserve", False),
        ("reserve", True),
    ]
    assert told[-1].decision is held.decision


def test_who_watches_no_decision_has_none_made(spent: UsageControl) -> None:
    """WT2: nothing is called where nobody wants to hear of it, and no more after the last has ended."""
    holder = spent._holder
    spent.subscribe(lambda _: None)
    assert holder.decided is None
    assert not holder.news.bookings
    ends = [spent.subscribe(lambda _: None, kinds=COSTLY) for _ in range(2)]
    assert holder.decided is not None
    assert holder.news.bookings
    for end in (*ends, *ends):
        end()
    assert holder.decided is None
    assert not holder.news.bookings


# ------------------------------------------------------------------ bookings


def test_every_booking_is_told_once_when_it_is_in_the_ledger(say: Say, spent: UsageControl) -> None:
    """NW1: reports, consumes, settles, reversals; a duplicate and what was refused are none."""
    told: list[UsageBooked] = []

    def hook(booked: UsageBooked) -> None:
        assert booked.receipt.event_id in {event.event_id for event in spent.events("c")}
        told.append(booked)

    spent.subscribe(hook)
    receipts = [
        say("report", **REPORT, amount=90, idempotency_key="k", dimensions={"model": "x"}),
        say("consume", **ASK, amount=10),
        say.to(say("reserve", **ASK, amount=0), "settle", 7),
        say("reverse", "1", reason="r"),
    ]
    assert say("report", **REPORT, amount=90, idempotency_key="k", dimensions={"model": "x"}).duplicate
    with pytest.raises(AccessDenied):
        say("consume", **ASK, amount=500)
    many = say(
        "report_many",
        [{**_event(1), "idempotencyKey": "m"}, _event(2), _event(-1), {**_event(1), "idempotencyKey": "m"}],
    )
    booked = [*receipts, many[0], many[1]]
    wait_until(lambda: len(told) >= len(booked))
    by_id = {one.receipt.event_id: one for one in told}
    assert len(by_id) == len(told) == len(booked)
    assert [by_id[one.event_id].receipt.charged for one in booked] == [90, 10, 7, -90, 1, 2]
    assert by_id["1"].dimensions == {"model": "x"}
    assert (by_id["1"].customer_id, by_id["1"].resource_ids, by_id["1"].event_name) == ("c", ("a",), "e")
    assert [by_id[one.event_id].overage for one in booked] == [0, 0, 7, -7, 0, 0]
    assert by_id["1"].amounts == {TOKENS: 90}


def _event(amount: int) -> dict[str, Any]:
    return {"customerId": "c", "resourceIds": ["a"], "creditCurrency": TOKENS, "amount": amount}


def test_a_booking_whose_caller_no_longer_waits_is_told_all_the_same(spent: UsageControl) -> None:
    told: list[UsageBooked] = []
    spent.subscribe(told.append, kinds=UsageBooked)
    spent.consume(**ASK, amount=1)

    async def cancelled() -> None:
        task = asyncio.ensure_future(spent.areport(**REPORT, amount=2))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    wait_until(lambda: len(told) == len(list(spent.events("c"))))
    assert {one.receipt.event_id for one in told} == {event.event_id for event in spent.events("c")}


def test_threads_have_each_of_their_bookings_told(spent: UsageControl, impatient: None) -> None:
    told: list[UsageBooked] = []
    spent.subscribe(told.append, kinds=UsageBooked)

    def work(at: int) -> None:
        for step in range(20):
            spent.report(**REPORT, amount=1, idempotency_key=f"{at}-{step}")

    threads = [threading.Thread(target=work, args=(at,)) for at in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(told) == 120
    assert len({one.receipt.event_id for one in told}) == 120


# ------------------------------------------------------------------ which hook hears what


def test_a_hook_hears_what_its_annotation_says(spent: UsageControl) -> None:
    """WT2."""
    heard: dict[str, list[Happening]] = {name: [] for name in ("one", "two", "named", "any", "kinds")}

    def one(happening: ThresholdCrossed) -> None:
        heard["one"].append(happening)

    def two(happening: UsageBooked | ThresholdCrossed) -> None:
        heard["two"].append(happening)

    class Named:
        def hear(self, happening: "DecisionMade") -> None:
            heard["named"].append(happening)

    def unclear(happening: "Nowhere") -> None:  # noqa: F821 - that is the point
        heard["any"].append(happening)

    for hook in (one, two, Named().hear, unclear):
        spent.subscribe(hook)
    spent.subscribe(heard["kinds"].append, kinds=(DecisionMade, ThresholdCrossed))
    spent.consume(**ASK, amount=60)
    kinds = {name: [type(each).__name__ for each in those] for name, those in heard.items()}
    assert kinds == {
        "one": ["ThresholdCrossed"],
        "two": ["UsageBooked", "ThresholdCrossed"],
        "named": ["DecisionMade"],
        "any": ["ThresholdCrossed"],
        "kinds": ["DecisionMade", "ThresholdCrossed"],
    }


def test_all_that_happens_is_told_to_who_asks_for_all(spent: UsageControl) -> None:
    told: list[Happening] = []
    spent.subscribe(told.append, kinds=Happening)
    spent.consume(**ASK, amount=60)
    spent._holder.report_trouble(LedgerError(location="l", reason="r", remedy="m"))
    assert [type(one) for one in told] == [DecisionMade, UsageBooked, ThresholdCrossed, LedgerTrouble]


@pytest.mark.parametrize("kinds", [(), "ThresholdCrossed", int, (DecisionMade, int), [DecisionMade]])
def test_kinds_that_are_none_are_refused(spent: UsageControl, kinds: Any) -> None:
    with pytest.raises(InvalidRequest, match="DecisionMade, UsageBooked, ThresholdCrossed"):
        spent.subscribe(lambda _: None, kinds=kinds)
    with pytest.raises(InvalidRequest, match="a function"):
        spent.subscribe(5)  # type: ignore[arg-type]  # as somebody might


def test_hooks_of_two_controls_on_one_ledger_hear_alike(
    spent: UsageControl, ledger_path: str, clock: ManualClock
) -> None:
    told: list[list[Happening]] = [[], []]
    with UsageControl(ledger_path, clock=clock) as second:
        spent.subscribe(told[0].append, kinds=Happening)
        second.subscribe(told[1].append, kinds=Happening)
        second.consume(**ASK, amount=60)
        assert told[0] == told[1]
        assert len(told[0]) == 3
    spent.consume(**ASK, amount=1)
    assert (len(told[0]), len(told[1])) == (5, 3)


# ------------------------------------------------------------------ what a hook may do


def test_a_hook_that_raises_is_logged_and_changes_nothing(
    spent: UsageControl, caplog: pytest.LogCaptureFixture
) -> None:
    """WT1: not the answer, not the other hooks; and what it was told counts as told."""
    told: list[Happening] = []

    def broken(happening: Happening) -> None:
        raise ZeroDivisionError(str(happening))

    spent.subscribe(broken, kinds=Happening)
    spent.subscribe(told.append, kinds=Happening)
    assert spent.consume(**ASK, amount=60).charged == 60
    assert len(told) == 3
    assert caplog.text.count("a hook raised") == 3
    late: list[Happening] = []
    spent.subscribe(late.append)
    assert late == []


def test_what_a_hook_asks_and_books_itself_is_told_to_no_hook(spent: UsageControl) -> None:
    """NW3: or one that mirrors what it hears would never end. What it crosses is told."""
    told: list[Happening] = []
    spent.subscribe(told.append, kinds=Happening)

    def mirror(_: DecisionMade | UsageBooked) -> None:
        spent.check(**ASK)
        spent.report(**{**REPORT, "event_name": "mirrored"}, amount=20)

    spent.subscribe(mirror)
    spent.consume(**ASK, amount=20)
    kinds = [type(one).__name__ for one in told]
    assert sorted(kinds) == ["DecisionMade", "ThresholdCrossed", "UsageBooked"]
    assert [event.event_name for event in spent.events("c")].count("mirrored") == 2
    assert sum(int(event.amounts[TOKENS]) for event in spent.events("c")) == 60


def test_a_hook_of_a_crossing_may_raise_the_limit(spent: UsageControl) -> None:
    """It runs after the commit and without a lock: any verb may be said there."""

    def more(crossed: ThresholdCrossed) -> None:
        if crossed.threshold == 100:
            spent.override_limit("a", TOKENS, add=50, until="2026-01-16T00:00:00Z", reason="it was used up")

    spent.subscribe(more)
    spent.consume(**ASK, amount=100)
    assert spent.consume(**ASK, amount=50).charged == 50


def test_a_hook_may_end_itself_and_close_the_control(spent: UsageControl) -> None:
    told: list[ThresholdCrossed] = []

    def last(crossed: ThresholdCrossed) -> None:
        told.append(crossed)
        end()
        spent.close()

    end = spent.subscribe(last)
    spent.consume(**ASK, amount=50)
    assert len(told) == 1


# ------------------------------------------------------------------ credits that end


@pytest.fixture
def prepaid(control: UsageControl) -> UsageControl:
    """Credits until the end of January, and a trial of four days."""
    control.apply(flat({"a": None}))
    control.grant_credits(
        customer_id="c",
        credit_currency=TOKENS,
        amount=100,
        grant_id="paid",
        expires_at="2026-01-31T00:00:00Z",
    )
    return control


def hear(control: UsageControl) -> list[GrantExpiring]:
    told: list[GrantExpiring] = []
    control.subscribe(told.append, kinds=GrantExpiring)
    return told


def test_a_grant_with_credits_left_is_told_once_in_its_last_week(
    prepaid: UsageControl, clock: ManualClock, ledger_path: str
) -> None:
    """NW2."""
    prepaid.consume(**ASK, amount=40)
    told = hear(prepaid)
    clock.set(datetime(2026, 1, 23, 23, 59, tzinfo=UTC))
    prepaid._holder.news.look(clock.now_us())
    prepaid._holder.news.deliver()
    assert told == []
    clock.set(datetime(2026, 1, 24, tzinfo=UTC))
    for _ in range(3):
        prepaid._holder.news.look(clock.now_us())
        prepaid._holder.news.deliver()
    assert told == [
        GrantExpiring(
            at=clock.now(),
            customer_id="c",
            grant_id="paid",
            credit_currency=TOKENS,
            amount=100,
            used=40,
            expires_at=datetime(2026, 1, 31, tzinfo=UTC),
        )
    ]
    assert told[0].remaining == 60
    assert "60 of 100 ai-tokens left" in str(told[0])
    assert hear(prepaid) == []
    prepaid.close()
    with UsageControl(ledger_path, clock=clock) as again:
        assert hear(again) == []


def test_one_that_is_spent_voided_or_short_is_told_as_it_deserves(
    prepaid: UsageControl, clock: ManualClock
) -> None:
    grant = {"customer_id": "c", "credit_currency": TOKENS, "amount": 10}
    prepaid.grant_credits(grant_id="voided", expires_at="2026-01-20T00:00:00Z", **grant)
    prepaid.void_grant("voided")
    prepaid.grant_credits(grant_id="never", **grant)
    trial = {"effective_at": "2026-01-24T00:00:00Z", "expires_at": "2026-01-28T00:00:00Z"}
    prepaid.grant_credits(grant_id="trial", **trial, **grant)
    clock.set(datetime(2026, 1, 24, 1, tzinfo=UTC))
    told = hear(prepaid)
    assert [one.grant_id for one in told] == ["paid"]  # of four days the last is soon enough
    clock.set(datetime(2026, 1, 27, tzinfo=UTC))
    prepaid._holder.news.begin()
    assert [one.grant_id for one in told] == ["paid", "trial"]
    prepaid.grant_credits(grant_id="spent", expires_at="2026-01-29T00:00:00Z", priority=0, **grant)
    prepaid.consume(**ASK, amount=10)
    prepaid._holder.news.begin()
    assert [one.grant_id for one in told] == ["paid", "trial"]


def test_the_keeper_tells_what_time_brings(prepaid: UsageControl, clock: ManualClock) -> None:
    prepaid.consume(**ASK, amount=1)  # from now on it has a keeper
    told = hear(prepaid)
    clock.set(datetime(2026, 1, 25, tzinfo=UTC))
    prepaid._holder.keeper.beat(clock.now_us())
    wait_until(lambda: told)
    assert [one.grant_id for one in told] == ["paid"]


# ------------------------------------------------------------------ differences, the log


def test_verify_tells_what_differs(spent: UsageControl, ledger_path: str) -> None:
    told: list[DifferencesFound] = []
    spent.subscribe(told.append, kinds=DifferencesFound)
    spent.consume(**ASK, amount=5)
    assert spent.verify() == []
    assert told == []
    with sqlite3.connect(ledger_path) as connection:
        connection.execute("UPDATE cells SET used = used + 1")
    connection.close()
    differences = spent.verify()
    assert differences
    assert [list(one.differences) for one in told] == [differences]


def test_the_log_hears_of_crossings_and_denials_without_a_hook(
    spent: UsageControl, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="stiggctl")
    spent.consume(**ASK, amount=50)
    spent.consume(**ASK, amount=50)
    spent.check(**ASK)
    with pytest.raises(AccessDenied):
        spent.consume(**ASK, amount=1)
    said = [(one.levelname, one.message) for one in caplog.records if one.name == "stiggctl"]
    assert said[:2] == [
        ("INFO", "a has used 50 of 100 ai-tokens: 50 % is crossed"),
        ("WARNING", "a has used 100 of 100 ai-tokens: 100 % is crossed"),
    ]
    assert [(level, text.split(":")[0]) for level, text in said[2:]] == [
        ("DEBUG", "check denied"),
        ("DEBUG", "consume denied"),
    ]
    with_hook: list[ThresholdCrossed] = []
    spent.subscribe(with_hook.append, kinds=ThresholdCrossed)
    assert len(with_hook) == 2
    assert len([one for one in caplog.records if "crossed" in one.message]) == 2  # it was written before


def test_who_configures_no_logging_sees_none(ledger_path: str) -> None:
    script = (
        "from stiggctl import UsageControl; c = UsageControl(':memory:');"
        "c.apply({'resourceTypes': [{'id': 't'}], 'resources': [{'id': 'a', 'resourceTypeId': 't',"
        "'customerId': 'c'}], 'allocations': [{'resourceId': 'a', 'creditCurrency': 't', 'limit': 1,"
        "'thresholds': [100]}]});"
        "c.consume(resource_ids=['a'], credit_currency='t', amount=1); c.close()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_a_test_that_denies_tells_its_decisions_too(spent: UsageControl) -> None:
    """What is asked inside a verdict of stiggctl.testing reaches the hooks that production has."""
    told: list[DecisionMade] = []
    spent.subscribe(told.append, kinds=DecisionMade)
    with deny(control=spent), pytest.raises(AccessDenied):
        spent.consume(**ASK, amount=1)
    assert [one.decision.has_access for one in told] == [False]
