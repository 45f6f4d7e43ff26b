"""Verdicts: what allow_all and deny promise to the tests of an application, in both faces."""

import asyncio
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from stiggctl import (
    AccessDenied,
    AccessDeniedReason,
    ControlClosed,
    IdempotencyConflict,
    InvalidAmount,
    InvalidRequest,
    LedgerTrouble,
    LedgerUnavailable,
    RateNotFound,
    RemedyKind,
    UsageControl,
)
from stiggctl.testing import ManualClock, allow_all, deny

from .promises.saying import Face, Say

ROOT = Path(__file__).parent.parent
REASONS = list(AccessDeniedReason)
LIMITS = {AccessDeniedReason.BUDGET_EXCEEDED, AccessDeniedReason.INSUFFICIENT_CREDITS}
NOBODY: dict[str, Any] = {"resource_ids": ["nobody", "nowhere"], "credit_currency": "unheard-of"}


@pytest.fixture(params=["sync", "async"])
def face(request: pytest.FixtureRequest) -> Face:
    chosen: Face = request.param
    return chosen


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[UsageControl]:
    """A control that denies nearly everything: what nobody limits, a user without credits, one suspended."""
    clock = ManualClock(datetime(2026, 1, 15, 12, tzinfo=UTC))
    with UsageControl(tmp_path / "usage.db", clock=clock, default_access="deny") as control:
        control.apply(
            {
                "creditCurrencies": [{"id": "usd", "decimals": 9}],
                "resourceTypes": [{"id": "team"}, {"id": "user", "parentResourceTypeId": "team"}],
                "resources": [
                    {"id": "growth", "resourceTypeId": "team", "customerId": "acme"},
                    {"id": "ana", "resourceTypeId": "user", "parentResourceId": "growth"},
                    {"id": "bob", "resourceTypeId": "user", "parentResourceId": "growth"},
                    {"id": "eve", "resourceTypeId": "user", "parentResourceId": "growth"},
                ],
                "allocations": [
                    {"resourceId": "ana", "creditCurrency": "ai-tokens", "limit": 3},
                    {"resourceId": "bob", "creditCurrency": "ai-tokens", "limit": 0},
                ],
                "rates": [{"eventName": "chat", "creditCurrency": "ai-tokens", "credits": 5}],
            }
        )
        control.suspend("eve", reason="runaway")
        yield control


def state(control: UsageControl) -> tuple[object, ...]:
    """What a ledger has: its model, who changed it, and what was booked."""
    return control.export_model(), list(control.audit()), list(control.events()), control.verify()


def ask(name: str, amount: object = 50) -> dict[str, Any]:
    return {"resource_ids": [name], "credit_currency": "ai-tokens", "amount": amount}


# ------------------------------------------------------------------ everything is allowed


@pytest.mark.parametrize("name", ["ana", "bob", "eve", "growth", "nobody"])
def test_allow_all_allows_whatever_a_ledger_denies(strict: UsageControl, face: Face, name: str) -> None:
    """AW1."""
    say = Say(strict, face)
    asked = {"resource_ids": [name], "credit_currency": "ai-tokens", "requested_usage": 50}
    with allow_all(strict):
        for _ in range(2):  # also when all of it is in memory
            decision = say("check", **asked)
            assert decision.has_access
            assert str(decision).endswith("; so says stiggctl.testing.allow_all")
            assert say("consume", **ask(name)).charged == 50
            held = say("reserve", **ask(name))
            assert str(held.decision).endswith("; so says stiggctl.testing.allow_all")
            say.to(held, "extend", 1_000)
            assert held.amount == 1_050
            assert say.to(held, "settle", 2_000).charged == 2_000
        assert strict.verify() == []


