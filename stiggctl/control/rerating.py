"""Rerating: what other prices would have made of booked usage, in both faces.

Here: `rerate`, read and answered. Not here: what an event would cost and how the difference is booked
(holder/), the sums (reports/).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from stiggctl.definitions import Progress, read
from stiggctl.errors import CustomerNotFound, InvalidRequest
from stiggctl.events import read_id
from stiggctl.holder import Holder
from stiggctl.holder.adjusting import Adjusting
from stiggctl.holder.costs import Given
from stiggctl.holder.rerating import Question, Rated, walk
from stiggctl.importing import importing
from stiggctl.reports.rerating import Rerating, Sums
from stiggctl.windows import to_datetime, to_us

if TYPE_CHECKING:
    from stiggctl.prices import ContractPrice

    #: A price as a question gives it: a record, or a mapping as a model has it.
    PriceGiven = ContractPrice | Mapping[str, Any]


class Rerates:
    """The part of a control that rates booked usage anew."""

    _holder: Holder

    def rerate(
        self,
        since: str | datetime,
        until: str | datetime,
        *,
        customer_id: str | None = None,
        event_name: str | None = None,
        credit_currency: str | None = None,
        prices: "Sequence[PriceGiven] | None" = None,
        book: bool = False,
        actor: str | None = None,
        reason: str | None = None,
        progress: Callable[[Progress], object] | None = None,
    ) -> Rerating:
        """What usage of a time would cost by the prices of now; told to, book the difference.

        Rated anew is what prices said: what a response cost, what a rate charged, and estimates whose
        event tells what was used. An amount that an application told stays, and so does what was
        reversed. Prices and rates are those that the model has now for the instant of each event; a
        customer's own stand before those for all, and contract prices before the list.

        Without `book` nothing is written. With it, each event that differs gets one adjustment: an event
        of the difference, at the same instant and place; what was booked stays as it was. It counts as
        late usage does, and what cost too much comes back to the grants that paid it. Again books
        nothing more; after a crash, or an error, again books the rest.

        Args:
            since, until: of the events' instants; `since` included, `until` not.
            customer_id, event_name, credit_currency: only these; left out: all.
            prices: what if: contract prices, or mappings as in a model, before all of the model.
            book: book adjustments; needs a `reason`.
            actor, reason: stand on each adjustment.
            progress: called in this thread with a Progress, of events that were looked at.

        Raises:
            CustomerNotFound, CurrencyNotFound, InvalidRequest, InvalidTimestamp, InvalidModel (of
            `prices`): nothing was looked at. What has no price is no error: it is in `unpriced`.
            LedgerUnavailable, InvalidAmount: not all was booked; again is safe.

        >>> control = getfixture("acme")
        >>> _ = control.set_rate(event_name="draft", credit_currency="ai-tokens", credits=2)
        >>> _ = control.report(
        ...     customer_id="cust-acme-inc", event_name="draft", resource_ids=["user-01"],
        ...     timestamp="2026-01-03T09:00:00Z",
        ... )
        >>> _ = control.set_rate(event_name="draft", credit_currency="ai-tokens", credits=3)
        >>> january = {"since": "2026-01-01T00:00:00Z", "until": "2026-02-01T00:00:00Z"}
        >>> print(control.rerate(**january))
        from 2026-01-01T00:00:00Z until 2026-02-01T00:00:00Z: rated anew
        ai-tokens: charged 2, would be 3 (+1; 1 event)
          no model: charged 2, would be 3 (+1; 1 event)
        nothing was booked
        >>> control.rerate(**january, book=True, reason="the draft rate was wrong").adjustments
        1
        >>> control.tree("user-01", "ai-tokens").used
        3
        """
        since_us, until_us = to_us(since, "since"), to_us(until, "until")
        if until_us < since_us:
            raise InvalidRequest(where="until", value=until, expected=f"an instant after {since}")
        if book and reason is None:
            raise InvalidRequest(where="reason", value=None, expected="why adjustments are booked, as text")
        for where, text in (("reason", reason), ("actor", actor)):
            if text is not None:
                read_id(text, where)
        given = {} if prices is None else _given(prices)
        holder = self._holder
        known = holder.known
        currency = None if credit_currency is None else known.currency(credit_currency).id
        with holder.ledger.reader() as reader:
            customers = reader.customers(None if customer_id is None else [customer_id])
            last = reader.last_event()
        if customer_id is not None and not customers:
            raise CustomerNotFound(customer_id=customer_id)
        question = Question(customers, event_name, currency, since_us, until_us, last, known, given)
        return _answer(holder, question, Adjusting(holder, str(reason), actor) if book else None, progress)

    async def arerate(
        self,
        since: str | datetime,
        until: str | datetime,
        *,
        customer_id: str | None = None,
        event_name: str | None = None,
        credit_currency: str | None = None,
        prices: "Sequence[PriceGiven] | None" = None,
        book: bool = False,
        actor: str | None = None,
        reason: str | None = None,
        progress: Callable[[Progress], object] | None = None,
    ) -> Rerating:
        """`rerate`, without blocking the event loop. Cancelled, it still goes on to its end.

        `rows` and `unpriced` of what it returns read the ledger where they are asked for, and
        `progress` is called in another thread.
        """
        return await self._holder.aside.do(
            lambda: self.rerate(
                since,
                until,
                customer_id=customer_id,
                event_name=event_name,
                credit_currency=credit_currency,
                prices=prices,
                book=book,
                actor=actor,
                reason=reason,
                progress=progress,
            )
        )


def _answer(
    holder: Holder,
    question: Question,
    adjusting: Adjusting | None,
    progress: Callable[[Progress], object] | None,
) -> Rerating:
    """Walk over it once: sum, and book."""
    sums, booked, looked_at = Sums(), 0, 0
    for stretch in walk(holder, question):
        for rated in stretch.rated:
            sums.add(rated)
        if adjusting is not None:
            booked += adjusting.book(stretch)
        looked_at += stretch.events
        if progress is not None:
            progress(Progress(phase="rating", done=looked_at, total=None))

    def walk_again() -> Iterator[Rated]:
        for stretch in walk(holder, question):
            yield from stretch.rated

    currencies = question.known.currency_of_row
    return Rerating(
        since=to_datetime(question.since_us),
        until=to_datetime(question.until_us),
        totals=sums.totals(currencies),
        models=sums.models(currencies),
        reasons=sums.reasons,
        adjustments=booked,
        is_booked=adjusting is not None,
        _walk=walk_again,
        _currencies=currencies,
    )


def _given(prices: "Sequence[PriceGiven]") -> Given:
    """Prices of a question, by whose they are."""
    with importing():
        from stiggctl.prices import ContractPrice  # noqa: PLC0415 - few processes price responses

    if isinstance(prices, str | bytes | Mapping) or not isinstance(prices, Sequence):
        raise InvalidRequest(where="prices", value=prices, expected="a list of prices")
    given: dict[str | None, list[ContractPrice]] = {}
    parts = iter(read({"prices": [one for one in prices if not isinstance(one, ContractPrice)]}).prices)
    for one in prices:
        if isinstance(one, ContractPrice):
            given.setdefault(None, []).append(one)
            continue
        part = next(parts)
        price = ContractPrice(
            model=part.model,
            provider=part.provider,
            per_million=part.per_million,
            each=part.each,
            effective_at=part.effective_at,
            expires_at=part.expires_at,
        )
        given.setdefault(part.customer_id, []).append(price)
    return given
