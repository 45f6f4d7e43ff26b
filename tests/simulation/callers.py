"""Callers: what the threads of simulated processes do, as a seed says.

Here: reserve and what follows, consume, report, check, changes of limits; what they were told goes to the
truth. Not here: what must hold of it (truth.py).
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from stiggctl import AccessDenied, ControlClosed, LedgerUnavailable, Reservation, ReservationNotFound
from stiggctl.answers import AccessDeniedReason
from stiggctl.windows import to_us

from .baton import Baton
from .host import Process
from .truth import Admitted, Asking, Truth

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Caller:
    """One thread of one process."""

    def __init__(self, process: Process, truth: Truth, baton: Baton, name: str) -> None:
        self._process = process
        self._truth = truth
        self._baton = baton
        self._name = name
        self._chance = baton.chance

    def calls(self, many: int) -> None:
        """So many, of all kinds."""
        kinds = [
            *[self.reserve] * 18, *[self.consume] * 12, *[self.report] * 6, *[self.check] * 6,
            self.change, self.change, self.override, self.void if self._truth.voidable else self.change,
        ]  # fmt: skip
        for at in range(many):
            self._baton.sleep(self._chance.choice((0, 0, 0.001, 0.01, 0.2)))
            if self._process.closes:
                return
            kind = self._chance.choice(kinds)
            try:
                kind(f"{self._name}-{at}")
                self._truth.seen[kind.__name__] += 1
            except LedgerUnavailable:
                self._baton.sleep(0.01)
            except ControlClosed:
                self._truth.seen["a call that was closed under"] += 1
                return

    def _ask(self) -> tuple[dict[str, Any], str, int]:
        who = self._chance.choice(("ann", "bob"))
        amount = self._chance.choice((1, 1, 2, 3, 5, 12, 40))
        return {"resource_ids": [who], "credit_currency": "t"}, who, amount

    def reserve(self, name: str) -> None:
        """And what follows: a settle for less, as much or more; a release; an extension; or its end."""
        del name
        ask, who, amount = self._ask()
        ttl = self._chance.choice((1, 2, 30))
        held = self._told(who, amount, lambda: self._process.control.reserve(
            **ask, amount=amount, ttl_seconds=ttl))  # fmt: skip
        if not isinstance(held, Reservation):
            return
        limits = self._truth.limits_of(who, to_us(held.decision.at, "at"))
        one = Admitted(self._process, held.reservation_id, held._number, limits, amount, held._ends_us)
        self._truth.admitted.append(one)
        self._baton.step()
        self._baton.sleep(self._chance.choice((0, 0, 0.005, 0.3, 1.5)))
        if self._chance.random() < 0.2:
            more = self._chance.choice((1, 4))
            try:
                held.extend(more)
                one.units += more
                self._truth.seen["extend"] += 1
            except (AccessDenied, ReservationNotFound):
                pass
        end = self._chance.choice(("settle", "settle", "settle", "release", "leave"))
        if end == "settle":
            self._settle(held, one)
        elif end == "release":
            one.released = True  # from here on it may be free
            held.release()

    def _settle(self, held: Reservation, one: Admitted) -> None:
        units = max(0, one.units + self._chance.choice((-2, -1, 0, 0, 0, 1, 3)))
        for _ in range(3):
            try:
                receipt = held.settle(units)
            except LedgerUnavailable:
                self._baton.sleep(0.05)
            else:
                self._truth.returned[receipt.event_id] = int(receipt.charged)
                self._truth.seen["a settle after its end"] += receipt.expired
                return

    def consume(self, name: str) -> None:
        """Under a key of its own, again where nobody knows what became of it."""
        ask, who, amount = self._ask()
        self._truth.consumed[name] = who
        for _ in range(3):
            try:
                receipt = self._told(who, amount, lambda: self._process.control.consume(
                    **ask, amount=amount, idempotency_key=name))  # fmt: skip
            except LedgerUnavailable:
                self._baton.sleep(0.05)
                continue
            if receipt is not None:
                self._truth.returned[receipt.event_id] = int(receipt.charged)
            return

    def report(self, name: str) -> None:
        """Of nothing that was admitted; half of them under a key that others use, too."""
        ask, _, amount = self._ask()
        amount = min(amount, 3)
        key = name if self._chance.random() < 0.5 else f"shared-{self._chance.randrange(20)}"
        if key != name:
            ask, amount = {"resource_ids": ["ann"], "credit_currency": "t"}, 1
        receipt = self._process.control.report(customer_id="acme", **ask, amount=amount, idempotency_key=key)
        self._truth.returned[receipt.event_id] = int(receipt.charged)

    def change(self, name: str) -> None:
        """A limit is lowered, or what it was again; who has not seen it in time is named."""
        del name
        who = "org" if self._truth.turns else self._chance.choice(("ann", "org"))
        limit = self._truth.most[who] - self._chance.choice((0, 0, 5, 20))
        applied = self._process.control.set_allocation(resource_id=who, credit_currency="t", limit=limit)
        self._truth.late += len(applied.waiting_for)

    def override(self, name: str) -> None:
        """A limit is lower for a moment, by itself what it was after that."""
        del name
        who = "org" if self._truth.turns else self._chance.choice(("ann", "org"))
        limit = self._truth.most[who] - self._chance.choice((3, 10, 40))
        until = self._process.holder.clock.now_us() + self._chance.choice((200_000, 1_500_000))
        applied = self._process.control.override_limit(
            who, "t", limit=limit, until=EPOCH + timedelta(microseconds=until), reason="for a moment"
        )
        self._truth.late += len(applied.waiting_for)

    def void(self, name: str) -> None:
        """Of two grants the first, once; what is held of it is paid by it still."""
        del name
        self._process.control.void_grant("g0")

    def check(self, name: str) -> None:
        """It changes nothing, and its numbers are no nonsense."""
        del name
        ask, _, amount = self._ask()
        decision = self._process.control.check(**ask, requested_usage=amount)
        for state in decision.limits:
            assert state.held >= 0
            assert state.remaining == max(Decimal(0), Decimal(state.limit) - state.used - state.held)

    def _told(self, who: str, amount: int, call: Any) -> Any:
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
        if reason is AccessDeniedReason.SHARE_UNAVAILABLE:
            self._truth.waits += 1
        elif reason is not AccessDeniedReason.LEDGER_UNAVAILABLE:
            self._truth.denials += 1
            assert asking.was_short, f"{self._name} was denied {amount} of {who}: {said}"
        return None