def test_what_is_allowed_is_booked_and_can_be_looked_at(strict: UsageControl, face: Face) -> None:
    say = Say(strict, face)
    with allow_all(strict) as control:
        assert control is strict
        held = say("reserve", **ask("ana"), event_name="draft", dimensions={"model": "large"})
        assert [(one.amounts, one.resource_ids) for one in control.reservations()] == [
            ({"ai-tokens": 50}, ("ana",))
        ]
        say.to(held, "settle", 61)
        say("consume", **ask("zoe", 7), idempotency_key="call-1")
        assert say("consume", **ask("zoe", 7), idempotency_key="call-1").duplicate
        with pytest.raises(IdempotencyConflict):
            say("consume", **ask("zoe", 8), idempotency_key="call-1")
        assert say("report", event_name="chat", dimensions={"user_id": "ana"}).charged == 5  # by its rate
        assert [(event.event_name, event.resource_ids, event.amounts) for event in control.events()] == [
            ("draft", ("growth", "ana"), {"ai-tokens": 61}),
            (None, ("zoe",), {"ai-tokens": 7}),
            ("chat", ("growth", "ana"), {"ai-tokens": 5}),
        ]
        assert control.tree("ana", "ai-tokens").used == 66


def test_what_is_not_defined_is_defined_when_it_is_named(face: Face) -> None:
    """SI1."""
    with allow_all() as control:
        say = Say(control, face)
        assert say("check", **NOBODY).has_access
        assert say("consume", **NOBODY, amount=3).amounts == {"unheard-of": 3}
        assert say("consume", resource_ids=["nobody"], credit_currency="usd", amount="0.013").charged == (
            Decimal("0.013")
        )
        two = {"usd": "0.5", "unheard-of": 1}
        assert say("consume", resource_ids=["else"], amounts=two, customer_id="theirs").amounts == two | {
            "usd": Decimal("0.5")
        }
        # Also what several customers have by now: the one that has most of it.
        say("consume", resource_ids=["nobody"], credit_currency="usd", amount="1", customer_id="theirs")
        say("consume", **NOBODY, amount=4)
        assert list(control.events())[-1].customer_id == "made-by-a-test"
        receipt = say("report", customer_id="hers", credit_currency="eur", amount="0.1", resource_ids=["x"])
        assert (receipt.charged, receipt.unattributed) == (Decimal("0.1"), ())
        assert {event.customer_id for event in control.events()} == {"made-by-a-test", "theirs", "hers"}
        assert control.verify() == []


def test_with_nothing_defined_a_report_needs_no_customer(face: Face) -> None:
    with allow_all() as control:
        say = Say(control, face)
        say("report", credit_currency="usd", amount="0.1", dimensions={"user_id": "ana"})
        (event,) = control.events()
        assert (event.customer_id, event.dimensions) == ("made-by-a-test", {"user_id": "ana"})
        with pytest.raises(RateNotFound):  # nobody can know what it costs
            say("report", event_name="chat")


def test_of_two_customers_a_reports_dimensions_name_the_one(strict: UsageControl, face: Face) -> None:
    strict.put_resource("growth", resource_type_id="team", customer_id="other")
    strict.put_resource("zoe", resource_type_id="user", parent_resource_id="growth", customer_id="other")
    with allow_all(strict):
        Say(strict, face)("report", event_name="chat", dimensions={"user_id": "zoe"})
        assert [event.customer_id for event in strict.events()] == ["other"]
        assert [customer.id for customer in strict.export_model().customers] == ["acme", "other"]


@pytest.mark.parametrize("verdict", [allow_all, lambda control: deny("SUSPENDED", control)])
def test_what_cannot_be_meant_is_an_error_all_the_same(
    strict: UsageControl, face: Face, verdict: Any
) -> None:
    say = Say(strict, face)
    with verdict(strict):
        for amount, error in ((0.5, InvalidAmount), ("0.5", InvalidAmount), (-1, InvalidAmount)):
            with pytest.raises(error):
                say("consume", **ask("ana", amount))
        with pytest.raises(InvalidRequest):
            say("check", resource_ids=[], credit_currency="ai-tokens")
        with pytest.raises(InvalidRequest):
            say("reserve", **ask("ana"), ttl_seconds=0)
        with pytest.raises(InvalidAmount, match="minimum"):
            say("reserve", **ask("ana"), minimum=51)
    assert list(strict.events()) == []


def test_the_code_under_test_may_change_the_model(strict: UsageControl, face: Face) -> None:
    say = Say(strict, face)
    before = state(strict)
    with allow_all(strict):
        strict.set_allocation(resource_id="ana", credit_currency="ai-tokens", limit=0)
        strict.suspend("growth")
        strict.archive_customer("acme")
        assert say("check", resource_ids=["ana"], credit_currency="ai-tokens").has_access
        say("consume", **ask("ana"))
        assert strict.tree("growth", "ai-tokens", customer_id="acme").suspended
    assert state(strict) == before


