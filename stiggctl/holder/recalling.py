"""Recalling: what processes on one ledger owe each other while they live.

Here: spare that others want, given back; the changes of the model that others made, obeyed; waiting for
others to do both, within a bound. Not here: which spare that is (decision/receding.py), what an ask is
answered (ledger/), dying (others.py, liveness.py).

A step is one call of `beat`, which is what tests call; the keeper's thread is a loop around it.

  RK1  Nobody waits longer than RECALL_SECONDS for others, and who did not answer is named. A process
       that is stopped is never robbed: it hides what it has to spare until it goes on or dies.
  RK2  Who waits holds no lock and not the lead, and has told the ledger what it has to spare itself of
       what others want: so two that wait for each other both get on.
  RK3  An ask that is short is asked again once the dead are buried: a no counts nothing that only they
       had, but what they held.
  RK4  What this process obeys is written after no path of an older model is current any more.
  RK5  In company, what is to spare of a customer for whom nothing was held for REST_SECONDS goes back by
       itself: then nobody has to wait for it, nor misses it where this process is stopped.
  RK6  What a process holds no more, and has not given back, is room that it hides, as spare is: who needs
       it waits for it, and is not told that it is held.
"""

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

from stiggctl.decision.cells import Stripe
from stiggctl.decision.decide import Met
from stiggctl.decision.receding import Recalled, recede, rest
from stiggctl.decision.sights import limiting_cells
from stiggctl.errors import StiggctlError
from stiggctl.holder.proving import proves_denial, refusal_of
from stiggctl.ledger import Fenced
from stiggctl.ledger.records import Drawn, HolderRow

if TYPE_CHECKING:
    from stiggctl.holder.holder import Holder
    from stiggctl.holder.wishes import Wish

#: How long others are waited for. They answer on their next beat (0.02 s where they are at work, 0.1 s
#: where they are idle), or later where their threads fight for the processor: with half as much a busy
#: machine would deny what it has, with much more a call would stand still for one that is stopped.
RECALL_SECONDS = 0.25
#: The first pause between two questions, and the longest: others need a beat, which is not there at once,
#: and whoever waits long is most likely waiting for one that is stopped.
PAUSE_SECONDS, PAUSE_SECONDS_MAX = 0.002, 0.032
#: How often it is looked for customers for whom nothing was held since: of what is drawn at a pace of one
#: request in so long, sharing saves nothing. Half as much would have a slow worker draw for each request.
REST_SECONDS = 1.0
#: So many resources are gone through in one step, with the lock: about a tenth of a millisecond.
REST_STEP = 256


