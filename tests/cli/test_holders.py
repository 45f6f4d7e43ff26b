"""Holders: who spends, what each holds and hides."""

import json
import os
import signal
from pathlib import Path

from stiggctl import HolderStatus, UsageControl

from .conftest import Run, somebody_holding

ASK = {"resource_ids": ["ana"], "credit_currency": "ai-tokens"}


def test_each_process_is_told_with_what_it_holds_and_hides(run: Run, ours: Path) -> None:
    assert run("holders", ours).stdout.split() == ["processes", "none"]
    with somebody_holding(ours) as process:
        told = run("holders", ours)
        assert told.exit_code == 0
        first, share = told.stdout.splitlines()
        assert f"{process.pid} on" in first
        assert "is alive" in first
        assert "holds until" in first
        assert share == "  ana of ours: 40 ai-tokens held, 55 hidden"
        (holder,) = json.loads(run("holders", ours, "--json").stdout)["holders"]
        assert (holder["pid"], holder["status"], holder["isUpToDate"]) == (process.pid, "ALIVE", True)
        (one,) = holder["shares"]
        assert (one["resourceId"], one["held"], one["hidden"]) == ("ana", 40, 55)
        with UsageControl(ours) as control:
            control.consume(**ASK, amount=1)
            told_both = run("holders", ours).stdout
            assert "40 ai-tokens held, 0 hidden" in told_both
            process.send_signal(signal.SIGSTOP)
            os.waitpid(process.pid, os.WUNTRACED)  # until it stands still
            control.set_allocation(resource_id="ana", credit_currency="ai-tokens", limit=90)
            assert "has not seen the last change of the model" in run("holders", ours).stdout
            process.send_signal(signal.SIGKILL)
            process.wait()
            states = {one.pid: one.status for one in control.holders()}
            assert states[process.pid] is HolderStatus.DEAD
            assert f"{process.pid} on" in run("holders", ours).stdout
            assert "is dead" in run("holders", ours).stdout
            assert not control.check(**ASK, requested_usage=90)  # it looks for the dead before it says no
