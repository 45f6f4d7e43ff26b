"""A process that spends one unit at a time from a limit with thresholds, and writes what its hook hears.

Run as a module: PATH LOG UNITS. Each line of the log is one crossing that a hook heard of, in one piece.
With UNITS below 0 it kills itself in the hook, at its first crossing.
"""

import os
import signal
import sys
from typing import Any

from stiggctl import AccessDenied, ThresholdCrossed, UsageControl

ASK: dict[str, Any] = {"resource_ids": ["user"], "credit_currency": "ai-tokens"}


def main(path: str, log_path: str, units: str) -> None:
    """Spend so many units, or until that is denied."""
    log = os.open(log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def hook(crossed: ThresholdCrossed) -> None:
        if int(units) < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        os.write(log, f"{crossed.threshold} {crossed.used}\n".encode())

    with UsageControl(path) as control:
        control.subscribe(hook)
        for _ in range(abs(int(units))):
            try:
                control.consume(**ASK, amount=1)
            except AccessDenied as denied:
                if denied.decision.access_denied_reason != "SHARE_UNAVAILABLE":
                    break


if __name__ == "__main__":
    main(*sys.argv[1:])