class Recalls:
    """What one holder owes the others, and they it."""

    def __init__(self, holder: "Holder") -> None:
        self._holder = holder
        self._obeys = 0  #: the last change of the model that the ledger knows this process to obey
        self._stamp: object = None  #: of the ledger, as of the last look at what others want
        self._rests_at = 0.0  #: when it is looked next who rests
        self.is_awake = True  #: whether anything was held, when it was looked last

    # ---------------------------------------------------------------- what others want of this process

    def begin(self, obeys: int) -> None:
        """It has enlisted, and decides by that change of the model."""
        self._obeys = obeys

    def beat(self, now_us: int) -> None:
        """One step: give back what others want, obey what others changed. Raises what the ledger says."""
        holder = self._holder
        if not holder.is_holder:
            return
        # Without its lock file it is dead to everybody, and buried as soon as somebody needs what it has.
        if not holder.is_in_place():
            raise holder.found_buried()
        # First: what is written after this is seen at the next beat. And where an exchange had failed,
        # what it was to give back is to spare again: it is asked for as before.
        stamp = holder.ledger.stamp(), holder.exchange.dispelled
        if stamp != self._stamp:
            self._look(now_us)
            self._stamp = stamp
        self._rest()
        self.give_back()

    def _look(self, now_us: int) -> None:
        """What others want, and what they changed."""
        holder = self._holder
        with holder.ledger.reader() as reader:
            change, recalled = reader.state().change, reader.recalled(holder.row, now_us)
            rows = [row.id for row in reader.holders()]
        if holder.row not in rows:
            raise holder.found_buried()
        if len(rows) != holder.alive:
            # With the lead: an exchange that was later would be told less than it found.
            with holder.exchange.alone(()), holder.ledger.reader() as reader:
                holder.alive = len(list(reader.holders()))
        if change > self._obeys:
            self._obey(change)
        if recalled:
            self._recede(now_us)

    def _rest(self) -> None:
        """Let go what is to spare of customers for whom nothing was held since it was last looked (RK5)."""
        holder = self._holder
        now = holder.waiting.seconds()
        if holder.alive == 1 or now < self._rests_at:
            return
        self._rests_at = now + REST_SECONDS
        awake = False
        for stripe in list(holder.stripes.values()):
            touched_us = stripe.touched_us
            if touched_us != stripe.looked_us:
                stripe.looked_us, stripe.rests, awake = touched_us, False, True
            elif not stripe.rests:
                stripe.rests = True  # first: what falls free while it is laid down is looked for again
                if not self._lay_down(stripe, touched_us):
                    stripe.rests = False
        self.is_awake = awake

    def _lay_down(self, stripe: Stripe, touched_us: int) -> bool:
        """Step by step; whether it is done, and nobody came meanwhile."""
        for strand in list(stripe.strands.values()):
            with stripe.lock:
                ids = list(strand.leaves)
            for at in range(0, len(ids), REST_STEP):
                with stripe.lock:
                    if stripe.touched_us != touched_us:
                        return False
                    rest(strand, ids[at : at + REST_STEP])
                self.give_back()
        return True

    def _recede(self, now_us: int) -> None:
        """Let go what others want.

        It is read again, for with the lead nothing of this process is under way: what the ledger says of
        a share that lies nowhere in memory is what can be given back of it.
        """
        holder = self._holder
        with holder.exchange.alone():
            with holder.ledger.reader() as reader:
                recalled = reader.recalled(holder.row, now_us)
            for customer, cells in recalled.items():
                stripe = holder.stripe_of_row(customer)
                with stripe.lock:
                    recede(stripe, [Recalled(*each) for each in cells])

    def _obey(self, change: int) -> None:
        """Others changed the model, as far as that change at least."""
        holder = self._holder
        with holder.exchange.alone():
            holder.model_changed(None)
        try:
            holder.ledger.obey(holder.row, change)  # after no older path is current (RK4)
        except Fenced as error:
            raise holder.found_buried() from error
        self._obeys = change

    def give_back(self) -> None:
        """Tell the ledger what has left spare.

        Also alone: a share stays exact until its process draws again, and whoever comes next is told that
        it hides nothing.
        """
        if self._holder.giving:
            self._holder.exchange.give_back()

    def soon(self) -> None:
        """The same, for who has just set something free, and would not fail for it.

        Where it cannot be told now, because the ledger is out of reach, because this came in the middle of
        another call, or because an event loop would have to wait, the next beat tells it.
        """
        if asyncio._get_running_loop() is None:  # noqa: SLF001 - the one that does not raise
            with contextlib.suppress(StiggctlError):
                self.give_back()

    # ---------------------------------------------------------------- what this process wants of others

    def draw(self, wish: "Wish") -> None:
        """Serve a wish; where others may hide what it lacks, wait for them (RK1)."""
        holder = self._holder
        holder.exchange.run(wish)
        if holder.alive == 1 or not _is_short(wish):
            return
        if holder.others.bury_dead():
            self._again(wish)
        pause, waits_until = PAUSE_SECONDS, holder.waiting.seconds() + RECALL_SECONDS
        while _is_short(wish) and (wish.drawn is Drawn.WAIT or self._others_are_late(wish)):
            if holder.waiting.seconds() >= waits_until:
                wish.silent = self._who_hides() if wish.drawn is Drawn.WAIT else tuple(wish.beside.late)
                return
            self.give_back()  # RK2
            holder.waiting.pause(pause)
            pause = min(2 * pause, PAUSE_SECONDS_MAX)
            self._again(wish)
            if _is_short(wish) and holder.others.bury_dead():
                self._again(wish)

    def _again(self, wish: "Wish") -> None:
        wish.again()
        self._holder.exchange.run(wish)

    def _others_are_late(self, wish: "Wish") -> bool:
        """Whether it would fit, perhaps, if others had given back what they hold no more (RK6).

        Where nobody has any of that, and yet it may fit, it is for the caller to ask again at once (Q1).
        """
        holder = self._holder
        assert isinstance(wish.taken, Met)  # it is short
        with holder.ledger.reader() as reader:
            wish.beside = holder.others.beside(
                reader, limiting_cells(wish.taken.sights), holder.clock.now_us()
            )
        return bool(wish.beside.late) and not proves_denial(wish.taken, wish.beside)

    def _who_hides(self) -> tuple[HolderRow, ...]:
        """Who was granted something that is not exact, of what somebody wants."""
        holder = self._holder
        with holder.ledger.reader() as reader:
            now_us = holder.clock.now_us()
            return tuple(
                [row for row in reader.holders() if row.id != holder.row and reader.recalled(row.id, now_us)]
            )

    def await_obedience(self, change: int) -> tuple[str, ...]:
        """Wait until every living process decides by that change; who did not in time (RK1)."""
        holder = self._holder
        pause, waits_until = PAUSE_SECONDS, holder.waiting.seconds() + RECALL_SECONDS
        while True:
            late = [row for row in holder.others.living() if row.obeys < change]
            if not late or holder.waiting.seconds() >= waits_until:
                return tuple([f"process {row.pid}" for row in late])
            holder.waiting.pause(pause)
            pause = min(2 * pause, PAUSE_SECONDS_MAX)

    def changed(self, before: int, now: int) -> None:
        """This process changed the model itself, and obeys what it did."""
        if self._obeys == before:
            self._obeys = now


class Waiting:
    """How a thread waits for others; a simulation puts its own in its place."""

    def seconds(self) -> float:
        """How much time has passed, since whenever."""
        return time.monotonic()

    def pause(self, seconds: float) -> None:
        """Let others get on."""
        time.sleep(seconds)


def _is_short(wish: "Wish") -> bool:
    """Whether it lacks something. One of which the path is another is none, nor one that is refused."""
    return isinstance(wish.taken, Met) and refusal_of(wish.taken.sights) is None
