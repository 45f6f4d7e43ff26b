"""usage: booked usage summed by resource, event, customer, dimension and time; and the margin in it."""

import decimal
import json
import pickle
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stiggctl import (
    AmbiguousResource,
    ControlClosed,
    CurrencyNotFound,
    CustomerNotFound,
    InvalidAmount,
    InvalidRequest,
    InvalidTimestamp,
    Receipt,
    ResourceNotFound,
    UsageControl,
    UsageRow,
)
from stiggctl.testing import ManualClock

from .saying import ACME, TOKENS, flat, moment, numbers

USER: dict[str, Any] = {"resource_ids": ["user-01", "emea"], "credit_currency": TOKENS}
#: One resource without a limit, and two currencies, not in the order of their ids.
UNLIMITED = {**flat({"a": None}), "creditCurrencies": [{"id": "usd", "decimals": 9}, {"id": TOKENS}]}
NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)


def told(rows: list[UsageRow]) -> list[tuple[str | None, Any]]:
    return [(row.key, row.amount) for row in rows]


# ------------------------------------------------------------------ against a sum by hand

CUSTOMERS = ("c", "d")
DECIMALS = {"ai-tokens": 0, "eur": 2, "usd": 9}
#: Both customers have all of these; users are moved between the teams.
TYPES = {"org": "org", "team-a": "team", "team-b": "team", "ana": "user", "bo": "user", "emea": "region"}
PARENTS = {"team-a": "org", "team-b": "org", "ana": "team-a", "bo": "team-b"}
#: Clocks that are set forward and back, by an hour or half of one, at midnight, and a day that was skipped.
ZONES = {
    "UTC": NOON,
    "Europe/Amsterdam": datetime(2025, 3, 30, tzinfo=UTC),
    "America/New_York": datetime(2025, 11, 2, 5, tzinfo=UTC),
    "America/Sao_Paulo": datetime(2018, 11, 4, 3, tzinfo=UTC),
    "Australia/Lord_Howe": datetime(2025, 4, 5, 15, tzinfo=UTC),
    "Asia/Kathmandu": datetime(2024, 12, 31, 18, 15, tzinfo=UTC),
    "Pacific/Apia": datetime(2011, 12, 30, 10, tzinfo=UTC),
}


class Booked(NamedTuple):
    """One event, as the test knows it."""

    customer_id: str
    members: frozenset[str]  #: what it was charged to, and all above, as they were then
    event_name: str | None
    dimensions: dict[str, str]  #: in the one form
    at: datetime
    amounts: dict[str, Decimal]


def in_one_form(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        text = f"{value:f}"
        return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"
    return str(value)


instants = st.builds(
    lambda zone, minutes, micros: ZONES[zone] + timedelta(minutes=minutes, microseconds=micros),
    st.sampled_from(sorted(ZONES)),
    st.integers(-70 * 24 * 60, 70 * 24 * 60) | st.integers(-180, 180),
    st.integers(-1, 1),
).map(lambda at: min(at, NOON))
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=6)
values = st.one_of(
    st.sampled_from(["large", "small", "5", "true", "0.5", "", "text:x", "{", "渡辺"]),
    st.booleans(),
    st.integers(-3, 6),
    st.sampled_from([2**63, -(2**63), 2**200, -(2**200), 10**30]),
    st.sampled_from(["0.5", "5.0", "-0.5", "1E+3", "1E-30", "123456789.123456789123456789"]).map(Decimal),
)
reports = st.fixed_dictionaries(
    {
        "customer_id": st.sampled_from(CUSTOMERS),
        "resource_ids": st.lists(st.sampled_from([*TYPES, "nobody"]), max_size=3),
        "event_name": st.sampled_from(["chat", "résumé", "event"]),
        "dimensions": st.dictionaries(st.sampled_from(["model", 'a"b\\c', "resource"]), values, max_size=2),
        "timestamp": instants,
        "amounts": st.dictionaries(
            st.sampled_from(sorted(DECIMALS)), st.integers(0, 300) | st.just(10**7), min_size=1
        ),
    }
)
steps = st.lists(
    st.one_of(
        reports,
        reports,
        reports,
        st.tuples(st.just("reverse"), st.integers(0, 20)),
        st.tuples(st.sampled_from(["team-a", "team-b"]), st.sampled_from(["ana", "bo"])),
    ),
    max_size=16,
)


