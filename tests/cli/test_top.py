"""Top: who decides how much, which limits are tight; on a terminal, in a pipe, and when things go wrong.

Frames: FR1 and FR2. The verb: TP1, TP2 and TP3.
"""

import fcntl
import json
import os
import pty
import re
import select
import signal
import sqlite3
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stiggctl import AccessDenied, HolderCounts, HolderState, HolderStatus, TightLimit, UsageControl
from stiggctl.cli.answering import Screen
from stiggctl.cli.frames import Look, Pace, frame, pace
from stiggctl.cli.letters import width_of

from .conftest import ROOT, Run, files, somebody_holding, unpainted

ASK = {"resource_ids": ["ana"], "credit_currency": "ai-tokens"}
NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)


def counts(at_seconds: float, decisions: int, denied: int = 0) -> HolderCounts:
    denials = {"BUDGET_EXCEEDED": denied} if denied else {}
    return HolderCounts(NOON + timedelta(seconds=at_seconds), decisions, denials)


def holder(
    pid: int, told: HolderCounts | None = None, *, dead: bool = False, host: str = "here"
) -> HolderState:
    return HolderState(
        pid=pid,
        host=host,
        status=HolderStatus.DEAD if dead else HolderStatus.ALIVE,
        is_up_to_date=True,
        holds_until=None,
        shares=(),
        holder_id=f"{pid:016x}",
        reservations=2,
        counts=told,
    )


# ------------------------------------------------------------------ one look


def test_one_look_tells_decisions_denials_and_the_tightest_limits(run: Run, ours: Path) -> None:
    with UsageControl(ours) as control:
        control.reserve(**ASK, amount=80)
        with pytest.raises(AccessDenied):
            control.consume(**ASK, amount=50)
        control._holder.keeper.tell(control._holder.clock.now_us())
        said = run("top", ours).stdout.splitlines()
        answer = json.loads(run("top", ours, "--json").stdout)
    assert said[1] == "decisions    2 since its processes began, 1 of them denied"
    assert said[2] == "denied for   BUDGET_EXCEEDED 1"
    assert said[4].split() == ["process", "decisions", "denied", "open", "hides"]
    assert said[5].split() == [str(os.getpid()), "2", "1", "1", "1", "limit"]
    assert said[7].split()[0] == "ai-tokens"
    assert said[8].split()[:5] == ["ana", "5", "80", "15", "100"]
    assert said[8].endswith("85%")
    (me,) = answer["holders"]
    assert (me["counts"]["decisions"], me["counts"]["denials"]) == (2, {"BUDGET_EXCEEDED": 1})
    assert (me["reservations"], me["status"]) == (1, "ALIVE")
    (tight,) = answer["limits"]
    assert (tight["customerId"], tight["utilisation"], tight["limit"]["held"]) == ("ours", "0.85", 80)


