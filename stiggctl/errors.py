"""Errors: each is a record of what happened, with a sentence made from it.

Here: every error that stiggctl raises on purpose, and how their sentences name a value
(`shown`) and the nearest known name (`nearest`). Not here: when each is raised.

    StiggctlError
    ├── AccessDenied                it does not fit, or may not be; `.decision` has the numbers
    │   └── BudgetExhausted         the same, in the middle of a stream
    ├── InvalidModel                a model with problems, all of them listed
    ├── InvalidAmount               not an amount of credits, or out of its bounds
    ├── InvalidTimestamp            not an instant, or not one that can be booked
    ├── InvalidRequest              any other argument that cannot be meant
    ├── CustomerNotFound
    ├── ResourceNotFound
    ├── AmbiguousResource           resources that several customers have
    ├── CurrencyNotFound
    ├── RateNotFound                no amount was given, and no rate prices the event
    ├── GrantNotFound
    ├── EventNotFound
    ├── DecisionNotFound
    ├── ReservationNotFound
    ├── IdempotencyConflict         the key names another event
    ├── ControlClosed
    └── LedgerError                 the place where the truth is kept has a trouble
        ├── LedgerCorrupt           what stands there contradicts itself
        ├── LedgerVersionError      another version of stiggctl wrote it
        └── LedgerUnavailable       it does not answer, or is not this process's

What always holds:
  E1  The facts are attributes; the sentence is computed from them, never stored beside them.
  E2  A sentence says what was given, where, and what would be right, and never raises itself.
  E3  An error survives pickling and copying with its facts and its sentence. A fact that
      cannot be pickled travels as the text that it showed (`LeftBehind`).
"""

import difflib
import pickle
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Self, TypeVar

if TYPE_CHECKING:
    from stiggctl.answers import Decision
    from stiggctl.control.fit import Fit

_E = TypeVar("_E", bound="StiggctlError")

# An id has at most 255 characters and is shown whole, escapes and quotes included; with less
# a sentence could not be pasted into a search, with much more it would not be one line.
_SHOWN_MAX = 300
# A model of a thousand rows can be wrong a thousand times for one reason; twenty lines fit a screen.
_PROBLEMS_SHOWN = 20
# As many names as are read at a glance.
_NAMES_SHOWN = 8
# difflib compares letter by letter (a few microseconds a name): a thousand names cost some
# milliseconds, a million would stop the caller for seconds, for a hint.
_NEAREST_OF = 1_000


class _Short(reprlib.Repr):
    """repr, cut to a line: long text in its middle, containers after a few members."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = self.maxlong = _SHOWN_MAX

    def repr_int(self, x: int, level: int) -> str:
        # Python refuses to write ints of more than 4,300 digits, and is slow long before.
        if x.bit_length() > _SHOWN_MAX * 3:
            return f"<an int of {x.bit_length()} bits>"
        return super().repr_int(x, level)


_short = _Short()


def shown(value: object) -> str:
    """How a sentence shows a value: its repr, cut to a line; it never raises.

    >>> shown("user-01"), shown(0.1), shown(list(range(100)))
    ("'user-01'", '0.1 (a float)', '[0, 1, 2, 3, 4, 5, ...]')
    """
    try:
        text = _short.repr(value)
    except Exception:  # noqa: BLE001 - a foreign repr; the error that is being shown matters more
        text = f"<{type(value).__name__}>"
    return f"{text} (a float)" if isinstance(value, float) else text


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` was probably meant to be; upper and lower case count alike.

    >>> nearest("ai-token", ["usd", "ai-tokens"]), nearest("USD", ["usd"]), nearest("x", ["usd"])
    ('ai-tokens', 'usd', None)
    """
    folded = {each.casefold(): each for each in islice(known, _NEAREST_OF)}
    close = difflib.get_close_matches(name.casefold(), folded, n=1)
    return folded[close[0]] if close else None


def _hint(name: object, known: Iterable[str]) -> str:
    meant = nearest(name, known) if isinstance(name, str) else None
    return "" if meant is None else f" (did you mean {shown(meant)}?)"


def _names(names: tuple[str, ...]) -> str:
    text = ", ".join(shown(name) for name in names[:_NAMES_SHOWN])
    more = len(names) - _NAMES_SHOWN
    return f"{text} and {more} more" if more > 0 else text


def _got(where: str, value: object, expected: str) -> str:
    return f"{where}: got {shown(value)}, expected {expected}"


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """A fact that could not be pickled, as it looked in the process that it stayed in."""

    text: str

    def __repr__(self) -> str:
        return self.text


def _portable(fact: object) -> object:
    # A caller may have passed anything as an amount, and a Reservation lives in its process.
    try:
        pickle.dumps(fact)
    except Exception:  # noqa: BLE001 - what a foreign __reduce__ raises is its own choice
        return LeftBehind(shown(fact))
    return fact


def _rebuild(kind: type[_E], args: tuple[object, ...], facts: dict[str, object]) -> _E:
    error = kind.__new__(kind, *args)
    error.__dict__.update(facts)
    return error


