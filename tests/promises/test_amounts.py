"""Amounts: int, Decimal or text, never float or bool; right, or the named error."""

import contextlib
import decimal
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from stiggctl import StiggctlError, UsageControl

from .saying import TOKENS, Say, event_ids, flat, numbers

HOSTILE: list[Any] = [
    1.0,
    0.0,
    1e30,
    float("nan"),
    float("inf"),
    float("-inf"),
    True,
    False,
    -1,
    "-1",
    "-0.5",
    Decimal(-1),
    Decimal("NaN"),
    Decimal("sNaN"),
    Decimal("Infinity"),
    Decimal("-Infinity"),
    "NaN",
    "nan",
    "inf",
    "Infinity",
    "0.5",
    Decimal("0.5"),
    "5e-1",
    "1e-999999999",
    Decimal("1e-999999"),
    10**17 + 1,
    2**63,
    2**64,
    10**400,
    "1" * 5000,
    "1e18",
    "1e999999999",
    Decimal("1e999999"),
    "",
    " 5",
    "5 ",
    "5_0",
    "\u0665",  # ARABIC-INDIC DIGIT FIVE
    "\uff15",  # FULLWIDTH DIGIT FIVE
    "0x5",
    "5\n",
    "five",
    "5,0",
    "\ud800",
    b"5",
    5j,
    [5],
    {"ai-tokens": 5},
    object(),
]


@pytest.fixture
def counted(control: UsageControl) -> UsageControl:
    """Customer c, resource a with 100 ai-tokens and 100 usd of nine decimals."""
    model = flat({"a": 100})
    model["creditCurrencies"] = [{"id": TOKENS}, {"id": "usd", "decimals": 9}]
    model["allocations"].append({"resourceId": "a", "creditCurrency": "usd", "customerId": "c", "limit": 100})
    control.apply(model)
    return control


def outcome(control: UsageControl, verb: str, amount: Any) -> str:
    """What comes of the verb with that amount: the name of its error, and what it changed."""
    ask: dict[str, Any] = {"resource_ids": ["a"], "credit_currency": TOKENS}
    reservation = control.reserve(**ask, amount=1)
    calls: dict[str, Callable[[], object]] = {
        "check": lambda: control.check(**ask, requested_usage=amount),
        "reserve": lambda: control.reserve(**ask, amount=amount),
        "consume": lambda: control.consume(**ask, amount=amount),
        "report": lambda: control.report(customer_id="c", event_name="e", **ask, amount=amount),
        "settle": lambda: reservation.settle(amount),
        "extend": lambda: reservation.extend(amount),
        "amounts": lambda: control.consume(resource_ids=["a"], amounts={"usd": 1, TOKENS: amount}),
    }
    try:
        calls[verb]()
    except Exception as error:  # noqa: BLE001 - which one is what is asked
        told = type(error).__name__
        if not 0 < len(str(error)) < 1000:
            told += " of an odd length"
    else:
        told = "accepted"
    if numbers(control, "a") != {"a": (0, 1, 99)} or event_ids(control, "c"):
        told += " with changes"
    reservation.release()
    return told


@pytest.mark.parametrize("verb", ["check", "reserve", "consume", "report", "settle", "extend", "amounts"])
def test_what_is_no_amount_is_refused_and_changes_nothing(counted: UsageControl, verb: str) -> None:
    outcomes = {f"{amount!a:.40}": outcome(counted, verb, amount) for amount in HOSTILE}
    assert {amount: told for amount, told in outcomes.items() if told != "InvalidAmount"} == {}


class Sly(int):
    """An int that lies about itself."""

    def __lt__(self, other: object) -> bool:
        return False

    def __le__(self, other: object) -> bool:
        return True


def test_a_subclass_of_int_gains_nothing(counted: UsageControl) -> None:
    with contextlib.suppress(StiggctlError):
        counted.consume(resource_ids=["a"], credit_currency=TOKENS, amount=Sly(1000))
    used, held, remaining = numbers(counted, "a")["a"]
    assert (used, held, remaining) == (0, 0, 100)


