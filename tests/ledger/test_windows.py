"""Windows and scopes: what of all events a cell counts, whenever it is opened."""

import itertools
import random
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Barrier, Thread
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stiggctl.ledger.opening import open_ledger
from stiggctl.ledger.records import CellRow, CellWanted, CustomerWrite, Part
from stiggctl.ledger.sqlite import cells, sums, sweeping

from .world import DAY_US, HOUR_US, NOW_US, TODAY, World, allocation, resource, template, wanted

MODELS = '{"model":["gpt-5","gpt-6"]}'
GPT_5, GPT_6, OTHER = '{"model":"gpt-5"}', '{"model":"gpt-6","n":1.5}', '{"model":"gpt-7"}'


def limit(
    world: World, allocation_id: str, *windows: tuple[int, int | None], **differs: Any
) -> list[CellWanted]:
    """A limit on `free` as told, and its cells in those windows; none of them is open."""
    world.change(allocations=[allocation("free", 100, allocation_id=allocation_id, **differs)])
    return [wanted(world.limit(allocation_id), window) for window in windows]


def book(world: World, *events: tuple[int, int, str], opened: CellRow | None = None) -> None:
    """Events on `free` of (instant, amount, dimensions); `opened` counts them too."""
    cells_ = () if opened is None else (opened.id,)
    world.exchange(
        *(
            world.booking(
                f"{next(_keys)}",
                amount,
                ["free"],
                parts=(Part(world.tokens, amount, None, cells_, (0,) * len(cells_)),),
                occurred_at_us=at_us,
                dimensions=said,
            )
            for at_us, amount, said in events
        )
    )


_keys = itertools.count()


def test_a_window_counts_from_its_start_to_just_before_its_end(world: World) -> None:
    start, end = TODAY
    book(world, (start - 1, 1, "{}"), (start, 2, "{}"), (end - 1, 4, "{}"), (end, 8, "{}"))
    yesterday, today, tomorrow = limit(
        world, "daily", (start - DAY_US, start), TODAY, (end, end + DAY_US), cadence="P1D"
    )
    with world.ledger.reader() as reader:
        seen = reader.cells([yesterday, today, tomorrow], world.me)
    opened = world.open(yesterday, today, tomorrow)
    assert [cell.used for cell in opened] == [cell.used for cell in seen.values()] == [1, 6, 8]
    assert [cell.id for cell in seen.values()] == [0, 0, 0]
    assert len({cell.id for cell in opened}) == 3
    world.assert_sound()


def test_a_late_event_counts_in_the_window_of_its_instant(world: World) -> None:
    """Booked now, in a window that is over: before its cell opens, and after."""
    yesterday = (TODAY[0] - DAY_US, TODAY[0])
    old, new = limit(world, "daily", yesterday, TODAY, cadence="P1D")
    [today] = world.open(new)
    book(world, (TODAY[0] - 1, 5, "{}"))
    [late] = world.open(old)
    assert late.used == 5
    book(world, (TODAY[0] - DAY_US, 6, "{}"), opened=late)
    book(world, (TODAY[0], 7, "{}"), opened=today)
    assert [cell.used for cell in world.open(old, new)] == [11, 7]
    world.assert_sound()


def test_a_window_beside_a_lifetime_limit_and_a_longer_window(world: World) -> None:
    """One event counts in each of them once."""
    book(world, (0, 1, "{}"), (TODAY[0] - 9 * DAY_US, 2, "{}"), (NOW_US, 4, "{}"))
    [ever] = limit(world, "ever", (0, None))
    [day] = limit(world, "day", TODAY, cadence="P1D")
    [month] = limit(world, "month", (TODAY[0] - 13 * DAY_US, TODAY[1] + DAY_US), cadence="P1M")
    opened = dict(zip(["ever", "day", "month"], world.open(ever, day, month), strict=True))
    assert {name: cell.used for name, cell in opened.items()} == {"ever": 7, "day": 4, "month": 6}
    part = Part(world.tokens, 10, None, tuple(cell.id for cell in opened.values()), (0, 0, 0))
    world.exchange(world.booking("k", 10, ["free"], parts=(part,)))
    assert [cell.used for cell in world.open(ever, day, month)] == [17, 14, 16]
    world.assert_sound()


