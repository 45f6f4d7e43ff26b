"""Top: who decides how much, and which limits are tight, drawn anew each second.

Here: the verb; looking, drawing over, keys. Not here: what a frame says (frames.py).

  TP1  It opens the ledger for each look and closes it: it is no process that spends, keeps no file open
       between two looks, and sees what is there by then, also where that is another file.
  TP2  A look that fails is told in the frame, and the next is another try. The first one ends it.
  TP3  However it ends, the terminal is as it was, with the last frame on it.
"""

import os
import select
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import click

from stiggctl import LedgerError, SystemClock
from stiggctl.cli.answering import Screen, as_json_option, fact_lines, one_line, say, say_json
from stiggctl.cli.frames import Look, frame
from stiggctl.cli.letters import cut
from stiggctl.cli.locating import opened_to_read
from stiggctl.windows import to_datetime, to_text, to_us

#: Less than a beat of those that are looked at shows the same twice; an hour is a long time to look at one.
_INTERVAL_MIN, _INTERVAL_MAX = 0.1, 3_600.0
#: The other screen of a terminal, without a cursor; and back. So what stood there stands there again.
_BEGIN, _END = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"


@click.command()
@click.argument("path")
@click.option(
    "--interval",
    type=click.FloatRange(_INTERVAL_MIN, _INTERVAL_MAX),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="How often it looks.",
)
@click.option(
    "--limits", type=click.IntRange(min=1), default=10, show_default=True, help="So many, the tightest."
)
@click.option("--once", is_flag=True, help="Look once, and end.")
@as_json_option
def top(*, path: str, interval: float, limits: int, once: bool, as_json: bool) -> None:
    """Watch the ledger PATH: decisions and denials of each process, and the tightest limits.

    Drawn anew on a terminal until q is pressed, or Ctrl-C; else, and with --json, it looks once. Decisions
    are those of reserve and consume; check takes nothing and is not counted.
    """
    screen = Screen.of(sys.stdout)
    look = _look(path, limits)
    if as_json:
        say_json(_as_dict(look))
    elif once or not screen.live:
        for line in frame(look, None, screen, title=_title(path, look), rows=None):
            say(line)
    else:
        for line in _watch(path, look, interval, limits):
            say(line)


def _look(path: str, limits: int) -> Look:
    with opened_to_read(path) as control:  # TP1
        return Look(to_datetime(SystemClock().now_us()), control.holders(), control.tightest(limits))


def _as_dict(look: Look) -> dict[str, object]:
    return {
        "at": _at(look),
        "holders": [one.as_dict() for one in look.holders],
        "limits": [one.as_dict() for one in look.limits],
    }


def _at(look: Look) -> str:
    return to_text(to_us(look.at, "at"))


def _title(path: str, look: Look) -> str:
    return f"{path} at {look.at:%H:%M:%S} UTC"


# ------------------------------------------------------------------ on a terminal


def _watch(path: str, look: Look, interval: float, limits: int) -> list[str]:
    """Looks and draws until it is told to end; the last frame."""
    before: Look | None = None
    trouble: str | None = None
    lines: list[str] = []
    took = 0.0
    with _drawing() as is_ended:
        try:
            while True:
                lines = _drawn(path, look, before, trouble)
                # A look that takes long is not followed by another at once: others want the machine, too.
                if is_ended(max(interval, took)):
                    return lines
                began = time.monotonic()
                try:
                    before, look, trouble = look, _look(path, limits), None
                except (LedgerError, OSError) as error:  # TP2
                    trouble = f"{one_line(str(error))}; looking again"
                took = time.monotonic() - began
        except KeyboardInterrupt:
            return lines


def _drawn(path: str, look: Look, before: Look | None, trouble: str | None) -> list[str]:
    """Draws a frame in the place of the last; its lines."""
    columns, rows = shutil.get_terminal_size()
    screen = Screen.of(sys.stdout)
    told = [] if trouble is None else fact_lines(screen, "trouble", trouble)
    lines = frame(look, before, screen, title=_title(path, look), rows=max(1, rows - 1 - len(told)))
    lines = (lines + told)[: rows - 1]
    ends = screen.paint(cut("q ends", columns, ellipsis=screen.ellipsis), dim=True)
    click.echo("\x1b[H" + "".join(f"{line}\x1b[K\n" for line in lines) + f"{ends}\x1b[K\x1b[J", nl=False)
    return lines


@contextmanager
def _drawing() -> Iterator[Callable[[float], bool]]:
    """The terminal, to be drawn on (TP3); what it gives waits so long, and says whether q was pressed."""
    with _keys() as is_pressed, _ending_well():
        click.echo(_BEGIN, nl=False)
        try:
            yield is_pressed
        finally:
            click.echo(_END, nl=False)


@contextmanager
def _ending_well() -> Iterator[None]:
    """A signal that asks this to end ends it as an error would: through everything that puts things right."""

    def end(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    was = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, was)


@contextmanager
def _keys() -> Iterator[Callable[[float], bool]]:
    """Waits for q, at most so long, and says whether it was pressed; only waits where nobody can press it."""
    if not sys.stdin.isatty():
        yield _wait
        return
    import termios  # noqa: PLC0415 - only where there is a terminal
    import tty  # noqa: PLC0415 - as above

    file = sys.stdin.fileno()
    was = termios.tcgetattr(file)
    tty.setcbreak(file, termios.TCSANOW)  # what was pressed while this started is not thrown away
    try:
        yield lambda seconds: _is_pressed(file, seconds)
    finally:
        termios.tcsetattr(file, termios.TCSADRAIN, was)


def _wait(seconds: float) -> bool:
    time.sleep(seconds)
    return False


def _is_pressed(file: int, seconds: float) -> bool:
    ends = time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0:
        readable, _, _ = select.select([file], [], [], left)
        if readable:
            pressed = os.read(file, 64)
            if not pressed or b"q" in pressed.lower():  # nothing: the terminal has gone
                return True
    return False