def model() -> dict[str, Any]:
    return {
        "creditCurrencies": [{"id": name, "decimals": decimals} for name, decimals in DECIMALS.items()],
        "resourceTypes": [{"id": type_id} for type_id in dict.fromkeys(TYPES.values())],
        "resources": [
            {
                "id": name,
                "resourceTypeId": type_id,
                "customerId": customer,
                "parentResourceId": PARENTS.get(name),
            }
            for customer in CUSTOMERS
            for name, type_id in TYPES.items()
        ],
    }


def lived(control: UsageControl, history: list[Any]) -> list[Booked]:
    """Let it happen; what was booked, by the test's own book."""
    control.apply(model())
    parents = {customer: dict(PARENTS) for customer in CUSTOMERS}
    book: list[Booked] = []
    ids: list[str] = []
    gone: set[int] = set()
    for step in history:
        if isinstance(step, dict):
            above = parents[step["customer_id"]]
            members = set(step["resource_ids"]) - {"nobody"}
            while more := {above[one] for one in members if one in above} - members:
                members |= more
            amounts = {
                name: Decimal(units).scaleb(-DECIMALS[name]) for name, units in step["amounts"].items()
            }
            ids.append(control.report(**{**step, "amounts": amounts}).event_id)
            said = {name: in_one_form(value) for name, value in step["dimensions"].items()}
            book.append(
                Booked(
                    step["customer_id"],
                    frozenset(members),
                    step["event_name"],
                    said,
                    step["timestamp"],
                    amounts,
                )
            )
        elif step[0] == "reverse":
            at = step[1]
            if at < len(ids) and at not in gone:
                gone.add(at)
                control.reverse(ids[at], reason="a mistake")
                first = book[at]
                book.append(first._replace(amounts={name: -one for name, one in first.amounts.items()}))
                ids.append("of a reversal")
                gone.add(len(ids) - 1)
        else:
            control.move_resource(step[1], parent_resource_id=step[0], customer_id="c")
            parents["c"][step[1]] = step[0]
    return book


Sums = dict[tuple[Any, ...], tuple[dict[str, Any], int]]


def by_hand(book: list[Booked], places: Any) -> Sums:
    """What events sum to at each of the places that each has."""
    amounts: defaultdict[tuple[Any, ...], dict[str, Any]] = defaultdict(dict)
    events: defaultdict[tuple[Any, ...], int] = defaultdict(int)
    for one in book:
        for place in places(one):
            events[place] += 1
            for name, amount in one.amounts.items():
                amounts[place][name] = amounts[place].get(name, 0) + amount
    return {place: (amounts[place], events[place]) for place in events}


def by_rows(rows: list[UsageRow], place: Any) -> Sums:
    sums = {place(row): (row.amounts, row.events) for row in rows}
    assert len(sums) == len(rows), "two rows of one place"
    return sums


@given(steps)
def test_every_number_is_the_sum_of_its_events(history: list[Any]) -> None:
    with UsageControl(":memory:", clock=ManualClock(NOON)) as control:
        book = lived(control, history)
        if book:
            [row] = control.usage()
            assert {("all",): (row.amounts, row.events)} == by_hand(book, lambda one: [("all",)])
        assert by_rows(control.usage(group_by="event"), lambda row: (row.customer_id, row.key)) == by_hand(
            book, lambda one: [(None, one.event_name)]
        )
        assert by_rows(control.usage(group_by="customer"), lambda row: (row.customer_id, row.key)) == by_hand(
            book, lambda one: [(one.customer_id, one.customer_id)]
        )
        for name, asked in [("model", "model"), ('a"b\\c', 'a"b\\c'), ("resource", "dimensions.resource")]:
            for customer in (None, "c"):
                assert by_rows(
                    control.usage(customer, group_by=asked), lambda row: (row.customer_id, row.key)
                ) == by_hand(
                    [one for one in book if customer in (None, one.customer_id)],
                    lambda one, name=name, customer=customer: [(customer, one.dimensions.get(name))],
                )
        assert by_rows(control.usage(group_by="resource"), lambda row: (row.customer_id, row.key)) == by_hand(
            book, lambda one: [(one.customer_id, member) for member in one.members or {None}]
        )
        of_teams = control.usage(group_by="resource", resource_type_id="team")
        assert by_rows(of_teams, lambda row: (row.customer_id, row.key)) == by_hand(
            book,
            lambda one: [
                (one.customer_id, member)
                for member in {name for name in one.members if TYPES[name] == "team"} or {None}
            ],
        )
        for resource in ("team-a", "emea"):
            below = control.usage("c", resource_id=resource, group_by="event")
            assert by_rows(below, lambda row: (row.key,)) == by_hand(
                [one for one in book if one.customer_id == "c" and resource in one.members],
                lambda one: [(one.event_name,)],
            )
        for currency in DECIMALS:
            assert by_rows(
                control.usage(group_by="event", credit_currency=currency), lambda row: (row.key,)
            ) == by_hand(
                [
                    one._replace(amounts={currency: one.amounts[currency]})
                    for one in book
                    if currency in one.amounts
                ],
                lambda one: [(one.event_name,)],
            )
        assert control.verify() == []