class StiggctlError(Exception):
    """Every error of stiggctl. Its facts are attributes; its str is a sentence."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[object, ...]:
        # Exception's own way calls the class with `args`, which keyword facts are not in.
        facts = {name: _portable(fact) for name, fact in self.__dict__.items()}
        return _rebuild, (type(self), self.args, facts)

    def __copy__(self) -> Self:
        return _rebuild(type(self), self.args, self.__dict__)

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        # The facts are shared: a reservation or a response is not made twice by copying an error.
        return self.__copy__()


@dataclass(kw_only=True, eq=False, repr=False)
class AccessDenied(StiggctlError):
    """The request was denied; nothing was held or booked.

    `decision` lists every limit that was looked at, with its numbers and a remedy. Where several
    candidates were asked for, it is that of the last one, and `fit` has the denial of each.
    """

    decision: "Decision"
    fit: "Fit | None" = None

    def __str__(self) -> str:
        return str(self.decision if self.fit is None else self.fit)


@dataclass(kw_only=True, eq=False, repr=False)
class BudgetExhausted(AccessDenied):
    """A stream reached its limit. What was yielded before is booked, the rest was stopped."""

    used: Mapping[str, int | Decimal] = field(default_factory=dict)  #: what was yielded, by currency

    def __str__(self) -> str:
        facts: object = self.used  # it may have been left behind, by pickling
        told = facts.items() if isinstance(facts, Mapping) else ()
        used = " and ".join(f"{amount} {name}" for name, amount in told)
        return f"{self.decision}; the stream was stopped after {used}" if used else str(self.decision)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a model: where, what stands there, what would be right."""

    path: str  #: as one would write it: allocations[3].limit
    value: object
    expected: str  #: completes "expected …"

    def __str__(self) -> str:
        return _got(self.path, self.value, self.expected)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.path, _portable(self.value), self.expected)


@dataclass(kw_only=True, eq=False, repr=False)
class InvalidModel(StiggctlError):
    """The model cannot be as it is written. Nothing of it was applied."""

    problems: tuple[Problem, ...]  #: all of them, in the order of the model

    def __str__(self) -> str:
        count = len(self.problems)
        lines = [f"the model has {count} problem{'' if count == 1 else 's'}; nothing was applied"]
        lines += [f"  {problem}" for problem in self.problems[:_PROBLEMS_SHOWN]]
        if count > _PROBLEMS_SHOWN:
            lines.append(f"  and {count - _PROBLEMS_SHOWN} more: see .problems")
        return "\n".join(lines)


@dataclass(kw_only=True, eq=False, repr=False)
class _InvalidArgument(StiggctlError):
    where: str  #: the argument, or the path inside it
    value: object  #: what was given
    expected: str  #: completes "expected …"

    def __str__(self) -> str:
        return _got(self.where, self.value, self.expected)


class InvalidAmount(_InvalidArgument):
    """Not an amount of credits: of a wrong kind, negative, too precise or too large."""


class InvalidTimestamp(_InvalidArgument):
    """Not an instant (no offset, malformed), or not one at which usage can have happened."""


class InvalidRequest(_InvalidArgument):
    """An argument that cannot be meant. Nothing was looked at, nothing changed."""


@dataclass(kw_only=True, eq=False, repr=False)
class CustomerNotFound(StiggctlError):
    """No customer has this id."""

    customer_id: str
    known: tuple[str, ...] = ()  #: some that there are, if at hand: for the hint

    def __str__(self) -> str:
        return (
            f"no customer {shown(self.customer_id)}{_hint(self.customer_id, self.known)}; "
            f"name one that exists, or define it with put_customer"
        )


@dataclass(kw_only=True, eq=False, repr=False)
class ResourceNotFound(StiggctlError):
    """No resource has one of these ids; of this customer, if one was named or found."""

    resource_ids: tuple[str, ...]  #: the unknown ones only
    customer_id: str | None
    known: tuple[str, ...] = ()  #: some that there are, if at hand: for the hint

    def __str__(self) -> str:
        whose = "" if self.customer_id is None else f" of customer {shown(self.customer_id)}"
        hint = _hint(self.resource_ids[0], self.known) if len(self.resource_ids) == 1 else ""
        return (
            f"no resource {_names(self.resource_ids)}{whose}{hint}; "
            f"name resources that exist, or define them with put_resource"
        )


@dataclass(kw_only=True, eq=False, repr=False)
class AmbiguousResource(StiggctlError):
    """More than one customer has all of these resources."""

    resource_ids: tuple[str, ...]
    customer_ids: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{len(self.customer_ids)} customers have {_names(self.resource_ids)}: "
            f"{_names(self.customer_ids)}; say which one with customer_id"
        )


@dataclass(kw_only=True, eq=False, repr=False)
class CurrencyNotFound(StiggctlError):
    """No credit currency has this id."""

    credit_currency: str
    known: tuple[str, ...]

    def __str__(self) -> str:
        there = f"there are {_names(self.known)}" if self.known else "none is defined yet"
        return (
            f"no credit currency {shown(self.credit_currency)}"
            f"{_hint(self.credit_currency, self.known)}; {there}"
        )


