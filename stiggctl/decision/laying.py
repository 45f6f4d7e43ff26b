"""Laying: where the cells of a resource lie, as windows turn and models change.

Here: laying a record, moving what is held with its cell, loose cells and how they are swept.
Not here: what a cell counts (cells.py), which cells a request touches (paths.py).

  LY1  A record has the cells of the limits that are in force now. An old cell in which something is
       held is loose from then on, as are cells of other windows in which events are booked late.
  LY2  Whole before it is found, and the old one whole until then: an interrupt may come at any step.
  LY3  A reservation holds of a rolling limit as long as its instant is in the window: like its settle, it
       counts where it began.
"""

from typing import TYPE_CHECKING

from stiggctl.decision.cells import (
    CELL,
    HEADER,
    LIMIT,
    SPARE,
    USED,
    WIDTH,
    CellNumbers,
    Loose,
    Strand,
    Stripe,
    give_back,
    give_back_above,
)
from stiggctl.decision.holds import BEGAN_US, HELD, moved_hold
from stiggctl.decision.orphans import note_orphans

if TYPE_CHECKING:
    from stiggctl.decision.tails import Branch

#: A loose cell stays so long after its window: what was reserved in it is mostly settled by then, and
#: a late event finds it. Longer keeps memory, shorter reads it again from the ledger.
LOOSE_US = 600_000_000


def lay_record(
    strand: Strand, resource_id: str, resource_row: int, branch: "Branch", cells: list[CellNumbers]
) -> None:
    """Put a resource's record in its place, or refresh the one that lies there.

    What this process has in a cell that it knows stays as it is; only the limit is taken
    over. The caller has the lock.
    """
    numbers = strand.stripe.numbers
    place = strand.leaves.get(resource_id)
    known = {} if place is None else _cells_at(numbers, place)
    try:
        if place is None or list(known) != [one.cell for one in cells]:
            place = _lay_anew(strand, resource_id, branch, place, known, cells)
        numbers[place] = branch  # type: ignore[call-overload]  # the header is no number
        numbers[place + 1] = resource_row
        for at, one in zip(range(place + HEADER, place + branch.width, WIDTH), cells, strict=True):
            _take_limit(strand.stripe, at, one)
    except BaseException:
        strand.stripe.tear()
        raise


def know_by(strand: Strand, resource_id: str, resource_row: int) -> None:
    """Let the record of a resource that has another id than it had be found by that. The caller has the lock.

    What lies there stays in its place, so holds and paths know it still. Where another resource has its
    former id by now, and was laid there, its cells are loose, or lie nowhere: then they are laid anew.
    """
    leaves, numbers = strand.leaves, strand.stripe.numbers
    if resource_id not in leaves:
        former = next((one for one, at in leaves.items() if numbers[at + 1] == resource_row), None)
        if former is not None:
            leaves[resource_id] = leaves.pop(former)


def place_of(strand: Strand, resource_id: str, one: CellNumbers, ended_us: int) -> int:
    """Where a cell lies that need not be in a record, such as one of another window.

    One that lies nowhere yet is laid, loose. The caller has the lock.
    """
    stripe, numbers = strand.stripe, strand.stripe.numbers
    record = strand.leaves.get(resource_id)
    if record is not None:
        at = _cells_at(numbers, record).get(one.cell)
        if at is not None:
            return at
    try:
        if one.cell not in stripe.loose:
            at = _free_place(stripe, WIDTH)
            _lay(stripe, at, one)
            stripe.loose[one.cell] = Loose(at, ended_us)
        at = stripe.loose[one.cell].place
        _take_limit(stripe, at, one)
    except BaseException:
        stripe.tear()
        raise
    return at


def sweep_loose(stripe: Stripe, now_us: int) -> None:
    """Give up loose cells in which nothing is held and whose window is long over.

    The caller has the lock.
    """
    needed = _needed(stripe)
    try:
        for cell, (place, ended_us) in list(stripe.loose.items()):
            if now_us >= ended_us + LOOSE_US and place not in needed:
                give_back(stripe, place, stripe.numbers[place + SPARE])
                del stripe.loose[cell]
                _give_up(stripe, place)
                stripe.unused.setdefault(WIDTH, []).append(place)
    except BaseException:
        stripe.tear()
        raise


def _cells_at(numbers: list[int], place: int) -> dict[int, int]:
    """cell -> place, of the record that lies at `place`."""
    branch: Branch = numbers[place]  # type: ignore[assignment]  # the header is no number
    return {numbers[at + CELL]: at for at in range(place + HEADER, place + branch.width, WIDTH)}


def _free_place(stripe: Stripe, width: int) -> int:
    """Where so many numbers can be laid."""
    left = stripe.unused.get(width)
    if left:
        return left.pop()
    place = len(stripe.numbers)
    stripe.numbers.extend([0] * width)
    return place


def _lay(stripe: Stripe, at: int, one: CellNumbers) -> None:
    """A cell that this process has not in memory, as the ledger has it."""
    withheld = sum(units for units, _ in one.orphans)
    # What has left spare and is not told yet is still in the ledger's number (C2).
    granted = one.granted - stripe.gives.get(one.cell, 0)
    stripe.numbers[at : at + WIDTH] = [granted, one.used, granted + withheld, one.limit, one.cell]
    note_orphans(stripe, at, one.orphans)
    if one.exact and one.granted > 0:
        stripe.exact[one.cell] = at
        give_back(stripe, at, granted)  # nothing is held of it; what is there was on its way back
    if one.hidden:
        stripe.hidden[one.cell] = one.hidden
    if one.buckets is not None:
        stripe.buckets[one.cell] = one.buckets
    if one.hard:  # it may have been granted under a limit that was higher
        give_back_above(stripe, at)


