"""Erasing: who a resource was is forgotten, and what it may keep of its properties.

Here: the resource that is meant, what is left of it, and the answer. Not here: which rows say something
of it (ledger/), how processes come to know it by its new id (renamed.py).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from stiggctl.answers.json_form import camel, json_value
from stiggctl.definitions import Applied, Value
from stiggctl.errors import LedgerError, ResourceNotFound
from stiggctl.holder.models import Stamp
from stiggctl.holder.models.entries import properties_of, properties_text, resource_name
from stiggctl.holder.models.meant import resource_meant
from stiggctl.holder.models.writing import require_stamp
from stiggctl.ledger import Reader
from stiggctl.ledger.forgetting import new_token
from stiggctl.ledger.records import Erasure, Forgot, ResourceRow, TypeRow

if TYPE_CHECKING:
    from stiggctl.holder.holder import Holder

#: What tells one of a few kinds, and nobody by name.
_KINDS = frozenset({"ENUM", "BOOLEAN"})
#: What stands for a property that a resource of its type must have.
_IN_PLACE: Mapping[str, Value] = {"STRING": "erased", "NUMBER": 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What an erasure did."""

    resource_id: str  #: what stands everywhere in the place of the id: random
    customer_id: str
    events: int  #: that said something of it, or were charged to it or below it
    idempotency_keys: int  #: of these, replaced: a report that is sent again under one is new usage
    #: whether what was erased may still be in bytes that nobody reads: it was not to be waited for, some
    #: reader kept the log, or there was no room to write the file anew. The next erasure ends that
    remains: bool
    waiting_for: tuple[str, ...] = ()  #: processes that know it by its former id for a moment more

    def as_dict(self) -> dict[str, Any]:
        """The camelCase JSON of it."""
        return {camel(one.name): json_value(getattr(self, one.name)) for one in fields(self)}


def erase(
    holder: "Holder", stamp: Stamp, resource_id: str, customer_id: str | None, *, compact: bool
) -> Erased:
    """Forget who it was, wherever the ledger says it; raises what `resource_meant` does."""
    require_stamp(stamp)
    meant: list[Erasure] = []
    forgot: list[Forgot] = []

    def plan(reader: Reader) -> tuple[Erasure, Applied]:
        meant[:] = [_erasure(reader, stamp, resource_id, customer_id)]
        return meant[0], Applied(changed=(resource_name(meant[0].token),))

    def write(erasure: Erasure) -> int:
        forgot[:] = [holder.ledger.erase(erasure)]
        return forgot[0].change

    holder.denials.beat()  # what this process has noted is erased with the rest
    try:
        applied = holder.alter(plan, write)
    except ResourceNotFound:
        # It was erased by somebody who was killed before its end: then this is that end.
        if compact:
            _leave_no_remains(holder)
        raise
    [erasure], [done] = meant, forgot
    holder.keeping.rename(erasure.customer_id, erasure.resource_id, erasure.token, erasure.attribution_keys)
    return Erased(
        resource_id=erasure.token,
        customer_id=erasure.customer_id,
        events=done.events,
        idempotency_keys=done.keys,
        remains=not (compact and _leave_no_remains(holder)),
        waiting_for=applied.waiting_for,
    )


def _leave_no_remains(holder: "Holder") -> bool:
    """Whether nothing remains of what was erased; what kept it from that is told to who watches."""
    try:
        return holder.ledger.leave_no_remains()
    except LedgerError as trouble:
        holder.report_trouble(trouble)
        return False


def _erasure(reader: Reader, stamp: Stamp, resource_id: str, customer_id: str | None) -> Erasure:
    customer, row = resource_meant(reader, resource_id, customer_id)
    type_ = next(one for one in reader.types() if one.id == row.type)
    matched = {name for one in reader.templates(customer.id) for name in json.loads(one.where)}
    return Erasure(
        expected_change=reader.state().change,
        at_us=stamp.at_us,
        customer=customer.id,
        customer_id=customer.customer_id,
        resource=row.id,
        resource_id=row.resource_id,
        name=row.name,
        token=new_token(),
        attribution_keys=type_.attribution_keys,
        properties=_left_of(row, type_, matched),
        suspension=_without_who(row.suspension),
        actor=stamp.actor,
        reason=stamp.reason,
    )


def _left_of(row: ResourceRow, type_: TypeRow, matched: set[str]) -> str:
    """What it keeps: what says which limits count it, what is one of a few kinds, what it must have."""
    schema: Mapping[str, Mapping[str, Any]] = json.loads(type_.properties)
    kept: dict[str, Value] = {}
    for name, value in properties_of(row.properties).items():
        of = schema.get(name, {})
        if name in matched or of.get("type") in _KINDS:
            kept[name] = value
        elif of.get("required"):
            kept[name] = _IN_PLACE[of["type"]]
    return properties_text(kept)


def _without_who(suspension: str | None) -> str | None:
    """A suspension goes on; why, and by whom, may name somebody."""
    if suspension is None:
        return None
    return json.dumps({**json.loads(suspension), "reason": None, "actor": None})