@given(
    st.lists(reports, max_size=12),
    st.sampled_from(sorted(ZONES)),
    st.sampled_from(["hour", "day", "week", "month", "year", "P1D", "PT1H"]),
    st.none() | instants,
    st.none() | instants,
)
def test_buckets_are_those_of_the_calendar_and_sum_to_the_total(
    history: list[Any], zone: str, bucket: str, since: datetime | None, until: datetime | None
) -> None:
    """TT1, TT2: by what the clocks of the zone show, as zoneinfo tells."""

    def label(at: datetime) -> tuple[Any, ...]:
        local = at.astimezone(ZoneInfo(zone))
        return {
            "hour": (at.replace(minute=0, second=0, microsecond=0),),
            "day": (local.date(),),
            "week": tuple(local.isocalendar()[:2]),
            "month": (local.year, local.month),
            "year": (local.year,),
        }[{"P1D": "day", "PT1H": "hour"}.get(bucket, bucket)]

    with UsageControl(":memory:", clock=ManualClock(NOON)) as control:
        book = [
            one
            for one in lived(control, history)
            if (since is None or since <= one.at) and (until is None or one.at < until)
        ]
        asked: dict[str, Any] = {"since": since, "until": until}
        rows = control.usage(bucket=bucket, timezone=zone, group_by="model", **asked)
        assert by_rows(rows, lambda row: (*label(row.bucket_start), row.key)) == by_hand(
            book, lambda one: [(*label(one.at), one.dimensions.get("model"))]
        )
        for row in rows:
            assert label(row.bucket_end - timedelta(microseconds=1)) == label(row.bucket_start)
            assert label(row.bucket_end) != label(row.bucket_start)
        total = control.usage(**asked)[0]
        for name in DECIMALS:
            assert sum(row.amounts.get(name, 0) for row in rows) == total.amounts.get(name, 0)
        assert sum(row.events for row in rows) == total.events


# ------------------------------------------------------------------ time


def test_a_time_includes_its_start_and_not_its_end(acme: UsageControl, clock: ManualClock) -> None:
    start = moment(clock)
    for hours in range(4):
        clock.set(start + timedelta(hours=hours))
        acme.consume(**USER, amount=2**hours)
    [row] = acme.usage(since=start + timedelta(hours=1), until=start + timedelta(hours=3))
    assert row.amount == 2 + 4
    first, last = acme.usage(bucket="PT2H", since=start + timedelta(hours=1), until="2026-01-15T15:00:00Z")
    assert (first.amount, last.amount) == (2, 4)
    assert (first.bucket_start, first.bucket_end) == (start, start + timedelta(hours=2))  # whole, though cut
    assert acme.usage(group_by="event", since=start + timedelta(hours=4)) == []


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Amsterdam", "2025-03-30", 23),
        ("Europe/Amsterdam", "2025-10-26", 25),
        ("UTC", "2025-10-26", 24),
    ],
)
def test_a_day_is_as_long_as_its_clocks_say(control: UsageControl, zone: str, day: str, hours: int) -> None:
    control.apply(UNLIMITED)
    midnight = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    for hour in range(-1, hours + 1):
        control.report(
            customer_id="c", event_name="e", resource_ids=["a"], credit_currency=TOKENS, amount=1,
            timestamp=midnight + timedelta(hours=hour),
        )  # fmt: skip
    _, row, _ = control.usage(bucket="day", timezone=zone)
    assert (row.bucket_start, row.bucket_end) == (midnight, midnight + timedelta(hours=hours))
    assert row.amount == hours
    assert len(control.usage(bucket="hour", timezone=zone)) == hours + 2


