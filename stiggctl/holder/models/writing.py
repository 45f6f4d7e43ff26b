"""Writing: a change of the model as it is put together, with what will be told of it.

Here: rows to write, audit lines and readable names, kept together so that none is without the
others; in which order, and how many they are. Not here: which entries change (planning.py), who
writes them (ledger/).
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from stiggctl.definitions import A_NAME, Applied, is_name
from stiggctl.errors import InvalidRequest
from stiggctl.holder.models.entries import of_customer
from stiggctl.ledger.records import AuditLine, ModelChange, ResourceWrite

Outcome = Literal["created", "changed", "archived"]


class Stamp(NamedTuple):
    """Who changes the model, when, why, and by which verb."""

    at_us: int
    actor: str | None
    reason: str | None
    verb: str


def rows_of(change: ModelChange) -> int:
    """How many rows there are to write."""
    lists = (getattr(change, name) for name in change.__slots__)
    return sum(len(rows) for rows in lists if isinstance(rows, list))


def require_stamp(stamp: Stamp) -> None:
    """Raise InvalidRequest where its actor or reason cannot stand in an audit."""
    for where in ("actor", "reason"):
        said = getattr(stamp, where)
        if said is not None and not is_name(said):
            raise InvalidRequest(where=where, value=said, expected=A_NAME)


class Writing:
    """A ModelChange under construction. It has something to write exactly when `applied()` is true."""

    __slots__ = ("_names", "_stamp", "change", "unchanged")

    def __init__(self, expected_change: int, stamp: Stamp) -> None:
        """Raises InvalidRequest where the stamp's actor or reason cannot stand in an audit."""
        require_stamp(stamp)
        self.change = ModelChange(expected_change=expected_change, at_us=stamp.at_us)
        self.unchanged: list[str] = []
        self._stamp = stamp
        self._names: dict[Outcome, list[str]] = {"created": [], "changed": [], "archived": []}

    def tell(
        self,
        name: str,
        customer_id: str | None,
        before: str | None,
        after: str | None,
        *,
        outcome: Outcome | None = None,
        shown: str | None = None,
    ) -> None:
        """One audit line, and one name in what was applied: created where nothing was before.

        The name is followed by whose it is, but where `shown` is given.
        """
        found = outcome or ("created" if before is None else "changed")
        self._names[found].append(shown or of_customer(name, customer_id))
        self.change.audit.append(
            AuditLine(
                at_us=self._stamp.at_us,
                customer_id=customer_id,
                actor=self._stamp.actor,
                reason=self._stamp.reason,
                verb=self._stamp.verb,
                subject=name,
                before=before,
                after=after,
            )
        )

    def keep(self, name: str, customer_id: str | None) -> None:
        """An entry that is as it was."""
        self.unchanged.append(of_customer(name, customer_id))

    def touch(self, customer_id: str | None) -> None:
        """Paths of the customer (None: of all) may not be what they were."""
        if customer_id is None:
            self.change.for_all = True
        else:
            self.change.customers_touched.add(customer_id)

    def applied(self, not_named: tuple[str, ...] = ()) -> Applied:
        """What people are told once it is written."""
        return Applied(
            created=tuple(self._names["created"]),
            changed=tuple(self._names["changed"]),
            unchanged=tuple(self.unchanged),
            archived=tuple(self._names["archived"]),
            not_named=not_named,
        )


def ancestors_first(writes: Sequence[ResourceWrite]) -> list[ResourceWrite]:
    """The same, every parent that is among them before its children."""
    by_key = {(each.customer_id, each.resource_id): each for each in writes}
    ordered: dict[tuple[str, str], ResourceWrite] = {}
    for each in writes:
        trail: list[tuple[str, str]] = []
        key: tuple[str, str] | None = (each.customer_id, each.resource_id)
        while key is not None and key in by_key and key not in ordered:
            trail.append(key)
            parent_id = by_key[key].parent_resource_id
            key = None if parent_id is None else (key[0], parent_id)
        for found in reversed(trail):
            ordered[found] = by_key[found]
    return list(ordered.values())
