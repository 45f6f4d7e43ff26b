"""erase: somebody is forgotten, from the command line."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from stiggctl import UsageControl
from stiggctl.ledger.sqlite.remains import MARKED

from .conftest import Run
from .terminal import on_a_terminal, shown


def said(ours: Path) -> bool:
    return any(b"resource ana" in one.read_bytes() for one in ours.parent.glob("ours.db*") if one.is_file())


def is_marked(ours: Path) -> bool:
    """Whether something erased may remain in it."""
    with closing(sqlite3.connect(ours)) as looking:
        return bool(looking.execute("PRAGMA user_version").fetchone() == (MARKED,))


def test_who_is_erased_is_called_otherwise_and_sums_stay(run: Run, ours: Path) -> None:
    assert said(ours)
    told = run("erase", ours, "ana", "--actor", "dpo", "--reason", "request 17 of ana")
    assert (told.exit_code, told.stderr) == (0, "")
    called, events = told.stdout.splitlines()
    token = called.split()[2]
    assert called == f"now called   {token} of ours"
    assert events == "events       1 rewritten, 0 keys replaced"
    assert not said(ours)
    with UsageControl(ours, create=False) as control:
        assert control.tree(token, "ai-tokens").used == 5
        [*_, line] = control.audit()
        assert (line.verb, line.actor, line.reason) == ("erase", "dpo", f"request 17 of {token}")
    assert run("verify", ours).exit_code == 0


def test_of_several_only_the_last_writes_the_file_anew(run: Run, ours: Path) -> None:
    told = json.loads(run("erase", ours, "ana", "--later", "--json").stdout)
    assert (told["remains"], told["events"], told["customerId"]) == (True, 1, "ours")
    assert is_marked(ours)
    again = run("erase", ours, "ana")  # it was erased; and now the file is written anew
    assert (again.exit_code, again.stdout) == (1, "")
    assert "no resource 'ana'" in again.stderr
    assert not is_marked(ours)
    assert not said(ours)


def test_what_is_not_there_is_neither_erased_nor_made(run: Run, ours: Path, tmp_path: Path) -> None:
    assert run("erase", "none.db", "ana").exit_code == 1
    assert not (tmp_path / "none.db").exists()
    assert run("erase", ours).exit_code == 2
    told = run("erase", ours, "ana", "--customer", "theirs")
    assert (told.exit_code, told.stdout) == (1, "")
    assert said(ours)


def test_it_fits_a_narrow_terminal(ours: Path) -> None:
    lines = [line[-1] for line in shown(on_a_terminal(30, "erase", str(ours), "ana", "--later"))]
    assert len(lines) > 4
    assert all(line.columns <= 30 for line in lines)
