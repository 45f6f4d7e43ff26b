"""Backup: a copy while another process is at work."""

import json
from pathlib import Path

from stiggctl import UsageControl

from .conftest import Run, somebody_holding


def test_a_copy_is_made_beside_a_process_at_work_and_what_that_holds_is_free_in_it(
    run: Run, ours: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.db"
    with somebody_holding(ours):
        told = run("backup", ours, copy)
        assert (told.exit_code, told.stderr) == (0, "")
        assert str(copy) in told.stdout
        with UsageControl(ours) as control:
            assert not control.check(resource_ids=["ana"], credit_currency="ai-tokens", requested_usage=56)
        with UsageControl(copy, create=False) as control:
            assert control.consume(resource_ids=["ana"], credit_currency="ai-tokens", amount=95)
            assert control.verify() == []
    again = run("backup", ours, copy)
    assert again.exit_code == 1
    assert "there already" in again.stderr
    as_json = run("backup", ours, tmp_path / "other.db", "--json")
    assert json.loads(as_json.stdout)["bytes"] > 0
