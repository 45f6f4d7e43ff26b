"""Frames: what `top` shows of one look at a ledger, beside the look before it, as lines of text.

Here: the pace between two looks, the table of processes, what a screen has room for. Not here: looking, and
when (top.py), the table of limits (tables.py).

What always holds:
  FR1  On a terminal no line is wider than it, and there are no more lines than it has.
  FR2  A pace is of what was decided between the two looks, over the time in which it was decided; never
       less than 0, whoever came or went meanwhile.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from stiggctl import HolderCounts, HolderState, HolderStatus, TightLimit
from stiggctl.cli.answering import Screen, fact_lines
from stiggctl.cli.letters import cut, number, padded, printable
from stiggctl.cli.tables import tightest

#: A process tells what it decided so often where it is news: what is not told was decided after that.
_BEAT = timedelta(seconds=0.25)
_GAP = "  "
#: Of the lines that a screen has left processes get at most this part, limits the rest.
_PROCESSES_PART = 2
#: Fewer of either tell nothing: then the screen is too low, and the last lines are cut.
_ROWS_MIN = 3


class Look(NamedTuple):
    """What was seen at one moment."""

    at: datetime
    holders: Sequence[HolderState]
    limits: Sequence[TightLimit]


class Pace(NamedTuple):
    """Decisions and denials a second."""

    decisions: float
    denied: float


def pace(now: HolderCounts | None, before: HolderCounts | None, looked: datetime) -> Pace:
    """Of one process since the look before, which was at `looked` (FR2)."""
    if now is None or (before is not None and now.at <= before.at):
        return Pace(0, 0)
    # What it told last is what it had decided then, and until its last beat before the look.
    since = looked if before is None else max(before.at, looked - _BEAT)
    seconds = max(now.at - since, _BEAT).total_seconds()
    decided, denied = (0, 0) if before is None else (before.decisions, before.denied)
    return Pace(max(0, now.decisions - decided) / seconds, max(0, now.denied - denied) / seconds)


def frame(look: Look, before: Look | None, screen: Screen, *, title: str, rows: int | None) -> list[str]:
    """The lines; `before`: None where this is the first look, or the only one. `rows`: None: any."""
    paces = None if before is None else _paces(look, before)
    lines = [*fact_lines(screen, "ledger", title), *_summary(look, paces, screen)]
    left = None if rows is None else rows - len(lines)
    if look.holders:
        lines += ["", *_processes(look.holders, paces, screen, left)]
    if look.limits:
        left = None if rows is None else max(_ROWS_MIN, rows - len(lines) - 3)  # an empty line, both edges
        lines += ["", *tightest(look.limits[:left], screen)]
    return lines if rows is None else lines[:rows]


def _paces(look: Look, before: Look) -> dict[str, Pace]:
    told = {one.holder_id: one.counts for one in before.holders}
    return {one.holder_id: pace(one.counts, told.get(one.holder_id), before.at) for one in look.holders}


# ------------------------------------------------------------------ in sum


def _summary(look: Look, paces: dict[str, Pace] | None, screen: Screen) -> list[str]:
    counts = [one.counts for one in look.holders if one.counts is not None]
    if not look.holders:
        return fact_lines(screen, "processes", "none spends from it")
    if paces is None:
        said = f"{number(sum(one.decisions for one in counts))} since its processes began"
        denied = number(sum(one.denied for one in counts))
    else:
        said = f"{_in_figures(sum(one.decisions for one in paces.values()))} a second"
        denied = _in_figures(sum(one.denied for one in paces.values()))
    lines = fact_lines(screen, "decisions", f"{said}, {denied} of them denied")
    reasons: dict[str, int] = {}
    for one in counts:
        for reason, count in one.denials.items():
            reasons[reason] = reasons.get(reason, 0) + count
    if reasons:
        most = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
        told = ", ".join(f"{reason} {number(count)}" for reason, count in most)
        lines += fact_lines(screen, "denied for", told)
    return lines


def _in_figures(figure: float) -> str:
    """A pace: whole from ten on.

    >>> _in_figures(1234.5), _in_figures(3.14), _in_figures(0)
    ('1,234', '3.1', '0')
    """
    return number(int(figure)) if figure >= 10 or not figure else f"{figure:.1f}"


# ------------------------------------------------------------------ processes


class _Column(NamedTuple):
    heading: str
    of: Callable[[HolderState, Pace | None], str]
    drop: int  #: what a narrow terminal gives up first has the largest


_COLUMNS = (
    _Column("decisions", lambda one, _: "" if one.counts is None else number(one.counts.decisions), 2),
    _Column("/s", lambda _, pace: "" if pace is None else _in_figures(pace.decisions), 0),
    _Column("denied", lambda one, _: "" if one.counts is None else number(one.counts.denied), 1),
    _Column("/s", lambda _, pace: "" if pace is None else _in_figures(pace.denied), 3),
    _Column("open", lambda one, _: number(one.reservations), 4),
    _Column("hides", lambda one, _: _hides(one), 5),
)


def _hides(one: HolderState) -> str:
    many = sum(1 for share in one.shares if share.hidden)
    return "nothing" if not many else f"{number(many)} limit{'s' if many > 1 else ''}"


def _processes(
    holders: Sequence[HolderState], paces: dict[str, Pace] | None, screen: Screen, left: int | None
) -> list[str]:
    ordered = sorted(holders, key=_order)
    shown = len(ordered) if left is None else max(_ROWS_MIN, left // _PROCESSES_PART - 2)
    several = len({one.host for one in holders}) > 1
    names = [_name(one, several_hosts=several) for one in ordered[:shown]]
    columns = [column for column in _COLUMNS if column.heading != "/s" or paces is not None]
    pacing = [None if paces is None else paces[one.holder_id] for one in ordered[:shown]]
    texts = [
        [column.of(one, pace) for column in columns]
        for one, pace in zip(ordered[:shown], pacing, strict=True)
    ]
    name_width = max(len("process"), *map(len, names))
    widths = [max(len(column.heading), *(len(row[at]) for row in texts)) for at, column in enumerate(columns)]
    kept = _kept(columns, widths, name_width, screen.columns)
    room = name_width if screen.columns is None else min(name_width, screen.columns)

    def line(name: str, row: Sequence[str]) -> str:
        cells = [padded(cut(name, room, ellipsis=screen.ellipsis), room)]
        return _GAP.join([*cells, *(row[at].rjust(widths[at]) for at in kept)]).rstrip()

    lines = [screen.paint(line("process", [column.heading for column in columns]), dim=True)]
    for one, name, row in zip(ordered, names, texts, strict=False):
        is_dead = one.status is HolderStatus.DEAD
        lines.append(screen.paint(line(name, row), "red" if is_dead else None))
    if len(ordered) > shown:
        more = cut(f"and {len(ordered) - shown} more", room if not kept else 40, ellipsis=screen.ellipsis)
        lines.append(screen.paint(more, dim=True))
    return lines


def _kept(columns: Sequence[_Column], widths: Sequence[int], name: int, room: int | None) -> list[int]:
    """The places of the columns for which a terminal has room."""
    kept = list(range(len(columns)))
    while room is not None and kept and name + sum(len(_GAP) + widths[at] for at in kept) > room:
        kept.remove(max(kept, key=lambda at: columns[at].drop))
    return kept


def _order(one: HolderState) -> tuple[object, ...]:
    """Those that live first; whoever decided most comes first, which changes seldom."""
    return (
        one.status is HolderStatus.DEAD,
        0 if one.counts is None else -one.counts.decisions,
        one.pid,
        one.holder_id,
    )


def _name(one: HolderState, *, several_hosts: bool) -> str:
    name = f"{one.pid} on {printable(one.host)}" if several_hosts else str(one.pid)
    if one.status is HolderStatus.DEAD:
        return f"{name} (dead)"
    return name if one.is_up_to_date else f"{name} (behind)"
