"""A rolling limit in memory: what was reserved leaves it with its bucket, and when that will be is told."""

from stiggctl.answers import Circumstances, RawLimit, Terms
from stiggctl.decision.cells import CELL, SPARE, USED, CellNumbers, Stripe
from stiggctl.decision.decide import Met, take
from stiggctl.decision.holds import units_of
from stiggctl.decision.laying import all_cells
from stiggctl.decision.meeting import Meeting
from stiggctl.decision.moving import install
from stiggctl.decision.nodes import Node
from stiggctl.decision.paths import compile_path
from stiggctl.decision.reservations import begin_settle
from stiggctl.windows import BUCKETS
from tests.decision.land import is_held, take_with_lock

from .land import Told

WIDTH = 10
#: Of one cell, of which all was granted.
LIMIT = 100


class Rolling:
    """A resource with one rolling limit, compiled as of an instant."""

    def __init__(self) -> None:
        self.stripe = Stripe("acme", 1)
        self.strand = self.stripe.strand("t", 1, 0)

    def at(self, now: int, *, used: int = 0) -> None:
        """Its window is that of now; the ledger says so much is used in it."""
        opens = now - now % WIDTH - (BUCKETS - 1) * WIDTH
        terms = Terms("PT1H", window_start_us=opens, window_end_us=now - now % WIDTH + WIDTH, bucket_us=WIDTH)
        cells = [CellNumbers(7, True, "r", LIMIT, used, LIMIT - used, (), terms)]
        node = Node("ann", 1, "user", None, None, cells, opens, now - now % WIDTH + WIDTH)
        with self.stripe.lock:
            compile_path(
                self.strand,
                [node],
                version=self.stripe.version,
                meeting=Meeting(),
                refuse_unlimited=False,
                customer_refusal=None,
            )

    def take(self, units: int, now: int, number: int, ends: int = 10**9) -> bool:
        taken = take_with_lock(self.stripe, "ann", (), [(self.strand, units)], now, number, ends)
        assert taken is not None
        return is_held(taken)

    def numbers(self) -> tuple[int, int]:
        at = all_cells(self.stripe)[7]
        assert self.stripe.numbers[at + CELL] == 7
        return self.stripe.numbers[at + SPARE], self.stripe.numbers[at + USED]


def test_what_was_reserved_leaves_a_rolling_limit_with_its_bucket() -> None:
    """LY3: it is held still, but not there."""
    rolling = Rolling()
    rolling.at(1_005)
    assert rolling.take(60, 1_005, 1)
    assert rolling.take(30, 1_009, 2)
    last = 1_000 + BUCKETS * WIDTH - 1
    rolling.at(last)
    assert rolling.numbers() == (10, 0)
    assert rolling.take(5, last, 3)
    rolling.at(last + 1)
    assert rolling.numbers() == (95, 0)
    assert sorted(rolling.stripe.holds) == [1, 2, 3]
    assert [units_of(hold)["t"] for hold in rolling.stripe.holds.values()] == [60, 30, 5]


def test_what_is_being_settled_does_not_leave_before_that_is_known() -> None:
    """LY3."""
    rolling = Rolling()
    rolling.at(1_005)
    assert rolling.take(60, 1_005, 1)
    begin_settle(rolling.stripe, 1, 1_005)
    rolling.at(1_005 + BUCKETS * WIDTH)
    assert rolling.numbers() == (40, 0)


def test_what_was_used_is_what_the_window_of_now_has() -> None:
    rolling = Rolling()
    rolling.at(1_000, used=40)
    rolling.at(1_010, used=15)  # what left is free in the ledger, to be drawn
    assert rolling.numbers() == (60, 15)


def raw(rolling: Rolling, units: int, now: int) -> RawLimit:
    taken = take(rolling.stripe, "ann", (), [(rolling.strand, units)], now, 99, 10**9)
    assert isinstance(taken, Met)
    told = Circumstances(holds=taken.holds, orphans=taken.orphans, buckets=taken.buckets)
    [sight] = taken.sights
    return sight[0].raw_limits(sight, told)[0]


def test_a_rolling_limit_is_free_again_when_enough_has_left_it_or_is_held_no_more() -> None:
    rolling = Rolling()
    rolling.at(1_005, used=50)
    at = all_cells(rolling.stripe)[7]
    with rolling.stripe.lock:
        install(rolling.stripe, {at: Told(50, 50, (), ((800, 20), (990, 30)))})
    assert rolling.take(40, 1_005, 1, ends=1_300)
    assert raw(rolling, 30, 1_005).free_at_us() == 1_300  # the hold ends first
    assert raw(rolling, 51, 1_005).free_at_us() == 800 + BUCKETS * WIDTH
    assert raw(rolling, 71, 1_005).free_at_us() == 990 + BUCKETS * WIDTH
    assert raw(rolling, 101, 1_005).free_at_us() is None


def test_a_hold_leaves_a_rolling_window_before_it_ends() -> None:
    rolling = Rolling()
    rolling.at(1_005)
    assert rolling.take(100, 1_005, 1, ends=10**9)
    assert raw(rolling, 1, 1_005).free_at_us() == 1_000 + BUCKETS * WIDTH