def test_the_window_that_begins_in_1970_is_not_for_ever(world: World) -> None:
    """The start 0 says nothing of the end; nor is there anything odd about what lies before it."""
    book(world, (-1, 1, "{}"), (0, 2, "{}"), (DAY_US - 1, 4, "{}"), (DAY_US, 8, "{}"))
    before, first = limit(world, "day", (-DAY_US, 0), (0, DAY_US), cadence="P1D")
    assert [cell.used for cell in world.open(before, first)] == [1, 6]
    world.assert_sound()


def test_a_scope_counts_what_matches_it_exactly(world: World) -> None:
    """SC1: as text in one form; what does not say is outside."""
    said = {
        '{"n":5}': True,
        '{"n":5.0}': True,
        '{"n":5e0,"model":"gpt-5"}': True,
        '{"n":"5"}': True,
        '{"n":true}': True,
        '{"n":"true"}': True,
        '{"n":0.1}': True,
        '{"n":0.10}': True,
        '{"n":1000000000000000000000000000001}': True,
        '{"n":"5.0"}': False,
        '{"n":" 5"}': False,
        '{"n":1}': False,
        '{"n":false}': False,
        '{"n":0.1000000000000000055}': False,
        '{"n":1000000000000000000000000000000}': False,
        '{"n":"μ\\u00b5"}': False,
        '{"N":5}': False,
        "{}": False,
    }
    scope = '{"n":["0.1","1000000000000000000000000000001","5","true"]}'
    book(world, *((NOW_US, 1 << at, text) for at, text in enumerate(said)))
    [asked] = limit(world, "scoped", (0, None), scope=scope)
    [cell] = world.open(asked)
    assert {text: bool(cell.used >> at & 1) for at, text in enumerate(said)} == said
    world.assert_sound()


def test_a_scope_of_several_dimensions_wants_each(world: World) -> None:
    scope = '{"it\'s \\"δ\\"":["x"],"model":["gpt-5","gpt-6"]}'
    for at, text in enumerate(
        [
            '{"it\'s \\"δ\\"":"x","model":"gpt-6"}',
            '{"it\'s \\"δ\\"":"x"}',
            GPT_5,
            '{"it\'s \\"δ\\"":"y","model":"gpt-5"}',
        ]
    ):
        book(world, (NOW_US, 10**at, text))
    [asked] = limit(world, "scoped", TODAY, scope=scope, cadence="P1D")
    assert [cell.used for cell in world.open(asked)] == [1]
    world.assert_sound()


