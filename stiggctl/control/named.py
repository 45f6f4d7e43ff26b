"""Named: what a request takes from around it where it is not given: a `bound()` that it is made in.

Here: what can be named, who takes it, and the contextvar that it comes from.
Not here: the handle that application code has (bound.py), what the verbs do with it.

  BN1  What is given comes first, then what the handle names, then the innermost `with` of this
      control around it, then the next. Each is taken whole: dimensions are not merged.
  BN2  What one control's `bound` names reaches no other control, and no thread that is not
      started with a copy of the context. Tasks have one.
"""

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple, Self

from stiggctl.events import DimensionValue, read_dimensions, read_id, read_ids
from stiggctl.holder import Holder

#: What a request carries beside its amount: customer_id, resource_ids, currency, dimensions, event_name.
Filled = tuple[str | None, Sequence[str] | None, str | None, Mapping[str, DimensionValue] | None, str | None]


class Named(NamedTuple):
    """What is named for requests to come; None: is not."""

    customer_id: str | None = None
    resource_ids: tuple[str, ...] | None = None
    credit_currency: str | None = None
    dimensions: dict[str, DimensionValue] | None = None
    event_name: str | None = None

    @classmethod
    def read(
        cls,
        customer_id: object,
        resource_ids: object,
        credit_currency: object,
        dimensions: object,
        event_name: object,
    ) -> Self:
        """From what was given; raises InvalidRequest, before anything is asked."""
        return cls(
            None if customer_id is None else read_id(customer_id, "customer_id"),
            None if resource_ids is None else read_ids(resource_ids),
            None if credit_currency is None else read_id(credit_currency, "credit_currency"),
            None if dimensions is None else read_dimensions(dimensions),
            None if event_name is None else read_id(event_name, "event_name"),
        )

    def within(self, outer: "Named | None") -> "Named":
        """These, and from `outer` what they leave out."""
        if outer is None:
            return self
        return outer._replace(**{name: one for name, one in self._asdict().items() if one is not None})


class _Frame:
    """One `with` that is open, and those around it."""

    __slots__ = ("named", "outer", "own", "owner", "whose")

    def __init__(self, owner: object, whose: object, own: Named, outer: "_Frame | None") -> None:
        self.owner = owner  #: the control
        self.whose = whose  #: the handle that was entered
        self.own = own
        self.outer = outer
        self.named = own.within(_named_by(outer, owner))


_innermost: ContextVar[_Frame | None] = ContextVar("stiggctl_bound", default=None)

#: Whether any `bound` is open here: the innermost, or None. One call, for the verbs to look first.
in_force = _innermost.get


def _named_by(frame: _Frame | None, owner: object) -> Named | None:
    while frame is not None:
        if frame.owner is owner:
            return frame.named
        frame = frame.outer
    return None


def enter(owner: object, whose: object, own: Named) -> None:
    """From here on, in this context, requests of `owner` take what they lack from these."""
    _innermost.set(_Frame(owner, whose, own, in_force()))


def leave(whose: object) -> None:
    """End the innermost `with` of a handle; none is open where it was entered in another context."""
    inner: list[_Frame] = []
    frame = in_force()
    while frame is not None and frame.whose is not whose:
        inner.append(frame)
        frame = frame.outer
    if frame is None:
        return
    left = frame.outer
    for one in reversed(inner):  # left out of order: those inside it no longer have it around them
        left = _Frame(one.owner, one.whose, one.own, left)
    _innermost.set(left)


class Face:
    """What every part of the face has: a holder, and what is named around a request."""

    _holder: Holder
    #: of a handle: what it names; a control names nothing
    _own: Named | None = None

    def _owner(self) -> "Face":
        """The control."""
        return self

    def _around(self) -> Named | None:
        """What a request takes where it is not given (BN1)."""
        outer = _named_by(in_force(), self._owner())
        return outer if self._own is None else self._own.within(outer)

    def _filled(
        self,
        customer_id: str | None,
        resource_ids: Sequence[str] | None,
        credit_currency: str | None,
        dimensions: Mapping[str, DimensionValue] | None,
        event_name: str | None,
        amounts: object,
    ) -> Filled:
        """What is given; and what is not, as it is named around here.

        `amounts` name their currencies themselves.
        """
        around = self._around()
        if around is None:
            return customer_id, resource_ids, credit_currency, dimensions, event_name
        return (
            around.customer_id if customer_id is None else customer_id,
            around.resource_ids if resource_ids is None else resource_ids,
            around.credit_currency if credit_currency is None and amounts is None else credit_currency,
            around.dimensions if dimensions is None else dimensions,
            around.event_name if event_name is None else event_name,
        )

    def _filled_event(self, given: dict[str, Any]) -> dict[str, Any]:
        """The keywords of a report, with those that it lacks as they are named around here."""
        around = self._around()
        if around is None:
            return given
        named = {name: value for name, value in around._asdict().items() if value is not None}
        if given.get("amounts") is not None:
            named.pop("credit_currency", None)
        return named | {name: value for name, value in given.items() if value is not None}
