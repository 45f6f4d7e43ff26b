"""Paths: which cells a request touches, however it names its resources."""

from itertools import permutations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from stiggctl.answers import AccessDeniedReason, Circumstances, Refusal
from stiggctl.decision import paths
from stiggctl.decision.decide import Met, fits, look, types_of
from stiggctl.decision.holds import HELD
from stiggctl.decision.meeting import Meeting
from stiggctl.decision.paths import tail_of_members
from stiggctl.decision.sights import cells_of, hard_cells
from stiggctl.windows import ALWAYS
from tests.decision.land import is_held

from .land import PARENTS, Land

NAMES = sorted(PARENTS)


def world() -> Land:
    """Every resource but `free` with a limit; SOFT ones among them; team with two."""
    land = Land()
    for at, name in enumerate(NAMES):
        if name != "free":
            land.limit(name, 100 + at, hard=name not in ("ops", "emea"))
    land.limit("team", 7, hard=False)
    return land


def touched(land: Land, ids: list[str]) -> list[int]:
    """The cells of a path, each as often as it is counted."""
    sight = land.look(ids)
    with land.stripe.lock:
        cells = cells_of(land.stripe, sight)
    assert len(cells) == len(set(cells.values()))
    assert set(hard_cells(sight)) == {cell for cell in cells if land.cells[cell].hard}
    return sorted(cells)


# ------------------------------------------------------------------ what a path is


@given(ids=st.lists(st.sampled_from(NAMES), min_size=1, max_size=5))
def test_a_path_is_every_limit_of_every_resource_named_and_of_all_above_once(ids: list[str]) -> None:
    """P2: also where the first is named again, or stands above another."""
    land = world()
    assert touched(land, ids) == sorted(cell.cell for cell in land.path(ids))


@given(ids=st.lists(st.sampled_from(NAMES), min_size=1, max_size=4), units=st.integers(1, 30))
def test_each_of_its_cells_is_charged_once(ids: list[str], units: int) -> None:
    """P2."""
    land = world()
    land.hold(ids, units)
    charged = {cell.cell: cell.limit * cell.hard - land.seen(cell)[0] for cell in land.path(ids)}
    assert set(charged.values()) <= {units}
    others = [cell for cell in land.cells.values() if cell.cell not in charged]
    for cell in others:
        if cell.cell in land.places():
            assert land.seen(cell)[0] == (cell.limit if cell.hard else 0)


def test_the_order_and_repetition_of_ids_change_nothing() -> None:
    """P2."""
    for ids in permutations(["ann", "emea", "team"]):
        for named in (ids, ids * 2, (*ids, ids[0])):
            land = world()
            land.hold(list(named), 3)
            assert {cell.resource: land.held(cell) for cell in land.path(ids)} == {
                "ann": 3, "team": 3, "org": 3, "emea": 3,
            }  # fmt: skip


@pytest.mark.parametrize("told", [True, False])
def test_who_is_named_twice_is_charged_once_also_by_a_path_that_a_sibling_had_compiled(told: bool) -> None:
    """P2: bob's own record is not held beside the tail that has it."""
    land = world()
    land.hold(["ann", "bob"], 1)
    hold = land.take(["bob", "bob"], 2, told=told)
    assert is_held(hold)
    ((places, units, hard, *_),) = hold[HELD]
    assert len(places) == len(set(places)) == len(land.path(["bob"]))
    assert (units, hard) == (2, 3)
    assert {one.resource: land.held(one) for one in land.path(["bob"])} == {"bob": 3, "team": 3, "org": 3}


def test_limits_are_told_with_the_numbers_of_their_own_cells() -> None:
    """However the path lies in memory."""
    land = world()
    for at, cell in enumerate(land.cells.values()):
        cell.used = at + 1
    for ids in (["ann", "emea"], ["org", "bob"], ["emea", "paris", "ann"], ["free"]):
        raw = land.look(ids, 5)[0].raw_limits(land.look(ids, 5), Circumstances())
        told = sorted((one.resource_id, one.limit, one.used, one.hard, one.held, one.amount) for one in raw)
        assert told == sorted(
            (cell.resource, cell.limit, cell.used, cell.hard, 0, 5) for cell in land.path(ids)
        )
        depth = {"org": 0, "emea": 0, "free": 0, "team": 1, "ops": 1, "paris": 1, "ann": 2, "bob": 2}
        assert all(one.depth == depth[one.resource_id] for one in raw)


