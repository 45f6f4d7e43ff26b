"""Events: booked once, with what they cost and what they were over; read as they were booked."""

from threading import Barrier, Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stiggctl.amounts import COUNTER_MAX
from stiggctl.errors import LedgerUnavailable
from stiggctl.ledger import Fenced, Stale
from stiggctl.ledger.keys import adjusted_by, adjustment_key, reversal_key
from stiggctl.ledger.opening import open_ledger
from stiggctl.ledger.records import (
    KEYS_OF_OURS,
    KEYS_OF_USERS,
    LATE,
    Booked,
    EventPart,
    EventRow,
    Known,
    Part,
    Refused,
)

from .world import NOW_US, World, allocation, wanted


def event(world: World, key: str, namespace: int = KEYS_OF_USERS) -> EventRow | None:
    with world.ledger.reader() as reader:
        return reader.event_by_key(world.customer, namespace, key)


def test_an_event_is_read_as_it_was_booked(world: World) -> None:
    told = {
        "event_name": "chat",
        "dimensions": '{"model": "gpt-5"}',
        "occurred_at_us": 1,
        "reservation": "res-1",
        "reverses": 77,
        "flags": LATE,
        "unattributed": '["nobody"]',
        "fingerprint": b"\x00\xff",
    }
    [answer] = world.exchange(world.booking("k", 7, **told)).bookings
    assert isinstance(answer, Booked)
    found = event(world, "k")
    assert found is not None
    for name, value in told.items():
        assert getattr(found, name) == value
    assert (found.id, found.customer, found.namespace, found.key) == (answer.event_id, world.customer, 0, "k")
    assert found.booked_at_us == answer.booked_at_us == NOW_US
    assert found.members == tuple(sorted((world.rows["a"], world.rows["root"])))
    assert found.parts == (EventPart(currency=world.tokens, amount_units=7, overage_units=0, rate=None),)
    with world.ledger.reader() as reader:
        assert reader.event(answer.event_id) == found
        assert reader.reversal_of(77) == found
        assert reader.reversal_of(78) is None
        assert reader.event(10**9) is None
    assert event(world, "k", KEYS_OF_OURS) is None


def test_each_entry_is_told_what_it_did_in_booking_order(world: World) -> None:
    reply = world.exchange(world.booking("1", 60), world.booking("2", 70), world.booking("3", 5, ["b"]))
    ids = [answer.event_id for answer in reply.bookings]
    assert ids == sorted(set(ids))
    assert [answer.parts[0][2:4] for answer in reply.bookings] == [
        ([60, 60], [0, 0]),
        ([130, 130], [30, 0]),
        ([5], [0]),
    ]
    assert reply.cells.keys() == {world.ids[name] for name in ("a", "root", "b")}
    assert reply.cells[world.ids["a"]].used == 130


# ------------------------------------------------------------------ keys


def test_one_key_is_booked_once(world: World) -> None:
    """L4, U1: whatever the second says: it is told the first, and changes no number."""
    [first] = world.exchange(world.booking("k", 7)).bookings
    before = world.numbers()
    reply = world.exchange(world.booking("k", 900, ["b"], event_name="other", fingerprint=b"other"))
    assert reply.bookings == [Known(event=event(world, "k"))]
    assert reply.bookings[0].event.id == first.event_id
    assert reply.bookings[0].event.parts[0].amount_units == 7
    assert world.numbers() == before
    world.assert_sound()


def test_the_same_key_of_another_customer_or_namespace_is_another_event(world: World) -> None:
    reply = world.exchange(
        world.booking("k", 1),
        world.booking("k", 2, namespace=KEYS_OF_OURS),
        world.booking("k", 3, customer=world.customer + 1),
    )
    assert all(isinstance(answer, Booked) for answer in reply.bookings)
    assert event(world, "k", KEYS_OF_OURS).parts[0].amount_units == 2


def test_in_a_batch_the_first_of_a_key_wins(world: World) -> None:
    """U2: the later is told the first as it was booked; what stands beside them is booked."""
    world.exchange(world.booking("old", 1))
    reply = world.exchange(
        world.booking("k", 7, spend=0),
        world.booking("old", 2),
        world.booking("k", 9),
        world.booking("new", 3, ["b"]),
        world.booking("old", 4),
    )
    assert [type(answer) for answer in reply.bookings] == [Booked, Known, Known, Booked, Known]
    assert reply.bookings[2].event == event(world, "k")
    assert reply.bookings[1].event == reply.bookings[4].event == event(world, "old")
    assert world.numbers()["a"][0] == 8
    assert world.numbers()["b"][0] == 3
    world.assert_sound()


