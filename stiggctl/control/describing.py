"""Describing: what limits there are: whole models and single changes.

Here: the verbs that change the model, each with who and why. Not here: single limits and prices
(limiting.py), grants (granting.py), what a valid model is (definitions/, validation/), how a change
is planned and written (holder/).
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from stiggctl.control.granting import Granting
from stiggctl.control.limiting import Planned
from stiggctl.definitions import Applied, Progress, Telling, UsageModel, draft_of, entries_of
from stiggctl.holder import models
from stiggctl.ledger import Reader
from stiggctl.windows import to_us


class Describing(Granting):
    """The part of a control that says which limits there are."""

    def apply(
        self,
        model: Mapping[str, Any] | str | Path | UsageModel,
        *,
        prune: bool = False,
        dry_run: bool = False,
        actor: str | None = None,
        reason: str | None = None,
        progress: Callable[[Progress], object] | None = None,
    ) -> Applied:
        """Make the ledger have this model: entries are added, or replaced whole by their key.

        Atomic: all of it or nothing. It binds this process at once, and others before this returns;
        those that had not seen it after a quarter of a second are named in `waiting_for`. Applying the
        same model again changes nothing. Usage is never touched; an allocation that is new counts the
        usage that came before it.

        Args:
            model: a mapping, JSON text, a Path to a JSON file, or a UsageModel; keys in
                camelCase or snake_case.
            prune: also archive resources, remove allocations and rates, end overrides and void
                grants that the model no longer names, of the customers that it names. A list that
                it leaves out says nothing of what there is.
            dry_run: only say what would change. Nothing is written, and somebody may change the
                model before it is applied.
            actor, reason: for the audit.
            progress: called in this thread with a Progress, some hundred times a phase, while
                nothing is locked. If it raises, nothing is applied, and its error comes out here.

        Raises:
            InvalidModel: with all problems, each with its path, value and what would be right.
            LedgerUnavailable: the ledger cannot be reached; nothing was applied.

        >>> control = getfixture("control")
        >>> applied = control.apply({
        ...     "resourceTypes": [{"id": "team"}],
        ...     "resources": [{"id": "growth", "resourceTypeId": "team", "customerId": "acme"}],
        ...     "allocations": [{"resourceId": "growth", "creditCurrency": "ai-tokens", "limit": 500}],
        ... })
        >>> len(applied.created)
        5
        """
        telling = Telling(progress)
        telling.begin("reading", None)
        draft = draft_of(model)
        telling.end(entries_of(draft.model))

        def plan(reader: Reader, stamp: models.Stamp) -> Planned:
            change, applied = models.plan(
                draft, reader, prune=prune, at_us=stamp.at_us, actor=actor, reason=reason, telling=telling
            )
            if applied and not dry_run:
                telling.begin("writing", models.rows_of(change))
            return change, applied

        if dry_run:
            self._holder.require_open()
            with self._holder.ledger.reader() as reader:
                return plan(reader, models.Stamp(self._holder.clock.now_us(), actor, reason, "apply"))[1]
        return self._change(plan, "apply", actor, reason)

    def export_model(self) -> UsageModel:
        """The model as it stands; applying it changes nothing."""
        self._holder.require_open()
        with self._holder.ledger.reader() as reader:
            return models.export(reader, at_us=self._holder.clock.now_us())

    # ---------------------------------------------------------------- single changes

    def put_customer(
        self,
        customer_id: str,
        *,
        name: str | None = None,
        actor: str | None = None,
        reason: str | None = None,
    ) -> Applied:
        """A customer as it is to stand; an archived one is restored."""
        return self._change(
            lambda reader, stamp: models.put_customer(reader, stamp, customer_id=customer_id, name=name),
            "put_customer",
            actor,
            reason,
        )

    def archive_customer(
        self, customer_id: str, *, actor: str | None = None, reason: str | None = None
    ) -> Applied:
        """Deny whatever is asked for it, until it is restored. Raises CustomerNotFound."""
        return self._change(
            lambda reader, stamp: models.archive_customer(reader, stamp, customer_id=customer_id),
            "archive_customer",
            actor,
            reason,
        )

    def restore_customer(
        self, customer_id: str, *, actor: str | None = None, reason: str | None = None
    ) -> Applied:
        """The end of `archive_customer`. Raises CustomerNotFound."""
        return self._change(
            lambda reader, stamp: models.restore_customer(reader, stamp, customer_id=customer_id),
            "restore_customer",
            actor,
            reason,
        )

    def define_resource_type(
        self,
        resource_type_id: str,
        *,
        name: str | None = None,
        parent_resource_type_id: str | None = None,
        attribution_keys: Sequence[str] | None = None,
        properties: Mapping[str, Any] | None = None,
        customer_id: str | None = None,
        actor: str | None = None,
        reason: str | None = None,
    ) -> Applied:
        """A resource type as it is to stand: of one customer, or for all. Raises InvalidModel."""
        return self._change(
            lambda reader, stamp: models.define_resource_type(
                reader,
                stamp,
                resource_type_id=resource_type_id,
                name=name,
                parent_resource_type_id=parent_resource_type_id,
                attribution_keys=attribution_keys,
                properties=properties,
                customer_id=customer_id,
            ),
            "define_resource_type",
            actor,
            reason,
        )

    def put_resource(
        self,
        resource_id: str,
        *,
        resource_type_id: str,
        parent_resource_id: str | None = None,
        customer_id: str | None = None,
        name: str | None = None,
        properties: Mapping[str, Any] | None = None,
        actor: str | None = None,
        reason: str | None = None,
    ) -> Applied:
        """A resource as it is to stand; an archived one is restored.

        Without `customer_id` it is its parent's, else that of the one customer that has it.
        Raises ResourceNotFound for the parent, AmbiguousResource, InvalidModel.
        """
        return self._change(
            lambda reader, stamp: models.put_resource(
                reader,
                stamp,
                resource_id=resource_id,
                resource_type_id=resource_type_id,
                parent_resource_id=parent_resource_id,
                customer_id=customer_id,
                name=name,
                properties=properties,
            ),
            "put_resource",
            actor,
            reason,
        )

    def move_resource(
        self,
        resource_id: str,
        parent_resource_id: str | None,
        *,
        customer_id: str | None = None,
        actor: str | None = None,
        reason: str | None = None,
    ) -> Applied:
        """The resource, with all below it, under another parent; None: as a root.

        Past usage stays where it was booked; open reservations settle where they were admitted.
        """
        return self._change(
            lambda reader, stamp: models.move_resource(
                reader,
                stamp,
                resource_id=resource_id,
                parent_resource_id=parent_resource_id,
                customer_id=customer_id,
            ),
            "move_resource",
            actor,
            reason,
        )

    def archive_resource(
        self,
        resource_id: str,
        *,
        customer_id: str | None = None,
        actor: str | None = None,
        reason: str | None = None,
    ) -> Applied:
        """Deny whatever is asked for it, or for one below it; what is reported is still booked."""
        return self._change(
            lambda reader, stamp: models.archive_resource(
                reader, stamp, resource_id=resource_id, customer_id=customer_id
            ),
            "archive_resource",
            actor,
            reason,
        )

    def restore_resource(
        self,
        resource_id: str,
        *,
        customer_id: str | None = None,
        actor: str | None = None,
        reason: str | None = None,
    ) -> Applied:
        """The end of `archive_resource`."""
        return self._change(
            lambda reader, stamp: models.restore_resource(
                reader, stamp, resource_id=resource_id, customer_id=customer_id
            ),
            "restore_resource",
            actor,
            reason,
        )

    def suspend(
        self,
        resource_id: str,
        *,
        reason: str | None = None,
        until: str | datetime | None = None,
        customer_id: str | None = None,
        actor: str | None = None,
    ) -> Applied:
        """The kill switch: deny whatever is asked for it, or for one below it, from now on.

        Args:
            until: when it ends by itself; left out: at `resume`.

        >>> control = getfixture("acme")
        >>> _ = control.suspend("user-01", reason="runaway agent", actor="ann")
        >>> print(control.check(resource_ids=["user-01"], credit_currency="ai-tokens"))
        resource user-01 is suspended: runaway agent; 1 ai-tokens were asked for
        """
        until_us = None if until is None else to_us(until, "until")
        return self._change(
            lambda reader, stamp: models.suspend(
                reader, stamp, resource_id=resource_id, until_us=until_us, customer_id=customer_id
            ),
            "suspend",
            actor,
            reason,
        )

    def resume(
        self,
        resource_id: str,
        *,
        customer_id: str | None = None,
        actor: str | None = None,
        reason: str | None = None,
    ) -> Applied:
        """The end of `suspend`."""
        return self._change(
            lambda reader, stamp: models.resume(
                reader, stamp, resource_id=resource_id, customer_id=customer_id
            ),
            "resume",
            actor,
            reason,
        )
