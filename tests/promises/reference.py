"""The reference: what a ledger says, recomputed slowly from lists of events and of holds.

Here: lifetime limits on one customer's trees, no clock but a number, no cleverness.
Not here: what is asked of it and compared (test_machine.py).
"""

from dataclasses import dataclass, field


@dataclass
class Event:
    """One booking: what it cost, and which resources it counts in."""

    amount: int
    members: frozenset[str]
    contents: object = None


@dataclass
class Hold:
    """What is set aside: `counted` are the limits that were in force when it was admitted."""

    ids: tuple[str, ...]
    amount: int
    members: frozenset[str]
    counted: set[tuple[str, int]]
    until: int
    key: str | None = None
    open: bool = True
    ours: bool = True
    event: Event | None = None


@dataclass
class Reference:
    """Every number is a sum over all there ever was."""

    parents: dict[str, str | None]
    limits: dict[str, int]
    soft: set[str]
    now: int = 0
    events: list[Event] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    suspended: set[str] = field(default_factory=set)
    archived: set[str] = field(default_factory=set)
    made: dict[str, int] = field(default_factory=dict)  # how often a resource's limit was made

    def members(self, ids: tuple[str, ...]) -> frozenset[str]:
        found: set[str] = set()
        for name in ids:
            above: str | None = name
            while above is not None:
                found.add(above)
                above = self.parents[above]
        return frozenset(found)

    def counted(self, members: frozenset[str]) -> set[tuple[str, int]]:
        return {(name, self.made.get(name, 0)) for name in members if name in self.limits}

    def holds_of(self, name: str) -> list[Hold]:
        place = (name, self.made.get(name, 0))
        live = [hold for hold in self.holds if hold.open and hold.until > self.now and place in hold.counted]
        return [hold for hold in live if hold.ours or name not in self.soft]

    def used(self, name: str) -> int:
        return sum(event.amount for event in self.events if name in event.members)

    def held(self, name: str) -> int:
        return sum(hold.amount for hold in self.holds_of(name))

    def left(self, name: str) -> int:
        return self.limits[name] - self.used(name) - self.held(name)

    def hard(self, members: frozenset[str]) -> list[str]:
        return [name for name in members if name in self.limits and name not in self.soft]

    def room(self, members: frozenset[str]) -> int | None:
        """The most that fits; below 0 where a limit is passed; None where nothing limits."""
        return min((self.left(name) for name in self.hard(members)), default=None)

    def other_reason(self, ids: tuple[str, ...]) -> str | None:
        if self.archived & set(ids):
            return "RESOURCE_ARCHIVED"
        return "SUSPENDED" if self.suspended & self.members(ids) else None

    def reason(self, ids: tuple[str, ...], amount: int) -> str | None:
        room = self.room(self.members(ids))
        return self.other_reason(ids) or ("BUDGET_EXCEEDED" if room is not None and amount > room else None)

    def passes_at(self, name: str, amount: int) -> int | None:
        """When the request fits this limit if nothing more is spent; None: never."""
        lacking = amount - self.left(name)
        for hold in sorted(self.holds_of(name), key=lambda hold: hold.until):
            lacking -= hold.amount
            if lacking <= 0:
                return hold.until
        return None

    def book(self, event: Event) -> int:
        """Appends it; its overage."""
        names = [name for name in event.members if name in self.limits]
        before = {name: max(0, self.used(name) - self.limits[name]) for name in names}
        self.events.append(event)
        return max((max(0, self.used(name) - self.limits[name]) - before[name] for name in names), default=0)
