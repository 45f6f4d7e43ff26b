"""The public interface, as users write it: checked by mypy --strict and pyright, never run."""

import asyncio
from collections.abc import AsyncIterator, Generator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import assert_type

from stiggctl import (
    AccessDenied,
    AccessDeniedReason,
    Applied,
    Bound,
    BudgetExhausted,
    Call,
    Candidate,
    Clock,
    Decision,
    DecisionMade,
    Denial,
    DenialExplained,
    Erased,
    EventExplained,
    Fit,
    Guard,
    Happening,
    IdempotencyConflict,
    InvalidModel,
    LedgerTrouble,
    LedgerUnavailable,
    LimitState,
    PaidBy,
    Progress,
    Receipt,
    Refused,
    Remedy,
    RerateRow,
    Rerating,
    Reservation,
    StiggctlError,
    ThresholdCrossed,
    UsageBooked,
    UsageControl,
    UsageModel,
    UsageRow,
    columns,
)
from stiggctl.prices import ContractPrice
from stiggctl.testing import ManualClock, allow_all, deny


def opening() -> None:
    clock: Clock = ManualClock(datetime(2026, 1, 15, 12, tzinfo=UTC))
    with UsageControl("usage.db") as control:
        assert_type(control, UsageControl)
    UsageControl(Path("usage.db")).close()
    UsageControl(
        ":memory:",
        durability="power",
        on_ledger_failure="fail_open",
        default_access="deny",
        unknown_resources="ignore",
        clock=clock,
        reservation_ttl_seconds=60,
    )


def describing(control: UsageControl, model: UsageModel) -> None:
    applied = control.apply({"resources": [{"id": "a", "resourceTypeId": "user"}]}, actor="ann", reason="new")
    assert_type(applied, Applied)
    control.apply('{"customers": [{"id": "c"}]}')
    control.apply(Path("model.json"))
    control.apply(model, prune=True)
    assert_type(control.apply(model, dry_run=True), Applied)
    control.apply(model, progress=print)
    control.apply(model, progress=lambda progress: assert_type(progress, Progress))
    assert_type(control.export_model(), UsageModel)
    control.set_allocation(
        resource_id="user-01",
        credit_currency="usd",
        limit="0.50",
        enforcement_type="SOFT",
        cadence="P1M",
        timezone="Europe/Amsterdam",
        anchor=date(2026, 1, 31),
        scope={"model": ["gpt-5", "o4"], "batch": True},
        effective_at=datetime.now(UTC),
        expires_at="2027-01-01T00:00:00Z",
    )
    control.set_allocation(
        resource_type_id="user", where={"tier": "GOLD"}, credit_currency="ai-tokens", limit=200, cadence="day"
    )
    control.remove_allocation(resource_id="user-01", credit_currency="usd", cadence="P1M", scope={})
    lifted = control.override_limit(
        "user-01", "ai-tokens", limit=500, until=datetime.now(UTC), actor="maria", reason="support said so"
    )
    assert_type(lifted, Applied)
    control.override_limit("user-01", "usd", add=Decimal("0.5"), until="2027-01-01T00:00:00Z", cadence="P1D")
    assert_type(control.remove_override("user-01", "usd", cadence="P1D"), Applied)
    control.override_limit(
        "user-01",
        "usd",
        limit=0.5,  # type: ignore[arg-type]  # a float is no amount
        until="2027-01-01T00:00:00Z",
    )
    control.set_price(
        model="gpt-5*",
        per_million={"input": "1.25", "output": 10},
        each={"web_searches": Decimal("0.01")},
        provider="openai",
        effective_at=datetime.now(UTC),
        customer_id="cust-acme-inc",
    )
    control.set_rate(
        event_name="chat",
        credit_currency="usd",
        credits="0.01",
        where={"model": "gpt-5"},
        effective_at=datetime.now(UTC),
    )
    control.suspend("user-01", reason="runaway", until=datetime.now(UTC) + timedelta(hours=1))
    control.resume("user-01", actor="ann")