def test_a_scope_reads_its_events_in_parts_and_misses_none(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SU2: also where more events than a part has lie at one instant, or at its borders."""
    instants = [
        TODAY[0] - 1,
        *[TODAY[0]] * 7,
        *range(TODAY[0] + 1, TODAY[0] + 9),
        *[TODAY[1] - 1] * 4,
        TODAY[1],
    ]
    said = [GPT_5, GPT_6, OTHER]
    book(world, *((at_us, 1 << n, said[n % 3]) for n, at_us in enumerate(instants)))
    right = sum(1 << n for n, at in enumerate(instants) if n % 3 < 2 and TODAY[0] <= at < TODAY[1])
    ever = sum(1 << n for n in range(len(instants)) if n % 3 < 2)
    [day] = limit(world, "day", TODAY, scope=MODELS, cadence="P1D")
    [always] = limit(world, "always", (0, None), scope=MODELS)
    for size in (1, 2, 3, 4, 5, 100):
        monkeypatch.setattr(sums, "EVENTS_AT_A_TIME", size)
        monkeypatch.setattr(sweeping, "EVENTS_AT_A_TIME", size)
        with world.ledger.reader() as reader:
            seen = reader.cells([day, always], world.me)
        assert [cell.used for cell in seen.values()] == [right, ever]
        world.open(day, always)
        world.assert_sound()


@pytest.mark.parametrize("scope", ["{}", MODELS])
def test_sums_of_more_than_64_bits_are_exact(world: World, scope: str) -> None:
    """SU1: below zero too, in a window and without one."""
    huge = 10**17 - 3
    amounts = [huge] * 99 + [-huge] * 20 + [-7, 1 << 32, (1 << 32) - 1, -(1 << 32)]
    book(world, *((NOW_US + n, amount, GPT_5) for n, amount in enumerate(amounts)))
    book(world, (TODAY[0] - 1, -huge, GPT_5), (TODAY[0] - 2, -5, GPT_6))
    asked = [
        *limit(world, "ever", (0, None), scope=scope),
        *limit(world, "day", TODAY, (TODAY[0] - DAY_US, TODAY[0]), scope=scope, cadence="P1D"),
    ]
    today = sum(amounts)
    with world.ledger.reader() as reader:
        seen = [cell.used for cell in reader.cells(asked, world.me).values()]
    assert seen == [today - huge - 5, today, -huge - 5]
    assert [cell.used for cell in world.open(*asked)] == seen
    world.assert_sound()
    assert max(sum(amounts[:n]) for n in range(len(amounts))) > 2**63  # or this shows nothing


def test_a_window_is_that_of_its_resource_currency_and_customer(world: World) -> None:
    """A template's cell for a resource counts what its own would."""
    world.change(
        for_all=True,
        customers=[CustomerWrite(customer_id="other", name=None, archived_at_us=None)],
        resources=[resource("a", None, customer_id="other")],
        allocations=[template(9, cadence="P1D", allocation_id="t")],
    )
    with world.ledger.reader() as reader:
        [others] = [row for row in reader.resources() if row.customer != world.customer]
    usd = Part(world.usd, 1_000, None, (), ())
    world.exchange(
        world.booking("1", 1, ["a", "root"]),
        world.booking("2", 2, ["b", "root"]),
        world.booking("3", 4, ["a", "root"], parts=(usd,)),
        world.booking("4", 8, [], customer=others.customer, members=(others.id,)),
    )
    names = ["a", "b", "root", "free"]
    row = world.limit("t")
    asked = [wanted(row, TODAY, resource=world.rows[name]) for name in names]
    opened = world.open(*asked, wanted(row, TODAY, resource=others.id))
    assert [cell.used for cell in opened] == [1, 2, 3, 0, 8]
    world.assert_sound()


def test_an_end_that_a_zone_moved_is_followed(world: World) -> None:
    """The rules of a zone change while a window is open: what it counts does, what is held stays."""
    [asked] = limit(world, "day", TODAY, cadence="P1D")
    book(world, (TODAY[1] - 1, 1, "{}"), (TODAY[1], 2, "{}"))
    [before] = world.open(asked)
    world.ids["free"] = before.id
    world.exchange(asks=[world.ask(5, ["free"])])
    later = asked._replace(window_end_us=TODAY[1] + HOUR_US)
    with world.ledger.reader() as reader:
        [seen] = reader.cells([later], world.me).values()
    [after] = world.open(later)
    assert (before.used, after.used, after.id) == (1, 3, before.id)
    assert (seen.id, seen.used, seen.granted) == (after.id, after.used, after.granted)
    assert after.granted > 0
    assert world.open(later) == [after]
    world.assert_sound()


# ------------------------------------------------------------------ limits that are wanted


def test_a_cell_has_the_limit_that_is_wanted(world: World) -> None:
    """O2: set by an override and back; a reader sees it without setting it."""
    asked = world.wanted["a"]
    for limit_units in (500, 500, 40, 100):
        other = asked._replace(limit_units=limit_units)
        with world.ledger.reader() as reader:
            before = reader.rows("SELECT lim FROM cells WHERE id = :id", {"id": world.ids["a"]})
            assert reader.cells([other], world.me)[asked.key].limit_units == limit_units
            assert reader.rows("SELECT lim FROM cells WHERE id = :id", {"id": world.ids["a"]}) == before
        [cell] = world.open(other)
        assert (cell.id, cell.limit_units) == (world.ids["a"], limit_units)
        assert world.cell("a").limit_units == limit_units
        fits = world.exchange(asks=[world.ask(limit_units, ["a"]), world.ask(1, ["a"])])
        assert fits.asks == [True, False]
        assert (
            fits.cells[world.ids["a"]].limit_units == limit_units
        )  # what an exchange had read before is none
        world.exchange(gives=[world.give("a", fits.cells[world.ids["a"]].granted)])
    world.assert_sound()


def test_a_limit_below_what_was_granted_leaves_no_surplus_for_a_while(world: World) -> None:
    """As where the model changes; and what was granted stays granted."""
    world.exchange(asks=[world.ask(5, ["a", "b"])])
    asked = [world.wanted["a"]._replace(limit_units=99), world.wanted["b"]._replace(limit_units=51)]
    world.ledger.open_cells(asked, world.version, world.me, now_us=NOW_US)
    with world.ledger.reader() as reader:
        hushed = dict(reader.rows("SELECT id, hush_until FROM cells", {}))
    assert (hushed[world.ids["a"]], hushed[world.ids["b"]]) == (NOW_US + 1_000_000, 0)
    assert world.numbers()["a"] == (0, 100, 0)


def test_cells_that_are_as_wanted_are_not_written(world: World) -> None:
    [asked] = limit(world, "day", TODAY, scope=MODELS, cadence="P1D")
    raised = world.wanted["a"]._replace(limit_units=900)
    world.open(asked, raised)
    with world.ledger.reader() as reader:
        before = reader.rows("PRAGMA data_version", {}), world.ledger.log_bytes()
        again = world.open(asked, raised)
    assert [cell.limit_units for cell in again] == [100, 900]
    assert before[1] == world.ledger.log_bytes()


# ------------------------------------------------------------------ whoever opens when


def test_threads_that_open_windows_and_book_in_them_lose_nothing(world: World) -> None:
    """O1."""
    book(world, *((TODAY[0] + n, 1, (GPT_5, OTHER)[n % 2]) for n in range(40)))
    asked = [
        *limit(world, "day", TODAY, (TODAY[0] - DAY_US, TODAY[0]), cadence="P1D"),
        *limit(world, "scoped", (0, None), scope=MODELS),
    ]
    together = Barrier(4)

    def work(thread: int) -> None:
        together.wait()
        for n in range(25):
            today, yesterday, scoped = world.open(*asked)
            said, late = (GPT_6, OTHER)[n % 2], n % 5 == 0
            counts = [yesterday if late else today, *([scoped] if said == GPT_6 else [])]
            part = Part(world.tokens, 3, None, tuple(cell.id for cell in counts), (0,) * len(counts))
            at_us = TODAY[0] - 1 if late else NOW_US
            world.exchange(
                world.booking(
                    f"{thread} {n}", 3, ["free"], parts=(part,), dimensions=said, occurred_at_us=at_us
                )
            )

    threads = [Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [cell.used for cell in world.open(*asked)] == [40 + 4 * 20 * 3, 4 * 5 * 3, 20 + 4 * 13 * 3]
    world.assert_sound()


def test_what_is_booked_while_a_window_opens_is_counted_once(world: World) -> None:
    """O1: what lies in the window and the scope, and nothing else."""
    asked = [
        *limit(world, "day", TODAY, cadence="P1D"),
        *limit(world, "scoped", (0, None), scope=MODELS),
        *limit(world, "both", TODAY, scope=MODELS, cadence="P1D"),
    ]
    taken = []

    def busy() -> None:
        book(
            world,
            (TODAY[0], 1, GPT_5),
            (TODAY[0] - 1, 10, GPT_6),
            (NOW_US, 100, OTHER),
            (TODAY[1], 1_000, "{}"),
        )
        taken.append(1)

    @contextmanager
    def snapshots() -> Iterator[Any]:
        with world.ledger.reader() as reader:
            busy()
            yield reader
        busy()

    busy()
    opened = cells.open_all(
        world.ledger._connections, snapshots, asked, change=world.version, holder=world.me, now_us=NOW_US
    )
    n = len(taken)
    assert n == 5
    assert [cell.used for cell in opened.values()] == [101 * n, 11 * n, n]
    world.assert_sound()


SCOPES = {
    "{}": lambda _: True,
    MODELS: lambda said: said in (GPT_5, GPT_6),
    '{"n":["1.5"]}': lambda said: said == GPT_6,
}


@given(seed=st.integers(0, 2**32), several=st.integers(1, 12))
@settings(max_examples=30, deadline=None)
def test_whenever_cells_open_they_have_what_ten_lines_of_reference_have(seed: int, several: int) -> None:
    """L2, O1, SW1: for windows of any length and beginning, any scope, resource and currency."""
    chance = random.Random(seed)
    ledger = open_ledger(":memory:")
    world = World(ledger)
    world.change(allocations=[_random_limit(chance, n) for n in range(several)])
    with ledger.reader() as reader:
        limits = reader.allocations()
    lengths = [chance.choice([1, 3, 10]) for _ in limits]
    opened = {key: world.ids[name] for name, key in world.keys.items()}
    booked: list[tuple[tuple[int, ...], int, int, str, int]] = []

    def counting(members: tuple[int, ...], currency: int, at: int, said: str) -> list[CellWanted]:
        found = []
        for row, length in zip(limits, lengths, strict=True):
            for member in members:
                if row.currency == currency and row.resource in (0, member) and SCOPES[row.scope](said):
                    start = at // length * length
                    window = (0, None) if row.cadence is None else (start, start + length)
                    found.append(wanted(row, window, resource=member))
        return found

    def reference(asked: CellWanted) -> int:
        row = next(row for row in limits if row.id == asked.key.allocation)
        start, end = (
            (-(2**60), 2**60)
            if asked.window_end_us is None
            else (asked.key.window_start_us, asked.window_end_us)
        )
        return sum(
            amount
            for members, currency, at, said, amount in booked
            if asked.key.resource in members and currency == row.currency
            and start <= at < end and SCOPES[row.scope](said)
        )  # fmt: skip

    for n in range(40):
        names = chance.choice([["a", "root"], ["b", "root"], ["a", "b", "root"], ["free"]])
        members = tuple(sorted(world.rows[name] for name in names))
        currency, at = chance.choice([world.tokens, world.usd]), chance.randrange(-5, 25)
        said, amount = chance.choice([GPT_5, GPT_6, OTHER, "{}"]), chance.randrange(-9, 99)
        asked = counting(members, currency, at, said)
        if chance.random() < 0.5:
            for one, cell in zip(asked, world.open(*asked), strict=True):
                assert cell.used == reference(one)
                opened[one.key] = cell.id
        # Whoever books names every open cell that counts it; of the rest nobody has asked yet.
        ids = tuple(opened[one.key] for one in asked if one.key in opened)
        part = Part(currency, amount, None, ids, (0,) * len(ids))
        world.exchange(
            world.booking(str(n), amount, names, parts=(part,), dimensions=said, occurred_at_us=at)
        )
        booked.append((members, currency, at, said, amount))
    world.assert_sound()
    everything = [one for event in booked for one in counting(*event[:4])]
    with ledger.reader() as reader:
        for one, cell in reader.cells(everything, world.me).items():
            asked_for = next(each for each in everything if each.key == one)
            assert cell.used == reference(asked_for)
    ledger.close()


def _random_limit(chance: random.Random, n: int) -> Any:
    facts: dict[str, Any] = {
        "allocation_id": f"l{n}",
        "cadence": chance.choice([None, "P1D"]),
        "scope": chance.choice(list(SCOPES)),
        "currency_id": chance.choice(["tokens", "usd"]),
    }
    if chance.random() < 0.3:
        return template(10**6, customer_id="acme", **facts)
    return allocation(chance.choice(["a", "b", "root", "free"]), 10**6, **facts)