@pytest.mark.parametrize("cadence", ["P1M", "week", "PT6H", "P10D"])
def test_buckets_are_the_windows_of_a_limit(control: UsageControl, cadence: str) -> None:
    """TT1, and so the amounts are what the limit has used."""
    control.apply(UNLIMITED)
    control.set_allocation(
        resource_id="a", credit_currency=TOKENS, limit=100, cadence=cadence, timezone="Asia/Tokyo"
    )
    for days in (0, 1, 40):
        control.report(
            customer_id="c", event_name="e", resource_ids=["a"], credit_currency=TOKENS, amount=5 + days,
            timestamp=NOON - timedelta(days=days),
        )  # fmt: skip
    [limit] = control.check(resource_ids=["a"], credit_currency=TOKENS).limits
    *_, last = control.usage(bucket=cadence, timezone="Asia/Tokyo")
    assert (last.bucket_start, last.bucket_end) == (limit.window_start, limit.window_end)
    assert last.amount == limit.used


def test_a_reversal_counts_where_the_first_did(acme: UsageControl, clock: ManualClock) -> None:
    receipt = acme.consume(**USER, amount=30, dimensions={"model": "large"})
    acme.consume(**USER, amount=5)
    clock.advance(seconds=86_400)
    acme.reverse(receipt.event_id, reason="refund")
    first, none = acme.usage(group_by="model", bucket="day")[::-1]
    assert (first.key, first.amount, first.events) == ("large", 0, 2)
    assert (none.key, none.amount, none.events) == (None, 5, 1)
    assert first.bucket_start == none.bucket_start == datetime(2026, 1, 15, tzinfo=UTC)


def test_buckets_far_apart_cost_nothing_between_them(control: UsageControl) -> None:
    """TT3: seventeen million hours lie between; nobody walks through them."""
    control.apply(UNLIMITED)
    for at in ("0001-01-01T00:00:00Z", "1900-01-01T00:30:00Z", "2026-01-15T11:00:00Z"):
        control.report(
            customer_id="c",
            event_name="e",
            resource_ids=["a"],
            credit_currency=TOKENS,
            amount=1,
            timestamp=at,
        )
    assert [row.bucket_start.year for row in control.usage(bucket="hour")] == [1, 1900, 2026]
    assert [row.bucket_start.year for row in control.usage(bucket="P100Y")] == [
        1, 1870, 1970,
    ]  # fmt: skip


# ------------------------------------------------------------------ what rows are by


def test_a_resource_has_what_was_booked_under_it_as_the_tree_was_then(acme: UsageControl) -> None:
    acme.consume(**USER, amount=30)
    acme.put_resource("team-new", resource_type_id="team", parent_resource_id="dept-marketing")
    acme.move_resource("user-01", parent_resource_id="team-new")
    acme.consume(**USER, amount=5)
    rows = dict(told(acme.usage(group_by="resource")))
    assert rows == {
        "org-acme": 35,
        "dept-marketing": 35,
        "emea": 35,
        "user-01": 35,
        "team-growth": 30,
        "team-new": 5,
    }
    teams = acme.usage(group_by="resource", resource_type_id="team")
    assert told(teams) == [("team-growth", 30), ("team-new", 5)]
    assert told(acme.usage(resource_id="team-growth")) == [(None, 30)]


def test_what_was_attributed_to_nothing_is_not_lost(acme: UsageControl) -> None:
    acme.consume(**USER, amount=30)
    acme.report(customer_id=ACME, event_name="e", resource_ids=["nobody"], credit_currency=TOKENS, amount=7)
    assert (None, 7) in told(acme.usage(group_by="resource"))
    assert told(acme.usage(group_by="resource", resource_type_id="team")) == [("team-growth", 30), (None, 7)]
    assert told(acme.usage(group_by="resource", resource_type_id="region")) == [("emea", 30), (None, 7)]


def test_what_two_customers_call_alike_stays_apart(acme: UsageControl) -> None:
    acme.apply(flat({"user-01": 10}, customer_id="other"))
    acme.consume(**USER, amount=1, customer_id=ACME)
    acme.consume(resource_ids=["user-01"], credit_currency=TOKENS, amount=2, customer_id="other")
    rows = [(row.customer_id, row.amount) for row in acme.usage(group_by="resource") if row.key == "user-01"]
    assert rows == [("other", 2), (ACME, 1)]
    assert [(row.customer_id, row.key) for row in acme.usage("other", group_by="event")] == [("other", None)]
    assert [(row.customer_id, row.amount) for row in acme.usage()] == [(None, 3)]
    with pytest.raises(AmbiguousResource):
        acme.usage(resource_id="user-01")
    assert acme.usage("other", resource_id="user-01")[0].amount == 2