@pytest.mark.parametrize(
    ("amount", "usd"),
    [
        ("0.000000001", "0.000000001"),
        ("1e-9", "0.000000001"),
        (Decimal("1E-9"), "0.000000001"),
        ("0.1", "0.1"),
        (Decimal("0.10"), "0.1"),
        ("1.000000000000", "1"),
        (3, "3"),
        ("99.999999999", "99.999999999"),
        ("1E1", "10"),
        (Decimal("1E+1"), "10"),
        (Decimal(0), "0"),
        ("0e5", "0"),
    ],
)
def test_what_is_an_amount_is_booked_exactly(counted: UsageControl, say: Say, amount: Any, usd: str) -> None:
    receipt = say("consume", resource_ids=["a"], credit_currency="usd", amount=amount)
    assert receipt.charged == Decimal(usd)
    assert f"{receipt.charged:f}" == usd  # no zeros at its end, none missing before the point
    assert numbers(counted, "a", credit_currency="usd")["a"][0] == Decimal(usd)


def test_the_largest_amount_and_limit_are_exact(control: UsageControl, say: Say) -> None:
    control.apply(flat({"a": 10**18}))
    ask: dict[str, Any] = {"resource_ids": ["a"], "credit_currency": TOKENS}
    for _ in range(9):
        say("consume", **ask, amount=10**17)
    say("consume", **ask, amount=10**17 - 1)
    assert say("check", **ask).remaining == 1
    assert not say("check", **ask, requested_usage=2)
    say("consume", **ask, amount=1)
    assert numbers(control, "a") == {"a": (10**18, 0, 0)}


@pytest.fixture
def narrow() -> Iterator[None]:
    """The host's Decimal context: five digits, and what is inexact raises."""
    with decimal.localcontext(prec=5) as context:
        context.traps[decimal.Inexact] = True
        context.traps[decimal.FloatOperation] = True
        context.rounding = decimal.ROUND_FLOOR
        yield


def test_the_hosts_decimal_context_changes_no_number(narrow: None, control: UsageControl) -> None:
    say = Say(control, "sync")
    control.apply(
        {
            "creditCurrencies": [{"id": "usd", "decimals": 9}],
            "resourceTypes": [{"id": "node"}],
            "resources": [{"id": "a", "resourceTypeId": "node", "customerId": "c"}],
            "allocations": [
                {"resourceId": "a", "creditCurrency": "usd", "customerId": "c", "limit": "1234567.123456789"}
            ],
            "rates": [
                {
                    "eventName": "chat",
                    "creditCurrency": "usd",
                    "credits": "123456.000000001",
                    "terms": [{"dimension": "tokens", "credits": "1.23456789", "per": 7}],
                }
            ],
        }
    )
    ask: dict[str, Any] = {"resource_ids": ["a"], "credit_currency": "usd"}
    decision = say("check", **ask, requested_usage="1234567.123456790")
    assert not decision
    assert str(decision.remaining) == "1234567.123456789"
    assert "1234567.123456789" in str(decision)
    decision.as_dict()
    reservation = say("reserve", **ask, amount=Decimal("765432.987654321"))
    assert str(reservation.amount) == "765432.987654321"
    assert str(say.to(reservation, "settle", "543210.123456789").charged) == "543210.123456789"
    priced = say(
        "report", customer_id="c", event_name="chat", resource_ids=["a"], dimensions={"tokens": 1_000_003}
    )
    # 123456.000000001 + 1.23456789 * 1000003 / 7 = 299823.51…, up to the next ninth decimal
    with decimal.localcontext(decimal.Context(prec=60, rounding=decimal.ROUND_CEILING)):
        exact = Decimal("123456.000000001") + Decimal("1.23456789") * 1_000_003 / 7
        assert priced.charged == exact.quantize(Decimal("1e-9"))
        left = Decimal("1234567.123456789") - Decimal("543210.123456789") - priced.charged
    assert str(say("check", **ask).remaining) == f"{left:f}"
    assert control.export_model() == control.export_model()
    assert list(control.verify()) == []