# ------------------------------------------------------------------ everything is denied


@pytest.mark.parametrize("reason", REASONS)
def test_deny_denies_whatever_a_ledger_allows(strict: UsageControl, face: Face, reason: Any) -> None:
    say = Say(strict, face)
    error = LedgerUnavailable if reason is AccessDeniedReason.LEDGER_UNAVAILABLE else AccessDenied
    with deny(reason, strict):
        for asked in ({"resource_ids": ["ana"], "credit_currency": "ai-tokens"}, NOBODY):
            for amount in (1, 0):
                decision = say("check", **asked, requested_usage=amount)
                assert (decision.has_access, decision.access_denied_reason) == (False, reason)
                assert [limit.allowed for limit in decision.limits] == [False] * (reason in LIMITS)
                with pytest.raises(AccessDenied) as denied:
                    say("reserve", **asked, amount=amount, minimum=0)
                assert denied.value.decision.access_denied_reason is reason
                with pytest.raises(error, match=r"so says stiggctl\.testing\.deny"):
                    say("consume", **asked, amount=amount, idempotency_key="k")
        assert (strict.reservations(), list(strict.events())) == ([], [])


@pytest.mark.parametrize("reason", REASONS)
def test_a_denial_is_like_a_real_one_and_says_who_denied(strict: UsageControl, reason: Any) -> None:
    """DY1, DY2."""
    with deny(str(reason), strict):
        decision = strict.check(resource_ids=["ana"], credit_currency="ai-tokens", requested_usage=50)
    assert str(decision).endswith("50 were asked for; so says stiggctl.testing.deny") or (
        reason not in LIMITS and str(decision).endswith("; so says stiggctl.testing.deny")
    )
    assert decision.as_dict()["sentence"] == str(decision)
    assert decision.requested == {"ai-tokens": 50}
    assert decision.remaining == 0
    again = pickle.loads(pickle.dumps(decision))
    assert (str(again), again.limits, again.decision_id) == (
        str(decision),
        decision.limits,
        decision.decision_id,
    )
    if reason in LIMITS:
        binding = decision.binding
        assert binding is not None
        assert (binding.resource_id, binding.resource_type_id, binding.allowed) == ("ana", "user", False)
        assert (binding.limit, binding.used, binding.held) == (0, 0, 0)
        assert decision.remedy is not None
        assert (decision.remedy.kind, decision.remedy.amount) == (RemedyKind.RAISE_LIMIT, 50)
    else:
        assert (decision.binding, decision.limits) == (None, ())


def test_the_usual_reason_is_a_budget_that_is_exceeded(face: Face) -> None:
    with deny() as control:
        asked = {"resource_ids": ["ana"], "amounts": {"ai-tokens": 5, "usd": "0.02"}}
        decision = Say(control, face)("check", **asked)
        assert decision.access_denied_reason is AccessDeniedReason.BUDGET_EXCEEDED
        assert [limit.credit_currency for limit in decision.limits] == ["ai-tokens", "usd"]


def test_what_took_place_is_booked_although_everything_is_denied(strict: UsageControl, face: Face) -> None:
    say = Say(strict, face)
    with deny("SUSPENDED", strict):
        receipt = say("report", event_name="chat", dimensions={"user_id": "ana"}, idempotency_key="k")
        assert receipt.charged == 5
        assert [event.idempotency_key for event in strict.events()] == ["k"]
        # A known key is answered before a limit is looked at, as ever.
        with pytest.raises(IdempotencyConflict):
            say("consume", **ask("ana"), idempotency_key="k")


def test_a_ledger_that_a_test_puts_out_of_reach_books_nothing(strict: UsageControl, face: Face) -> None:
    say = Say(strict, face)
    with deny("LEDGER_UNAVAILABLE", strict):
        with pytest.raises(LedgerUnavailable, match="with the same idempotency_key"):
            say("report", event_name="chat", dimensions={"user_id": "ana"})
        (error,) = say("report_many", [{"eventName": "chat"}])
        assert isinstance(error, LedgerUnavailable)
        assert list(strict.events()) == []


