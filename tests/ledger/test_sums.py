"""Sums: what a customer's events sum to in spans of time, apart by name, path or dimension."""

import json
import random
from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest

from stiggctl.events import dimensions_json
from stiggctl.ledger.records import Apart, Part, SumsWanted
from stiggctl.ledger.sqlite.statements import SQL

from .world import NOW_US, World

ALWAYS = (-(2**63), 2**63 - 1)


def sums(world: World, *spans: tuple[int, int], **wanted: Any) -> list[tuple[Any, ...]]:
    """(span, said or names of members, units, events), sorted."""
    ids = {row: name for name, row in world.rows.items()}
    asked = SumsWanted(**{"apart": Apart.NOTHING, **wanted})
    with world.ledger.reader() as reader:
        found = list(reader.sums(world.customer, spans or [ALWAYS], asked))
    told = [
        (
            one.span,
            tuple(sorted(ids[member] for member in one.members)) if asked.apart is Apart.PATH else one.said,
            one.units,
            one.events,
        )
        for one in found
    ]
    return sorted(told, key=repr)


@pytest.fixture
def booked(world: World) -> World:
    """Six events, one an hour apart from the next; a reversal; one of nothing and nowhere."""
    for n in range(6):
        world.exchange(
            world.booking(
                f"{n}",
                10**n,
                ["a", "root"] if n % 2 else ["b", "root"],
                occurred_at_us=NOW_US + n * 100,
                event_name="chat" if n < 4 else None,
                dimensions=dimensions_json({"model": "large"} if n % 3 else {}),
            )
        )
    world.exchange(world.booking("back", -100, ["b", "root"], occurred_at_us=NOW_US + 200))
    world.exchange(world.booking("nowhere", 0, [], event_name="zero", occurred_at_us=NOW_US))
    return world


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({}, [(0, None, 111_011, 8)]),
        (
            {"apart": Apart.EVENT},
            [(0, "chat", 1_011, 5), (0, "zero", 0, 1), (0, None, 110_000, 2)],
        ),
        (
            {"apart": Apart.PATH},
            [(0, (), 0, 1), (0, ("a", "root"), 101_010, 3), (0, ("b", "root"), 10_001, 4)],
        ),
        (
            {"apart": Apart.DIMENSION, "dimension": "model"},
            [(0, "gpt-5", -100, 2), (0, "large", 110_110, 4), (0, None, 1_001, 2)],
        ),
        ({"event_name": "chat"}, [(0, None, 1_011, 5)]),
        ({"resource": "b"}, [(0, None, 10_001, 4)]),
        ({"resource": "root"}, [(0, None, 111_011, 7)]),
        ({"resource": "free"}, []),
        ({"currency": "usd"}, []),
        ({"currency": "tokens", "resource": "a", "event_name": "chat"}, [(0, None, 1_010, 2)]),
    ],
)
def test_sums_are_apart_by_what_is_asked_and_of_what_passes(
    booked: World, wanted: dict[str, Any], told: list[Any]
) -> None:
    if "resource" in wanted:
        wanted = {**wanted, "resource": booked.rows[wanted["resource"]]}
    if "currency" in wanted:
        wanted = {**wanted, "currency": getattr(booked, wanted["currency"])}
    assert sums(booked, **wanted) == sorted(told, key=repr)


def test_each_span_has_its_own_sums_its_start_included_its_end_not(booked: World) -> None:
    spans = [(NOW_US, NOW_US + 100), (NOW_US + 100, NOW_US + 300), (NOW_US + 300, NOW_US + 301), (0, NOW_US)]
    assert sums(booked, *spans) == [(0, None, 1, 2), (1, None, 10, 3), (2, None, 1_000, 1)]
    assert sums(booked, (NOW_US, NOW_US)) == []
    overlapping = sums(booked, (NOW_US, NOW_US + 1), ALWAYS, apart=Apart.EVENT, event_name="zero")
    assert overlapping == [(0, "zero", 0, 1), (1, "zero", 0, 1)]
    with booked.ledger.reader() as reader:
        assert list(reader.sums(booked.customer + 1, [ALWAYS], SumsWanted(Apart.NOTHING))) == []
        assert list(reader.sums(booked.customer, [], SumsWanted(Apart.NOTHING))) == []