def test_an_event_that_is_sent_again_does_not_spend_again(world: World) -> None:
    """After a commit whose answer was lost: the share fell with it, and may be less than it spends."""
    world.exchange(asks=[world.ask(100, ["a"])])
    settle = world.booking("k", 80, ["a"], spend=80)
    world.exchange(settle)
    [answer] = world.exchange(settle).bookings
    assert isinstance(answer, Known)
    assert world.numbers()["a"] == (80, 20, 0)
    world.assert_sound()


def test_an_event_that_is_known_by_one_part_is_known(world: World) -> None:
    parts = tuple(_part(world, currency, 5) for currency in (world.tokens, world.usd))
    world.exchange(world.booking("k", 5))
    [answer] = world.exchange(world.booking("k", 5, parts=parts)).bookings
    assert isinstance(answer, Known)
    assert len(answer.event.parts) == 1
    world.assert_sound()


def test_threads_that_send_one_key_book_it_once(world: World) -> None:
    together, answers = Barrier(8), []

    def send(n: int) -> None:
        together.wait()
        answers.extend(world.exchange(world.booking("k", n)).bookings)

    threads = [Thread(target=send, args=(n,)) for n in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(type(answer).__name__ for answer in answers) == ["Booked"] + ["Known"] * 7
    assert world.numbers()["a"][0] == event(world, "k").parts[0].amount_units
    world.assert_sound()


@given(
    st.lists(
        st.tuples(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), st.integers(0, 5)),
        max_size=40,
    )
)
def test_any_text_is_a_key(entries: list[tuple[str, int]]) -> None:
    """Quotes, emoji, empty; batches of every size; compared as given."""
    ledger = open_ledger(":memory:")
    world, seen = World(ledger), {}
    for batch in (entries[: len(entries) // 2], entries[len(entries) // 2 :]):
        reply = world.exchange(*(world.booking(key, amount) for key, amount in batch))
        for (key, amount), answer in zip(batch, reply.bookings, strict=True):
            assert isinstance(answer, Known if key in seen else Booked)
            seen.setdefault(key, amount)
    for key, amount in seen.items():
        assert event(world, key).parts[0].amount_units == amount
    assert world.numbers()["root"][0] == sum(seen.values())
    world.assert_sound()
    ledger.close()


# ------------------------------------------------------------------ parts, paths


def _part(world: World, currency: int, amount: int, *cells: int, rate: int | None = None) -> Part:
    return Part(currency, amount, rate, cells, (0,) * len(cells))


def test_one_event_costs_in_several_currencies(world: World) -> None:
    world.change(customers_touched={"acme"}, allocations=[allocation("a", 3, currency_id="usd")])
    with world.ledger.reader() as reader:
        [asked] = [wanted(row) for row in reader.allocations() if row.currency == world.usd]
    [usd] = world.open(asked)
    parts = (
        _part(world, world.tokens, 7, world.ids["a"], rate=4),
        _part(world, world.usd, 5, usd.id, rate=9),
    )
    [answer, after] = world.exchange(
        world.booking("k", 0, ["a"], parts=parts), world.booking("l", 1)
    ).bookings
    assert [part.overages for part in answer.parts] == [[0], [2]]
    assert after.event_id == answer.event_id + 2
    assert event(world, "k").parts == (
        EventPart(currency=world.tokens, amount_units=7, overage_units=0, rate=4),
        EventPart(currency=world.usd, amount_units=5, overage_units=2, rate=9),
    )
    with world.ledger.reader() as reader:
        assert [found.key for found in reader.events()] == ["k", "l"]
        assert reader.event(answer.event_id).key == "k"
        assert reader.event(answer.event_id + 1) is None  # a part has no event of its own
    [known] = world.exchange(world.booking("k", 0, ["a"], parts=parts)).bookings
    assert known.event == event(world, "k")
    world.assert_sound()


def test_an_event_without_cells_is_booked(world: World) -> None:
    [answer] = world.exchange(world.booking("k", 7, ["free"])).bookings
    assert answer.parts == ((0, (), [], [], None),)
    assert event(world, "k").parts[0].overage_units == 0
    [nowhere] = world.exchange(world.booking("l", 7, [])).bookings
    assert event(world, "l").members == ()
    assert nowhere.event_id > answer.event_id


def test_a_path_that_many_take_is_kept_once(world: World) -> None:
    for n in range(3):
        world.exchange(world.booking(f"{n}", 1), world.booking(f"{n} b", 1, ["b", "root"]))
    with world.ledger.reader() as reader:
        assert reader.rows("SELECT count(*) FROM paths", {}) == [(2,)]
        assert reader.rows("SELECT count(*) FROM path_resources", {}) == [(4,)]


def test_a_path_that_was_rolled_back_is_not_remembered(world: World) -> None:
    """Else its events would name a path that is not there, or another's."""
    on = ["b", "free"]
    with pytest.raises(UnicodeEncodeError):
        world.exchange(world.booking("k", 1, on), world.booking("no text: \ud800", 1, on))
    world.exchange(world.booking("l", 1, ["a", "free"]))
    world.exchange(world.booking("k", 1, on))
    assert set(event(world, "k").members) == {world.rows[name] for name in on}
    world.assert_sound()


def test_many_events_are_booked_in_one_exchange(world: World) -> None:
    for size in (1, 2, 8, 9, 31, 32, 33, 100, 511):
        reply = world.exchange(*(world.booking(f"{size} {n}", 1) for n in range(size)))
        ids = [answer.event_id for answer in reply.bookings]
        assert ids == list(range(ids[0], ids[0] + size))
    assert world.numbers()["root"][0] == 727
    world.assert_sound()


# ------------------------------------------------------------------ overage


@given(st.lists(st.integers(-30, 60), max_size=20), st.integers(0, 80))
def test_overages_sum_to_what_a_limit_is_over(amounts: list[int], limit: int) -> None:
    """RC3."""
    ledger = open_ledger(":memory:")
    world = World(ledger)
    world.change(customers_touched={"acme"}, allocations=[allocation("a", limit)])
    total = 0
    for n, amount in enumerate(amounts):
        [answer] = world.exchange(world.booking(str(n), amount, ["a"])).bookings
        [(_, _, [used_after], [overage], _)] = answer.parts
        total += overage
        assert total == max(0, used_after - limit)
        assert event(world, str(n)).parts[0].overage_units == overage
    assert world.numbers()["a"][0] == sum(amounts)
    ledger.close()


def test_the_largest_overage_is_the_events(world: World) -> None:
    world.exchange(world.booking("k", 90))
    [answer] = world.exchange(world.booking("l", 930)).bookings
    assert answer.parts[0].overages == [920, 20]
    assert event(world, "l").parts[0].overage_units == 920
    [back] = world.exchange(world.booking("back", -930)).bookings
    assert back.parts[0].overages == [-920, -20]
    assert event(world, "back").parts[0].overage_units == -20


def test_what_is_granted_does_not_count_as_overage(world: World) -> None:
    world.exchange(asks=[world.ask(5)])
    [answer] = world.exchange(world.booking("k", 100)).bookings
    assert answer.parts[0].overages == [0, 0]


# ------------------------------------------------------------------ what is refused


def test_a_counter_that_would_pass_its_bound_refuses_that_event_alone(world: World) -> None:
    huge = 10**17
    for n in range(79):
        world.exchange(world.booking(str(n), huge))
    before = world.numbers()["a"][0]
    assert before == COUNTER_MAX - huge
    reply = world.exchange(
        world.booking("one more", huge - 1),
        world.booking("refused", 2),
        world.booking("b", 5, ["b"]),
        world.booking("0", 99),  # known: its amount is never looked at
        world.booking("to the bound", 1),
        world.booking("refused", 3),  # nothing was booked under this key
        world.booking("refused", -1),
    )
    assert [type(answer) for answer in reply.bookings] == [
        Booked, Refused, Booked, Known, Booked, Refused, Booked,
    ]  # fmt: skip
    assert reply.bookings[1] == Refused(cell=world.ids["a"], used=COUNTER_MAX - 1)
    assert world.numbers()["a"][0] == COUNTER_MAX - 1
    assert event(world, "refused").parts[0].amount_units == -1
    world.assert_sound()


def test_an_event_is_refused_whole(world: World) -> None:
    """Its first cell has room, its second has not."""
    huge = 10**17
    world.exchange(*(world.booking(str(n), huge, ["root"]) for n in range(80)))
    reply = world.exchange(world.booking("k", 1, ["a", "root"]), world.booking("l", 1, ["a"]))
    assert [type(answer) for answer in reply.bookings] == [Refused, Booked]
    assert world.numbers()["a"][0] == 1
    world.assert_sound()


def test_parts_that_pass_a_bound_together_are_refused(world: World) -> None:
    """Each alone would fit."""
    huge = 10**17
    world.exchange(*(world.booking(str(n), huge, ["root"]) for n in range(79)))
    root = world.ids["root"]
    parts = (_part(world, world.tokens, huge - 1, root), _part(world, world.usd, 2, root))
    [answer] = world.exchange(world.booking("k", 0, ["root"], parts=parts)).bookings
    assert answer == Refused(cell=root, used=79 * huge)
    world.assert_sound()


def test_who_was_buried_books_nothing(world: World) -> None:
    dead = world.me
    world.ledger.bury(dead, {}, NOW_US)
    world.me = world.enlist()
    for by in (dead, 10**6):
        with pytest.raises(Fenced):
            world.exchange(world.booking("k", 1), by=by)
    assert event(world, "k") is None
    world.exchange(world.booking("k", 1))


def test_who_read_an_older_model_books_nothing(world: World) -> None:
    old = world.version
    world.change(for_all=True)
    world.version, new = old, world.version
    with pytest.raises(Stale):
        world.exchange(world.booking("k", 1))
    assert event(world, "k") is None
    world.version = new
    world.exchange(world.booking("k", 1))


# ------------------------------------------------------------------ reading


@pytest.fixture
def booked(world: World) -> World:
    """Six events; two at a time."""
    for n in range(0, 6, 2):
        world.exchange(
            world.booking(f"{n}", n, ["a", "root"], occurred_at_us=NOW_US - n, event_name="chat"),
            world.booking(f"{n + 1}", n + 1, ["b", "root"], occurred_at_us=NOW_US + n, event_name="mail"),
        )
    return world


@pytest.mark.parametrize(
    ("asked", "keys"),
    [
        ({}, "012345"),
        ({"event_name": "chat"}, "024"),
        ({"resource": "a"}, "024"),
        ({"resource": "root"}, "012345"),
        ({"resource": "free"}, ""),
        ({"since_us": NOW_US}, "0135"),
        ({"until_us": NOW_US}, "24"),
        ({"since_us": NOW_US - 2, "until_us": NOW_US + 2}, "012"),
        ({"resource": "b", "since_us": NOW_US + 1, "event_name": "mail"}, "35"),
    ],
)
@pytest.mark.parametrize("of_customer", [False, True])
def test_events_are_read_in_ledger_order_whatever_is_asked(
    booked: World, asked: dict[str, Any], keys: str, of_customer: bool
) -> None:
    if "resource" in asked:
        asked = {**asked, "resource": booked.rows[asked["resource"]]}
    customer = booked.customer if of_customer else None
    with booked.ledger.reader() as reader:
        assert "".join(found.key for found in reader.events(customer, **asked)) == keys
        assert list(reader.events(booked.customer + 1, **asked)) == []


def test_a_stream_shows_one_moment_while_others_book(booked: World) -> None:
    """S1: and ends when its reader does."""
    booked.exchange(*(booked.booking(f"more {n}", 1) for n in range(1_000)))
    with booked.ledger.reader() as reader:
        stream = reader.events()
        first = next(stream)
        booked.exchange(booked.booking("later", 1))
        rest = list(stream)
        assert "later" not in {found.key for found in rest}
        assert [first.key, *(found.key for found in rest[:5])] == list("012345")
        assert len(rest) == 1_005
        assert reader.event_by_key(booked.customer, 0, "later") is None
    assert event(booked, "later") is not None


def test_a_reader_shows_the_moment_at_which_it_was_entered(world: World) -> None:
    """S1: also if it asks for the first time later."""
    with world.ledger.reader() as reader:
        world.exchange(world.booking("later", 1))
        assert reader.event_by_key(world.customer, 0, "later") is None
    with world.ledger.reader() as reader:
        assert reader.event_by_key(world.customer, 0, "later") is not None


def test_a_stream_that_nobody_read_to_its_end_keeps_no_moment(booked: World) -> None:
    """The next reader gets the same connection, and its own moment."""
    booked.exchange(*(booked.booking(f"more {n}", 1) for n in range(1_000)))
    with booked.ledger.reader() as reader:
        stream = reader.events()
        next(stream)
    booked.exchange(booked.booking("later", 1))
    with booked.ledger.reader() as reader:
        assert reader.event_by_key(booked.customer, 0, "later") is not None
    with pytest.raises(LedgerUnavailable, match="reader was closed"):
        list(stream)
    assert stream is not None


# ------------------------------------------------------------------ what was booked on events


def test_adjustments_and_reversals_of_many_events_are_found_together(world: World) -> None:
    """KY1: of event 1, none of event 11's; of a customer's own, none of a user's key."""
    ids = [
        answer.event_id
        for answer in world.exchange(*(world.booking(f"k{at}", 7) for at in range(12))).bookings
    ]
    first, eleventh = ids[0], ids[10]
    assert str(eleventh).startswith(str(first))
    ours = {"namespace": KEYS_OF_OURS}
    booked = world.exchange(
        world.booking(adjustment_key(first, 0), 1, **ours),
        world.booking(adjustment_key(eleventh, 0), 2, **ours),
        world.booking(adjustment_key(first, 1), -3, **ours),
        world.booking(adjustment_key(first, 10), 4, **ours),
        world.booking(adjustment_key(first, 2), 5),
        world.booking(f"adjust {first}", 6, **ours),
        world.booking(reversal_key(first), -7, reverses=first, **ours),
    ).bookings
    with world.ledger.reader() as reader:
        found = reader.adjustments_of([first])
        assert [(row.id, row.parts[0].amount_units) for row in found] == [
            (booked[0].event_id, 1),
            (booked[2].event_id, -3),
            (booked[3].event_id, 4),
        ]
        assert {adjusted_by(row) for row in found} == {first}
        assert [adjusted_by(row) for row in reader.adjustments_of(ids)] == [first, eleventh, first, first]
        assert reader.reversals_of(ids) == {first: booked[6].event_id}
        assert (reader.adjustments_of([]), reader.reversals_of([eleventh])) == ([], {})
        every = list(reader.events())
    assert [adjusted_by(row) for row in every if row.namespace == KEYS_OF_USERS or row.reverses] == [
        None
    ] * 14
    assert adjusted_by(next(row for row in every if row.key == f"adjust {first}")) is None


def test_a_walk_over_a_customers_events_goes_on_where_it_was(world: World) -> None:
    """By instants, then ids; whole events; nothing that was booked since."""
    instants = [5, 3, 5, 5, 1, 9, 3, 5]
    world.exchange(
        *(
            world.booking(f"k{at}", 7, occurred_at_us=us, event_name="chat" if at % 3 else "draw")
            for at, us in enumerate(instants)
        ),
        world.booking("other", 7, occurred_at_us=5, customer=world.customer + 1),
    )

    def walked(most: int, event_name: str | None = None, last: int = 8) -> list[str]:
        keys: list[str] = []
        since_us, after = 1, 0
        while True:
            with world.ledger.reader() as reader:
                found = reader.events_in_order(
                    world.customer,
                    event_name=event_name,
                    since_us=since_us,
                    after=after,
                    until_us=9,
                    last=last,
                    most=most,
                )
            keys += [row.key for row in found]
            if len(found) < most:
                return keys
            since_us, after = found[-1].occurred_at_us, found[-1].id

    with world.ledger.reader() as reader:
        assert reader.last_event() == 9
    for most in (1, 2, 3, 7, 8, 100):
        assert walked(most) == ["k4", "k1", "k6", "k0", "k2", "k3", "k7"]
        assert walked(most, "draw") == ["k6", "k0", "k3"]
        assert walked(most, last=4) == ["k1", "k0", "k2", "k3"]
