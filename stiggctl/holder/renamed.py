"""Renamed: resources that were erased since this process came to know them, by the ids that they have now.

Here: finding records and members again by their rows; what an order says without who it was. Not here:
the erasure itself (erasing.py), loading paths (trees.py).

What always holds:
  RN1  A record is of a row, not of an id: a resource that was erased keeps what this process holds of its
       cells, and one that is made anew with its id gets nothing of it.
  RN2  What was admitted before an erasure is booked after it where it was admitted, and says the token.
"""

import secrets
from collections.abc import Iterable
from typing import TYPE_CHECKING

from stiggctl.decision.cells import CUSTOMER, Strand, Stripe
from stiggctl.decision.laying import know_by
from stiggctl.decision.nodes import Node
from stiggctl.events import dimensions_json, dimensions_of
from stiggctl.holder.orders import Order
from stiggctl.holder.ways import Way
from stiggctl.ledger.forgetting import Forgotten, is_token
from stiggctl.ledger.records import ResourceRow

if TYPE_CHECKING:
    from stiggctl.holder.holder import Holder


def know_all_by(strand: Strand, nodes: Iterable[Node]) -> None:
    """Let the records of these be found by the ids that they have now (RN1). The caller has the lock."""
    for node in nodes:
        if is_token(node.resource_id):
            know_by(strand, node.resource_id, node.row)


def learn_names(holder: "Holder", way: Way) -> None:
    """The members of a way by the ids that they have now, and what it says without who they were (RN2)."""
    members, rows = way.members, way.rows
    if members is None or not rows:
        return
    with holder.ledger.reader() as reader:
        found = reader.resources_by_row(rows)
        now = {row.resource_id for row in found}
        gone = members - now - {CUSTOMER}
        if not gone:
            return
        keys = {row.id: row.attribution_keys for row in reader.types()}
    erased = [row for row in found if row.resource_id not in members]
    way.forgotten += tuple(
        Forgotten(former, row.resource_id, frozenset(keys[row.type]))
        for former, row in _paired(way.stripe, sorted(gone), erased)
    )
    way.members = frozenset(now | (members & {CUSTOMER}))
    dimensions = dimensions_json(way.dimensions)
    for one in way.forgotten:
        dimensions = one.dimensions(dimensions, about=True)
    way.dimensions = dimensions_of(dimensions)


def _paired(stripe: Stripe, gone: list[str], erased: list[ResourceRow]) -> Iterable[tuple[str, ResourceRow]]:
    """Which of them had which id; by this process's records, where there are several."""
    if len(gone) > 1:
        with stripe.lock:
            row_of = {
                one: stripe.numbers[place + 1]
                for strand in stripe.strands.values()
                for one in gone
                if (place := strand.leaves.get(one)) is not None
            }
        gone.sort(key=lambda one: row_of.get(one, 0))
        erased.sort(key=lambda row: row.id)
    return zip(gone, erased, strict=True)


def forget(order: Order) -> None:
    """What an order says, without who was erased since it was admitted; once."""
    way = order.way
    if not way.forgotten:
        return
    forgotten, way.forgotten = way.forgotten, ()
    for one in forgotten:
        order.dimensions = one.dimensions(order.dimensions, about=True)
        order.unattributed = one.unattributed(order.unattributed)
    # A hash of what was said could be compared with a guess.
    order.fingerprint = secrets.token_bytes(len(order.fingerprint))