@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=6), texts)
@settings(max_examples=60)
def test_dimensions_are_of_any_script(said: list[tuple[str, str]], other: str) -> None:
    """GP1: quotes, dots, backslashes, control characters, emoji: in names and in values."""
    with UsageControl(":memory:", clock=ManualClock(NOON)) as control:
        control.apply(UNLIMITED)
        for name, value in said:
            control.report(
                customer_id="c", event_name=value, resource_ids=["a"], credit_currency=TOKENS, amount=1,
                dimensions={name: value, f"{name}.{other}": other},
            )  # fmt: skip
        for name in {name for name, _ in said}:
            wanted: defaultdict[str | None, int] = defaultdict(int)
            for other_name, value in said:
                wanted[
                    value if other_name == name else other if name == f"{other_name}.{other}" else None
                ] += 1
            assert dict(told(control.usage(group_by=f"dimensions.{name}"))) == wanted


def test_a_value_has_one_form_however_it_was_written(acme: UsageControl) -> None:
    """GP1."""
    for value in (5, "5", Decimal("5.00"), True, "true", Decimal("0.50"), "0.5", 2**70, str(2**70)):
        acme.consume(**USER, amount=1, dimensions={"d": value})
    assert dict(told(acme.usage(group_by="d"))) == {"5": 3, "true": 2, "0.5": 2, str(2**70): 2}


