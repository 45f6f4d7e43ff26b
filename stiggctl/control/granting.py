"""Granting: prepaid credits of customers.

Here: the verbs that grant credits and void grants, each with who and why. Not here: limits and prices
(limiting.py), whole models (describing.py), what a valid grant is (definitions/, validation/), which
grant pays (decision/).
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Literal

from stiggctl.amounts import Amount
from stiggctl.control.limiting import Limiting
from stiggctl.definitions import Applied
from stiggctl.holder import models


class Granting(Limiting):
    """The verbs that say which credits a customer has paid for, or was given."""

    def grant_credits(
        self,
        *,
        customer_id: str | None = None,
        credit_currency: str,
        amount: Amount,
        grant_id: str,
        priority: int = 50,
        kind: Literal["PAID", "PROMOTIONAL"] = "PAID",
        effective_at: str | datetime | None = None,
        expires_at: str | datetime | None = None,
        cadence: str | None = None,
        timezone: str | None = None,
        anchor: str | date | None = None,
        thresholds: Sequence[Amount] = (),
        actor: str | None = None,
        reason: str | None = None,
    ) -> Applied:
        """Prepaid credits of a customer. From the first one on, what it spends must be paid by grants.

        All grants of a currency that are open are the customer's pool, and burn in one order: a lower
        `priority` first, then the one that expires earlier, PROMOTIONAL before PAID, the one that
        became effective earlier, the older. Usage before the first grant is never counted. A customer
        or a currency that nobody defined is made.

        The same `grant_id` again replaces the grant: nothing is added twice, so a call that may have
        failed can be repeated. What the grant has paid stays paid; an amount below that leaves the
        pool overdrawn by the difference, and while it is open the others pay that. For more credits
        grant another with its own id: a grant keeps its currency, and one that was voided stays so.

        `apply(export_model())` elsewhere makes the same grants, whole: it does not carry balances.

        Args:
            customer_id: may be left out where there is one customer.
            amount: more than 0; with a cadence, in each window.
            priority: 0 to 1,000; a lower one burns first.
            effective_at, expires_at: when it is open; the start is included, the end is not. What is
                left at its end is gone.
            cadence: grant it anew in each window: PT1H, P1D, P1W, P1M, P1Y, P30D, or hour, day, week,
                month, year. What is left of a window expires with it.
            timezone, anchor: where its windows begin, as in `set_allocation`.
            thresholds: percentages of the amount at which somebody is told (`subscribe`), ascending.

        Raises InvalidModel, InvalidRequest.

        >>> control = getfixture("acme")
        >>> applied = control.grant_credits(
        ...     customer_id="cust-acme-inc", credit_currency="ai-tokens", amount=10_000,
        ...     grant_id="welcome", kind="PROMOTIONAL", expires_at="2026-04-01T00:00:00Z",
        ... )
        >>> print(applied.created[0])
        grant welcome of ai-tokens of cust-acme-inc
        """
        return self._change(
            lambda reader, stamp: models.grant_credits(
                reader,
                stamp,
                grant_id=grant_id,
                credit_currency=credit_currency,
                customer_id=customer_id,
                amount=amount,
                priority=priority,
                kind=kind,
                effective_at=effective_at,
                expires_at=expires_at,
                cadence=cadence,
                timezone=timezone,
                anchor=anchor,
                thresholds=thresholds,
            ),
            "grant_credits",
            actor,
            reason,
        )

    def void_grant(
        self,
        grant_id: str,
        *,
        customer_id: str | None = None,
        actor: str | None = None,
        reason: str | None = None,
    ) -> Applied:
        """Take back what is left of a grant, for ever. Voiding it again does nothing.

        What it has paid stays paid, and what is held on it may still be settled from it; the rest is
        gone. The customer keeps its pool: with no other grant open, it has no credits.

        Without `customer_id`: of the one customer that has a grant of that id.

        Raises GrantNotFound, CustomerNotFound; InvalidRequest where several customers have one.

        >>> control = getfixture("acme")
        >>> _ = control.grant_credits(credit_currency="ai-tokens", amount=500, grant_id="trial")
        >>> print(control.void_grant("trial", reason="sent twice").archived[0])
        grant trial of ai-tokens of cust-acme-inc
        """
        return self._change(
            lambda reader, stamp: models.void_grant(
                reader, stamp, grant_id=grant_id, customer_id=customer_id
            ),
            "void_grant",
            actor,
            reason,
        )
