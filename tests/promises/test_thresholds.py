"""Thresholds: what crosses them is recorded once a limit, window and threshold, and told to hooks."""

import itertools
import threading
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stiggctl import AccessDenied, Happening, ThresholdCrossed, UsageControl
from stiggctl.testing import ManualClock

from .saying import TOKENS, Say, flat

ASK: dict[str, Any] = {"resource_ids": ["a"], "credit_currency": TOKENS}
REPORT: dict[str, Any] = {"customer_id": "c", "event_name": "e", **ASK}
THRESHOLDS = [50, 80, 100]

Told = list[ThresholdCrossed]


def watched(limit: int = 200, thresholds: Any = THRESHOLDS, **more: Any) -> dict[str, Any]:
    """One resource, whose limit has thresholds."""
    model = flat({"a": limit})
    model["allocations"][0] |= {"thresholds": thresholds, **more}
    return model


def shares(found: list[ThresholdCrossed]) -> list[tuple[Any, Any]]:
    """What was crossed, and what was used then."""
    return [(one.threshold, one.used) for one in found]


@pytest.fixture
def told(control: UsageControl) -> Told:
    """What a hook is told."""
    told: Told = []
    control.subscribe(told.append, kinds=ThresholdCrossed)
    return told


# ------------------------------------------------------------------ what crosses


def test_what_crosses_a_threshold_is_told_once_with_its_numbers(
    say: Say, control: UsageControl, clock: ManualClock, told: Told
) -> None:
    """WA1, WA2, NW1: by the event that took it there, when it is in the ledger."""
    control.apply(watched())
    say("consume", **ASK, amount=99)
    assert control.crossings() == []
    receipt = say("report", **REPORT, amount=1)
    say("consume", **ASK, amount=59)
    (half,) = control.crossings()
    assert half == ThresholdCrossed(
        at=clock.now(),
        threshold=50,
        customer_id="c",
        resource_id="a",
        grant_id=None,
        allocation_id=None,
        credit_currency=TOKENS,
        limit=200,
        used=100,
        cadence=None,
        rolling=False,
        scope={},
        window_start=None,
        window_end=None,
        event_id=receipt.event_id,
    )
    held = say("reserve", **ASK, amount=41)
    assert len(control.crossings()) == 1  # what is held is not used
    say.to(held, "settle")
    assert shares(control.crossings()) == [(50, 100), (80, 200), (100, 200)]
    say("report", **REPORT, amount=500)  # far beyond it: nothing is left to cross
    assert len(control.crossings()) == 3
    wait_until(lambda: len(told) == 3)
    assert sorted(shares(told)) == sorted(shares(control.crossings()))
    assert "a has used 100 of 200 ai-tokens: 50 % is crossed" in map(str, told)


def wait_until(what: Any) -> None:
    """In the async face hooks run on a thread of their own."""
    for _ in range(2_000):
        if what():
            return
        threading.Event().wait(0.01)
    assert what()


def test_one_event_may_cross_several_and_is_told_of_each_in_their_order(
    control: UsageControl, told: Told
) -> None:
    control.apply(watched())
    control.report(**REPORT, amount=200)
    assert shares(told) == [(50, 200), (80, 200), (100, 200)]


def test_a_threshold_is_crossed_by_the_first_unit_that_is_not_below_it(
    control: UsageControl, told: Told
) -> None:
    """WA2: 99.5 % of 3 is 2.985, and nothing is crossed by nothing."""
    model = watched(3, [50, "99.5", "133.34"])
    model["resources"].append({"id": "b", "resourceTypeId": "node", "customerId": "c"})
    model["allocations"].append(
        {
            "resourceId": "b",
            "creditCurrency": TOKENS,
            "limit": 0,
            "thresholds": [100],
            "enforcementType": "SOFT",
        }
    )
    control.apply(model)
    seen = []
    for _ in range(5):
        control.report(**REPORT, amount=1)
        seen.append(len(told))
    assert seen == [0, 1, 2, 2, 3]  # 2 >= 1.5, 3 >= 2.985, 5 >= 4.0002
    assert [one.threshold for one in told] == [50, Decimal("99.5"), Decimal("133.34")]
    control.report(**{**REPORT, "resource_ids": ["b"]}, amount=0)
    assert len(told) == 3
    control.report(**{**REPORT, "resource_ids": ["b"]}, amount=1)
    assert shares(told[3:]) == [(100, 1)]


