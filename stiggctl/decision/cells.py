"""Cells: the running numbers of limits; a customer's stripe and its one lock.

Here: how cells lie in memory, and how a resource's record is laid, moved and refreshed.
Not here: which cells a request touches (paths.py), whether it fits them (decide.py), where
the truth is kept (ledger/).

All cells of a customer lie in one flat list of ints, `Stripe.numbers`: as objects a million
of them would cost a third more memory and ten times the time of a garbage collection. The
resources named first by requests are found by one dict get; what stands at their place is

    branch, resource row, (spare, used, allotted, limit, cell) for each own limit, HARD first

A record has the cells of the limits that are in force now. When a window turns it gets those of the
next; an old cell in which something is held is *loose* from then on: it lies outside the records,
as do cells of other windows in which events are booked late, until nobody needs them (sweep).

A customer's grants lie like the limits of a resource: in the record of CUSTOMER, in drain order. What
is held of the pool is held of each grant that would pay for it.

Holds for every HARD cell whenever its stripe's lock is free:
  C1  spare >= 0, and spare = granted − Σ of the holds on it − what bookings under way have set
      apart, where `granted` is this process's share in the ledger (`allotted` is granted +
      what others are known to hold).
  C2  granted never exceeds the ledger's number: it grows only after the ledger has written
      it, and falls before the ledger hears of it. Ledger first, memory second.
  C3  `used` is the ledger's, as of the last contact.
  C4  Where spare is above 0, used + allotted <= limit: what usage that nobody admitted took
      beyond it is given back as soon as nothing holds it.
  C5  A cell lies in one place at most, and only there stands its id: whoever remembers a place
      sees by the id whether it is still the cell's.
  C7  Of what others were granted `allotted` has what they certainly hold; what they may have to spare
      stands apart (`Stripe.hidden`): it is nobody's yet, and remains.
  C6  Of the grants of a pool together: where one has spare, Σ (used + allotted) <= Σ limit. What was
      overdrawn on one is given back by the others.
A SOFT cell has no share: allotted is 0 and spare is minus what is held here.
So `held = allotted − spare` and `remaining = limit − used − held` hold for both.

Amounts are integers of the currency's smallest unit.
"""

from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple, Protocol

from stiggctl.answers import FOR_EVER, Terms
from stiggctl.locks import await_turn
from stiggctl.windows import BUCKETS

if TYPE_CHECKING:
    from stiggctl.decision.holds import Hold
    from stiggctl.decision.readings import Reading
    from stiggctl.decision.tails import Branch

HEADER = 2  #: branch and resource row
WIDTH = 5  #: numbers of one cell
SPARE, USED, ALLOTTED, LIMIT, CELL = range(WIDTH)

#: Stands among resources for the customer itself: no resource has an id without a character.
CUSTOMER = ""

#: An instant that no clock reads: what ends then does not end by itself.
NEVER = 2**62


#: (start_us, units) of the buckets of a rolling window.
Buckets = Sequence[tuple[int, int]]


class CellNumbers(NamedTuple):
    """One cell as the ledger has it, for this process."""

    cell: int
    hard: bool
    allocation_id: str
    limit: int
    used: int
    granted: int
    #: (units, until_us) of what dead processes held; and of what others certainly hold, until NEVER
    orphans: tuple[tuple[int, int], ...]
    terms: Terms = FOR_EVER
    buckets: Buckets | None = None  #: of a rolling one, where they were asked for
    exact: bool = False
    hidden: int = 0


class Loose(NamedTuple):
    """A cell that is in no record: where it lies, and when its window ended."""

    place: int
    ended_us: int


class Company(Protocol):
    """What the ledger says of a share among those of other processes."""

    @property
    def exact(self) -> bool:
        """This process's carries no surplus."""
        ...

    @property
    def hidden(self) -> int:
        """What others may have to spare: the shares of living ones that are not exact."""
        ...


class NumbersOfCell(Company, Protocol):
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
        """(units, until_us) of what dead processes held; until NEVER what living ones certainly hold."""
        ...

    @property
    def buckets(self) -> Buckets | None:
        """Of a rolling cell, where they were asked for; else None."""
        ...


def leaves_us(at_us: int, bucket_us: int) -> int:
    """When what took place then leaves a rolling window.

    >>> leaves_us(119, 60), leaves_us(120, 60)
    (3720, 3780)
    """
    return at_us - at_us % bucket_us + BUCKETS * bucket_us


