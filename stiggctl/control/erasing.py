"""Erasing: a person is forgotten, and every sum stays what it is.

Here: the verb. Not here: what is rewritten (ledger/), what is left of a resource (holder/erasing.py).
"""

from stiggctl.holder import Holder, models
from stiggctl.holder.erasing import Erased, erase


class Erasing:
    """The part of a control that forgets."""

    _holder: Holder

    def erase(
        self,
        resource_id: str,
        *,
        customer_id: str | None = None,
        actor: str | None = None,
        reason: str | None = None,
        compact: bool = True,
    ) -> Erased:
        """Forget who a resource was: its id, name and properties, wherever the ledger says them.

        In the place of the id a random token stands everywhere: in the model, in scopes, in events (under
        the attribution keys of its type, and in `unattributed`) and in the audit. Nothing that counts
        changes: usage, limits, templates, overrides and what is held go on under the token. One
        transaction; killed before its end, nothing of it was done. Then the file is written anew, so that
        what was erased is gone from its unused bytes and its log; killed before that end, say it again.
        Backups and exports keep what they have.

        The idempotency keys of its events, and of those of what is below it, are replaced too, for they
        may say who it was: a report that is sent again under one of them is new usage.

        Kept are properties that a template's `where` names, and ENUM and BOOLEAN ones; other dimensions
        of its events; and what is written in text about other resources, but for the id as a word.

        Atomic across threads and processes; nobody else writes meanwhile: some seconds for each 100,000 of
        its events, and for each gigabyte of the file. An id that was erased may be made anew: it is
        another resource then.

        Args:
            compact: False: the file is not written anew now; of several erasures the last does it for all.

        Raises ResourceNotFound, AmbiguousResource, CustomerNotFound, InvalidRequest.

        >>> control = getfixture("acme")
        >>> _ = control.consume(resource_ids=["user-01"], credit_currency="ai-tokens", amount=30)
        >>> erased = control.erase("user-01", actor="dpo", reason="request 17")
        >>> erased.events, [row.amount for row in control.usage(resource_id=erased.resource_id)]
        (1, [30])
        >>> control.tree("user-01", "ai-tokens")
        Traceback (most recent call last):
        stiggctl.errors.ResourceNotFound: no resource 'user-01'
        """
        stamp = models.Stamp(self._holder.clock.now_us(), actor, reason, "erase")
        return erase(self._holder, stamp, resource_id, customer_id, compact=compact)