def test_each_window_has_its_own(control: UsageControl, clock: ManualClock, told: Told) -> None:
    control.apply(watched(10, cadence="day", timezone="Europe/Amsterdam"))
    for _ in range(2):
        control.consume(**ASK, amount=10)
        with pytest.raises(AccessDenied):
            control.consume(**ASK, amount=1)
        clock.advance(seconds=86_400)
    assert [one.threshold for one in told] == THRESHOLDS * 2
    assert [one.window_start for one in told[::3]] == [
        datetime(2026, 1, 14, 23, tzinfo=UTC),
        datetime(2026, 1, 15, 23, tzinfo=UTC),
    ]
    assert told[0].window_end == told[3].window_start
    assert told[0].cadence == "P1D"


def test_a_late_event_crosses_in_the_window_in_which_it_took_place(
    control: UsageControl, clock: ManualClock, told: Told
) -> None:
    control.apply(watched(10, cadence="day"))
    control.consume(**ASK, amount=4)
    clock.advance(seconds=86_400)
    control.consume(**ASK, amount=1)
    receipt = control.report(**REPORT, amount=2, timestamp="2026-01-15T11:00:00Z")
    assert receipt.late
    (crossed,) = told
    assert (crossed.threshold, crossed.used, crossed.event_id) == (50, 6, receipt.event_id)
    assert crossed.window_end == datetime(2026, 1, 16, tzinfo=UTC) < crossed.at


def test_what_a_reversal_takes_back_is_not_told_again(control: UsageControl, told: Told) -> None:
    """WA3."""
    control.apply(watched(10))
    for _ in range(3):
        receipt = control.report(**REPORT, amount=6)
        control.reverse(receipt.event_id, reason="a mistake")
    assert shares(told) == shares(control.crossings()) == [(50, 6)]


def test_a_rolling_window_tells_again_once_that_has_left_it(
    control: UsageControl, clock: ManualClock, told: Told
) -> None:
    """WA1: of a rolling limit the window is that of the instant; what hovers at 90 % is told once a day."""
    control.apply(watched(100, [80], cadence="P1D", rolling=True))
    control.consume(**ASK, amount=90)
    for _ in range(50):
        clock.advance(seconds=3_600)
        control.report(**REPORT, amount=4)
    assert [one.at.day for one in told] == [15, 16, 17]
    assert told[0].rolling
    assert told[0].window_end is None
    gaps = [(later.at - one.at).total_seconds() for one, later in itertools.pairwise(told)]
    assert all(86_400 <= gap <= 86_400 + 3_600 + 1_440 for gap in gaps)


def test_a_template_tells_for_each_resource_and_a_scope_counts_what_it_counts(
    control: UsageControl, told: Told
) -> None:
    model = flat({"a": None, "b": None})
    model["allocations"] = [
        {
            "resourceTypeId": "node", "customerId": "c", "creditCurrency": TOKENS, "limit": 10,
            "thresholds": [50],
        },
        {
            "id": "of-large", "resourceId": "a", "creditCurrency": TOKENS, "limit": 4, "thresholds": [100],
            "scope": {"model": ["large", "huge"]}, "enforcementType": "SOFT",
        },
    ]  # fmt: skip
    control.apply(model)
    for name in ("a", "b", "a", "b"):
        control.report(**{**REPORT, "resource_ids": [name]}, amount=3, dimensions={"model": "small"})
    assert [(one.resource_id, one.threshold) for one in told] == [("a", 50), ("b", 50)]
    control.report(**REPORT, amount=4, dimensions={"model": "large"})
    assert (told[2].allocation_id, told[2].scope) == ("of-large", {"model": ("huge", "large")})


# ------------------------------------------------------------------ what the model does


