"""Watching: thresholds that bookings, other limits and late openings cross; who tells of them."""

from contextlib import closing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stiggctl.amounts import LIMIT_MAX
from stiggctl.ledger.opening import open_ledger
from stiggctl.ledger.records import CROSSED, EXPIRING, ExpiringWrite, WarningRow
from stiggctl.ledger.sqlite.watching import mark_of

from .world import NOW_US, World, allocation, grant, holder

SECOND_US = 1_000_000
HALF, WHOLE = 5_000, 10_000


def watch(world: World, *thresholds: int, limit: int = 100) -> None:
    """Give the limit of a these thresholds, and look at the model and its cells anew."""
    write = allocation("a", limit, thresholds=str(list(thresholds)).replace(" ", ""))
    world.change(allocations=[write])
    world.reread()


def crossings(world: World) -> list[WarningRow]:
    with world.ledger.reader() as reader:
        return reader.crossings()


def told(found: list[WarningRow]) -> list[tuple[int, int, int | None]]:
    return [(one.threshold, one.used, one.event) for one in found]


@given(
    limit=st.integers(0, LIMIT_MAX),
    threshold=st.integers(1, 100_000),
    off=st.sampled_from([-1, 0, 1]),
)
def test_a_mark_is_the_first_number_at_which_the_share_is_reached(
    limit: int, threshold: int, off: int
) -> None:
    """WA2, in whole numbers, however large."""
    units = mark_of(limit, threshold).units
    used = units + off
    assert (used >= units) == (used > 0 and used * WHOLE >= limit * threshold)


def test_where_nothing_has_thresholds_an_exchange_does_nothing_for_them(world: World) -> None:
    """WA4: the same statements, and no other."""
    world.exchange(world.booking("warm", 1))
    assert statements_of(world, "k") == statements_of(world, "l")
    before = statements_of(world, "m")
    watch(world, HALF, WHOLE)
    world.exchange(world.booking("again", 1))
    assert [one for one in before if "warnings" in one or "thresholds" in one] == []
    # Also where something has some, once its numbers are known: until it crosses one.
    assert len(statements_of(world, "n")) == len(before)
    assert len(statements_of(world, "o", 50)) == len(before) + 1


def statements_of(world: World, key: str, amount: int = 1) -> list[str]:
    """What SQLite is asked for a booking."""
    statements: list[str] = []
    connection = world.ledger._connections._writing
    connection.set_trace_callback(lambda said: statements.append(said.split("VALUES")[0]))
    world.exchange(world.booking(key, amount))
    connection.set_trace_callback(None)
    return statements


def test_what_a_batch_crosses_is_told_by_its_reply(world: World) -> None:
    """WA1: each by the event of the batch that did, with what was used right after it."""
    watch(world, HALF, 8_000, WHOLE)
    reply = world.exchange(*(world.booking(f"k{at}", 30, ["a"]) for at in range(5)))
    found = crossings(world)
    events = [one.event_id for one in reply.bookings]
    assert told(found) == [(HALF, 60, events[1]), (8_000, 90, events[2]), (WHOLE, 120, events[3])]
    assert reply.warnings == tuple(one.id for one in found)
    assert {one.at_us for one in found} == {NOW_US}
    with world.ledger.reader() as reader:
        assert reader.warnings(reply.warnings[1:]) == found[1:]
    assert world.exchange(world.booking("more", 500, ["a"])).warnings == ()


def test_what_is_known_or_refused_crosses_nothing(world: World) -> None:
    """U2, WA1: also where the batch is done again with care."""
    watch(world, HALF)
    world.exchange(world.booking("k", 49, ["a"]))
    reply = world.exchange(world.booking("k", 49, ["a"]), world.booking("l", 1, ["a"]))
    assert told(crossings(world)) == [(HALF, 50, reply.bookings[1].event_id)]
    watch(world, HALF, WHOLE)
    big = 8 * 10**18
    refused = world.exchange(world.booking("m", big, ["a"]), world.booking("n", 1, ["a"]))
    assert refused.warnings == ()
    assert len(crossings(world)) == 1


def test_two_connections_that_cross_it_one_after_the_other_record_it_once(world: World) -> None:
    """WA1, N1: what the first remembers is not what the second has written."""
    watch(world, HALF, WHOLE)
    world.exchange(world.booking("warm", 10, ["a"]))
    with closing(open_ledger(world.ledger.path)) as other:
        second = World.__new__(World)
        second.__dict__.update(world.__dict__)
        second.ledger = other
        second.me = other.enlist(holder(obeys=world.version), beside=[world.me])
        assert len(second.exchange(second.booking("second", 40, ["a"])).warnings) == 1
        assert world.exchange(world.booking("first", 1, ["a"])).warnings == ()
        assert len(world.exchange(world.booking("all", 49, ["a"])).warnings) == 1
        assert second.exchange(second.booking("over", 49, ["a"])).warnings == ()
    assert [one.threshold for one in crossings(world)] == [HALF, WHOLE]


