"""A process that spends until it is killed, and says what it was told.

Run as a module: PATH LOG SEED CALLS. Each line of the log is written in one piece, before a call
("begin …") and after it ("done …"), so that the log is what a caller knew at the moment of death.
With CALLS above 0 it kills itself, by SIGKILL, at that call of a function of the library: so each
point of a reserve, settle, report, consume or apply is as likely as any other, however short it is.
With half of the seeds it moves its log all the time, so that death finds it there too.
"""

import json
import os
import random
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import stiggctl
from stiggctl import AccessDenied, UsageControl
from stiggctl.holder import keeper
from stiggctl.ledger.sqlite import checkpoints

ASK: dict[str, Any] = {"resource_ids": ["user", "region"], "credit_currency": "ai-tokens"}
THREADS = 3
#: What one `apply` raises the limit by.
RAISE = 7


def die_at_call(calls: int) -> None:
    """Kill this process at so many calls of functions of the library, in whichever thread that is."""
    library = str(Path(stiggctl.__file__).parent)
    left = [calls]

    def count(frame: Any, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(library):
            left[0] -= 1
            if left[0] <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

    threading.setprofile(count)
    sys.setprofile(count)


class Spender:
    """Where it spends, and where it says what it does."""

    def __init__(self, path: str, log_path: str, seed: int) -> None:
        self._log = os.open(log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._control = UsageControl(path)
        self._seed = seed

    def _say(self, what: str, verb: str, name: str, **facts: Any) -> None:
        line = json.dumps({"what": what, "verb": verb, "name": name, **facts}) + "\n"
        os.write(self._log, line.encode())

    def spend(self, thread: int) -> None:
        """One thread's steps; nothing that it has open is touched by another."""
        chance = random.Random(f"{self._seed} {thread}")
        open_: list[tuple[str, Any]] = []
        for step in range(1_000_000):
            name = f"{self._seed}-{thread}-{step}"
            try:
                self._step(name, chance, open_)
            except AccessDenied:
                self._say("done", "denied", name)

    def _step(self, name: str, chance: random.Random, open_: list[tuple[str, Any]]) -> None:
        control, choice, amount = self._control, chance.random(), chance.randint(1, 5)
        if choice < 0.35:
            ttl = chance.randint(40, 60)
            self._say("begin", "reserve", name, amount=amount)
            held = control.reserve(**ASK, amount=amount, ttl_seconds=ttl)
            self._say("done", "reserve", name, ends=held.expires_at.isoformat())
            open_.append((name, held))
        elif choice < 0.6 and open_:
            of, held = open_.pop(chance.randrange(len(open_)))
            self._say("begin", "settle", of, amount=amount)
            self._say("done", "settle", of, event=held.settle(amount).event_id)
        elif choice < 0.65 and open_:
            of, held = open_.pop(chance.randrange(len(open_)))
            self._say("begin", "release", of)
            held.release()
            self._say("done", "release", of)
        elif choice < 0.70 and open_:
            of, held = chance.choice(open_)
            self._say("begin", "extend", name, of=of, amount=amount)
            held.extend(amount)
            self._say("done", "extend", name)
        elif choice < 0.80:
            self._say("begin", "report", name, amount=1)
            receipt = control.report(customer_id="c", idempotency_key=name, amount=1, **ASK)
            self._say("done", "report", name, event=receipt.event_id)
        elif choice < 0.95:
            self._say("begin", "consume", name, amount=amount)
            receipt = control.consume(**ASK, amount=amount, idempotency_key=name)
            self._say("done", "consume", name, event=receipt.event_id)
        else:
            limit = int(control.tree("team", "ai-tokens").limit) + RAISE
            self._say("begin", "apply", name, limit=limit)
            allocation = {"resourceId": "team", "creditCurrency": "ai-tokens", "limit": limit}
            control.apply({"allocations": [allocation]})
            self._say("done", "apply", name)


def main(path: str, log_path: str, seed: str, calls: str) -> None:
    """Spend until the end."""
    if int(seed) % 4 < 2:  # what is odd dies at a call
        keeper.BEAT_SECONDS, keeper.LOG_BYTES_MAX = 0.001, 30_000
        checkpoints._FULL_BYTES = 200_000 * (int(seed) % 3)
    if int(calls):
        die_at_call(int(calls))
    spender = Spender(path, log_path, int(seed))
    threads = [threading.Thread(target=spender.spend, args=(at,)) for at in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