def test_a_limit_that_is_lowered_crosses_by_that(control: UsageControl, told: Told) -> None:
    """No event did: nobody could consume any more, and be told so."""
    control.apply(watched(200))
    control.consume(**ASK, amount=90)
    assert told == []
    control.apply(watched(90))
    assert shares(told) == [(50, 90), (80, 90), (100, 90)]
    assert {one.event_id for one in told} == {None}
    assert {one.limit for one in told} == {90}


def test_a_limit_that_gets_thresholds_has_crossed_what_it_has(control: UsageControl, told: Told) -> None:
    control.apply(flat({"a": 100}))
    control.consume(**ASK, amount=85)
    control.set_allocation(resource_id="a", credit_currency=TOKENS, limit=100, thresholds=THRESHOLDS)
    assert shares(told) == [(50, 85), (80, 85)]
    control.set_allocation(resource_id="a", credit_currency=TOKENS, limit=100)  # and none any more
    control.consume(**ASK, amount=15)
    assert len(told) == 2


def test_a_limit_that_is_raised_crosses_what_it_had_not_yet(control: UsageControl, told: Told) -> None:
    """WA3: 50 and 80 were crossed in this window; of the new limit only 100 is left."""
    control.apply(watched(10))
    control.consume(**ASK, amount=8)
    control.apply(watched(100))
    control.consume(**ASK, amount=91)
    assert shares(told) == [(50, 8), (80, 8)]
    control.consume(**ASK, amount=1)
    assert shares(told)[2:] == [(100, 100)]


def test_an_override_is_the_limit_while_it_is_in_force(
    control: UsageControl, clock: ManualClock, told: Told
) -> None:
    control.apply(watched(100))
    control.override_limit("a", TOKENS, limit=1000, until="2026-01-15T13:00:00Z")
    control.consume(**ASK, amount=450)
    assert told == []
    control.apply(watched(100, [50, 90]))  # also where the limit below it is written again
    control._holder.news.deliver()
    assert told == []
    control.consume(**ASK, amount=50)
    assert [(one.threshold, one.used, one.limit) for one in told] == [(50, 500, 1000)]
    clock.advance(seconds=3_600)
    assert not control.check(**ASK)  # whoever asks next finds the limit as it is now
    control._holder.news.deliver()
    assert [(one.threshold, one.used, one.limit) for one in told[1:]] == [(90, 500, 100)]


def test_a_limit_that_is_added_has_crossed_by_what_was_used_before(control: UsageControl, told: Told) -> None:
    control.apply({**flat({"a": None}), "creditCurrencies": [{"id": TOKENS}]})
    control.report(**REPORT, amount=60)
    control.apply(watched(100))
    control.check(**ASK)
    control._holder.news.deliver()
    assert shares(told) == [(50, 60)]


def test_a_limit_that_counts_something_else_begins_anew(control: UsageControl, told: Told) -> None:
    """WA1: it is another limit: of the same window, it may cross again."""
    control.apply(watched(10, [50], id="it"))
    control.report(**REPORT, amount=5, dimensions={"model": "x"})
    control.apply(watched(10, [50], id="it", scope={"model": "x"}, enforcementType="SOFT"))
    control.report(**REPORT, amount=1, dimensions={"model": "x"})
    control._holder.news.deliver()
    assert shares(told) == shares(control.crossings()) == [(50, 5), (50, 5)]


def test_thresholds_are_part_of_the_model(control: UsageControl) -> None:
    """DF7: exported, audited, told by a dry run, and nothing where there are none."""
    thresholds = [50, "99.50"]
    applied = control.apply(watched(200, thresholds), dry_run=True)
    assert "allocation of ai-tokens on a of c" in applied.created
    control.apply(watched(200, thresholds))
    exported = control.export_model()
    assert exported.allocations[0].thresholds == (50, Decimal("99.5"))
    assert not control.apply(exported)
    assert control.apply(watched(200, [50])).changed == ("allocation of ai-tokens on a of c",)
    assert '"thresholds":[50,99.5]' in str(list(control.audit())[-1].before)
    control.apply(watched(200, []))
    assert "thresholds" not in str(list(control.audit())[-1].after)
    assert "thresholds" not in control.export_model().model_dump_json()