class Stripe:
    """The cells of one customer, all its currencies, and their one lock.

    Everything below is changed under `lock` only.
    """

    __slots__ = (
        "apart",
        "buckets",
        "customer_id",
        "customer_row",
        "ended",
        "exact",
        "gives",
        "giving",
        "hidden",
        "holds",
        "leaving",
        "lock",
        "looked_us",
        "loose",
        "next_end_us",
        "numbers",
        "orphans",
        "pooled",
        "readings",
        "rests",
        "rolled",
        "scoped",
        "settling",
        "strands",
        "torn",
        "touched_us",
        "unused",
        "version",
    )

    def __init__(self, customer_id: str, customer_row: int, giving: "set[Stripe] | None" = None) -> None:
        self.customer_id = customer_id
        self.customer_row = customer_row
        self.lock = Lock()
        self.version = 0  #: raised by every change of the customer's model
        #: the dimensions that scopes name, sorted: those of a request say which limits it meets
        self.scoped: tuple[str, ...] = ()
        self.numbers: list[int] = []
        self.strands: dict[str, Strand] = {}  #: by currency id
        self.holds: dict[int, Hold] = {}  #: what is held, by reservation number
        self.settling: dict[int, int] = {}  #: number -> settles of it that are under way
        self.apart: dict[int, int] = {}  #: place -> what bookings under way have set apart there
        self.next_end_us = NEVER  #: no hold, of this process or a dead one, ends before this
        self.torn = False  #: an interrupt ended a change half way (mending.py)
        self.touched_us = 0  #: the clock reading of whoever held something last
        #: the same when it was last looked whether anybody did; and whether since then all that was to
        #: spare has left. Only the recalls' thread says that it has (holder/recalling.py), and anybody
        #: whose change leaves something to spare that it has not.
        self.looked_us, self.rests = 0, False
        #: place -> (units, until_us) of dead processes' holds: they are in `allotted`
        self.orphans: dict[int, tuple[tuple[int, int], ...]] = {}
        #: cell -> its buckets, as of the last denial in which it was looked at
        self.buckets: dict[int, Buckets] = {}
        self.pooled: list[Strand] = []  #: those of which paths have a pool
        #: cell -> (from when on it counts, how wide its buckets are), of rolling ones
        self.rolled: dict[int, tuple[int, int]] = {}
        self.unused: dict[int, list[int]] = {}  #: places that were left, by width
        self.loose: dict[int, Loose] = {}  #: cell -> where it lies outside the records
        #: numbers of holds that ended by themselves, until the holder has cleared their page
        self.ended: list[int] = []
        #: cell -> units that have left spare and that the ledger has not heard of (C2)
        self.gives: dict[int, int] = {}
        self.leaving: dict[int, int] = {}  #: those that are being told just now
        self.readings: list[Reading] = []  #: those that are to hear of it (readings.py)
        #: the stripes of this process of which `gives` has something; this one's part under its lock
        self.giving: set[Stripe] = set() if giving is None else giving
        #: cell -> where it lay last: those of which this process's share is exact (receding.py)
        self.exact: dict[int, int] = {}
        self.hidden: dict[int, int] = {}  #: cell -> what others may have to spare of it

    def strand(self, currency_id: str, currency_row: int, decimals: int) -> "Strand":
        """The part of one currency, made when first asked for."""
        await_turn(self.lock, self)
        with self.lock:
            found = self.strands.get(currency_id)
            # Decimals change only while nothing was ever counted in the currency.
            if found is None or found.decimals != decimals:
                found = self.strands[currency_id] = Strand(self, currency_id, currency_row, decimals)
            return found

    def owe(self, cell: int, units: int) -> None:
        """So much has left spare of a cell, for the next exchange to tell; 0: only that it is exact now.

        The caller has the lock.
        """
        self.giving.add(self)
        self.gives[cell] = self.gives.get(cell, 0) + units

    def owe_nothing(self) -> None:
        """Somebody else has `gives` now, and tells it (readings.py); the caller has the lock."""
        self.leaving, self.gives = self.gives, {}
        self.giving.discard(self)

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

    __slots__ = (
        "branches",
        "branches_max",
        "credit_currency",
        "currency_row",
        "decimals",
        "grant_ids",
        "in_tails",
        "laid",
        "leaves",
        "stripe",
    )

    def __init__(self, stripe: Stripe, credit_currency: str, currency_row: int, decimals: int) -> None:
        self.stripe = stripe
        self.credit_currency = credit_currency
        self.currency_row = currency_row
        self.decimals = decimals
        #: resource id -> where its record lies; only resources that exist are ever kept
        self.leaves: dict[str, int] = {}
        #: (what resources share) -> their branch; those of an older version are left to fade
        self.branches: dict[tuple[object, ...], Branch] = {}
        self.branches_max = 0  #: when it is next looked for those that nobody needs any more
        #: resources whose cells stand in tails; and how often the record of one was laid anew: a
        #: tail that was compiled before names places that may be another cell's by now
        self.in_tails: set[str] = set()
        self.laid = 0
        self.grant_ids: dict[int, str] = {}  #: by their rows, as far as paths have had them


def give_back_above(stripe: Stripe, place: int) -> None:
    """Give back what of the spare is above the limit (C4); the caller has the lock."""
    numbers = stripe.numbers
    above = numbers[place + USED] + numbers[place + ALLOTTED] - numbers[place + LIMIT]
    if above > 0:
        give_back(stripe, place, min(above, numbers[place + SPARE]))


def give_back(stripe: Stripe, place: int, units: int) -> None:
    """Let spare leave, to be told to the ledger by the next exchange; the caller has the lock."""
    if units > 0:
        numbers = stripe.numbers
        spare, used, allotted = numbers[place : place + 3]
        numbers[place : place + 3] = (spare - units, used, allotted - units)  # an interrupt tears no step
        stripe.owe(numbers[place + CELL], units)