def asking(control: UsageControl) -> str:
    decision = control.check(
        resource_ids=["user-01", "emea", "engineering"],
        credit_currency="ai-tokens",
        requested_usage=50,
        customer_id=None,
        dimensions={"model": "gpt-5", "turns": 3, "temperature": Decimal("0.5"), "cached": True},
    )
    assert_type(decision, Decision)
    assert_type(decision.has_access, bool)
    assert_type(decision.access_denied_reason, AccessDeniedReason | None)
    assert_type(decision.remaining, int | Decimal | None)
    assert_type(decision.binding, LimitState | None)
    assert_type(decision.limits, tuple[LimitState, ...])
    assert_type(decision.remedy, Remedy | None)
    assert_type(decision.retry_at, datetime | None)
    assert_type(decision.decision_id, str)
    for limit in decision.limits:
        assert_type(limit.resource_id, str)
        assert_type(limit.used, int | Decimal)
        assert_type(limit.allowed, bool)
    control.check(resource_ids=("a",), amounts={"ai-tokens": 500, "usd": "0.02"})
    prices: dict[str, Decimal] = {"usd": Decimal("0.02")}
    control.check(resource_ids=["a"], amounts=prices)
    if not decision and decision.remedy is not None and decision.remedy.kind == "SHRINK":
        return f"{decision.remedy.amount}"
    return str(decision)


def setting_aside(control: UsageControl) -> None:
    ids = ["user-01"]
    reservation = control.reserve(
        resource_ids=ids, credit_currency="ai-tokens", amount=4000, minimum=500, ttl_seconds=120
    )
    assert_type(reservation, Reservation)
    assert_type(reservation.expires_at, datetime)
    reservation.extend(50)
    assert_type(reservation.settle(61), Receipt)
    reservation.settle(amounts={"ai-tokens": 61, "usd": "0.01"})
    reservation.release()
    receipt = control.consume(resource_ids=ids, credit_currency="usd", amount="0.02", idempotency_key="k")
    assert_type(receipt, Receipt)
    assert_type(receipt.duplicate, bool)


def reporting(control: UsageControl) -> None:
    receipt = control.report(
        customer_id="cust-acme-inc",
        event_name="email_enrichment",
        idempotency_key="227c1b73-883a",
        dimensions={"user_id": "user-01", "region": "emea"},
        timestamp="2025-10-26T15:01:55.768Z",
    )
    assert_type(receipt, Receipt)
    control.report({"customerId": "c", "eventName": "e", "timestamp": datetime.now(UTC)})
    for answer in control.report_many([{"customerId": "c", "eventName": "e"}]):
        assert_type(answer, Receipt | StiggctlError)
    control.reverse(receipt.event_id, reason="refund", actor="ann")
    rerating = control.rerate("2026-01-01T00:00:00Z", datetime.now(UTC), customer_id="c", progress=print)
    assert_type(rerating, Rerating)
    assert_type(list(rerating.rows), list[RerateRow])
    assert_type([row.reason for row in rerating.unpriced], list[str])
    assert_type(rerating.totals[0].difference, int | Decimal)
    control.rerate(
        since=datetime.now(UTC),
        until=datetime.now(UTC),
        prices=[ContractPrice(model="m", per_million={"input": 1}), {"model": "n", "perMillion": {}}],
        book=True,
        reason="r",
    )


def refused(control: UsageControl) -> None:
    try:
        control.consume(resource_ids=["a"], credit_currency="usd", amount=1)
    except BudgetExhausted:
        raise
    except AccessDenied as denied:
        assert_type(denied.decision, Decision)
    except IdempotencyConflict as conflict:
        assert_type(conflict.differs, tuple[str, ...])
    except LedgerUnavailable as unavailable:
        assert_type(unavailable.holder_pid, int | None)
    except InvalidModel as invalid:
        assert_type([problem.path for problem in invalid.problems], list[str])


def looking_back(control: UsageControl) -> None:
    for row in control.usage(
        "cust-acme-inc",
        group_by="feature",
        bucket="day",
        timezone="Europe/Amsterdam",
        since=datetime.now(UTC),
        until="2027-01-01T00:00:00Z",
    ):
        assert_type(row, UsageRow)
        assert_type(row.key, str | None)
        assert_type(row.amount, int | Decimal | None)
        assert_type(row.amounts, dict[str, int | Decimal])
        assert_type(row.bucket_start, datetime | None)
        assert_type(row.margin(worth={"ai-tokens": "0.01"}), Decimal)
        row.margin({"ai-tokens": 0.01})  # type: ignore[dict-item]  # a float is no amount
    control.usage(group_by="resource", resource_type_id="team", resource_id="org", event_name="chat")
    table = columns(control.usage(group_by="model"))
    assert_type(table, dict[str, list[str | int | bool | Decimal | datetime | None]])
    columns([control.tree("org", "usd")])
    columns(control.events())
    columns(5)  # type: ignore[arg-type]  # nothing that was read
    erased = control.erase(
        "ana", customer_id="cust-acme-inc", actor="dpo", reason="request 17", compact=False
    )
    assert_type(erased, Erased)
    assert_type((erased.resource_id, erased.events, erased.remains), tuple[str, int, bool])
    control.usage(credit_currency="usd", group_by=["model"])  # type: ignore[arg-type]  # one, not several


