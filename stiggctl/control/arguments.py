"""Arguments: those that check, reserve and consume share, read once.

Here: what may be given, and what is said where it may not. Not here: what becomes of it (requests.py).
"""

from stiggctl.amounts import Amount
from stiggctl.control.reservation import Told
from stiggctl.errors import InvalidRequest
from stiggctl.events import read_amounts, read_dimensions, read_id, read_ids
from stiggctl.holder.asked import Asked

#: A reservation's longest time. A day is longer than any call; what is forgotten for longer
#: would hide credits for longer.
TTL_SECONDS_MAX = 86_400


def read_asked(
    resource_ids: object,
    credit_currency: object,
    amount: Amount | None,
    amounts: object,
    customer_id: object,
    *,
    where: str,
) -> Asked:
    """The arguments that check, reserve and consume share; raises InvalidRequest.

    `where` is what the verb calls its amount; without one (a check) it is one smallest unit.
    """
    if credit_currency is None and amounts is None:
        raise InvalidRequest(
            where="credit_currency", value=None, expected=f"a currency for {where}, or amounts by currency"
        )
    if resource_ids is None:
        expected = 'a list of ids, ["user-01"], here or in the bound() around it'
        raise InvalidRequest(where="resource_ids", value=None, expected=expected)
    currency = None if credit_currency is None else read_id(credit_currency, "credit_currency")
    given: list[tuple[str | None, Amount | None]] = [*read_amounts(amount, currency, amounts).items()]
    named = tuple([(name, value) for name, value in given or [(currency, None)] if name is not None])
    customer = None if customer_id is None else read_id(customer_id, "customer_id")
    return Asked(customer, read_ids(resource_ids), named)


def require_amount(asked: Asked) -> None:
    """reserve and consume do not guess how much is meant."""
    if any(amount is None for _, amount in asked.amounts):
        raise InvalidRequest(where="amount", value=None, expected="how much: int, Decimal or text")


def read_ttl(ttl_seconds: object, where: str = "ttl_seconds") -> int:
    """Whole seconds from 1 to TTL_SECONDS_MAX."""
    if type(ttl_seconds) is not int or not 1 <= ttl_seconds <= TTL_SECONDS_MAX:
        expected = f"whole seconds from 1 to {TTL_SECONDS_MAX}"
        raise InvalidRequest(where=where, value=ttl_seconds, expected=expected)
    return ttl_seconds


def read_told(asked: Asked, event_name: object, dimensions: object, idempotency_key: object) -> Told:
    """What is told of the event to be."""
    return Told(
        asked.customer_id,
        asked.ids,
        None if event_name is None else read_id(event_name, "event_name"),
        read_dimensions(dimensions),
        None if idempotency_key is None else read_id(idempotency_key, "idempotency_key"),
    )
