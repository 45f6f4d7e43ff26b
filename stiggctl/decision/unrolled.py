"""Unrolled: the loops of a decision, written out for so many limits as a path has.

What a decision does at each limit is one comparison and one subtraction; in a loop, Python spends more
time on going round than on those. So both are written out once for each shape that a path may have, and
compiled, as `dataclasses` and `namedtuple` of the standard library do with the methods that they make.

Here: that text. Not here: what is compared with what and why (decide.py), where the limits lie (tails.py,
cells.py).

  UR1  A limit is compared in one way, whether the numbers were gathered (`fits`) or lie in the stripe
       (`hold`): `_lacks`.
  UR2  `hold` compares all before it changes one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from stiggctl.decision.cells import HEADER, SPARE, WIDTH


class Shape(NamedTuple):
    """How many limits a path has: those of its tail, and those of the first resource's own record."""

    hard: int
    soft: int
    own_hard: int = 0
    own_soft: int = 0


@dataclass(frozen=True, slots=True)
class Loops:
    """What is done at all limits of a path of one shape."""

    hard: int  #: how many of its limits are HARD
    width: int  #: of what is gathered of the own record
    #: (what was gathered of the tail, the own record, units) -> whether it fits all HARD ones
    fits: Callable[[tuple[int, ...], list[Any], int], bool]
    #: (numbers of the stripe, where the own record lies, the tail's places, units) -> the places of all
    #: limits, HARD ones first, from which it was taken; None: it does not fit, and nothing was
    hold: Callable[[list[int], int, Sequence[int], int], tuple[int, ...] | None]


@cache
def loops(shape: Shape) -> Loops:
    """Those of a shape, compiled when first asked for.

    >>> numbers = [0, 0, 7, 0, 0, 0, 0, 9]  # a record whose one limit has 7 to spare; and 9 in another place
    >>> hold = loops(Shape(hard=1, soft=0, own_hard=1)).hold
    >>> hold(numbers, 0, (7,), 8), numbers[2], numbers[7]
    (None, 7, 9)
    >>> hold(numbers, 0, (7,), 7), numbers[2], numbers[7]
    ((2, 7), 0, 2)
    """
    named: dict[str, Any] = {}
    exec(compile(_text(shape), "<unrolled>", "exec"), named)  # noqa: S102 - of four counts, and nothing else
    width = HEADER + WIDTH * (shape.own_hard + shape.own_soft)
    return Loops(shape.hard + shape.own_hard, width, named["fits"], named["hold"])


def _text(shape: Shape) -> str:
    hard, soft, own_hard, own_soft = shape
    shared = [f"at_{one}" for one in range(hard + soft)]
    own = [f"own_{one}" for one in range(own_hard + own_soft)]
    places = [*own[:own_hard], *shared, *own[own_hard:]]
    spares = [f"spare_{one}" for one in range(len(places))]
    seen = [f"seen[{one}]" for one in range(hard)] + [f"own[{_offset(one)}]" for one in range(own_hard)]
    return "\n".join(
        [
            "def fits(seen, own, units):",
            f"    return not ({_lacks(seen)})",
            "def hold(numbers, place, others, units):",
            f"    [{', '.join(shared)}] = others",
            *[f"    {at} = place + {_offset(one)}" for one, at in enumerate(own)],
            *[f"    {spare} = numbers[{at}]" for spare, at in zip(spares, places, strict=True)],
            f"    if {_lacks(spares[: hard + own_hard])}:",
            "        return None",
            *[f"    numbers[{at}] = {spare} - units" for spare, at in zip(spares, places, strict=True)],
            f"    return ({''.join(f'{at}, ' for at in places)})",
        ]
    )


def _offset(one: int) -> int:
    """Where the spare of a record's limit stands in it."""
    return HEADER + WIDTH * one + SPARE


def _lacks(spares: Sequence[str]) -> str:
    """Whether one of these has less than is asked for (UR1)."""
    return " or ".join(f"{spare} < units" for spare in spares) or "False"
