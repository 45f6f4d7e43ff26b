"""A process that is denied again and again, and writes down the id of each denial that it was told.

Run as a module: PATH LOG NAME VERB. It goes on until it is killed, or VERB ends in a number: so often then.
Each line of the log is one denial, in one piece.
"""

import os
import sys
from typing import Any

from stiggctl import AccessDenied, UsageControl

ASK: dict[str, Any] = {"resource_ids": ["user"], "credit_currency": "ai-tokens"}


def main(path: str, log_path: str, name: str, verb: str) -> None:
    """With other amounts each time, of a client of its own."""
    log = os.open(log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    verb, _, times = verb.partition(":")
    with UsageControl(path) as control:
        at = 0
        while not times or at < int(times):
            at += 1
            ask = {**ASK, "dimensions": {"client": name}}
            if verb == "check":
                decision = control.check(**ask, requested_usage=1_000 + at % 50)
            else:
                try:
                    control.consume(**ask, amount=1_000 + at % 50)
                except AccessDenied as denied:
                    decision = denied.decision
            os.write(log, f"{decision.decision_id} {decision.access_denied_reason} {decision}\n".encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