@pytest.mark.parametrize(("reason", "said"), [("BUDGET_EXCEDED", "BUDGET_EXCEEDED, perhaps"), (7, "one of ")])
def test_a_reason_that_there_is_not_is_refused(reason: Any, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        deny(reason)


# ------------------------------------------------------------------ the block


@pytest.mark.parametrize("verdict", [allow_all, lambda control: deny("SUSPENDED", control)])
def test_the_controls_own_ledger_is_not_written_to(
    strict: UsageControl, face: Face, verdict: Any, tmp_path: Path
) -> None:
    """VD1."""
    say = Say(strict, face)
    strict.consume(**ask("ana", 1))
    before = state(strict)
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.suffix == ".db"}
    with verdict(strict):
        say("check", **NOBODY)
        say("report", event_name="chat", dimensions={"user_id": "ana"})
        assert say("reverse", next(iter(strict.events())).event_id, reason="test").charged == -5
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.suffix == ".db"} == files
    assert state(strict) == before
    assert strict.check(resource_ids=["ana"], credit_currency="ai-tokens").limits[0].used == 1


def test_afterwards_it_is_as_before_whatever_happened(strict: UsageControl, face: Face) -> None:
    """VD2."""
    say = Say(strict, face)
    held = strict.reserve(**ask("ana", 2))
    for verdict in (allow_all(strict), deny(control=strict)):
        with pytest.raises(ZeroDivisionError), verdict:
            raise ZeroDivisionError
        with pytest.raises(AccessDenied):
            say("consume", **ask("ana", 2))
    with allow_all(strict):
        inside = strict.reserve(**ask("ana"))
        assert held.settle(2).charged == 2  # what was held before is settled where it was
    with pytest.raises(ControlClosed):
        inside.settle(1)
    assert [event.amounts for event in strict.events()] == [{"ai-tokens": 2}]


def test_the_inner_of_two_blocks_is_obeyed(strict: UsageControl, face: Face) -> None:
    say = Say(strict, face)
    with allow_all(strict):
        held = say("reserve", **ask("ana"))
        with deny(control=strict), pytest.raises(AccessDenied):
            say("reserve", **ask("ana"))
        assert say.to(held, "settle", 50).charged == 50
        with deny(control=strict):
            assert list(strict.events()) == []
        assert len(list(strict.events())) == 1


def test_other_controls_are_not_concerned(strict: UsageControl, tmp_path: Path) -> None:
    with UsageControl(tmp_path / "other.db") as other, allow_all() as third:
        other.apply(strict.export_model())
        with deny(control=strict):
            assert other.check(resource_ids=["ana"], credit_currency="ai-tokens").has_access
            assert third.check(resource_ids=["ana"], credit_currency="ai-tokens").has_access
            assert not strict.check(resource_ids=["ana"], credit_currency="ai-tokens").has_access


