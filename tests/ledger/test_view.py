"""The view `usage`: what other tools read of a ledger; exact, whatever the amount is."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from stiggctl import UsageControl
from stiggctl.amounts import COUNTER_MAX, DECIMALS_MAX, plain, to_amount

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture
def looking(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A ledger with one event in a currency of every number of decimals, opened as other tools do."""
    path = tmp_path / "usage.db"
    with UsageControl(path) as control:
        control.apply(
            {
                "creditCurrencies": [{"id": f"d{n}", "decimals": n} for n in range(DECIMALS_MAX + 1)],
                "resourceTypes": [{"id": "node"}],
                "resources": [
                    {"id": "root", "resourceTypeId": "node", "customerId": "acme"},
                    {"id": "a", "resourceTypeId": "node", "parentResourceId": "root"},
                    *({"id": f"n{n}", "resourceTypeId": "node", "customerId": "acme"} for n in range(300)),
                ],
            }
        )
        control.report(
            customer_id="acme",
            event_name="chat",
            resource_ids=["n299", "a"],
            amounts={f"d{n}": 1 for n in range(DECIMALS_MAX)},
            dimensions={"model": "gpt-5"},
            idempotency_key="k",
        )
        control.report(customer_id="acme", resource_ids=[], credit_currency="d0", amount=2)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


units = st.integers(-COUNTER_MAX, COUNTER_MAX) | st.integers(-(10**6), 10**6)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@example(amount=0, overage=0, decimals=9)
@example(amount=-1, overage=1, decimals=18)
@example(amount=123, overage=-123, decimals=9)
@example(amount=100, overage=-100, decimals=1)
@example(amount=-COUNTER_MAX, overage=COUNTER_MAX, decimals=18)
@given(amount=units, overage=units, decimals=st.integers(0, DECIMALS_MAX))
def test_amounts_are_what_the_library_says(
    looking: sqlite3.Connection, amount: int, overage: int, decimals: int
) -> None:
    looking.execute("BEGIN")
    looking.execute("UPDATE currencies SET decimals = ? WHERE currency_id = 'd0'", (decimals,))
    looking.execute("UPDATE events SET amount_units = ?, overage_units = ?", (amount, overage))
    [(shown, over, in_units, of)] = looking.execute(
        "SELECT amount, overage, amount_units, decimals FROM usage"
        " WHERE credit_currency = 'd0' AND event_name IS NULL"
    )
    looking.execute("ROLLBACK")
    for told, units_ in ((shown, amount), (over, overage)):
        assert type(told) is (str if decimals else int)
        assert str(told) == plain(to_amount(units_, decimals))
        assert Decimal(told) == Decimal(units_).scaleb(-decimals)
    assert (in_units, of) == (amount, decimals)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@example(us=-1)
@example(us=999_999)
@example(us=0)
@given(us=st.integers(-(10**15), 10**16))
def test_instants_are_exact(looking: sqlite3.Connection, us: int) -> None:
    looking.execute("BEGIN")
    looking.execute("UPDATE events SET occurred_at_us = ?, booked_at_us = ?", (us, us))
    [(occurred, booked)] = looking.execute("SELECT DISTINCT occurred_at, booked_at FROM usage")
    looking.execute("ROLLBACK")
    assert occurred == booked == f"{EPOCH + timedelta(microseconds=us):%Y-%m-%dT%H:%M:%S.%fZ}"


def test_no_column_is_ever_rounded(looking: sqlite3.Connection) -> None:
    looking.row_factory = sqlite3.Row
    rows = looking.execute("SELECT * FROM usage").fetchall()
    assert len(rows) == DECIMALS_MAX + 1
    assert not any(isinstance(value, float) for row in rows for value in row)


def test_a_row_says_whose_what_and_which(looking: sqlite3.Connection) -> None:
    [(customer, name, currency, ids, dimensions, key)] = looking.execute(
        "SELECT customer_id, event_name, credit_currency, resource_ids, dimensions, idempotency_key"
        " FROM usage WHERE credit_currency = 'd3'"
    )
    assert (customer, name, currency, key) == ("acme", "chat", "d3", "k")
    assert sorted(json.loads(ids)) == ["a", "n299", "root"]
    assert json.loads(dimensions) == {"model": "gpt-5"}
    [(of_none,)] = looking.execute("SELECT resource_ids FROM usage WHERE event_name IS NULL")
    assert json.loads(of_none) == []


def test_resources_with_large_row_ids_are_named(looking: sqlite3.Connection) -> None:
    large = 2**47 + 0x1234_5678_9ABC
    [(old,)] = looking.execute("SELECT id FROM resources WHERE resource_id = 'n299'")
    members = b"".join(one.to_bytes(8, "big") for one in (1, large))
    looking.execute("UPDATE resources SET id = ? WHERE id = ?", (large, old))
    looking.execute("UPDATE paths SET members = ? WHERE length(members) > 0", (members,))
    [(ids,)] = looking.execute("SELECT DISTINCT resource_ids FROM usage WHERE event_name = 'chat'")
    assert sorted(json.loads(ids)) == ["n299", "root"]


def test_it_is_read_by_sqlite_utils(looking: sqlite3.Connection) -> None:
    import sqlite_utils  # noqa: PLC0415 - of this one only

    view = sqlite_utils.Database(looking)["usage"]
    assert {row["amount"] for row in view.rows_where("credit_currency = 'd9'")} == {"1"}
