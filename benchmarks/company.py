"""A company to measure on: as many users as you like, each with a limit, and all of them touched.

Here: its ledger, made once a run and size; touching many users quickly. Not here: what is measured
(flat.py, memory.py).

Each user has one HARD limit and stands under the company, which has one too, as have a region and a
feature. Limits are so high that they never deny.
"""

import atexit
import contextlib
import gc
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.model import CUSTOMER, TOKENS
from stiggctl import UsageControl
from stiggctl.decision.cells import Strand
from stiggctl.decision.meeting import Meeting
from stiggctl.decision.nodes import Node
from stiggctl.decision.paths import compile_path
from stiggctl.holder import Holder
from stiggctl.ledger.records import Ask, AskCell, Batch, Drawn

#: What each request names beside a user.
BESIDE = ("emea", "chat")
LIMIT = 10**15
#: Users a part: a model of ten times as many takes ten times the memory, one of a tenth ten times the
#: rounds, each of which looks at what is there already.
PART = 100_000
#: Users that are touched together: one reading, one drawing. Of ten times as many, what is read for a
#: moment would weigh in what memory.py weighs.
TOUCHED = 1_000


def user(number: int) -> str:
    """The id of a user."""
    return f"user-{number:07}"


@cache
def ledger_of(users: int) -> Path:
    """A ledger with so many users, on disk until this program ends."""
    directory = tempfile.TemporaryDirectory(prefix="stiggctl-benchmark-")
    atexit.register(directory.cleanup)
    path = Path(directory.name, "usage.db")
    with UsageControl(path) as control:
        control.apply(_above())
        for start in range(0, users, PART):
            say(f"making {users:,} users: {start:,}")
            control.apply(_part(range(start, min(start + PART, users))))
    return path


@contextlib.contextmanager
def opened(path: Path) -> Iterator[UsageControl]:
    """A control on such a ledger, in a process that has reserved: user 0 is touched, no other."""
    with UsageControl(path) as control:
        control.reserve(resource_ids=[user(0), *BESIDE], credit_currency=TOKENS, amount=1).release()
        yield control


def touch(control: UsageControl, users: int) -> None:
    """What the first reserve of each user does, for many in one reading and one drawing.

    As in holder/trees.py, `load`, and exchange.py; user by user it would take a quarter of an hour for
    a million.
    """
    holder = control._holder  # noqa: SLF001 - there is no public verb that names thousands
    strand = holder.strands[None, TOKENS]
    gc.disable()  # or it looks through all that is there again and again
    for start in range(0, users, TOUCHED):
        if start % PART == 0:
            say(f"touching {users:,} users: {start:,}")
        ids = [user(number) for number in range(start, min(start + TOUCHED, users))]
        _draw(holder, strand, _read(holder, strand, ids), ids)
        nodes = _read(holder, strand, ids)
        with strand.stripe.lock:
            for one in ids:
                named = [nodes[one] for one in (one, *BESIDE)]
                compile_path(
                    strand,
                    named,
                    version=strand.stripe.version,
                    meeting=Meeting(),
                    refuse_unlimited=False,
                    customer_refusal=None,
                )
    gc.enable()
    gc.collect()


def _read(holder: Holder, strand: Strand, ids: list[str]) -> dict[str, Node]:
    now_us = holder.clock.now_us()
    found = holder.trees._read(strand.stripe, [strand], [*ids, *BESIDE], now_us)  # noqa: SLF001 - as above
    assert found is not None  # nobody changes the model
    return found.nodes[0][1]


def _draw(holder: Holder, strand: Strand, nodes: dict[str, Node], ids: list[str]) -> None:
    """Each user's share: alone, all that is free."""
    known = set(strand.leaves)
    cells = [(AskCell(nodes[one].cells[0].cell, 0), 1, 1) for one in ids if one not in known]
    batch = Batch(
        holder=holder.row,
        change=holder.known.change,
        now_us=holder.clock.now_us(),
        bookings=[],
        gives=[],
        asks=[Ask(cells=tuple(cells), request_units=1)],
    )
    assert holder.ledger.exchange(batch).asks == [Drawn.GRANTED]


def _above() -> dict[str, Any]:
    """What stands above and beside the users."""
    roots = ("company", *BESIDE)
    return {
        "resourceTypes": [{"id": "member"}, {"id": "label"}],
        "resources": [
            {"id": one, "resourceTypeId": "member" if one == "company" else "label", "customerId": CUSTOMER}
            for one in roots
        ],
        "allocations": [_limit(one) for one in roots],
    }


def _part(numbers: range) -> dict[str, Any]:
    return {
        "resources": [
            {
                "id": user(number),
                "resourceTypeId": "member",
                "customerId": CUSTOMER,
                "parentResourceId": "company",
            }
            for number in numbers
        ],
        "allocations": [_limit(user(number)) for number in numbers],
    }


def _limit(resource_id: str) -> dict[str, Any]:
    return {"resourceId": resource_id, "customerId": CUSTOMER, "creditCurrency": TOKENS, "limit": LIMIT}


def say(what: str) -> None:
    """How far it is, for who waits: to stderr, so that --json stays JSON."""
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)