def test_every_thread_obeys_it(strict: UsageControl) -> None:
    """Frameworks call the code under test in threads of their own: no contextvar would reach them."""
    outcomes: list[object] = []
    barrier = threading.Barrier(8)

    def call(at: int) -> None:
        barrier.wait(30)
        outcomes.append(strict.consume(**ask(f"user-{at % 4}")).charged)

    with allow_all(strict):
        threads = [threading.Thread(target=call, args=(at,)) for at in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert outcomes == [50] * 8
        assert len(list(strict.events())) == 8


def test_it_decorates_tests_that_are_functions_or_coroutines(strict: UsageControl) -> None:
    @allow_all(strict)
    def allowed(amount: int) -> object:
        """Its docstring."""
        return strict.consume(**ask("nobody", amount)).charged

    @deny("SUSPENDED", strict)
    async def denied() -> object:
        await asyncio.sleep(0)
        return (await strict.acheck(**NOBODY)).access_denied_reason

    assert (allowed(7), allowed(8), allowed.__doc__) == (7, 8, "Its docstring.")
    assert asyncio.run(denied()) is AccessDeniedReason.SUSPENDED
    assert list(strict.events()) == []

    def fixture() -> Iterator[None]:
        yield

    with pytest.raises(InvalidRequest, match="write `with`"):
        allow_all(strict)(fixture)
    with pytest.raises(InvalidRequest, match="control: got None"):
        allow_all()(allowed)


def test_what_is_bound_before_obeys_it(strict: UsageControl, face: Face) -> None:
    team = strict.bound(customer_id="acme", resource_ids=["bob"], credit_currency="ai-tokens")
    with allow_all(strict):
        assert Say(strict, face).to(team, "consume", amount=50).charged == 50
    with pytest.raises(AccessDenied):
        team.consume(amount=1)


def test_a_guarded_block_obeys_it(strict: UsageControl, face: Face) -> None:
    guarded = {"resource_ids": ["bob"], "credit_currency": "ai-tokens", "estimate": 50, "event_name": "chat"}
    entered: list[int] = []

    def call(used: int) -> None:
        async def later() -> None:
            async with strict.guard(**guarded) as call:
                entered.append(used)
                call.used(used)

        if face == "async":
            asyncio.run(later())
            return
        with strict.guard(**guarded) as call:
            entered.append(used)
            call.used(used)

    with allow_all(strict):
        call(61)
        assert [(event.event_name, event.amounts) for event in strict.events()] == [
            ("chat", {"ai-tokens": 61})
        ]
        assert strict.reservations() == []
    with deny("SUSPENDED", strict), pytest.raises(AccessDenied, match="suspended"):
        call(62)
    assert entered == [61]


def test_a_stream_that_is_allowed_is_not_cut(strict: UsageControl) -> None:
    with allow_all(strict):
        with strict.guard(resource_ids=["bob"], credit_currency="ai-tokens", estimate=2) as call:
            assert list(call.stream(range(100), amount=lambda _: 1)) == list(range(100))
        assert [event.amounts for event in strict.events()] == [{"ai-tokens": 100}]


def test_a_function_that_was_metered_before_obeys_it(strict: UsageControl, face: Face) -> None:
    meter = strict.metered(
        resource_ids=lambda user: [user], credit_currency="ai-tokens", estimate=50, amount=len
    )

    @meter
    def answer(user: str) -> str:
        return f"hello {user}"

    @meter
    async def aanswer(user: str) -> str:
        return f"hello {user}"

    def say(user: str) -> str:
        return answer(user) if face == "sync" else asyncio.run(aanswer(user))

    with allow_all(strict):
        assert say("bob") == "hello bob"
        assert [(event.resource_ids[-1], event.amounts) for event in strict.events()] == [
            ("bob", {"ai-tokens": 9})
        ]
    with deny(control=strict), pytest.raises(AccessDenied, match=r"so says stiggctl\.testing\.deny"):
        say("ana")
    assert list(strict.events()) == []


def test_a_control_closed_inside_is_closed_afterwards(strict: UsageControl, tmp_path: Path) -> None:
    with allow_all(strict):
        strict.close()
        with pytest.raises(ControlClosed):
            strict.check(**NOBODY)
    with pytest.raises(ControlClosed):
        strict.check(**NOBODY)
    with pytest.raises(ControlClosed), allow_all(strict):
        pass
    with UsageControl(tmp_path / "usage.db") as again:  # with other options: nothing has it any more
        assert again.verify() == []
    strict.close()


def test_who_subscribed_hears_of_trouble_inside_too(strict: UsageControl) -> None:
    heard: list[LedgerTrouble] = []
    strict.subscribe(heard.append)
    with allow_all(strict):
        trouble = LedgerUnavailable(location="x", reason="r", remedy="m")
        strict._holder.report_trouble(trouble)
    assert [one.error for one in heard] == [trouble]


def test_the_clock_is_the_controls_own() -> None:
    clock = ManualClock(datetime(2026, 1, 15, 12, tzinfo=UTC))
    with UsageControl(":memory:", clock=clock) as control, allow_all(control):
        held = control.reserve(**ask("ana"), ttl_seconds=60)
        clock.advance(seconds=60)
        assert control.reservations() == []
        assert held.settle(5).expired


def test_it_needs_no_pytest() -> None:
    program = (
        "import sys; sys.modules['pytest'] = None\n"
        "from stiggctl.testing import allow_all\n"
        "with allow_all() as control:\n"
        "    print(control.consume(resource_ids=['a'], credit_currency='c', amount=1).charged)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, encoding="utf-8", check=False
    )
    assert (done.stdout, done.stderr) == ("1\n", "")