def test_an_event_of_two_currencies_counts_once(world: World) -> None:
    def parts(tokens: int, usd: int) -> tuple[Part, ...]:
        return (Part(world.tokens, tokens, None, (), ()), Part(world.usd, usd, None, (), ()))

    world.exchange(world.booking("k", 0, parts=parts(7, 5)), world.booking("l", 0, parts=parts(1, 2)))
    world.exchange(world.booking("m", 4))
    with world.ledger.reader() as reader:
        found = {
            one.currency: one for one in reader.sums(world.customer, [ALWAYS], SumsWanted(Apart.NOTHING))
        }
    assert (found[world.tokens].units, found[world.tokens].events) == (12, 3)
    assert (found[world.usd].units, found[world.usd].events) == (7, 0)
    assert sums(world, currency=world.usd) == [(0, None, 7, 2)]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("gpt-5", "gpt-5"),
        ("", ""),
        ("integer:5", "integer:5"),
        ('{"d": 1}', '{"d": 1}'),
        ('a "b" \\ \n\x01 \u2028 渡辺 👩‍👩‍👧', 'a "b" \\ \n\x01 \u2028 渡辺 👩‍👩‍👧'),
        (5, "5"),
        (-(2**63), str(-(2**63))),
        (2**63, str(2**63)),
        (-(2**255), str(-(2**255))),
        (True, "true"),
        (False, "false"),
        (Decimal("0.1"), "0.1"),
        (Decimal("-0.10"), "-0.1"),
        (Decimal("1E+30"), "1" + "0" * 30),
        (Decimal("5.0"), "5"),
        (Decimal("123456789.123456789123456789"), "123456789.123456789123456789"),
    ],
)
@pytest.mark.parametrize("name", ["model", 'a."b"', "\\", "$.x", "\n\x7f", "渡辺", "é", "[0]", "#-1"])
def test_a_dimension_is_told_in_its_one_form_whatever_it_is_and_is_called(
    world: World, name: str, value: Any, text: str
) -> None:
    """GP1."""
    said = dimensions_json({name: value, f"{name}2": "other", "zz": Decimal("0.25")})
    world.exchange(world.booking("k", 3, dimensions=said), world.booking("l", 4, dimensions="{}"))
    assert sums(world, apart=Apart.DIMENSION, dimension=name) == sorted(
        [(0, text, 3, 1), (0, None, 4, 1)], key=repr
    )


def test_many_sums_come_whole_and_once(world: World) -> None:
    """GP2: pages of five hundred; more than a stream fetches at a time."""
    for first in range(0, 3_000, 500):
        world.exchange(
            *(
                world.booking(str(n), n, [], dimensions=dimensions_json({"d": n}))
                for n in range(first, first + 500)
            )
        )
    found = sums(world, apart=Apart.DIMENSION, dimension="d")
    assert {said: (units, events) for _, said, units, events in found} == {
        str(n): (n, 1) for n in range(3_000)
    }
    assert len(found) == 3_000
    with world.ledger.reader() as reader:
        asked = {**SumsWanted(Apart.DIMENSION, "d")._asdict(), "customer": world.customer}
        pages = reader.rows(SQL["sums_apart"], {**asked, "spans": json.dumps([ALWAYS])})
    sizes = [len(json.loads(page)) for (page,) in pages]
    assert max(sizes) == 500
    assert len(sizes) == 7


def test_sums_are_exact_beyond_64_bits(world: World) -> None:
    """GP1."""
    world.exchange(*(world.booking(str(n), 10**17 - n, []) for n in range(200)))
    world.exchange(*(world.booking(f"-{n}", -(10**17), [], event_name="-") for n in range(200)))
    down, up = -(200 * 10**17), 200 * 10**17 - sum(range(200))
    assert sums(world, apart=Apart.EVENT) == sorted([(0, "-", down, 200), (0, "chat", up, 200)], key=repr)


def test_sums_of_random_events_are_those_of_a_loop(world: World) -> None:
    chance = random.Random(7)
    wanted: defaultdict[tuple[int, Any], list[int]] = defaultdict(lambda: [0, 0])
    for n in range(400):
        at, on = NOW_US + chance.randrange(1_000), chance.choice([["a"], ["a", "b"], ["root"], []])
        amount = chance.randrange(-50, 5_000)
        world.exchange(world.booking(str(n), amount, on, occurred_at_us=at))
        place = wanted[(at - NOW_US) // 100, tuple(sorted(on))]
        place[0] += amount
        place[1] += 1
    spans = [(NOW_US + 100 * n, NOW_US + 100 * n + 100) for n in range(10)]
    assert sums(world, *spans, apart=Apart.PATH) == sorted(
        [(span, on, units, events) for (span, on), (units, events) in wanted.items()], key=repr
    )


def test_sums_are_of_the_readers_moment(booked: World) -> None:
    """S1."""
    with booked.ledger.reader() as reader:
        booked.exchange(booked.booking("later", 1))
        [one] = reader.sums(booked.customer, [ALWAYS], SumsWanted(Apart.NOTHING))
    assert one.events == 8


def test_the_instant_after_so_many_events(booked: World) -> None:
    with booked.ledger.reader() as reader:

        def after(events: int, since_us: int = ALWAYS[0], until_us: int = ALWAYS[1]) -> int | None:
            return reader.instant_after(booked.customer, since_us, until_us, events=events)

        assert [after(n) for n in range(9)] == [
            *(NOW_US + at for at in (0, 0, 100, 200, 200, 300, 400, 500)),
            None,
        ]
        assert after(0, NOW_US + 1) == NOW_US + 100
        assert after(0, NOW_US + 1, NOW_US + 100) is None
        assert after(1, NOW_US + 500) is None
        assert reader.instant_after(booked.customer + 1, *ALWAYS, events=0) is None
