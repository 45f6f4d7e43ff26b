"""Receding: what others want of this process's spare leaves, at once and whole."""

from stiggctl.decision.decide import Met
from stiggctl.decision.holds import ENDS_US, HELD, NUMBER
from stiggctl.decision.moving import set_apart
from stiggctl.decision.receding import Recalled, note_company, recall, recede, rest
from stiggctl.decision.reservations import expire, release

from .land import Cell, Land, Told


def company(land: Land, cell: Cell, *, exact: bool = False, hidden: int = 0) -> None:
    """The ledger says that others live, and how this process's share stands among theirs."""
    at = land.places([cell.cell])[cell.cell]
    note_company(land.stripe, at, Told(0, 0, (), (), exact, hidden), cell.granted)


def laid() -> tuple[Land, Cell, Cell]:
    land = Land()
    org, ann = land.limit("org", 1_000, granted=600), land.limit("ann", 100, granted=80)
    land.compile(["ann"])
    return land, org, ann


def test_what_is_recalled_leaves_and_what_is_held_stays() -> None:
    """RD2: from then on it is exact, and the ledger is to hear of that."""
    land, org, ann = laid()
    land.hold(["ann"], 30)
    recede(land.stripe, [Recalled(ann.cell, 80)])
    assert land.seen(ann)[:3] == (0, 0, 30)
    assert land.seen(org)[:3] == (570, 0, 600)
    assert land.stripe.gives == {ann.cell: 50}
    assert set(land.stripe.exact) == {ann.cell}


def test_where_all_is_held_the_ledger_hears_that_nothing_is_hidden() -> None:
    """RD2: a gift of nothing says so."""
    land, _, ann = laid()
    land.hold(["ann"], 80)
    recede(land.stripe, [Recalled(ann.cell, 80)])
    assert land.stripe.gives == {ann.cell: 0}
    at = land.places([ann.cell])[ann.cell]
    with land.stripe.lock:
        recall(land.stripe, at)
    assert land.stripe.gives == {ann.cell: 0}


def test_what_falls_free_of_an_exact_share_leaves_in_that_step() -> None:
    """RD1: a release, and an end; of the shares that are not exact it is spare again."""
    land, org, ann = laid()
    held, ends = land.hold(["ann"], 30), land.hold(["ann"], 20, ends=50)
    company(land, ann, exact=True)
    recede(land.stripe)
    assert land.stripe.gives == {ann.cell: 30}
    release(land.stripe, held[NUMBER])
    assert land.seen(ann)[:3] == (0, 0, 20)
    assert land.stripe.gives == {ann.cell: 60}
    with land.stripe.lock:
        expire(land.stripe, ends[ENDS_US])
    assert land.seen(ann)[:3] == (0, 0, 0)
    assert land.stripe.gives == {ann.cell: 80}
    assert land.seen(org)[0] == 600


def test_what_a_settle_leaves_over_of_an_exact_share_is_spent_with_it() -> None:
    """RD1: also where nothing at all is booked; elsewhere only what is booked is spent."""
    land, org, ann = laid()
    land.hold(["ann"], 30)
    company(land, ann, exact=True)
    places = [land.places()[cell.cell] for cell in (org, ann)]
    held = dict.fromkeys(places, 30)
    for units, spends in ((12, [12, 30]), (0, [0, 30]), (30, [30, 30]), (40, [40, 40])):
        with land.stripe.lock:
            assert set_apart(land.stripe, places, 2, units, held) == spends
            for at, apart in land.stripe.apart.items():
                land.stripe.numbers[at] += apart
            land.stripe.apart.clear()


def test_a_share_is_exact_until_the_ledger_says_that_it_is_not() -> None:
    """RD2, RD3."""
    land, _, ann = laid()
    recede(land.stripe, [Recalled(ann.cell, 80)])
    ann.granted = 0
    company(land, ann, exact=True)  # of nothing none is kept
    assert land.stripe.exact == {}
    ann.granted = 10
    company(land, ann, exact=True)
    assert set(land.stripe.exact) == {ann.cell}
    company(land, ann, exact=False)
    assert land.stripe.exact == {}


def test_a_share_that_lies_nowhere_is_given_back_whole_and_not_laid_from_an_old_row() -> None:
    """RD1: nothing can be held of it; who read its row before must read it again."""
    land, _, ann = laid()
    version = land.stripe.version
    recede(land.stripe, [Recalled(999, 25)])
    assert land.stripe.gives == {999: 25}
    assert land.stripe.version == version + 1
    recede(land.stripe, [Recalled(999, 25)])  # the ledger has not heard of it yet
    assert land.stripe.gives == {999: 25}
    assert land.stripe.version == version + 1
    assert land.seen(ann)[0] == 80


def test_an_exact_cell_is_found_where_its_record_has_moved() -> None:
    """RD1, C5."""
    land, _, ann = laid()
    land.hold(["ann"], 30)
    company(land, ann, exact=True)
    second = land.limit("ann", 500)  # another limit: the record of ann is laid anew
    land.stripe.restamp()
    land.compile(["ann"])
    recede(land.stripe)
    assert land.seen(ann)[:3] == (0, 0, 30)
    assert land.seen(second)[0] == 500
    assert land.stripe.gives == {ann.cell: 50}


def test_what_others_may_hide_of_a_grant_is_not_there_to_be_drawn_and_is_nobodys_yet() -> None:
    """C7, PL1: a later grant pays where an earlier one has nothing free in the ledger; it still remains."""
    land = Land()
    first, second = land.grant(50, granted=10), land.grant(70, at=1, granted=70)
    assert isinstance(land.take(["free"], 30), Met)  # 40 of the first are free, as far as memory knows
    company(land, first, hidden=40)
    hold = land.take(["free"], 30)
    assert hold is not None
    assert [units for _, units, _, _, pays in hold[HELD] if pays] == [10, 20]
    assert land.seen(first)[:3] == (0, 0, 10)
    sight = land.look(["free"], 5)
    assert sight[0].raw_limits(sight, _nothing())[-1].room == 120 - 30
    company(land, first, hidden=0)
    assert land.stripe.hidden == {}
    assert second.granted == 70


def _nothing():
    from stiggctl.answers import Circumstances  # noqa: PLC0415 - here alone

    return Circumstances()


def test_what_a_resting_customer_has_to_spare_leaves_and_no_share_becomes_exact() -> None:
    """RD4: of HARD limits, which alone have shares; what is held stays, and its release is spare again."""
    land, org, ann = laid()
    soft = land.limit("emea", 10, hard=False)
    held = land.hold(["ann", "emea"], 30)
    rest(land.strand(), ["ann", "org", "emea", "nobody"])
    assert land.stripe.gives == {ann.cell: 50, org.cell: 570}
    assert land.stripe.giving == {land.stripe}
    assert land.seen(ann)[:3] == (0, 0, 30)
    assert land.seen(soft)[0] == -30
    assert not land.stripe.exact
    release(land.stripe, held[NUMBER])
    assert land.seen(ann)[:3] == (30, 0, 30)
    assert land.stripe.gives == {ann.cell: 50, org.cell: 570}