def test_an_exchange_that_fails_records_nothing(world: World) -> None:
    """L1."""
    watch(world, HALF)

    def fail(said: str) -> None:
        if "INSERT INTO warnings" in said:
            raised.append(said)
            connection.interrupt()

    raised: list[str] = []
    connection = world.ledger._connections._writing
    connection.set_trace_callback(fail)
    with pytest.raises(Exception, match="interrupted"):
        world.exchange(world.booking("k", 60, ["a"]))
    connection.set_trace_callback(None)
    assert raised
    assert crossings(world) == []
    assert len(world.exchange(world.booking("k", 60, ["a"])).warnings) == 1


# ------------------------------------------------------------------ telling


@pytest.fixture
def crossed(world: World) -> World:
    """A world in which 50 and 100 % were crossed."""
    watch(world, HALF, WHOLE)
    world.exchange(world.booking("k", 100, ["a"]))
    return world


def take(world: World, holder: int, now_us: int = NOW_US, **differs: Any) -> list[int]:
    asked: dict[str, Any] = {"kinds": [CROSSED], "since_us": 0, "until_us": now_us + SECOND_US, **differs}
    with world.ledger.reader() as reader:
        there_are = reader.is_untold(asked["kinds"], now_us, asked["since_us"])
    taken = world.ledger.take_untold(
        holder, asked["kinds"], now_us, since_us=asked["since_us"], until_us=asked["until_us"]
    )
    assert there_are == bool(taken)
    return taken


def test_what_one_takes_nobody_else_does_until_its_time_is_over(crossed: World) -> None:
    """NW2."""
    second = crossed.ledger.enlist(holder(obeys=crossed.version), beside=[crossed.me])
    both = take(crossed, crossed.me)
    assert len(both) == 2
    assert take(crossed, second) == take(crossed, crossed.me) == []
    crossed.ledger.told(both[0], NOW_US)
    assert take(crossed, second, NOW_US + SECOND_US) == both[1:]
    assert take(crossed, crossed.me, NOW_US + SECOND_US) == []
    crossed.ledger.told(both[1], NOW_US)
    assert take(crossed, crossed.me, NOW_US + 99 * SECOND_US) == []


def test_what_a_dead_process_had_taken_another_takes_at_once(crossed: World) -> None:
    """NW2."""
    second = crossed.ledger.enlist(holder(obeys=crossed.version), beside=[crossed.me])
    assert len(take(crossed, second)) == 2
    assert take(crossed, crossed.me) == []
    crossed.ledger.bury(second, {}, NOW_US)
    assert len(take(crossed, crossed.me)) == 2


def test_who_only_reads_takes_for_a_while_too(crossed: World) -> None:
    assert len(take(crossed, 0)) == 2
    assert take(crossed, crossed.me) == []
    assert len(take(crossed, crossed.me, NOW_US + SECOND_US)) == 2


def test_only_what_is_asked_for_and_young_enough_is_taken(crossed: World) -> None:
    assert take(crossed, crossed.me, kinds=[EXPIRING]) == []
    assert take(crossed, crossed.me, since_us=NOW_US + 1) == []
    assert len(take(crossed, crossed.me, since_us=NOW_US, kinds=[CROSSED, EXPIRING])) == 2


def test_that_a_grant_expires_is_recorded_once(world: World) -> None:
    write = grant("g", 50, effective_at_us=NOW_US - 10, expires_at_us=NOW_US + 10)
    world.change(grants=[write, grant("voided", 50, expires_at_us=NOW_US + 10)])
    with world.ledger.reader() as reader:
        rows = {one.grant_id: one for one in reader.grants_expiring(NOW_US, NOW_US + 10)}
        assert sorted(rows) == ["g", "voided"]
        assert reader.grants_expiring(NOW_US, NOW_US + 9) == []
        assert reader.grants_expiring(NOW_US + 10, NOW_US + 99) == []
        assert [one.grant_id for one in reader.grants_expiring(NOW_US - 11, NOW_US + 99)] == ["voided"]
    world.change(grants_voided=[rows["voided"].id])
    expiring = [ExpiringWrite(rows[name].id, NOW_US + 10, 20, 50) for name in ("g", "voided", "g")]
    for _ in range(2):
        world.ledger.record_expiring(expiring, NOW_US)
    taken = take(world, world.me, kinds=[EXPIRING])
    with world.ledger.reader() as reader:
        [warning] = reader.warnings(taken)
        assert reader.grants_expiring(NOW_US, NOW_US + 10) == []
        assert reader.crossings() == []
    assert (warning.kind, warning.name, warning.used, warning.limit_units) == (EXPIRING, "g", 20, 50)
    assert warning.window_end_us == NOW_US + 10
