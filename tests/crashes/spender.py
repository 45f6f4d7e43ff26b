"""A process that reserves, settles, reports and consumes until it is killed, and says what it was told.

Run as a script: PATH LOG SEED. Each line of the log is written in one piece, before a call
("begin …") and after it ("done …"), so that the log is what a caller knew at the moment of death.
"""

import json
import os
import random
import sys
import time
from typing import Any

from stiggctl import AccessDenied, UsageControl

ASK: dict[str, Any] = {"resource_ids": ["user", "region"], "credit_currency": "ai-tokens"}


def main(path: str, log_path: str, seed: int) -> None:
    """Spend until the end."""
    log = os.open(log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def say(what: str, verb: str, name: str, **facts: Any) -> None:
        os.write(log, (json.dumps({"what": what, "verb": verb, "name": name, **facts}) + "\n").encode())

    chance = random.Random(seed)
    control = UsageControl(path)
    open_: list[Any] = []
    for step in range(1_000_000):
        name = f"{seed}-{step}"
        choice, amount = chance.random(), chance.randint(1, 5)
        try:
            if choice < 0.4:
                say("begin", "reserve", name, amount=amount, at=time.time())
                held = control.reserve(**ASK, amount=amount, ttl_seconds=60)
                say("done", "reserve", name, amount=amount, ends=held.expires_at.isoformat())
                open_.append((name, held))
            elif choice < 0.6 and open_:
                held_name, held = open_.pop(chance.randrange(len(open_)))
                say("begin", "settle", held_name, amount=amount)
                say("done", "settle", held_name, event=held.settle(amount).event_id, amount=amount)
            elif choice < 0.65 and open_:
                held_name, held = open_.pop(chance.randrange(len(open_)))
                say("begin", "release", held_name)
                held.release()
                say("done", "release", held_name)
            elif choice < 0.85:
                say("begin", "report", name, amount=amount)
                receipt = control.report(customer_id="c", idempotency_key=name, amount=amount, **ASK)
                say("done", "report", name, event=receipt.event_id, amount=amount)
            else:
                say("begin", "consume", name, amount=amount)
                receipt = control.consume(**ASK, amount=amount, idempotency_key=name)
                say("done", "consume", name, event=receipt.event_id, amount=amount)
        except AccessDenied:
            say("done", "denied", name)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
