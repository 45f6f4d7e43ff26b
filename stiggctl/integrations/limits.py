"""Limits: those that are worth a series of their own, read for who scrapes them.

Here: which limits, and how many at most. Not here: what a metric is called (prometheus.py, otel.py).

What always holds:
  IN1  A series is of a limit that was asked for: of resources that are named, and so many levels below
       them. There are never more than that many, and how many were left out is told.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from stiggctl import InvalidRequest, LimitState, TreeNode, UsageControl

#: A series costs a few kB at whoever keeps it, for weeks: a thousand is a team's board, a million users
#: are none. More may be asked for.
LIMITS_MAX = 1_000


class Chosen(NamedTuple):
    """Which limits are read."""

    resources: tuple[tuple[str, str], ...]  #: (resource id, credit currency)
    depth: int  #: levels below each
    customer_id: str | None
    limits_max: int


class Found(NamedTuple):
    """Their limits now."""

    limits: list[LimitState]
    left_out: int


def read_chosen(
    resources: Iterable[tuple[str, str]], *, depth: int, customer_id: str | None, limits_max: int
) -> Chosen:
    """What was asked for; raises InvalidRequest."""
    read = [tuple(one) for one in resources]
    for one in read:
        if len(one) != 2 or not all(isinstance(each, str) for each in one):
            expected = 'pairs of a resource and a currency, such as ("team-growth", "usd")'
            raise InvalidRequest(where="resources", value=one, expected=expected)
    for where, number in (("depth", depth), ("limits_max", limits_max)):
        if type(number) is not int or number < 0:
            raise InvalidRequest(where=where, value=number, expected="a whole number, 0 or more")
    return Chosen(tuple((one[0], one[1]) for one in read), depth, customer_id, limits_max)


def find(control: UsageControl, chosen: Chosen) -> Found:
    """The limits of the resources that were chosen; raises what `tree` does."""
    limits: dict[tuple[str, ...], LimitState] = {}
    for resource_id, credit_currency in chosen.resources:
        root = control.tree(resource_id, credit_currency, customer_id=chosen.customer_id, depth=chosen.depth)
        for limit in _limits(root):
            limits[tuple(labels_of(limit).values())] = limit  # of two roots one may be below the other
    found = list(limits.values())
    return Found(found[: chosen.limits_max], max(0, len(found) - chosen.limits_max))


def _limits(root: TreeNode) -> Iterator[LimitState]:
    for _, node in root.walk():
        yield from node.limits


def labels_of(limit: LimitState) -> dict[str, str]:
    """What tells a series from the others."""
    return {
        "resource": limit.resource_id,
        "resource_type": limit.resource_type_id,
        "currency": limit.credit_currency,
        "allocation": limit.allocation_id,
        "cadence": f"{'rolling ' if limit.rolling else ''}{limit.cadence or ''}",
        "scope": " ".join(f"{name}={','.join(values)}" for name, values in (limit.scope or {}).items()),
    }
