"""Simulation: what another model would have made of what took place, as people read it.

Here: its records, how denials add up, and two simulations beside each other. Not here: what is replayed
(control/simulating.py), the limits that are asked (holder/replaying.py).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from stiggctl.amounts import plain, to_amount
from stiggctl.answers import AccessDeniedReason, Decision, LimitState
from stiggctl.answers.json_form import camel, json_value
from stiggctl.windows import to_datetime, to_text, to_us


class SimulatedDenial(NamedTuple):
    """Requests of the same resources that one limit would have denied, together."""

    customer_id: str
    resource_ids: tuple[str, ...]  #: who: those that were named, as far as the model has them
    reason: AccessDeniedReason
    limit: LimitState | None  #: which, with its numbers at the first denial; None: the reason is no limit
    times: int
    amounts: dict[str, int | Decimal]  #: what would not have been spent, by currency
    first_at: datetime
    last_at: datetime
    first_event_id: str | None  #: None: it was denied when it was asked, too

    def as_dict(self) -> dict[str, Any]:
        """The camelCase JSON of it."""
        shown = {camel(name): json_value(value) for name, value in self._asdict().items() if name != "limit"}
        return {**shown, "limit": None if self.limit is None else self.limit.as_dict()}

    def __str__(self) -> str:
        by = self.reason if self.limit is None else f"{self.limit}"
        times = "once" if self.times == 1 else f"{self.times} times"
        return (
            f"{', '.join(self.resource_ids) or self.customer_id} would have been denied {times} "
            f"({_in_words(self.amounts)}), first at {_text(self.first_at)}: {by}"
        )


class SimulationChange(NamedTuple):
    """Requests of the same resources, and how often each of two models denies them."""

    customer_id: str
    resource_ids: tuple[str, ...]
    times: int
    times_with_other: int
    amounts: dict[str, int | Decimal]  #: how much more the first denies than the other, by currency

    def as_dict(self) -> dict[str, Any]:
        """The camelCase JSON of it."""
        return {camel(name): json_value(value) for name, value in self._asdict().items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """What a model would have made of what was booked, and of the denials that were kept.

    What a request that is denied would have spent is spent by nobody in the replay. `not_replayed`
    counts what no replay can know.
    """

    since: datetime | None
    until: datetime | None
    events: int  #: how many were replayed
    admitted: int
    denied: int
    admitted_amounts: dict[str, int | Decimal]
    denied_amounts: dict[str, int | Decimal]
    denials: tuple[SimulatedDenial, ...]  #: the most frequent first
    denied_again: int  #: requests that were denied, and that this model would have denied too
    newly_admitted: int  #: requests that were denied, and that this model would have admitted
    newly_admitted_amounts: dict[str, int | Decimal]
    not_replayed: dict[str, int]  #: why -> how many

    def difference(self, other: "Simulation") -> list[SimulationChange]:
        """Who is denied more or less often than with another model, the largest change first."""
        mine, theirs = _by_whom(self.denials), _by_whom(other.denials)
        changes = []
        for who in dict.fromkeys((*mine, *theirs)):
            here, there = mine.get(who, _NOBODY), theirs.get(who, _NOBODY)
            if here == there:
                continue
            currencies = sorted({*here[1], *there[1]})
            amounts = {name: here[1].get(name, 0) - there[1].get(name, 0) for name in currencies}
            changes.append(SimulationChange(*who, here[0], there[0], amounts))
        return sorted(changes, key=lambda one: (-abs(one.times - one.times_with_other), one.resource_ids))

    def as_dict(self) -> dict[str, Any]:
        """The camelCase JSON of it."""
        values = {name: getattr(self, name) for name in self.__slots__ if name != "denials"}
        shown = {camel(name): json_value(value) for name, value in values.items()}
        return {**shown, "denials": [one.as_dict() for one in self.denials]}

    def __str__(self) -> str:
        admitted = f"{self.admitted} would have been admitted ({_in_words(self.admitted_amounts)})"
        lines = [f"{self.events} events: {admitted}, {self.denied} denied ({_in_words(self.denied_amounts)})"]
        if self.newly_admitted or self.denied_again:
            words = _in_words(self.newly_admitted_amounts)
            of = f"of {self.newly_admitted + self.denied_again} that were denied"
            lines.append(f"{of} {self.newly_admitted} would have been admitted ({words})")
        lines += [str(one) for one in self.denials]
        lines += [f"not replayed: {count} {why}" for why, count in self.not_replayed.items()]
        return "\n".join(lines)


_NOBODY: tuple[int, dict[str, int | Decimal]] = (0, {})
_Who = tuple[str, tuple[str, ...]]
_Key = tuple[str, tuple[str, ...], str, str]


class _Group:
    """Denials of one kind, as they add up."""

    __slots__ = ("denial", "last_us", "times", "units")

    def __init__(self, denial: SimulatedDenial) -> None:
        self.denial = denial
        self.times = 0
        self.units: dict[str, int] = {}
        self.last_us = 0


class Tally:
    """A simulation, while it is replayed."""

    def __init__(self, decimals: Mapping[str, int]) -> None:
        self._decimals = decimals
        self._groups: dict[_Key, _Group] = {}
        self._admitted: dict[str, int] = {}
        self._denied: dict[str, int] = {}
        self._new: dict[str, int] = {}
        self.events = self.admitted = self.denied = self.newly_admitted = self.denied_again = 0
        self.not_replayed: dict[str, int] = {}

    def admit(self, units: Iterable[tuple[str, int]]) -> None:
        """An event that fits."""
        self.admitted += 1
        _add(self._admitted, units)

    def admit_denied(self, units: Iterable[tuple[str, int]]) -> None:
        """A request that was denied, and fits."""
        self.newly_admitted += 1
        _add(self._new, units)

    def deny(
        self,
        customer_id: str,
        ids: tuple[str, ...],
        units: tuple[tuple[str, int], ...],
        decision: Decision,
        at_us: int,
        event_id: int | None,
    ) -> None:
        """A request that does not fit; without an event it was denied when it was asked, too."""
        if event_id is not None:
            self.denied += 1
            _add(self._denied, units)
        else:
            self.denied_again += 1
        reason, limit = decision.access_denied_reason, decision.binding
        assert reason is not None
        if reason not in (AccessDeniedReason.BUDGET_EXCEEDED, AccessDeniedReason.INSUFFICIENT_CREDITS):
            limit = None
        allocation = "" if limit is None else f"{limit.allocation_id} {limit.resource_id} {limit.scope}"
        key = (customer_id, ids, str(reason), allocation)
        group = self._groups.get(key)
        if group is None:
            at = to_datetime(at_us)
            event = None if event_id is None else str(event_id)
            first = SimulatedDenial(customer_id, ids, reason, limit, 0, {}, at, at, event)
            group = self._groups[key] = _Group(first)
        group.times += 1
        group.last_us = at_us
        _add(group.units, units)

    def leave_out(self, why: str, count: int = 1) -> None:
        """What cannot be replayed."""
        self.not_replayed[why] = self.not_replayed.get(why, 0) + count

    def simulation(self, since_us: int | None, until_us: int | None) -> Simulation:
        """What it came to."""
        denials = [
            group.denial._replace(
                times=group.times, amounts=self._amounts(group.units), last_at=to_datetime(group.last_us)
            )
            for group in self._groups.values()
        ]
        denials.sort(key=lambda one: (-one.times, one.first_at, one.customer_id, one.resource_ids))
        return Simulation(
            since=None if since_us is None else to_datetime(since_us),
            until=None if until_us is None else to_datetime(until_us),
            events=self.events,
            admitted=self.admitted,
            denied=self.denied,
            admitted_amounts=self._amounts(self._admitted),
            denied_amounts=self._amounts(self._denied),
            denials=tuple(denials),
            denied_again=self.denied_again,
            newly_admitted=self.newly_admitted,
            newly_admitted_amounts=self._amounts(self._new),
            not_replayed=dict(sorted(self.not_replayed.items())),
        )

    def _amounts(self, units: Mapping[str, int]) -> dict[str, int | Decimal]:
        return {name: to_amount(number, self._decimals[name]) for name, number in sorted(units.items())}


def _add(total: dict[str, int], units: Iterable[tuple[str, int]]) -> None:
    for name, number in units:
        total[name] = total.get(name, 0) + number


def _by_whom(denials: Iterable[SimulatedDenial]) -> dict[_Who, tuple[int, dict[str, int | Decimal]]]:
    found: dict[_Who, tuple[int, dict[str, int | Decimal]]] = {}
    for one in denials:
        who = (one.customer_id, one.resource_ids)
        times, amounts = found.get(who, _NOBODY)
        more = {name: amounts.get(name, 0) + amount for name, amount in one.amounts.items()}
        found[who] = (times + one.times, {**amounts, **more})
    return found


def _in_words(amounts: Mapping[str, int | Decimal]) -> str:
    return ", ".join(f"{plain(amount)} {name}" for name, amount in amounts.items()) or "nothing"


def _text(at: datetime) -> str:
    return to_text(to_us(at, "at"))