def test_a_ledger_that_nobody_spends_from_says_so(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "idle.db"
    UsageControl(path).close()
    said = run("top", path).stdout.splitlines()
    assert said[1] == "processes    none spends from it"
    assert len(said) == 2
    assert json.loads(run("top", path, "--json").stdout)["limits"] == []


def test_it_makes_no_file_and_is_no_process_that_spends(run: Run, ours: Path, tmp_path: Path) -> None:
    """TP1."""
    before = files(tmp_path)
    assert run("top", ours).exit_code == 0
    assert run("top", ours, "--json").exit_code == 0
    assert files(tmp_path) == before
    assert run("top", tmp_path / "nowhere.db").exit_code == 1
    assert files(tmp_path) == before


def test_only_as_many_limits_as_are_asked_for(run: Run, ours: Path) -> None:
    with UsageControl(ours) as control:
        control.apply({"resources": [{"id": "bob", "resourceTypeId": "user", "customerId": "ours"}]})
        control.set_allocation(resource_id="bob", credit_currency="ai-tokens", limit=10)
        control.consume(resource_ids=["bob"], credit_currency="ai-tokens", amount=9)
    answer = json.loads(run("top", ours, "--json", "--limits", "1").stdout)
    assert [one["limit"]["resourceId"] for one in answer["limits"]] == ["bob"]
    assert run("top", ours, "--limits", "0").exit_code == 2
    assert run("top", ours, "--interval", "0.01").exit_code == 2


def test_what_another_process_holds_is_seen_and_looking_makes_no_holder(run: Run, ours: Path) -> None:
    """TP1."""
    with somebody_holding(ours) as process:
        for _ in range(2):
            answer = json.loads(run("top", ours, "--json").stdout)
            assert [(one["pid"], one["reservations"]) for one in answer["holders"]] == [(process.pid, 1)]
            assert answer["limits"][0]["limit"]["held"] == 40


# ------------------------------------------------------------------ the pace


@pytest.mark.parametrize(
    ("now", "before", "a_second"),
    [
        (counts(10, 300, 20), counts(8, 100, 10), (100, 5)),  # between what was told then and now
        (counts(8, 100), counts(8, 100), (0, 0)),  # nothing was told since
        # It was idle for an hour, and began after the look: what it did was done since then.
        (counts(10, 300), counts(-3_600, 100), (100, 0)),
        (counts(9.5, 40), None, (80, 0)),  # a process that came since the look
        (None, None, (0, 0)),
        (counts(10, 5), counts(9, 100), (0, 0)),  # whatever a clock or a page says
    ],
)
def test_a_pace_is_over_the_time_in_which_it_was_decided(
    now: HolderCounts | None, before: HolderCounts | None, a_second: tuple[float, float]
) -> None:
    """FR2: the look before was at 8.25 s, but for what came since 9."""
    looked = NOON + timedelta(seconds=9 if before is None else 8.25)
    assert pace(now, before, looked) == Pace(*a_second)


def test_two_looks_tell_the_pace_of_each_process_and_of_all() -> None:
    first = Look(NOON, [holder(1, counts(0, 100)), holder(2, counts(0, 50, 5))], [])
    second = Look(
        NOON + timedelta(seconds=2), [holder(1, counts(2, 300)), holder(3, counts(2, 8, 4)), holder(9)], []
    )
    lines = frame(second, first, Screen(), title="it", rows=None)
    assert lines[1] == "decisions    104 a second, 2.0 of them denied"
    assert lines[4].split() == ["process", "decisions", "/s", "denied", "/s", "open", "hides"]
    assert lines[5].split() == ["1", "300", "100", "0", "0", "2", "nothing"]
    assert lines[6].split() == ["3", "8", "4.0", "4", "2.0", "2", "nothing"]
    assert lines[7].split() == ["9", "0", "0", "2", "nothing"]  # it has told nothing yet


def test_the_dead_come_last_and_hosts_are_told_where_there_are_several() -> None:
    states = [holder(1, counts(0, 9), dead=True), holder(2, counts(0, 1)), holder(3, host="there")]
    lines = frame(Look(NOON, states, []), None, Screen(), title="it", rows=None)
    assert [line.split("  ")[0] for line in lines[4:]] == ["2 on here", "3 on there", "1 on here (dead)"]


# ------------------------------------------------------------------ what a screen has room for

names = st.text("ab 渡é\n", min_size=1, max_size=30)


@given(
    st.integers(1, 130),
    st.integers(1, 40),
    st.lists(st.tuples(names, st.integers(0, 10**12), st.integers(0, 10**9), st.booleans()), max_size=12),
    st.lists(names, max_size=12),
    st.booleans(),
)
def test_no_frame_is_wider_or_higher_than_its_terminal(columns, rows, processes, limited, has_before) -> None:
    """FR1, TB1."""
    states = [
        holder(pid, counts(0, decisions, denied), dead=dead, host=host)
        for pid, (host, decisions, denied, dead) in enumerate(processes)
    ]
    look = Look(NOON, states, [_tight(name) for name in limited])
    lines = frame(
        look, look if has_before else None, Screen(columns=columns, coloured=True), title="x" * 9, rows=rows
    )
    assert len(lines) <= rows
    assert all(width_of(unpainted(line)) <= columns for line in lines)


def _tight(name: str) -> TightLimit:
    from stiggctl.answers import LimitState, RawLimit  # noqa: PLC0415 - only here are limits made by hand

    raw = RawLimit(0, "user", name, name[:3], "a", 0, hard=True, limit=10, used=3, held=1, amount=0)
    return TightLimit(name, None, LimitState(raw))


# ------------------------------------------------------------------ on a terminal


class Terminal:
    """A terminal with `top` on it."""

    def __init__(self, path: Path, *words: str) -> None:
        self.ours, self.theirs = pty.openpty()
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.was = termios.tcgetattr(self.theirs)
        kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        self.running = subprocess.Popen(
            [sys.executable, "-m", "stiggctl.cli", "top", str(path), "--interval", "0.1", *words],
            env={**kept, "PYTHONPATH": str(ROOT), "TERM": "xterm", "PYTHONUTF8": "1"},
            stdin=self.theirs,
            stdout=self.theirs,
            stderr=self.theirs,
        )
        self.written = ""

    def read_until(self, is_there: Callable[[str], bool]) -> str:
        """The last whole frame, once it is such a one."""
        while True:
            frames = self.written.split("\x1b[H")
            if len(frames) > 2 and is_there(shown := unpainted(frames[-2].replace("\x1b[K", ""))):
                return shown
            readable, _, _ = select.select([self.ours], [], [], 60)
            assert readable, self.written
            self.written += os.read(self.ours, 65_536).decode()

    def press(self, key: bytes) -> None:
        os.write(self.ours, key)

    def ended(self) -> int:
        """The exit code; what was written until then is in `written`."""
        while self.running.poll() is None:
            readable, _, _ = select.select([self.ours], [], [], 0.05)
            if readable:
                self.written += os.read(self.ours, 65_536).decode()
        while select.select([self.ours], [], [], 0.05)[0]:
            self.written += os.read(self.ours, 65_536).decode()
        return self.running.returncode


@contextmanager
def terminal(path: Path, *words: str) -> Iterator[Terminal]:
    opened = Terminal(path, *words)
    try:
        yield opened
    finally:
        opened.running.kill()
        opened.running.wait()
        os.close(opened.ours)
        os.close(opened.theirs)


@pytest.mark.parametrize("how", ["q", "interrupted"])
def test_it_is_drawn_anew_until_q_or_ctrl_c_and_leaves_the_terminal_as_it_was(ours: Path, how: str) -> None:
    """TP3, and no file stays behind (TP1)."""
    before = files(ours.parent)
    with terminal(ours) as watched:
        watched.read_until(lambda shown: "ana" in shown)
        watched.read_until(lambda _: watched.written.count("\x1b[H") > 3)
        if how == "q":
            watched.press(b"q")
        else:
            watched.running.send_signal(signal.SIGINT)
        assert watched.ended() == 0
        assert termios.tcgetattr(watched.theirs) == watched.was
        last = watched.written.split("\x1b[?1049l")
        assert len(last) == 2
        assert "ana" in last[1]  # the last frame stays
        assert watched.written.count("\x1b[?25l") == watched.written.count("\x1b[?25h") == 1
    assert files(ours.parent) == before


def test_another_key_ends_nothing(ours: Path) -> None:
    with terminal(ours) as watched:
        watched.read_until(lambda shown: "ana" in shown)
        watched.press(b"x\n")
        seen = watched.written.count("\x1b[H")
        watched.read_until(lambda _: watched.written.count("\x1b[H") > seen + 3)
        assert watched.running.poll() is None


def test_who_asks_it_to_end_finds_the_terminal_as_it_was(ours: Path) -> None:
    """TP3."""
    with terminal(ours) as watched:
        watched.read_until(lambda shown: "ana" in shown)
        watched.running.terminate()
        assert watched.ended() == 128 + signal.SIGTERM
        assert termios.tcgetattr(watched.theirs) == watched.was
        assert "\x1b[?1049l" in watched.written


def test_a_process_that_dies_between_two_frames_is_shown_as_dead(ours: Path) -> None:
    with somebody_holding(ours) as process, terminal(ours) as watched:
        # It has told by itself what it decided; the pace is that of the frame in which it did.
        watched.read_until(lambda shown: re.search(rf"\n{process.pid} +1 ", shown) is not None)
        assert "(dead)" not in watched.written
        process.kill()
        process.wait()
        shown = watched.read_until(lambda shown: "(dead)" in shown)
        assert f"{process.pid} (dead)" in shown


def test_a_ledger_that_is_busy_is_watched_all_the_same(ours: Path) -> None:
    """Who writes keeps nobody from looking."""
    with closing(sqlite3.connect(ours, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE cells SET used = used")
        with terminal(ours) as watched:
            watched.read_until(lambda shown: "ana" in shown and watched.written.count("\x1b[H") > 4)
            assert "trouble" not in watched.written
        writer.execute("ROLLBACK")


def test_a_look_that_fails_is_told_and_the_next_one_tried(ours: Path) -> None:
    """TP2."""
    away = ours.with_name("away.db")
    with terminal(ours) as watched:
        watched.read_until(lambda shown: "ana" in shown)
        ours.rename(away)
        shown = watched.read_until(lambda shown: "trouble" in shown)
        assert "ana" in shown  # what was seen last
        assert "there is no ledger" in shown
        away.rename(ours)
        watched.read_until(lambda shown: "trouble" not in shown)
        watched.press(b"q")
        assert watched.ended() == 0
