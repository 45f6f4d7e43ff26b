"""Cells: the running numbers of limits; a customer's stripe and its one lock.

Here: how cells lie in memory, and how a resource's record is laid, moved and refreshed.
Not here: which cells a request touches (paths.py), whether it fits them (decide.py), where
the truth is kept (ledger/).

All cells of a customer lie in one flat list of ints, `Stripe.numbers`: as objects a million
of them would cost a third more memory and ten times the time of a garbage collection. The
resources named first by requests are found by one dict get; what stands at their place is

    branch, resource row, (spare, used, allotted, limit, cell) for each own limit, HARD first

Holds for every HARD cell whenever its stripe's lock is free:
  C1  spare >= 0, and spare = granted − Σ of the holds on it − what bookings under way have set
      apart, where `granted` is this process's share in the ledger (`allotted` is granted +
      what others are known to hold).
  C2  granted never exceeds the ledger's number: it grows only after the ledger has written
      it, and falls before the ledger hears of it. Ledger first, memory second.
  C3  `used` is the ledger's, as of the last contact.
  C4  Where spare is above 0, used + allotted <= limit: what usage that nobody admitted took
      beyond it is given back as soon as nothing holds it.
A SOFT cell has no share: allotted is 0 and spare is minus what is held here.
So `held = allotted − spare` and `remaining = limit − used − held` hold for both.

Amounts are integers of the currency's smallest unit.
"""

from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple, Protocol

from stiggctl.locks import await_turn

if TYPE_CHECKING:
    from stiggctl.decision.paths import Branch
    from stiggctl.decision.reservations import Hold

HEADER = 2  #: branch and resource row
WIDTH = 5  #: numbers of one cell
SPARE, USED, ALLOTTED, LIMIT, CELL = range(WIDTH)

#: An instant that no clock reads: what ends then does not end by itself.
NEVER = 2**62


class CellNumbers(NamedTuple):
    """One cell as the ledger has it, for this process."""

    cell: int
    hard: bool
    allocation_id: str
    limit: int
    used: int
    granted: int
    orphans: tuple[tuple[int, int], ...]  #: (units, until_us) of what dead processes held


class NumbersOfCell(Protocol):
    """A cell as the ledger's reply has it."""

    @property
    def used(self) -> int:
        """What is booked."""
        ...

    @property
    def granted(self) -> int:
        """This process's share."""
        ...

    @property
    def orphans(self) -> Sequence[tuple[int, int]]:
        """(units, until_us) of what dead processes held."""
        ...


class Stripe:
    """The cells of one customer, all its currencies, and their one lock.

    Everything below is changed under `lock` only.
    """

    __slots__ = (
        "apart",
        "customer_id",
        "customer_row",
        "ended",
        "gives",
        "holds",
        "lock",
        "next_end_us",
        "numbers",
        "orphans",
        "settling",
        "strands",
        "torn",
        "unused",
        "version",
    )

    def __init__(self, customer_id: str, customer_row: int) -> None:
        self.customer_id = customer_id
        self.customer_row = customer_row
        self.lock = Lock()
        self.version = 0  #: raised by every change of the customer's model
        self.numbers: list[int] = []
        self.strands: dict[str, Strand] = {}  #: by currency id
        self.holds: dict[int, Hold] = {}  #: what is held, by reservation number
        self.settling: dict[int, int] = {}  #: number -> settles of it that are under way
        self.apart: dict[int, int] = {}  #: place -> what bookings under way have set apart there
        self.next_end_us = NEVER  #: no hold, of this process or a dead one, ends before this
        self.torn = False  #: an interrupt ended a change half way (mending.py)
        #: place -> (units, until_us) of dead processes' holds: they are in `allotted`
        self.orphans: dict[int, tuple[tuple[int, int], ...]] = {}
        self.unused: dict[int, list[int]] = {}  #: records that were left, by width
        #: numbers of holds that ended by themselves, until the holder has cleared their page
        self.ended: list[int] = []
        #: cell -> units that have left spare and that the ledger has not heard of (C2)
        self.gives: dict[int, int] = {}

    def strand(self, currency_id: str, currency_row: int, decimals: int) -> "Strand":
        """The part of one currency, made when first asked for."""
        await_turn(self.lock, self)
        with self.lock:
            found = self.strands.get(currency_id)
            # Decimals change only while nothing was ever counted in the currency.
            if found is None or found.decimals != decimals:
                found = self.strands[currency_id] = Strand(self, currency_id, currency_row, decimals)
            return found

    def restamp(self) -> None:
        """Make every compiled path of this customer stale: its model changed."""
        with self.lock:
            self.version += 1

    def tear(self) -> None:
        """Mark that a change may have been ended half way; the caller has the lock (mending.py)."""
        self.torn = True
        self.next_end_us = -NEVER  # whoever decides next looks closely: `expire`


class Strand:
    """The part of a stripe that is of one currency."""

    __slots__ = ("branches", "credit_currency", "currency_row", "decimals", "leaves", "stripe")

    def __init__(self, stripe: Stripe, credit_currency: str, currency_row: int, decimals: int) -> None:
        self.stripe = stripe
        self.credit_currency = credit_currency
        self.currency_row = currency_row
        self.decimals = decimals
        #: resource id -> where its record lies; only resources that exist are ever kept
        self.leaves: dict[str, int] = {}
        #: (what resources share) -> their branch; those of an older version are left to fade
        self.branches: dict[tuple[object, ...], Branch] = {}


