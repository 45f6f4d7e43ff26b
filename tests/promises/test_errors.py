"""Errors: each keeps its facts, says what would be right, and survives pickling."""

import concurrent.futures
import copy
import multiprocessing
import pickle
from collections.abc import Callable
from typing import Any

import pytest

import stiggctl
from stiggctl import (
    AccessDenied,
    AmbiguousResource,
    BudgetExhausted,
    ControlClosed,
    CurrencyNotFound,
    CustomerNotFound,
    DecisionNotFound,
    EventNotFound,
    GrantNotFound,
    IdempotencyConflict,
    InvalidAmount,
    InvalidModel,
    InvalidRequest,
    InvalidTimestamp,
    LedgerCorrupt,
    LedgerError,
    LedgerUnavailable,
    LedgerVersionError,
    RateNotFound,
    ReservationNotFound,
    ResourceNotFound,
    StiggctlError,
    UsageControl,
)

from .saying import ACME, TOKENS, flat

ALL = [
    AccessDenied,
    BudgetExhausted,
    InvalidModel,
    InvalidAmount,
    InvalidTimestamp,
    InvalidRequest,
    CustomerNotFound,
    ResourceNotFound,
    AmbiguousResource,
    CurrencyNotFound,
    RateNotFound,
    GrantNotFound,
    EventNotFound,
    DecisionNotFound,
    IdempotencyConflict,
    ReservationNotFound,
    LedgerError,
    LedgerCorrupt,
    LedgerVersionError,
    LedgerUnavailable,
    ControlClosed,
]

USER: dict[str, Any] = {"resource_ids": ["user-01"], "credit_currency": TOKENS}
REPORT: dict[str, Any] = {"customer_id": ACME, "event_name": "chat", "amount": 1, **USER}


def test_they_are_one_family() -> None:
    assert all(issubclass(kind, StiggctlError) for kind in ALL)
    assert issubclass(StiggctlError, Exception)
    assert issubclass(BudgetExhausted, AccessDenied)
    for kind in (LedgerCorrupt, LedgerVersionError, LedgerUnavailable):
        assert issubclass(kind, LedgerError)
    named = {value for value in vars(stiggctl).values() if isinstance(value, type)}
    assert {kind for kind in named if issubclass(kind, StiggctlError)} == {StiggctlError, *ALL}


def again(control: UsageControl) -> None:
    control.report(**REPORT, idempotency_key="k")
    control.report(**(REPORT | {"amount": 2}), idempotency_key="k")


RAISING: dict[type[StiggctlError], Callable[[UsageControl], object]] = {
    AccessDenied: lambda control: control.consume(**USER, amount=201),
    InvalidModel: lambda control: control.apply(flat({"a": -1, "b": "x"})),
    InvalidAmount: lambda control: control.consume(**USER, amount=1.5),
    InvalidTimestamp: lambda control: control.report(**REPORT, timestamp="2026-01-15T12:00:00"),
    InvalidRequest: lambda control: control.reserve(**USER, amount=1, ttl_seconds=0),
    CustomerNotFound: lambda control: control.check(**USER, customer_id="nobody"),
    ResourceNotFound: lambda control: control.check(resource_ids=["nobody"], credit_currency=TOKENS),
    AmbiguousResource: lambda control: (
        control.apply(flat({"user-01": 1}, customer_id="other")),
        control.check(**USER),
    ),
    CurrencyNotFound: lambda control: control.check(resource_ids=["user-01"], credit_currency="eur"),
    RateNotFound: lambda control: control.report(customer_id=ACME, event_name="chat"),
    EventNotFound: lambda control: control.reverse("no-such-event", reason="refund"),
    IdempotencyConflict: again,
    ControlClosed: lambda control: (control.close(), control.check(**USER)),
}


def raised(control: UsageControl, kind: type[StiggctlError]) -> StiggctlError:
    with pytest.raises(kind) as caught:
        RAISING[kind](control)
    return caught.value


def facts(error: BaseException) -> dict[str, str]:
    return {name: str(value) for name, value in vars(error).items()}


@pytest.mark.parametrize("kind", RAISING, ids=lambda kind: kind.__name__)
def test_each_survives_pickling_with_its_facts(acme: UsageControl, kind: type[StiggctlError]) -> None:
    error = raised(acme, kind)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        read = pickle.loads(pickle.dumps(error, protocol))
        assert type(read) is type(error)
        assert str(read) == str(error)
        assert facts(read) == facts(error)
    assert str(copy.copy(error)) == str(error)
    assert str(error)
    assert len(str(error)) > 10


def test_each_survives_a_process_pool(acme: UsageControl) -> None:
    errors = [raised(acme, kind) for kind in RAISING]  # the last one closes the control
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as pool:
        for error, read in zip(errors, pool.map(copy.copy, errors), strict=True):
            assert type(read) is type(error)
            assert str(read) == str(error)
        thrown = pool.submit(
            exec,
            "from stiggctl import UsageControl\n"
            "with UsageControl(':memory:') as control:\n"
            "    control.apply({'creditCurrencies': [{'id': 'ai-tokens'}]})\n"
            "    control.check(resource_ids=['nobody'], credit_currency='ai-tokens')",
        )
        with pytest.raises(ResourceNotFound) as caught:
            thrown.result(120)
        assert tuple(caught.value.resource_ids) == ("nobody",)
        denied = pool.submit(
            exec,
            "from stiggctl import UsageControl\n"
            "with UsageControl(':memory:') as control:\n"
            "    control.apply({'resourceTypes': [{'id': 'node'}],\n"
            "        'resources': [{'id': 'a', 'resourceTypeId': 'node', 'customerId': 'c'}],\n"
            "        'allocations': [{'resourceId': 'a', 'creditCurrency': 'ai-tokens', 'limit': 3}]})\n"
            "    control.consume(resource_ids=['a'], credit_currency='ai-tokens', amount=4)",
        )
        with pytest.raises(AccessDenied) as refused:
            denied.result(120)
        assert refused.value.decision.remaining == 3
        assert refused.value.decision.binding.resource_id == "a"


def test_each_says_what_was_given_and_what_would_be_right(acme: UsageControl) -> None:
    for kind, parts in {
        AccessDenied: ["user-01", "200", "201", TOKENS],
        InvalidAmount: ["1.5", "amount"],
        InvalidTimestamp: ["2026-01-15T12:00:00", "timestamp"],
        InvalidRequest: ["ttl_seconds", "0"],
        CustomerNotFound: ["nobody"],
        CurrencyNotFound: ["eur", TOKENS],
        RateNotFound: ["chat"],
        EventNotFound: ["no-such-event"],
        IdempotencyConflict: ["k", "amount"],
    }.items():
        said = str(raised(acme, kind))
        for part in parts:
            assert part in said, said


def test_the_facts_are_attributes(acme: UsageControl) -> None:
    conflict: Any = raised(acme, IdempotencyConflict)
    assert (conflict.customer_id, conflict.idempotency_key, conflict.differs) == (ACME, "k", ("amount",))
    amount: Any = raised(acme, InvalidAmount)
    assert (amount.where, amount.value) == ("amount", 1.5)
    assert amount.expected
    timestamp: Any = raised(acme, InvalidTimestamp)
    assert (timestamp.where, timestamp.value) == ("timestamp", "2026-01-15T12:00:00")
    request: Any = raised(acme, InvalidRequest)
    assert (request.where, request.value) == ("ttl_seconds", 0)
    model: Any = raised(acme, InvalidModel)
    assert {problem.path for problem in model.problems} == {"allocations[0].limit", "allocations[1].limit"}