# ------------------------------------------------------------------ grants


def test_a_grant_tells_how_much_of_it_is_spent(control: UsageControl, clock: ManualClock, told: Told) -> None:
    control.apply(flat({"a": None}))
    monthly = {"credit_currency": TOKENS, "customer_id": "c", "cadence": "month", "thresholds": THRESHOLDS}
    control.grant_credits(amount=100, grant_id="monthly", priority=1, **monthly)
    control.grant_credits(amount=50, grant_id="topup", credit_currency=TOKENS, customer_id="c")
    control.consume(**ASK, amount=49)
    control.consume(**ASK, amount=31)
    control.consume(**ASK, amount=60)
    assert [(one.grant_id, one.threshold, one.used) for one in told] == [
        ("monthly", 50, 80),
        ("monthly", 80, 80),
        ("monthly", 100, 100),
    ]
    assert (told[0].resource_id, told[0].limit, told[0].cadence) == (None, 100, "P1M")
    assert str(told[2]) == "grant monthly of c has used 100 of 100 ai-tokens (P1M): 100 % is crossed"
    clock.set(datetime(2026, 2, 1, tzinfo=UTC))
    control.consume(**ASK, amount=50)
    assert [(one.threshold, one.used) for one in told[3:]] == [(50, 50)]
    assert told[3].window_start == datetime(2026, 2, 1, tzinfo=UTC)
    (grant,) = [one for one in control.export_model().grants if one.id == "monthly"]
    assert grant.thresholds == (50, 80, 100)
    assert not control.apply(control.export_model())


def test_an_amount_that_is_lowered_crosses_by_that(control: UsageControl, told: Told) -> None:
    control.apply(flat({"a": None}))
    grant = {"credit_currency": TOKENS, "customer_id": "c", "grant_id": "g", "thresholds": [80]}
    control.grant_credits(amount=100, **grant)
    control.consume(**ASK, amount=40)
    control.grant_credits(amount=50, **grant)
    assert shares(told) == [(80, 40)]


# ------------------------------------------------------------------ once


def test_threads_that_cross_it_together_have_it_told_once(
    control: UsageControl, impatient: None, told: Told
) -> None:
    """WA1."""
    control.apply(watched(200))

    def spend() -> None:
        for _ in range(25):
            control.consume(**ASK, amount=1)

    threads = [threading.Thread(target=spend) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert shares(control.crossings()) == [(50, 100), (80, 160), (100, 200)]
    wait_until(lambda: len(told) == 3)
    assert sorted(shares(told)) == [(50, 100), (80, 160), (100, 200)]


def test_what_nobody_heard_of_is_told_to_the_next_who_subscribes_and_to_nobody_after(
    control: UsageControl, ledger_path: str, clock: ManualClock
) -> None:
    """NW2: across restarts."""
    control.apply(watched(10))
    control.consume(**ASK, amount=9)
    control.close()
    heard: list[list[ThresholdCrossed]] = [[], [], []]
    for told in heard[:2]:
        with UsageControl(ledger_path, clock=clock) as again:
            again.subscribe(told.append, kinds=ThresholdCrossed)
    assert [shares(told) for told in heard] == [[(50, 9), (80, 9)], [], []]
    with UsageControl(ledger_path, clock=clock) as again:
        again.subscribe(heard[2].append, kinds=ThresholdCrossed)
        again.consume(**ASK, amount=1)
    assert shares(heard[2]) == [(100, 10)]


def test_who_subscribes_late_hears_of_a_day_and_reads_of_all(
    control: UsageControl, clock: ManualClock, told: Told
) -> None:
    """NW2: no flood of what is long over."""
    control.subscribe(lambda _: None, kinds=ThresholdCrossed)()  # ended at once
    control.apply(watched(10, cadence="day"))
    control._watching._hooks = []
    control._holder.news.rewatch()
    control.consume(**ASK, amount=5)
    clock.advance(seconds=86_400)
    control.consume(**ASK, amount=5)
    clock.advance(seconds=3_600)
    late: Told = []
    control.subscribe(late.append, kinds=ThresholdCrossed)
    assert [one.at.day for one in late] == [16]
    assert [one.at.day for one in control.crossings("c")] == [15, 16]
    since = control.crossings(since="2026-01-16T12:00:00Z", until="2026-01-16T12:00:01Z")
    assert [one.at.day for one in since] == [16]
    assert control.crossings(until="2026-01-15T12:00:00Z") == []


def test_a_crossing_of_a_customer_is_read_by_its_customer(control: UsageControl) -> None:
    control.apply(watched(10))
    control.apply(flat({"b": 5}, customer_id="d"))
    control.consume(**ASK, amount=10)
    assert control.crossings("d") == []
    assert len(control.crossings("c")) == 3
    with pytest.raises(Exception, match="nobody"):
        control.crossings("nobody")


# ------------------------------------------------------------------ against a count by hand


class Brute:
    """Ten lines that know each event: which thresholds are crossed, and with what used."""

    def __init__(self, limit: int, thresholds: list[int]) -> None:
        self.limit, self.thresholds, self.used, self.crossed = limit, thresholds, 0, []

    def look(self) -> None:
        for one in self.thresholds:
            if self.used > 0 and self.used * 100 >= self.limit * one and one not in dict(self.crossed):
                self.crossed.append((one, self.used))


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("report"), st.integers(0, 40)),
        st.tuples(st.just("reverse"), st.integers(0, 3)),
        st.tuples(st.just("limit"), st.integers(0, 120)),
        st.tuples(st.just("many"), st.lists(st.integers(0, 40), min_size=1, max_size=5)),
    ),
    max_size=12,
)


