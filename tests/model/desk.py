"""Desk: plans a change and writes it, as whoever has a ledger does, at an instant that grows.

Here: plan, write, export, in one step each. Not here: what should come of it (the tests).
"""

from typing import Any

from stiggctl.definitions import Applied, UsageModel
from stiggctl.holder import models
from stiggctl.ledger.records import AuditLine, ModelChange, ResourceRow

NOON_US = 1_768_478_400_000_000  # 2026-01-15T12:00:00Z


class Desk:
    """A ledger and who changes its model."""

    def __init__(self, ledger: Any) -> None:
        self.ledger = ledger
        self.now_us = NOON_US
        self.last: ModelChange | None = None

    def plan(self, model: Any, *, prune: bool = False) -> tuple[ModelChange, Applied]:
        with self.ledger.reader() as reader:
            return models.plan(
                model, reader, prune=prune, at_us=self.now_us, actor="ops", reason="because", verb="apply"
            )

    def apply(self, model: Any, *, prune: bool = False) -> Applied:
        return self._write(*self.plan(model, prune=prune))

    def do(self, verb: str, reason: str | None = None, **facts: Any) -> Applied:
        """One single change."""
        stamp = models.Stamp(at_us=self.now_us, actor="ops", reason=reason, verb=verb)
        with self.ledger.reader() as reader:
            planned = getattr(models, verb)(reader, stamp, **facts)
        return self._write(*planned)

    def _write(self, change: ModelChange, applied: Applied) -> Applied:
        self.last = change
        self.now_us += 1_000_000
        if applied:
            self.ledger.change_model(change)
        else:
            assert is_nothing(change)
        return applied

    def export(self) -> UsageModel:
        with self.ledger.reader() as reader:
            return models.export(reader, at_us=self.now_us)

    def resource(self, resource_id: str, customer_id: str = "c") -> ResourceRow:
        with self.ledger.reader() as reader:
            (customer,) = reader.customers([customer_id])
            return next(row for row in reader.resources(customer.id) if row.resource_id == resource_id)

    def audit(self) -> list[AuditLine]:
        with self.ledger.reader() as reader:
            return list(reader.audit())

    def versions(self) -> tuple[int, dict[str, int]]:
        """The version of what is for all, and those of the customers."""
        with self.ledger.reader() as reader:
            rows = reader.customers()
            return reader.state().model_version, {row.customer_id: row.model_version for row in rows}


def is_nothing(change: ModelChange) -> bool:
    """Whether a change has nothing to write."""
    written = {name: getattr(change, name) for name in change.__slots__}
    del written["expected_change"], written["at_us"]
    return not any(written.values())
