"""Shares: how much of a limit one process takes at once, to spend without asking again.

Here: the one policy; what may be drawn of each grant of a pool. Not here: who asks (holder/), how a
draw is written (ledger/).
"""

from collections.abc import Sequence

#: In company a process takes a quarter of an even part: so the last of several to draw finds
#: three quarters still free, and as a limit nears the shares vanish. Half would strand more
#: with a stopped process, an eighth would ask twice as often.
_PARTS = 4
#: A share that serves less than so many requests does not pay for its recall.
_REQUESTS_MIN = 8


def surplus(free_units: int, *, request_units: int, holders_alive: int, recalled: bool) -> int:
    """Units that a draw takes beyond what it lacks, so that the next requests need no draw.

    Alone, a holder takes all there is. In company it takes a quarter of an even part, so that
    shares vanish as the limit nears; and nothing when that is less than eight such requests,
    or when the cell was recalled within the last second. It changes cost, never meaning.
    Shares are escrow quantities (O'Neil, ACM TODS 11(4), 1986); the quarter and the eight are
    ours: docs/explanation/decisions/0003-shares.md.

    >>> surplus(1_000, request_units=10, holders_alive=1, recalled=False)
    1000
    >>> surplus(1_000, request_units=10, holders_alive=4, recalled=False)
    0
    >>> surplus(2_000, request_units=10, holders_alive=4, recalled=False)
    125
    """
    if recalled or free_units <= 0:
        return 0
    if holders_alive == 1:
        return free_units
    part = free_units // (_PARTS * holders_alive)
    return part if part >= _REQUESTS_MIN * request_units else 0


def drawable(free_units: Sequence[int]) -> list[int]:
    """What may be drawn of each grant of a pool, of what is free of each (in drain order).

    What was overdrawn on one is paid by the others: the first that have something free keep so much
    back. So all that is drawn never exceeds what is free of the pool as a whole.

    >>> drawable([30, 40]), drawable([-10, 50, 20]), drawable([5, -10, 0, 20]), drawable([-10, 4])
    ([30, 40], [0, 40, 20], [0, 0, 0, 15], [0, 0])
    """
    debt = -sum(units for units in free_units if units < 0)
    left = []
    for units in free_units:
        kept = min(debt, max(0, units))
        debt -= kept
        left.append(max(0, units) - kept)
    return left
