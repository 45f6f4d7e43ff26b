"""Company: several workers that are beside each other, each with something to spare.

Here: how they come to that, and asking one again while others do not answer. Not here: what befalls them.
"""

import time
from pathlib import Path
from typing import Any

from stiggctl import UsageControl
from stiggctl.testing import ManualClock

from .test_several import Worker, model
from .troubled import NOON

LIMIT = 100_000


def describe(path: Path, limit: int = LIMIT) -> None:
    """A team and its user; and beside them "cold", of which nobody draws anything, and "first"."""
    with UsageControl(path, clock=ManualClock(NOON)) as control:
        control.apply(model(limit))
        for id_ in ("cold", "first"):
            control.put_resource(id_, resource_type_id="team", customer_id="c")
            control.set_allocation(resource_id=id_, credit_currency="ai-tokens", limit=1_000)


def in_company(*those: Worker) -> None:
    """Each is there before one draws anything of the team, so each gets a part to spare; 7 it holds."""
    for one in those:
        assert insisted(one, "consume_for", "first", 1) == 1
    for one in those:
        assert insisted(one, "reserve", 7, 600) == 7


def insisted(one: Worker, *verb: Any) -> Any:
    """Asked again as long as others do not answer in time, within reason: the machine may be busy."""
    for _ in range(60):
        answer = one(*verb)
        if not isinstance(answer, dict) or answer.get("denied") != "SHARE_UNAVAILABLE":
            return answer
    raise AssertionError("they never answered")


def asked_until(wanted: Any, one: Worker, *verb: Any) -> bool:
    """Whether it answers that in the end, within reason: at the next beat of somebody, mostly."""
    for _ in range(200):
        if one(*verb) == wanted:
            return True
        time.sleep(0.02)
    return False