def watching(control: UsageControl) -> None:
    def crossed(happening: ThresholdCrossed) -> None:
        assert_type(happening.threshold, int | Decimal)

    def rare(happening: ThresholdCrossed | LedgerTrouble) -> None:
        assert_type(happening.at, datetime)

    def each(happening: Happening) -> None:
        assert_type(happening.at, datetime)

    kept: list[UsageBooked] = []
    end = control.subscribe(crossed)
    end()
    control.subscribe(rare)
    control.subscribe(each)
    control.subscribe(each, kinds=(DecisionMade, UsageBooked))
    control.subscribe(kept.append, kinds=UsageBooked)
    control.subscribe(lambda made: made.decision.remaining, kinds=DecisionMade)
    control.subscribe(crossed, kinds=UsageBooked)  # type: ignore[arg-type]  # it hears something else
    control.subscribe(len)  # type: ignore[type-var]  # of no happening
    assert_type(control.crossings("c", since="2026-01-01T00:00:00Z"), list[ThresholdCrossed])


async def awaiting(control: UsageControl) -> None:
    assert_type(await control.acheck(resource_ids=["a"], credit_currency="usd"), Decision)
    reservation = await control.areserve(resource_ids=["a"], credit_currency="usd", amount=1)
    assert_type(reservation, Reservation)
    await reservation.aextend(1)
    assert_type(await reservation.asettle(1), Receipt)
    await reservation.arelease()
    assert_type(await control.aconsume(resource_ids=["a"], credit_currency="usd", amount=1), Receipt)
    first, second = await asyncio.gather(
        control.areport(customer_id="c", event_name="e"),
        control.areport({"customerId": "c", "eventName": "f"}),
    )
    assert_type(first, Receipt)
    await control.areport_many([{"customerId": "c", "eventName": "e"}])
    await control.areverse(second.event_id, reason="refund")
    assert_type(await control.arerate("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"), Rerating)


def around_a_call(control: UsageControl) -> None:
    guard = control.guard(resource_ids=["a"], credit_currency="usd", estimate="0.02", event_name="chat")
    assert_type(guard, Guard)
    with guard as call:
        assert_type(call, Call)
        assert_type(call.reservation, Reservation)
        assert_type(call.decision, Decision)
        call.used("0.013")
        call.used({"usd": Decimal("0.013"), "ai-tokens": 5})
        call.observe(object())
        call.observe({"usage": None}, provider="aws", model="amazon.nova-pro-v1:0")
        for chunk in call.stream(["a", "b"], amount=len):
            assert_type(chunk, str)
        chunks = call.stream(iter([b"a"]), amount=lambda chunk: {"usd": len(chunk)})
        assert_type(chunks, Generator[bytes, None, None])
        chunks.close()
        call.used(0.5)  # type: ignore[arg-type]  # a float is no amount
    assert_type(call.receipt, Receipt | None)
    control.guard(estimate={"usd": "0.02", "ai-tokens": 500}, on_error="charge_estimate")
    control.guard(estimate=1, on_error="ignore")  # type: ignore[arg-type]  # no such choice


async def around_an_awaited_call(control: UsageControl, chunks: AsyncIterator[bytes]) -> None:
    async with control.guard(resource_ids=["a"], credit_currency="usd", estimate=1) as call:
        assert_type(call, Call)
        async for chunk in call.stream(chunks, amount=len):
            assert_type(chunk, bytes)
        await call.stream(chunks, amount=len).aclose()
    try:
        await anext(call.stream(chunks, amount=len))
    except BudgetExhausted as exhausted:
        assert_type(exhausted.used, Mapping[str, int | Decimal])
    except LedgerUnavailable as unavailable:
        assert_type(unavailable.result, object)
        assert_type(unavailable.reservation, object)


def metering(control: UsageControl) -> None:
    meter = control.metered(
        resource_ids=lambda user, *_: [user],
        credit_currency="ai-tokens",
        estimate=200,
        amount=lambda result: result.usage.total_tokens,
        dimensions=lambda *_, **__: {"model": "large"},
        idempotency_key=lambda user, *_: f"{user}-1",
    )

    @meter
    def plain(user: str, *, size: int = 1) -> list[int]:
        return [size]

    @meter
    async def coroutine(user: str) -> bytes:
        return b""

    @meter
    def generator(user: str) -> Generator[int, str, bool]:
        assert_type((yield 1), str)
        return True

    @meter
    async def async_generator(user: str) -> AsyncIterator[int]:
        yield 1

    class Client:
        @meter
        def ask(self, prompt: str) -> str:
            return prompt

        @classmethod
        @meter
        def make(cls, name: str) -> int:
            return len(name)

    assert_type(plain("ana", size=2), list[int])
    assert_type(asyncio.run(coroutine("ana")), bytes)
    assert_type(generator("ana"), Generator[int, str, bool])
    assert_type(generator("ana").send("x"), int)
    assert_type(async_generator("ana"), AsyncIterator[int])
    assert_type(Client().ask("hello"), str)
    assert_type(Client.make("x"), int)
    plain(7)  # type: ignore[arg-type]  # a user is text
    plain("ana", length=2)  # type: ignore[call-arg]  # the signature is kept
    Client().ask(prompt=7)  # type: ignore[arg-type]  # that of methods, too
    meter(7)  # type: ignore[type-var]  # no function