def _take_limit(stripe: Stripe, at: int, one: CellNumbers) -> None:
    """The limit as it is now. Where it is another, all spare is given back: who asks next draws anew."""
    numbers = stripe.numbers
    bucket_us = one.terms.bucket_us
    if bucket_us is not None and stripe.rolled.get(one.cell) != (one.terms.window_start_us, bucket_us):
        _let_leave(stripe, at, one, bucket_us)
    if one.hard and numbers[at + LIMIT] != one.limit:
        give_back(stripe, at, numbers[at + SPARE])
    numbers[at + LIMIT] = one.limit


def _let_leave(stripe: Stripe, at: int, one: CellNumbers, bucket_us: int) -> None:
    """A rolling window has moved on: what was reserved before it holds nothing in it any more (LY3).

    But what is being settled does, until that is known: its units may be spent in the ledger already.
    What was used has left it, too. Where a booking was committed since that was read, it is missing in
    `used` until the next exchange; what may be held does not depend on it.
    """
    opens_us = one.terms.window_start_us
    stripe.numbers[at + USED] = one.used
    for number, hold in list(stripe.holds.items()):
        if hold[BEGAN_US] < opens_us and number not in stripe.settling:
            left = sum(units for places, units, *_ in hold[HELD] if at in places)
            if left:
                stripe.holds[number] = moved_hold(hold, {at: None})
                stripe.numbers[at + SPARE] += left
                if one.cell in stripe.exact:  # RD1
                    give_back(stripe, at, stripe.numbers[at + SPARE])
    stripe.rolled[one.cell] = (opens_us, bucket_us)


def _needed(stripe: Stripe) -> set[int]:
    """Every place in which a reservation holds, or a booking under way has set something apart.

    Also one that holds nothing: it may be extended.
    """
    needed = {at for hold in stripe.holds.values() for places, *_ in hold[HELD] for at in places}
    needed.update(stripe.apart)
    return needed


def _lay_anew(
    strand: Strand,
    resource_id: str,
    branch: "Branch",
    old: int | None,
    known: dict[int, int],
    cells: list[CellNumbers],
) -> int:
    """Lay a record whose cells are others than those that lie there, or the first one of a resource.

    Whole before it is found, and the old one whole until then: an interrupt may come at any step.
    """
    stripe, numbers = strand.stripe, strand.stripe.numbers
    if old is not None and resource_id in strand.in_tails:
        strand.laid += 1
    width = HEADER + WIDTH * len(cells)
    place = _free_place(stripe, width)
    moved: dict[int, int | None] = {}
    for at, one in zip(range(place + HEADER, place + width, WIDTH), cells, strict=True):
        loose = stripe.loose.get(one.cell)
        was = known.get(one.cell) if loose is None else loose.place
        if was is None:
            _lay(stripe, at, one)
        else:
            _copy(stripe, was, at)
            moved[was] = at
    wanted = {one.cell for one in cells}
    going = {cell: was for cell, was in known.items() if cell not in wanted}
    needed = _needed(stripe) if going else set()
    for cell, was in going.items():
        if was in needed:
            at = _free_place(stripe, WIDTH)
            _copy(stripe, was, at)
            moved[was] = at
            stripe.loose[cell] = Loose(at, _ended_us(numbers, old, was))
    numbers[place] = branch  # type: ignore[call-overload]  # the header is no number
    strand.leaves[resource_id] = place
    if moved:
        for number, hold in stripe.holds.items():
            stripe.holds[number] = moved_hold(hold, moved)
        for was, there in moved.items():
            if was in stripe.apart:
                stripe.apart[there] = stripe.apart.pop(was)  # type: ignore[index]  # all are somewhere
    for one in cells:
        loose = stripe.loose.pop(one.cell, None)
        if loose is not None:
            _give_up(stripe, loose.place)
            stripe.unused.setdefault(WIDTH, []).append(loose.place)
    for was in known.values():
        _give_up(stripe, was)
    if old is not None:
        stripe.unused.setdefault(HEADER + WIDTH * len(known), []).append(old)
    return place


def _copy(stripe: Stripe, was: int, at: int) -> None:
    """A cell as it lies, elsewhere too."""
    stripe.numbers[at : at + WIDTH] = stripe.numbers[was : was + WIDTH]
    stripe.orphans.pop(at, None)
    if was in stripe.orphans:
        stripe.orphans[at] = stripe.orphans[was]


def _give_up(stripe: Stripe, place: int) -> None:
    """No cell lies there any more (C5)."""
    stripe.buckets.pop(stripe.numbers[place + CELL], None)
    stripe.rolled.pop(stripe.numbers[place + CELL], None)
    stripe.numbers[place + CELL] = 0
    stripe.orphans.pop(place, None)


def _ended_us(numbers: list[int], record: int | None, place: int) -> int:
    """When the window of a record's cell ends; of one without a window, long ago."""
    assert record is not None  # it has the cell
    branch: Branch = numbers[record]  # type: ignore[assignment]  # the header is no number
    terms = branch.own[(place - record - HEADER) // WIDTH].terms
    return 0 if terms.window_end_us is None else terms.window_end_us


def all_cells(stripe: Stripe) -> dict[int, int]:
    """cell -> place, of every record and of what is loose; for where that was lost.

    The caller has the lock.
    """
    found = {cell: loose.place for cell, loose in stripe.loose.items()}
    for strand in stripe.strands.values():
        for place in strand.leaves.values():
            found.update(_cells_at(stripe.numbers, place))
    found.pop(0, None)
    return found