@dataclass(kw_only=True, eq=False, repr=False)
class RateNotFound(StiggctlError):
    """No amount was given, and no rate says what such an event costs. Nothing was booked."""

    event_name: str
    customer_id: str | None
    known: tuple[str, ...] = ()  #: names of events that have a rate, if at hand: for the hint

    def __str__(self) -> str:
        whom = "" if self.customer_id is None else f" for customer {shown(self.customer_id)}"
        other = " (its rates are for other customers, currencies or dimensions, or begin later)"
        hint = other if self.event_name in self.known else _hint(self.event_name, self.known)
        return (
            f"no rate says what event {shown(self.event_name)} costs{whom}{hint}; nothing was booked: "
            f"define one with set_rate, or give credit_currency and amount"
        )


@dataclass(kw_only=True, eq=False, repr=False)
class GrantNotFound(StiggctlError):
    """No grant has this id; of this customer, if one was named."""

    grant_id: str
    customer_id: str | None = None

    def __str__(self) -> str:
        whose = "" if self.customer_id is None else f" of customer {shown(self.customer_id)}"
        return f"no grant {shown(self.grant_id)}{whose}; grants() lists the ids of those there are"


@dataclass(kw_only=True, eq=False, repr=False)
class EventNotFound(StiggctlError):
    """No event has this id."""

    event_id: str

    def __str__(self) -> str:
        return f"no event {shown(self.event_id)}; give the event_id of a receipt, or one that events() lists"


@dataclass(kw_only=True, eq=False, repr=False)
class DecisionNotFound(StiggctlError):
    """No denial of this id is kept, and no event is that of a reservation of this id."""

    decision_id: str

    def __str__(self) -> str:
        return (
            f"no denial {shown(self.decision_id)} is kept, nor a settled reservation; it was admitted, or "
            f"too many came or have come since (denials_dropped()), or it was one of very many of a kind"
        )


@dataclass(kw_only=True, eq=False, repr=False)
class ReservationNotFound(StiggctlError):
    """This process has no reservation of this id."""

    reservation_id: str

    def __str__(self) -> str:
        return (
            f"no reservation {shown(self.reservation_id)} is open in this process; a reservation lives "
            f"in the process that made it, until it is settled, released or expired: "
            f"reservations() lists the open ones"
        )


@dataclass(kw_only=True, eq=False, repr=False)
class IdempotencyConflict(StiggctlError):
    """The key was used before, for a report with other contents. Nothing was booked.

    For new usage send a new key; to retry, send exactly what was sent first.
    """

    customer_id: str
    idempotency_key: str
    first_event_id: str
    differs: tuple[str, ...]  #: the arguments that are not as they were

    def __str__(self) -> str:
        return (
            f"idempotency key {shown(self.idempotency_key)} of customer {shown(self.customer_id)} "
            f"already names event {self.first_event_id}, with another {', '.join(self.differs)}; "
            f"nothing was booked: use a new key, or repeat the first report unchanged"
        )


@dataclass(kw_only=True, eq=False, repr=False)
class ControlClosed(StiggctlError):
    """The control was closed before. Nothing was booked."""

    location: str

    def __str__(self) -> str:
        return (
            f"the control over {self.location} is closed; settle reservations before close(), "
            f"and open another UsageControl for new requests"
        )


@dataclass(kw_only=True, eq=False, repr=False)
class LedgerError(StiggctlError):
    """The ledger cannot be used as asked."""

    location: str  #: the path or URL, without a password
    reason: str
    remedy: str  #: what would help

    def __str__(self) -> str:
        return f"{self.location}: {self.reason}; {self.remedy}"


class LedgerCorrupt(LedgerError):
    """What stands in the ledger contradicts itself, or cannot be read. Nothing more is written."""


class LedgerVersionError(LedgerError):
    """Another version of stiggctl wrote this ledger, one that this version cannot read."""


@dataclass(kw_only=True, eq=False, repr=False)
class LedgerUnavailable(LedgerError):
    """The ledger did not answer. Ask again later, with the same key.

    Where a wrapped call had already been made, its value and its open reservation are here.
    """

    result: object = None  #: what the wrapped function returned
    reservation: object = None  #: still open: settle it again
    #: the process that had the ledger when it was no longer waited for; the sentence names it. None
    #: where nobody had it, or the system does not tell (only Linux does)
    holder_pid: int | None = None
    #: False: it could be reached, but must not be used (the file was replaced, another process took
    #: this one for dead); then no policy of on_ledger_failure decides in its place
    unreachable: bool = True

    def __str__(self) -> str:
        return f"{self.location}: {self.why}; {self.remedy}"

    @property
    def why(self) -> str:
        """The reason; with the process that has the ledger, where that is known."""
        return self.reason if self.holder_pid is None else f"{self.reason} (process {self.holder_pid})"
