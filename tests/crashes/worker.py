"""A worker: one of several processes on one ledger, told what to do line by line.

Here: it reads verbs from its standard input and answers each with one line of JSON. Not here: what is shown
with it (test_several.py).
"""

import json
import os
import sys
import threading
from typing import Any

from stiggctl import AccessDenied, LedgerError, LedgerUnavailable, ResourceNotFound, UsageControl

ASK: dict[str, Any] = {"resource_ids": ["user"], "credit_currency": "ai-tokens"}


class Worker:
    """What one process can be told."""

    def __init__(self, path: str, **options: Any) -> None:
        self.control = UsageControl(path, **options)
        self.held: list[Any] = []

    def consume(self, amount: int) -> Any:
        return self.control.consume(**ASK, amount=amount).charged

    def reserve(self, amount: int, ttl: int) -> Any:
        self.held.append(self.control.reserve(**ASK, amount=amount, ttl_seconds=ttl))
        return self.held[-1].amount

    def settle(self, amount: int) -> Any:
        charged = self.held[-1].settle(amount).charged
        self.held.pop()  # settled: one that was told an error is still there
        return charged

    def settle_late(self, amount: int) -> Any:
        receipt = self.held.pop().settle(amount)
        return [receipt.charged, receipt.expired, receipt.overage]

    def release(self) -> Any:
        return self.held.pop().release()

    def report(self, key: str) -> Any:
        receipt = self.control.report(customer_id="c", **ASK, amount=1, idempotency_key=key)
        return [receipt.event_id, receipt.duplicate]

    def check(self, amount: int) -> Any:
        return self.control.check(**ASK, requested_usage=amount).has_access

    def exhaust(self, threads: int, reserving: int) -> Any:
        """Take one after the other until that is denied for good; how much was admitted."""
        admitted, reasons = [0] * threads, []

        def take(at: int) -> None:
            while True:
                try:
                    if reserving:
                        self.control.reserve(**ASK, amount=2, ttl_seconds=2).settle(1)
                    else:
                        self.control.consume(**ASK, amount=1)
                except AccessDenied as denied:
                    if denied.decision.access_denied_reason == "SHARE_UNAVAILABLE":
                        continue
                    reasons.append(str(denied))
                    return
                except LedgerUnavailable:
                    continue  # the machine is slow
                admitted[at] += 1

        running = [threading.Thread(target=take, args=(at,)) for at in range(threads)]
        for one in running:
            one.start()
        for one in running:
            one.join()
        return sum(admitted)

    def reserve_for(self, who: str, amount: int) -> Any:
        said = {"user_id": who}
        ask = {**ASK, "resource_ids": [who]}
        self.held.append(
            self.control.reserve(**ask, amount=amount, dimensions=said, idempotency_key=f"mine {os.getpid()}")
        )
        return self.held[-1].amount

    def consume_for(self, who: str, amount: int) -> Any:
        return self.control.consume(**{**ASK, "resource_ids": [who]}, amount=amount).charged

    def report_for(self, who: str, times: int) -> Any:
        receipts = [
            self.control.report(
                customer_id="c", credit_currency="ai-tokens", amount=1, dimensions={"user": who}
            )
            for _ in range(times)
        ]
        return sum(bool(one.unattributed) for one in receipts)

    def close(self) -> Any:
        self.control.close()


def serve(worker: Worker) -> None:
    """Answer line by line."""
    for line in sys.stdin:
        verb, *given = json.loads(line)
        try:
            answer: Any = getattr(worker, verb)(*given)
        except AccessDenied as denied:
            answer = {"denied": denied.decision.access_denied_reason, "said": str(denied)}
        except ResourceNotFound as unknown:
            answer = {"unknown": str(unknown)}
        except LedgerError as trouble:
            answer = {"trouble": type(trouble).__name__, "said": str(trouble)}
            if isinstance(trouble, LedgerUnavailable):
                answer |= {"pid": trouble.holder_pid, "unreachable": trouble.unreachable}
        print(json.dumps(answer, default=str), flush=True)  # noqa: T201 - its answers


if __name__ == "__main__":
    serve(Worker(sys.argv[1]))