def lay_record(
    strand: Strand, resource_id: str, resource_row: int, branch: "Branch", cells: list[CellNumbers]
) -> None:
    """Put a resource's record in its place, or refresh the one that lies there.

    What this process has in a cell that it knows stays as it is; only the limit is taken
    over. Of a cell whose limit changed all spare is given back, and the next request draws
    under the new limit. The caller has the lock.
    """
    numbers = strand.stripe.numbers
    place = strand.leaves.get(resource_id)
    known = {} if place is None else _cells_at(numbers, place)
    try:
        if place is None or list(known) != [one.cell for one in cells]:
            place = _move_record(strand, resource_id, branch, place, known, cells)
        numbers[place] = branch  # type: ignore[call-overload]  # the header is no number
        numbers[place + 1] = resource_row
        for at, one in zip(range(place + HEADER, place + branch.width, WIDTH), cells, strict=True):
            if one.hard and numbers[at + LIMIT] != one.limit:
                give_back(strand.stripe, at, numbers[at + SPARE])
            numbers[at + LIMIT] = one.limit
    except BaseException:
        strand.stripe.tear()
        raise


def give_back_above(stripe: Stripe, place: int) -> None:
    """Give back what of the spare is above the limit (C4); the caller has the lock."""
    numbers = stripe.numbers
    above = numbers[place + USED] + numbers[place + ALLOTTED] - numbers[place + LIMIT]
    if above > 0:
        give_back(stripe, place, min(above, numbers[place + SPARE]))


def note_orphans(stripe: Stripe, place: int, orphans: Sequence[tuple[int, int]]) -> None:
    """What dead processes held there, as the ledger says; the caller counts it in `allotted`."""
    if orphans:
        stripe.orphans[place] = tuple(orphans)
        stripe.next_end_us = min(stripe.next_end_us, *(until_us for _, until_us in orphans))
    else:
        stripe.orphans.pop(place, None)


def end_orphans(stripe: Stripe, now_us: int) -> None:
    """Of what dead processes held, let what is over count no more; the caller has the lock.

    It is free in the ledger by now, to be drawn by whoever needs it.
    """
    for place, orphans in list(stripe.orphans.items()):
        left = tuple((units, until_us) for units, until_us in orphans if until_us > now_us)
        over = sum(units for units, _ in orphans) - sum(units for units, _ in left)
        stripe.numbers[place + ALLOTTED] -= over
        note_orphans(stripe, place, left)


def give_back(stripe: Stripe, place: int, units: int) -> None:
    """Let spare leave, to be told to the ledger by the next exchange; the caller has the lock."""
    if units > 0:
        numbers = stripe.numbers
        numbers[place + SPARE] -= units
        numbers[place + ALLOTTED] -= units
        cell = numbers[place + CELL]
        stripe.gives[cell] = stripe.gives.get(cell, 0) + units


def _cells_at(numbers: list[int], place: int) -> dict[int, int]:
    """cell -> place, of the record that lies at `place`."""
    branch: Branch = numbers[place]  # type: ignore[assignment]  # the header is no number
    return {numbers[at + CELL]: at for at in range(place + HEADER, place + branch.width, WIDTH)}


def _move_record(
    strand: Strand,
    resource_id: str,
    branch: "Branch",
    old: int | None,
    known: dict[int, int],
    cells: list[CellNumbers],
) -> int:
    """Lay a record anew because its cells are others; what is held moves with them.

    Whole before it is found, and the old one whole until then: an interrupt may come at any step.
    """
    stripe, numbers = strand.stripe, strand.stripe.numbers
    width = HEADER + WIDTH * len(cells)
    left = stripe.unused.get(width)
    place = left.pop() if left else len(numbers)
    if place == len(numbers):
        numbers.extend([0] * width)
    moved: dict[int, int | None] = dict.fromkeys(known.values())
    for at, one in zip(range(place + HEADER, place + width, WIDTH), cells, strict=True):
        was = known.get(one.cell)
        if was is not None:
            numbers[at : at + WIDTH] = numbers[was : was + WIDTH]
            moved[was] = at
            stripe.orphans.pop(at, None)
            continue
        withheld = sum(units for units, _ in one.orphans)
        numbers[at : at + WIDTH] = [
            one.granted,
            one.used,
            one.granted + withheld,
            one.limit,
            one.cell,
        ]
        note_orphans(stripe, at, one.orphans)
    for was, there in moved.items():
        if there is not None and was in stripe.orphans:
            stripe.orphans[there] = stripe.orphans[was]
    numbers[place] = branch  # type: ignore[call-overload]  # the header is no number
    strand.leaves[resource_id] = place
    if any(moved):
        for number, hold in stripe.holds.items():
            stripe.holds[number] = hold.moved(moved)
    for was in moved:
        stripe.orphans.pop(was, None)
    if old is not None:
        stripe.unused.setdefault(HEADER + WIDTH * len(known), []).append(old)
    return place


def all_cells(stripe: Stripe) -> dict[int, int]:
    """cell -> place, of every record (only after a failure or an interrupt). The caller has the lock."""
    found: dict[int, int] = {}
    for strand in stripe.strands.values():
        for place in strand.leaves.values():
            found.update(_cells_at(stripe.numbers, place))
    return found