def test_what_frees_a_limit_is_told_with_it() -> None:
    land = Land()
    org, ann = land.limit("org", 10, orphans=((2, 700),)), land.limit("ann", 9)
    land.hold(["ann"], 4, ends=500)
    land.hold(["org"], 3, ends=600)
    taken = land.take(["ann"], 9)
    raw = taken.sights[0][0].raw_limits(
        taken.sights[0], Circumstances(holds=taken.holds, orphans=taken.orphans)
    )
    frees = {one.resource_id: sorted(one.frees) for one in raw}
    assert frees == {org.resource: [(500, 4), (600, 3), (700, 2)], ann.resource: [(500, 4)]}
    assert {one.resource_id: one.free_at_us() for one in raw} == {"org": 700, "ann": 500}


# ------------------------------------------------------------------ compiled once, and anew


def test_users_share_what_they_have_in_common() -> None:
    """P1: what is compiled for one serves every other of the same parent and like limits."""
    land = world()
    land.compile(["ann", "emea"])
    land.compile(["bob"])  # lays bob's record
    branch = land.stripe.numbers[land.strand().leaves["ann"]]
    assert land.stripe.numbers[land.strand().leaves["bob"]] is branch
    assert look(land.stripe, "bob", ("emea",), [(land.strand(), 1)], 0) is not None


def test_others_with_another_parent_or_other_limits_do_not() -> None:
    """P1."""
    land = world()
    land.parents["bob"] = "ops"
    land.limit("paris", 5)
    for one in ("ann", "bob", "paris"):
        land.compile([one])
    branches = {id(land.stripe.numbers[land.strand().leaves[one]]) for one in ("ann", "bob", "paris")}
    assert len(branches) == 3
    assert touched(land, ["bob"]) == sorted(cell.cell for cell in land.path(["bob"]))


def test_a_path_of_an_older_model_is_not_found() -> None:
    """P1: also where only one of its resources was compiled anew."""
    land = world()
    wants = [(land.strand(), 1)]
    land.compile(["ann", "emea"])
    land.stripe.restamp()
    assert look(land.stripe, "ann", ("emea",), wants, 0) is None
    land.compile(["bob"])
    assert look(land.stripe, "ann", ("emea",), wants, 0) is None
    assert types_of(land.strand(), ["ann"]) is None
    assert types_of(land.strand(), ["bob"]) == ["node"]
    land.compile(["ann"])
    assert look(land.stripe, "ann", ("emea",), wants, 0) is None
    assert look(land.stripe, "ann", (), wants, 0) is not None


def test_a_moved_resource_counts_where_it_stands_now() -> None:
    """P1."""
    land = world()
    land.hold(["ann"], 2)
    land.parents["ann"] = "ops"
    land.stripe.restamp()
    land.hold(["ann"], 3)
    held = {cell.resource: land.held(cell) for cell in land.path(["ann", "team"]) if cell.hard}
    assert held == {"ann": 5, "team": 2, "org": 5}


def test_what_no_resource_is_called_is_not_found() -> None:
    land = world()
    land.compile(["ann"])
    wants = [(land.strand(), 1)]
    assert look(land.stripe, "nobody", (), wants, 0) is None
    assert look(land.stripe, "ann", ("nobody",), wants, 0) is None
    assert types_of(land.strand(), ["nobody"]) is None


def test_in_every_currency_or_not_at_all() -> None:
    land = world()
    land.limit("org", 5, currency="usd")
    land.compile(["ann"])
    wants = [(land.strand(), 1), (land.strand("usd"), 1)]
    assert look(land.stripe, "ann", (), wants, 0) is None
    land.compile(["ann"], "t", "usd")
    assert look(land.stripe, "ann", (), wants, 0) is not None