@pytest.mark.parametrize("word", ["resource", "event", "customer", "dimensions.x"])
def test_a_dimension_may_be_called_like_a_word(acme: UsageControl, word: str) -> None:
    acme.consume(**USER, amount=1, dimensions={word: "v"})
    assert told(acme.usage(group_by=f"dimensions.{word}")) == [("v", 1)]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"group_by": ""}, 'expected "resource", "event", "customer", or the name of a dimension'),
        ({"group_by": "dimensions."}, 'expected "resource", "event", "customer", or the name'),
        ({"group_by": ["model"]}, 'expected "resource", "event", "customer", or the name'),
        ({"group_by": "m" * 256}, "expected 1 to 255 characters"),
        (
            {"group_by": "resources"},
            'did you mean "resource"? A dimension of this name is \'dimensions.resour',
        ),
        ({"group_by": "event_name"}, 'did you mean "event"?'),
        ({"group_by": "customerId"}, 'did you mean "customer"?'),
        ({"group_by": "day"}, "did you mean bucket='day'?"),
        ({"bucket": "dayly"}, "bucket: got 'dayly', expected a duration of one unit"),
        ({"bucket": "daily"}, "did you mean 'day'?"),
        ({"bucket": "PT15M"}, "bucket: got 'PT15M', expected PT1H or longer"),
        ({"bucket": 5}, "bucket: got 5"),
        ({"bucket": "day", "timezone": "Amsterdam"}, "did you mean 'Europe/Amsterdam'?"),
        ({"timezone": None}, "timezone: got None"),
        ({"resource_type_id": "team"}, 'group_by="resource" beside it'),
        ({"resource_type_id": "taem", "group_by": "resource"}, "did you mean 'team'?"),
        ({"resource_type_id": 5, "group_by": "resource"}, "expected a resource type that exists"),
        ({"event_name": 5}, "event_name: got 5"),
    ],
)
def test_what_cannot_be_meant_is_told_with_what_would_be_right(
    acme: UsageControl, asked: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        acme.usage(**asked)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"customer_id": "nobody"}, CustomerNotFound),
        ({"resource_id": "nobody"}, ResourceNotFound),
        ({"resource_id": "user-01", "customer_id": "nobody"}, CustomerNotFound),
        ({"credit_currency": "eur"}, CurrencyNotFound),
        ({"since": "yesterday"}, InvalidTimestamp),
        ({"until": datetime(2026, 1, 1)}, InvalidTimestamp),  # noqa: DTZ001 - a naive one
    ],
)
def test_usage_of_what_is_not_there_is_an_error(
    acme: UsageControl, asked: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        acme.usage(**asked)


# ------------------------------------------------------------------ rows


def test_rows_come_by_bucket_then_largest_first_then_by_key(control: UsageControl) -> None:
    control.apply(UNLIMITED)
    for at, name, amounts in [
        ("2026-01-02", "b", {TOKENS: 5}),
        ("2026-01-02", "a", {TOKENS: 5}),
        ("2026-01-02", "c", {TOKENS: 5, "usd": "0.01"}),
        ("2026-01-01", "d", {TOKENS: 1}),
        ("2026-01-02", "e", {"usd": 9}),
        ("2026-01-02", "f", {TOKENS: 70}),
    ]:
        control.report(
            customer_id="c", resource_ids=["a"], amounts=amounts, timestamp=f"{at}T00:00:00Z",
            dimensions={"d": name},
        )  # fmt: skip
    control.report(customer_id="c", resource_ids=["a"], amounts={TOKENS: 5}, timestamp="2026-01-02T00:00:00Z")
    assert [row.key for row in control.usage(group_by="d", bucket="day")] == [
        "d", "f", "c", "a", "b", None, "e",
    ]  # fmt: skip
    assert [row.key for row in control.usage(group_by="d", credit_currency="usd")] == ["e", "c"]


def test_the_amount_is_that_of_the_one_currency(control: UsageControl) -> None:
    control.apply(UNLIMITED)
    [nothing] = control.usage()
    assert (nothing.amounts, nothing.amount, nothing.events) == ({}, None, 0)
    assert control.usage(credit_currency=TOKENS)[0].amount == 0
    assert control.usage(bucket="day") == control.usage(group_by="event") == []
    control.report(customer_id="c", resource_ids=["a"], amounts={"usd": "0.50", TOKENS: 3})
    [both] = control.usage()
    assert (list(both.amounts.items()), both.amount) == ([(TOKENS, 3), ("usd", Decimal("0.5"))], None)
    assert both.events == 1  # of two currencies
    assert control.usage(credit_currency="usd")[0].amount == Decimal("0.5")
    assert control.usage(credit_currency="usd")[0].events == 1


def test_a_row_as_json_and_through_a_process_pool(acme: UsageControl) -> None:
    acme.consume(**USER, amount=30, dimensions={"model": "large"})
    [row] = acme.usage(group_by="model", bucket="month", timezone="Europe/Amsterdam")
    assert json.loads(json.dumps(row.as_dict())) == {
        "key": "large",
        "customerId": None,
        "bucketStart": "2025-12-31T23:00:00Z",
        "bucketEnd": "2026-01-31T23:00:00Z",
        "amounts": {TOKENS: 30},
        "events": 1,
    }
    assert pickle.loads(pickle.dumps(row)) == row
    assert "currencies" not in repr(row)


def test_sums_are_exact_beyond_64_bits(control: UsageControl) -> None:
    """GP1: nobody limits this usage, so it has no bound."""
    control.apply(UNLIMITED)
    events = [
        {
            "customerId": "c", "eventName": "e", "resourceIds": ["a"], "creditCurrency": TOKENS,
            "amount": 10**17 - n,
        }
        for n in range(200)
    ]  # fmt: skip
    assert all(isinstance(one, Receipt) for one in control.report_many(events))
    wanted = 200 * 10**17 - sum(range(200))
    assert wanted > 2**64
    for asked in ({}, {"group_by": "resource"}, {"group_by": "event"}, {"bucket": "year"}):
        assert [row.amount for row in control.usage(**asked)] == [wanted]


def test_usage_is_what_decisions_see_at_once(acme: UsageControl) -> None:
    reservation = acme.reserve(**USER, amount=50)
    assert acme.usage(resource_id="user-01", credit_currency=TOKENS)[0].amount == 0  # held is not used
    reservation.settle(61)
    acme.consume(**USER, amount=7)
    for node in ("user-01", "emea", "team-growth", "org-acme"):
        [row] = acme.usage(resource_id=node)
        assert row.amount == numbers(acme, "user-01", "emea")[node][0] == 68


def test_a_closed_control_tells_no_usage(control: UsageControl) -> None:
    control.close()
    with pytest.raises(ControlClosed):
        control.usage()


# ------------------------------------------------------------------ margin


def row_of(**amounts: Any) -> UsageRow:
    return UsageRow(
        key=None, customer_id=None, bucket_start=None, bucket_end=None, events=1, amounts=amounts,
        currencies=("credits", "eur", "usd"),
    )  # fmt: skip


def test_a_feature_that_loses_money_is_visible(control: UsageControl) -> None:
    control.apply(UNLIMITED)
    for feature, tokens, usd in [("chat", 20, "0.031"), ("summarize", 10, "0.140000001"), ("chat", 1, "0")]:
        control.report(
            customer_id="c", resource_ids=["a"], amounts={TOKENS: tokens, "usd": usd},
            dimensions={"feature": feature},
        )  # fmt: skip
    margins = {row.key: row.margin(worth={TOKENS: "0.01"}) for row in control.usage(group_by="feature")}
    assert margins == {"chat": Decimal("0.179"), "summarize": Decimal("-0.040000001")}
    with pytest.raises(InvalidRequest, match="cost: got 'usd'"):  # not looked at: it would look like profit
        control.usage(credit_currency=TOKENS)[0].margin(worth={TOKENS: 1})


money = st.integers(-(10**30), 10**30).map(lambda units: Decimal(units).scaleb(-9, decimal.Context(prec=60)))
prices = st.integers(0, 10**21).map(lambda units: Decimal(units).scaleb(-18, decimal.Context(prec=60)))


@given(st.integers(-(10**26), 10**26), money, money, prices, prices)
def test_a_margin_is_exact_whatever_the_hosts_decimal_context_is(
    tokens: int, usd: Decimal, eur: Decimal, worth: Decimal, worth_of_eur: Decimal
) -> None:
    wanted = Fraction(tokens) * Fraction(worth) + Fraction(eur) * Fraction(worth_of_eur) - Fraction(usd)
    with decimal.localcontext() as context:
        context.prec, context.rounding = 2, decimal.ROUND_UP
        context.traps[decimal.Inexact] = True
        context.clear_flags()  # what others rounded before, in the context that this one is a copy of
        margin = row_of(credits=tokens, usd=usd, eur=eur).margin({"credits": worth, "eur": worth_of_eur})
        assert not context.flags[decimal.Inexact]
    assert type(margin) is Decimal
    assert Fraction(margin) == wanted


def test_what_nobody_booked_counts_as_nothing() -> None:
    assert row_of(credits=5).margin({"credits": "0.5"}) == Decimal("2.5")
    assert row_of(usd=Decimal("1.5")).margin({"credits": 9}) == Decimal("-1.5")
    assert row_of(eur=Decimal(1), credits=2).margin({"credits": 3}, cost="eur") == 5
    assert str(row_of().margin({"credits": 1})) == "0"


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        ({"worth": {}}, InvalidRequest, 'expected what one credit is worth, by currency: {"ai-tokens"'),
        ({"worth": "0.01"}, InvalidRequest, "worth: got '0.01'"),
        ({"worth": {"credit": 1}}, InvalidRequest, "worth: got 'credit', expected a currency that"),
        ({"worth": {"credit": 1}}, InvalidRequest, "('credits', 'eur', 'usd'): did you mean 'credits'?"),
        ({"worth": {5: 1}}, InvalidRequest, "worth: got 5"),
        ({"worth": {"credits": 1}, "cost": "dollars"}, InvalidRequest, "cost: got 'dollars'"),
        ({"worth": {"credits": 1}, "cost": None}, InvalidRequest, "cost: got None"),
        ({"worth": {"usd": 1}}, InvalidRequest, "not the one of the cost"),
        ({"worth": {"credits": 0.01}}, InvalidAmount, "worth['credits']: got 0.01 (a float)"),
        ({"worth": {"credits": True}}, InvalidAmount, "a bool is never an amount"),
        ({"worth": {"credits": "-1"}}, InvalidAmount, "expected zero or more"),
        ({"worth": {"credits": "1e-19"}}, InvalidAmount, "at most 18 decimals"),
        ({"worth": {"credits": "1e99"}}, InvalidAmount, "at most 1000000000000000000"),
    ],
)
def test_a_margin_of_what_cannot_be_meant_says_what_would_be_right(
    asked: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error) as caught:
        row_of(credits=1).margin(**asked)
    assert said in str(caught.value)


# ------------------------------------------------------------------ meanwhile


def test_usage_may_be_asked_while_more_is_booked(acme: UsageControl) -> None:
    def totals() -> Iterator[Any]:
        for _ in range(5):
            acme.consume(**USER, amount=1)
            yield acme.usage(resource_id="user-01")[0].amount

    assert list(totals()) == [1, 2, 3, 4, 5]