@given(
    limit=st.integers(0, 100),
    thresholds=st.lists(st.integers(1, 300), unique=True, min_size=1, max_size=5).map(sorted),
    steps=STEPS,
)
def test_what_is_crossed_is_what_a_count_by_hand_says(
    limit: int, thresholds: list[int], steps: list[tuple[str, Any]]
) -> None:
    """WA1, WA2, WA3: bookings one by one and together, reversals, other limits."""
    with UsageControl(":memory:", clock=ManualClock(datetime(2026, 1, 15, tzinfo=UTC))) as control:
        told: list[Happening] = []
        control.subscribe(told.append, kinds=ThresholdCrossed)
        control.apply(watched(limit, thresholds, enforcementType="SOFT"))
        brute, receipts = Brute(limit, thresholds), []
        for verb, value in steps:
            if verb == "report":
                receipts.append(control.report(**REPORT, amount=value))
                brute.used += value
                brute.look()
            elif verb == "many":
                events = [{"customerId": "c", "resourceIds": ["a"], "creditCurrency": TOKENS, "amount": one}
                          for one in value]  # fmt: skip
                control.report_many(events)
                for one in value:
                    brute.used += one
                    brute.look()
            elif verb == "reverse" and value < len(receipts):
                receipt = receipts.pop(value)
                control.reverse(receipt.event_id, reason="r")
                brute.used -= int(receipt.charged or 0)
                brute.look()
            elif verb == "limit":
                control.apply(watched(value, thresholds, enforcementType="SOFT"))
                brute.limit = value
                brute.look()
        control.report(**REPORT, amount=0)
        brute.look()
        found = control.crossings()
        assert Counter(shares(found)) == Counter(brute.crossed)
        assert shares(told) == shares(found)  # type: ignore[arg-type]  # ThresholdCrossed alone


def test_a_copy_tells_on_its_own(
    control: UsageControl, tmp_path: Path, clock: ManualClock, told: Told
) -> None:
    control.apply(watched(10))
    control.consume(**ASK, amount=5)
    control.backup(tmp_path / "copy.db")
    with UsageControl(tmp_path / "copy.db", clock=clock) as copy:
        heard: Told = []
        copy.subscribe(heard.append, kinds=ThresholdCrossed)
        assert heard == []  # it was told before
        copy.consume(**ASK, amount=3)
        assert shares(heard) == [(80, 8)]
    assert shares(told) == [(50, 5)]
