"""Limiting: single limits and prices: allocations, templates, overrides, rates, contract prices.

Here: the verbs that change one of them, each with who and why. Not here: grants (granting.py), whole
models, resources and their marks (describing.py), what a valid entry is (definitions/, validation/),
how a change is planned and written (holder/).
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Literal

from stiggctl.amounts import Amount
from stiggctl.definitions import Applied
from stiggctl.holder import Holder, models
from stiggctl.ledger import Reader
from stiggctl.ledger.records import ModelChange
from stiggctl.windows import to_us

Planned = tuple[ModelChange, Applied]


class Limiting:
    """The verbs that say what one limit, or one price, is."""

    _holder: Holder

    def set_allocation(
        self,
        *,
        resource_id: str | None = None,
        resource_type_id: str | None = None,
        where: Mapping[str, Any] | None = None,
        credit_currency: str,
        limit: Amount,
        enforcement_type: Literal["HARD", "SOFT"] = "HARD",
        cadence: str | None = None,
        timezone: str | None = None,
        anchor: str | date | None = None,
        rolling: bool = False,
        scope: Mapping[str, Any] | None = None,
        effective_at: str | datetime | None = None,
        expires_at: str | datetime | None = None,
        thresholds: Sequence[Amount] = (),
        customer_id: str | None = None,
        allocation_id: str | None = None,
        actor: str | None = None,
        reason: str | None = None,
    ) -> Applied:
        """A limit in a currency. A lowered one binds at once; what is held stays held.

        On a resource; or, with `resource_type_id`, on each of that type whose properties are as
        `where` says, now or later (without `customer_id`: of every customer). It replaces the one
        of the same `allocation_id`; without an id that of the same resource (or type and where),
        currency, scope, cadence and rolling.

        Args:
            cadence: how long a window is: PT1H, P1D, P1W, P1M, P1Y, P30D, or hour, day, week,
                month, year. Left out: for ever.
            timezone: where days and months begin, as an IANA zone; left out: UTC.
            anchor: an instant from which windows are counted, or a date: its midnight there. Left
                out: days, weeks and months of the calendar.
            rolling: count the last hours, days or weeks before each instant, as the cadence says,
                and a sixtieth more at most: "P1D" is any 24 hours. Not beside an anchor, nor with
                months or years; the timezone changes nothing then.
            scope: what counts: {dimension: value or list of values}. Left out: everything.
            effective_at, expires_at: when it is in force; the start is included, the end is not.
                What it counts is its whole window.
            thresholds: percentages of the limit at which somebody is told (`subscribe`), ascending:
                [50, 80, 100]; each once a window.

        Raises ResourceNotFound, AmbiguousResource, CustomerNotFound, InvalidModel.

        >>> control = getfixture("acme")
        >>> applied = control.set_allocation(
        ...     resource_id="user-01", credit_currency="ai-tokens", limit=50, cadence="day",
        ...     timezone="Europe/Amsterdam", scope={"model": ["gpt-5", "o4"]},
        ... )
        >>> print(applied.created[0])
        allocation of ai-tokens on user-01 (P1D, model gpt-5 or o4) of cust-acme-inc
        """
        return self._change(
            lambda reader, stamp: models.set_allocation(
                reader,
                stamp,
                resource_id=resource_id,
                credit_currency=credit_currency,
                customer_id=customer_id,
                allocation_id=allocation_id,
                resource_type_id=resource_type_id,
                where=where,
                limit=limit,
                enforcement_type=enforcement_type,
                cadence=cadence,
                timezone=timezone,
                anchor=anchor,
                rolling=rolling,
                scope=scope,
                effective_at=effective_at,
                expires_at=expires_at,
                thresholds=thresholds,
            ),
            "set_allocation",
            actor,
            reason,
        )

    def remove_allocation(
        self,
        *,
        resource_id: str | None = None,
        resource_type_id: str | None = None,
        where: Mapping[str, Any] | None = None,
        credit_currency: str | None = None,
        cadence: str | None = None,
        rolling: bool | None = None,
        scope: Mapping[str, Any] | None = None,
        allocation_id: str | None = None,
        customer_id: str | None = None,
        actor: str | None = None,
        reason: str | None = None,
    ) -> Applied:
        """End a limit: by its id and customer, or by what `set_allocation` names it with.

        Where a resource has one limit in a currency, the two name it. Where it has several, what
        is left out is the default: without a cadence the one for ever, without a scope the one
        that counts everything, without `rolling` the one that does not roll. Calls in flight
        settle without it.

        Raises InvalidRequest where there is no such limit, or several are meant.
        """
        return self._change(
            lambda reader, stamp: models.remove_allocation(
                reader,
                stamp,
                resource_id=resource_id,
                resource_type_id=resource_type_id,
                where=where,
                credit_currency=credit_currency,
                cadence=cadence,
                rolling=rolling,
                scope=scope,
                allocation_id=allocation_id,
                customer_id=customer_id,
            ),
            "remove_allocation",
            actor,
            reason,
        )

    def override_limit(
        self,
        resource_id: str,
        credit_currency: str,
        *,
        limit: Amount | None = None,
        add: Amount | None = None,
        until: str | datetime,
        since: str | datetime | None = None,
        cadence: str | None = None,
        scope: Mapping[str, Any] | None = None,
        customer_id: str | None = None,
        actor: str | None = None,
        reason: str | None = None,
    ) -> Applied:
        """Change the limits of a resource for a while. It ends by itself, and its limits are as before.

        Of a resource that has limits of several cadences in the currency, name the one; of one
        cadence it changes the calendar's and the rolling one. The same again (resource, currency,
        cadence, scope, since) replaces it: nothing is added twice.

        Args:
            limit: stands in place of what the limit is; or
            add: so much more than it is. Either, not both.
            until: when it ends; itself not included.
            since: from when on; left out: from now on.
            cadence, scope: of the limits that are meant.
            actor, reason: stand in the audit, and in decisions that it made another.

        Raises ResourceNotFound, AmbiguousResource, CurrencyNotFound, InvalidRequest, InvalidModel.

        >>> control = getfixture("acme")
        >>> _ = control.override_limit(
        ...     "user-01", "ai-tokens", limit=500, until="2026-01-16T18:00:00Z",
        ...     actor="maria", reason="launch week",
        ... )
        >>> control.check(resource_ids=["user-01"], credit_currency="ai-tokens").remaining
        500
        """
        since_us = None if since is None else to_us(since, "since")
        until_us = to_us(until, "until")
        return self._change(
            lambda reader, stamp: models.override_limit(
                reader,
                stamp,
                resource_id=resource_id,
                credit_currency=credit_currency,
                until_us=until_us,
                since_us=since_us,
                customer_id=customer_id,
                limit=limit,
                add=add,
                cadence=cadence,
                scope=scope,
            ),
            "override_limit",
            actor,
            reason,
        )

    def remove_override(
        self,
        resource_id: str,
        credit_currency: str,
        *,
        cadence: str | None = None,
        scope: Mapping[str, Any] | None = None,
        since: str | datetime | None = None,
        customer_id: str | None = None,
        actor: str | None = None,
        reason: str | None = None,
    ) -> Applied:
        """End an override now, before its time; one that has not begun never begins.

        Where several go on, `cadence`, `scope` and `since` say which. Raises InvalidRequest where
        there is none, or several are meant.
        """
        since_us = None if since is None else to_us(since, "since")
        return self._change(
            lambda reader, stamp: models.remove_override(
                reader,
                stamp,
                resource_id=resource_id,
                credit_currency=credit_currency,
                cadence=cadence,
                scope=scope,
                since_us=since_us,
                customer_id=customer_id,
            ),
            "remove_override",
            actor,
            reason,
        )

    def set_rate(
        self,
        *,
        event_name: str,
        credit_currency: str,
        credits: Amount = 0,  # noqa: A002 - a rate's own word
        terms: Sequence[Mapping[str, Any]] = (),
        where: Mapping[str, Any] | None = None,
        effective_at: str | datetime | None = None,
        customer_id: str | None = None,
        actor: str | None = None,
        reason: str | None = None,
    ) -> Applied:
        """What an event costs: `credits`, and for each term credits per number.

        An event is priced at its own instant, by one rate a currency: a customer's own before one
        for all, then the one with the most names in `where`, then the latest `effective_at`. The
        rate of the same event, currency, where and effective_at is replaced.

        Args:
            where: which events: {dimension: value or list of values}. Left out: all of that name.
            effective_at: prices events that take place from then on; left out: all.

        Raises CurrencyNotFound, CustomerNotFound, InvalidModel.
        """
        return self._change(
            lambda reader, stamp: models.set_rate(
                reader,
                stamp,
                event_name=event_name,
                credit_currency=credit_currency,
                customer_id=customer_id,
                credits=credits,
                terms=terms,
                where=where,
                effective_at=effective_at,
            ),
            "set_rate",
            actor,
            reason,
        )

    def set_price(
        self,
        *,
        model: str,
        per_million: Mapping[str, Amount] | None = None,
        each: Mapping[str, Amount] | None = None,
        provider: str | None = None,
        effective_at: str | datetime | None = None,
        expires_at: str | datetime | None = None,
        customer_id: str | None = None,
        actor: str | None = None,
        reason: str | None = None,
    ) -> Applied:
        """What a model's tokens cost by contract, in dollars: `call.observe` prices responses with it.

        A customer's own stand before those for all, and all before list prices; among several an
        exact name before a pattern, a longer pattern before a shorter, then the one that began
        last. The price of the same customer, provider, model and effective_at is replaced; what
        is booked stays as it was booked.

        Args:
            model: as responses name it; or a pattern: "gpt-5*".
            per_million: dollars for a million tokens of each class: {"input": "1.25", "output": 10}.
            each: dollars for each: {"web_searches": "0.01"}.
            provider: "openai", "anthropic", …; left out: whoever serves it.
            effective_at, expires_at: prices calls that begin from then on, and before then.

        Raises CustomerNotFound, InvalidModel.

        >>> control = getfixture("acme")
        >>> control.set_price(model="gpt-5*", per_million={"input": "1.00", "output": 8}).created
        ('price of gpt-5*',)
        """
        return self._change(
            lambda reader, stamp: models.set_price(
                reader,
                stamp,
                model=model,
                per_million=per_million,
                each=each,
                provider=provider,
                effective_at=effective_at,
                expires_at=expires_at,
                customer_id=customer_id,
            ),
            "set_price",
            actor,
            reason,
        )

    def _change(
        self,
        plan: Callable[[Reader, models.Stamp], Planned],
        verb: str,
        actor: str | None,
        reason: str | None,
    ) -> Applied:
        holder = self._holder
        stamp = models.Stamp(holder.clock.now_us(), actor, reason, verb)
        return holder.change_model(lambda reader: plan(reader, stamp))
