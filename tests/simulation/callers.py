"""Callers: what the threads of simulated processes do, as a seed says.

Here: reserve and what follows, consume, report, check, changes of the model; what they were told goes to the
truth. Not here: what must hold of it (truth.py), who dies or stops meanwhile (fates.py).
"""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from stiggctl import (
    AccessDenied,
    ControlClosed,
    InvalidRequest,
    LedgerUnavailable,
    Reservation,
    ReservationNotFound,
)
from stiggctl.answers import AccessDeniedReason

from .host import Process
from .rows import POOL
from .truth import Admitted, Asking, Truth

ONE = {"credit_currency": "t", "customer_id": "acme"}


class Caller:
    """One thread of one process."""

    def __init__(self, process: Process, truth: Truth, name: str) -> None:
        self._process = process
        self._truth = truth
        self._baton = process.host.baton
        self._chance = self._baton.chance
        self._seen = process.host.seen
        self._name = name

    def calls(self, many: int) -> None:
        """So many, of all kinds; until the process closes."""
        kinds = [*[self.reserve] * 6, *[self.consume] * 4, *[self.report] * 2, *[self.check] * 2, self.change]
        for at in range(many):
            self._baton.sleep(self._chance.choice((0, 0, 0.001, 0.01, 0.2)))
            try:
                self._chance.choice(kinds)(f"{self._name}-{at}")
            except LedgerUnavailable:
                self._baton.sleep(0.01)
            except ControlClosed:
                self._seen["calls of a closed control"] += 1
                return

    def _ask(self) -> tuple[dict[str, Any], str, int]:
        who = self._chance.choice(("ann", "ann", "bob", "bob", "carl"))
        return {"resource_ids": [who], **ONE}, who, self._chance.choice((1, 1, 2, 3, 5, 12, 40))

    # ------------------------------------------------------------------ reserve, and what follows

    def reserve(self, name: str) -> None:
        """And what follows: a settle for less, as much or more; a release; an extension; or its end."""
        del name
        ask, who, amount = self._ask()
        ttl = self._chance.choice((1, 2, 30))
        reserve = self._process.control.reserve
        held = self._told(who, amount, lambda: reserve(**ask, amount=amount, ttl_seconds=ttl))
        if not isinstance(held, Reservation):
            return
        limits = self._truth.limits_of(who, held._began_us)
        one = Admitted(
            self._process, held.reservation_id, held._number, limits, amount, held._began_us, held._ends_us
        )
        self._truth.admitted.append(one)
        self._truth.is_new = True
        self._process.open.append((held, one))
        self._seen["reservations"] += 1
        self._baton.step()
        self._baton.sleep(self._chance.choice((0, 0, 0.005, 0.3, 1.5)))
        if self._chance.random() < 0.2:
            self._extend(held, one)
        end = self._chance.choice(("settle", "settle", "settle", "release", "leave"))
        if end == "settle":
            self.settle(held, one)
        elif end == "release":
            one.released = True  # from here on it may be free
            held.release()
            self._seen["releases"] += 1
        if end != "leave":
            self._process.open.remove((held, one))

    def _extend(self, held: Reservation, one: Admitted) -> None:
        more = self._chance.choice((1, 4))
        try:
            held.extend(more)
            one.units += more
            self._truth.is_new = True
            self._seen["extensions"] += 1
        except (AccessDenied, ReservationNotFound):
            pass

    def settle(self, held: Reservation, one: Admitted) -> None:
        """For about as much as was held; three times where the ledger does not answer."""
        units = max(0, one.units + self._chance.choice((-2, -1, 0, 0, 0, 1, 3)))
        for _ in range(3):
            try:
                receipt = held.settle(units)
            except LedgerUnavailable:
                self._baton.sleep(0.05)
            else:
                self._booked(receipt)
                return

    def settle_inherited(self, inherited: list[tuple[Reservation, Admitted]]) -> None:
        """In a forked child: what its parent reserved, which may settle it too."""
        for held, one in inherited:
            one.inherited = True
            ours = _inherited(held, self._process)
            self._baton.sleep(self._chance.choice((0, 0.01, 0.5)))
            self._seen["settles in a forked child"] += 1
            try:
                self.settle(ours, one)
            except ControlClosed:
                return

    # ------------------------------------------------------------------ consume, report, check

    def consume(self, name: str) -> None:
        """Under a key of its own, again where nobody knows what became of it."""
        ask, who, amount = self._ask()
        self._truth.consumed[name] = who
        consume = self._process.control.consume
        for _ in range(3):
            try:
                receipt = self._told(who, amount, lambda: consume(**ask, amount=amount, idempotency_key=name))
            except LedgerUnavailable:
                self._baton.sleep(0.05)
                continue
            if receipt is None:
                self._truth.refused.add(name)
            else:
                self._booked(receipt)
            return

    def report(self, name: str) -> None:
        """Of nothing that was admitted; half of them under a key that others use, too."""
        ask, _, amount = self._ask()
        amount = min(amount, 3)
        key = name if self._chance.random() < 0.5 else f"shared-{self._chance.randrange(20)}"
        if key != name:
            ask, amount = {"resource_ids": ["ann"], **ONE}, 1
        self._booked(self._process.control.report(**ask, amount=amount, idempotency_key=key))

    def _booked(self, receipt: Any) -> None:
        self._truth.returned[receipt.event_id] = int(receipt.charged)
        for kind in ("duplicate", "expired", "late", "unbacked"):
            self._seen[f"{kind} receipts"] += getattr(receipt, kind)
        self._seen["receipts with an overage"] += receipt.overage > 0
        self._seen["receipts"] += 1

    def check(self, name: str) -> None:
        """It changes nothing, and its numbers are no nonsense."""
        del name
        ask, _, amount = self._ask()
        decision = self._process.control.check(**ask, requested_usage=amount)
        self._seen["checks"] += 1
        for state in decision.limits:
            assert state.held >= 0
            assert state.remaining == max(Decimal(0), Decimal(state.limit) - state.used - state.held)

    def _told(self, who: str, amount: int, call: Callable[[], Any]) -> Any:
        """What a call was answered; a denial must have been true at a moment of it (6)."""
        asking = Asking(who, amount)
        self._truth.asking.append(asking)
        self._truth.look()
        reason, said = None, ""
        try:
            return call()
        except AccessDenied as denied:
            reason, said = denied.decision.access_denied_reason, str(denied)
            self._truth.look()
        finally:
            self._truth.asking.remove(asking)
        self._seen[f"denied for {reason}"] += 1
        if reason not in {AccessDeniedReason.SHARE_UNAVAILABLE, AccessDeniedReason.LEDGER_UNAVAILABLE}:
            assert asking.was_short, f"{self._name} was denied {amount} of {who}: {said}"
        return None

    # ------------------------------------------------------------------ changes of the model

    def change(self, name: str) -> None:
        """Something of the model; who has not seen it in time is named."""
        kinds = [self._limit, self._limit, self._override, self._of_carl, self._of_carl, self._grant]
        kind = self._chance.choice(kinds[: 6 if POOL in self._truth.most else 5])
        try:
            applied = kind(name)
        except InvalidRequest:
            self._seen["changes of what is not there"] += 1  # carl has no limit to be removed
            return
        self._seen["named for not having seen a change"] += len(applied.waiting_for)

    def _limit(self, name: str) -> Any:
        """It is lowered, or raised, or what it was again."""
        del name
        truth, who = self._truth, self._chance.choice(("ann", "bob", "org"))
        by = self._chance.choice((-20, -5, 0, 0, 3))
        limit = truth.most[who] + by
        truth.most[who] = max(truth.most[who], limit)
        self._seen["limits lowered" if by < 0 else "limits raised"] += 1
        window = {}
        if who == "ann" and truth.turns:
            window = {"cadence": "PT1H"}
        if who == "bob" and truth.rolls:
            window = {"cadence": "PT1H", "rolling": True}
        return self._process.control.set_allocation(resource_id=who, **ONE, limit=limit, **window)

    def _override(self, name: str) -> Any:
        """It is lower for a while, and then by itself as it was."""
        truth, who = self._truth, self._chance.choice(("ann", "bob", "org"))
        self._seen["overrides"] += 1
        return self._process.control.override_limit(
            who, "t", limit=truth.most[who] // 2, until=self._soon(), reason=name, customer_id="acme"
        )

    def _of_carl(self, name: str) -> Any:
        """His limits come, go, and get windows; he moves from one team to another."""
        del name
        control, kind = self._process.control, self._chance.choice(("move", "limit", "window", "none"))
        self._seen[f"carl: {kind}"] += 1
        if kind == "move":
            return control.move_resource("carl", self._chance.choice(("east", "west")), customer_id="acme")
        if kind == "none":
            return control.remove_allocation(allocation_id="of-carl", customer_id="acme")
        window = {"cadence": "PT1H"} if kind == "window" else {}
        limit = self._chance.choice((10, 60, 300))
        return control.set_allocation(
            resource_id="carl", **ONE, limit=limit, allocation_id="of-carl", **window
        )

    def _grant(self, name: str) -> Any:
        """One more, or one is taken back."""
        truth, control = self._truth, self._process.control
        if self._chance.random() < 0.5:
            self._seen["grants voided"] += 1
            return control.void_grant(self._chance.choice(("g0", "g1")), customer_id="acme")
        truth.most[POOL] += 30
        self._seen["grants added"] += 1
        ends = {"expires_at": self._soon()} if self._chance.random() < 0.7 else {}
        return control.grant_credits(**ONE, amount=30, grant_id=f"g-{name}", priority=0, **ends)

    def _soon(self) -> datetime:
        now_us = self._baton.clock_us()
        return datetime.fromtimestamp((now_us + self._chance.choice((300_000, 1_500_000))) / 1e6, UTC)


def _inherited(held: Reservation, process: Process) -> Reservation:
    """As a fork would have it: the same, of another process."""
    ours: Reservation = object.__new__(Reservation)
    for name in Reservation.__slots__:
        setattr(ours, name, getattr(held, name))
    ours._holder = process.holder
    return ours