def test_old_tails_are_forgotten_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that names its most particular resource last would keep one for each."""
    monkeypatch.setattr(paths, "TAILS_MAX", 2)
    land = world()
    for other in ("emea", "paris", "free"):
        land.compile(["ann", other])
    wants = [(land.strand(), 1)]
    found = [look(land.stripe, "ann", (other,), wants, 0) is not None for other in ("emea", "paris", "free")]
    assert found == [False, True, True]
    land.hold(["ann", "emea"], 3)  # it is compiled again, and counts
    assert [land.held(cell) for cell in land.path(["emea"])] == [3]


# ------------------------------------------------------------------ refusals


def refusal(reason: AccessDeniedReason, until: int | None = None) -> Refusal:
    return Refusal(reason, "a resource", "is so", until)


@pytest.mark.parametrize("where", ["ann", "org", "emea"])
def test_a_refusal_denies_whatever_the_numbers_are(where: str) -> None:
    """P3: of the first resource, of one above it, of another one; also an amount of 0."""
    land = world()
    land.refusals[where] = refusal(AccessDeniedReason.SUSPENDED)
    for units in (0, 1):
        taken = land.take(["ann", "emea"], units)
        assert isinstance(taken, Met)
        assert taken.sights[0][0].refusal is land.refusals[where]
    assert land.stripe.holds == {}
    assert isinstance(land.take(["paris"], 1), Met) or where != "emea"
    assert is_held(land.take(["free"], 1))


def test_of_several_refusals_the_first_in_order_is_told() -> None:
    """P3."""
    land = world()
    land.refusals["ann"] = refusal(AccessDeniedReason.SUSPENDED)
    land.refusals["emea"] = refusal(AccessDeniedReason.RESOURCE_ARCHIVED)
    for ids in (["ann", "emea"], ["emea", "ann"]):
        assert land.take(ids, 1).sights[0][0].refusal.reason is AccessDeniedReason.RESOURCE_ARCHIVED


@pytest.mark.parametrize("where", ["ann", "team", "emea"])
def test_a_suspension_that_ends_takes_its_path_with_it(where: str) -> None:
    """P3: at its end the path is compiled again; not a moment before."""
    land = world()
    land.refusals[where] = refusal(AccessDeniedReason.SUSPENDED, until=100)
    wants = [(land.strand(), 1)]
    land.compile(["ann", "emea"])
    assert land.look(["ann", "emea"])[0].valid_until_us == 100
    assert look(land.stripe, "ann", ("emea",), wants, 99) is not None
    assert look(land.stripe, "ann", ("emea",), wants, 100) is None
    assert land.look(["free"])[0].valid_until_us == ALWAYS.end_us


def test_what_nothing_limits_is_refused_where_that_is_the_default() -> None:
    """P3: one limit anywhere on the path is enough, a SOFT one too."""
    land = Land(refuse_unlimited=True)
    land.limit("emea", 5, hard=False)
    taken = land.take(["ann"], 1)
    assert isinstance(taken, Met)
    assert taken.sights[0][0].refusal.reason is AccessDeniedReason.NO_ALLOCATION
    assert is_held(land.take(["ann", "emea"], 1))
    assert is_held(land.take(["paris"], 1))
    assert is_held(Land().take(["ann"], 1))


# ------------------------------------------------------------------ of what was admitted before


def test_a_path_of_members_has_their_cells_and_no_others() -> None:
    """A settle counts where its reserve did: nothing above them is added, nothing moved away is lost."""
    land = world()
    land.compile(["ann"])
    members = [land.node(one) for one in ("ann", "team")]
    strand = land.strand()
    with land.stripe.lock:
        tail = tail_of_members(strand, members, meeting=Meeting(), customer_refusal=None)
    expected = {cell.cell for cell in land.cells.values() if cell.resource in ("ann", "team")}
    assert set(tail.cells) == expected
    assert tail.members == tuple(sorted(node.row for node in members))


def test_a_path_of_members_knows_a_refusal() -> None:
    """P3: what extends a reservation must not pass a suspension."""
    land = world()
    land.refusals["team"] = refusal(AccessDeniedReason.SUSPENDED)
    strand = land.strand()
    with land.stripe.lock:
        tail = tail_of_members(strand, [land.node("team")], meeting=Meeting(), customer_refusal=None)
    assert tail.refusal is land.refusals["team"]


def test_what_was_gathered_keeps_what_it_saw() -> None:
    """However late it is asked."""
    land = world()
    sight = land.look(["ann"], 5)
    land.hold(["ann"], 100)
    assert fits(sight)
    assert not fits(land.look(["ann"], 5))