def naming(control: UsageControl) -> None:
    with control.bound(customer_id="c", resource_ids=["a", "b"], credit_currency="usd") as team:
        assert_type(team, Bound)
        assert_type(control.check(), Decision)
        assert_type(team.consume(amount=1), Receipt)
        assert_type(team.reserve(amount=1), Reservation)
        assert_type(team.report(amount=1, event_name="e"), Receipt)
        assert_type(team.guard(estimate=1), Guard)
        assert_type(team.bound(event_name="chat"), Bound)

        @team.metered(estimate=1, amount=lambda _: 1)
        def answer(prompt: str) -> str:
            return prompt

        assert_type(answer("x"), str)


async def naming_in_tasks(control: UsageControl) -> None:
    async with control.bound(resource_ids=["a"], dimensions={"model": "large"}) as team:
        assert_type(await team.acheck(credit_currency="usd"), Decision)
        await team.aconsume(credit_currency="usd", amount=1)


def floats_are_no_amounts(control: UsageControl) -> None:
    ids, usd = ["a"], "usd"
    control.check(resource_ids=ids, credit_currency=usd, requested_usage=1)
    control.check(
        resource_ids=ids,
        credit_currency=usd,
        requested_usage=0.5,  # type: ignore[arg-type]  # a float is no amount
    )
    control.consume(
        resource_ids=ids,
        credit_currency=usd,
        amount=0.5,  # type: ignore[arg-type]  # a float is no amount
    )


async def candidates(control: UsageControl) -> None:
    calls = [Candidate("large", 1_000, 4_000, 500), Candidate("small", 1_000, 4_000, provider="mine")]
    fit = control.fit(resource_ids=["a"], candidates=calls, credit_currency="usd")
    assert_type(fit, Fit)
    assert_type(await control.afit(candidates=calls), Fit)
    assert_type(fit.model, str | None)
    assert_type(fit.max_output_tokens, int)
    assert_type(fit.refused, tuple[Refused, ...])
    assert_type(fit.refused[0].binding, LimitState | None)
    assert_type(control.reserve(resource_ids=["a"], fit=calls).fit, Fit | None)
    assert_type((await control.areserve(resource_ids=["a"], fit=calls)).fit, Fit | None)
    with control.guard(resource_ids=["a"], fit=calls) as call:
        assert_type(call.fit, Fit | None)
    Candidate("large", 1_000.0, 4_000)  # type: ignore[arg-type]  # a float is no count


def denied(control: UsageControl) -> None:
    for denial in control.denials("acme", resource_id="a", reason="SUSPENDED", since="2026-01-01T00:00:00Z"):
        assert_type(denial, Denial)
        assert_type(denial.decision, Decision)
    control.denials(reason=AccessDeniedReason.SUSPENDED)
    assert_type(control.denials_dropped(), int)
    found = control.explain("d-1")
    if isinstance(found, EventExplained):
        assert_type(found.paid_by, tuple[PaidBy, ...])
    else:
        assert_type(found, DenialExplained)
        assert_type(found.would_pass, tuple[str, ...])
    assert_type(control.explain("d-1", "d-2"), DenialExplained)
    assert_type(control.explain("d-1", "d-2").difference, tuple[str, ...] | None)


def verdicts(control: UsageControl) -> None:
    with allow_all() as new, allow_all(control) as same, deny("SUSPENDED"), deny(control=control):
        assert_type((new, same), tuple[UsageControl, UsageControl])
    deny(AccessDeniedReason.SUSPENDED, control)

    @allow_all(control)
    def decorated(amount: int) -> str:
        return str(amount)

    @deny(control=control)
    async def awaited(amount: int) -> str:
        return str(amount)

    assert_type(decorated(1), str)
    assert_type(asyncio.run(awaited(1)), str)
    decorated("1")  # type: ignore[arg-type]  # it keeps its arguments
