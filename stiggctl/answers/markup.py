"""Markup: an answer as a notebook shows it.

Here: tables and bars in HTML, and how text becomes markup. Not here: what an answer has in it.

What always holds:
  MK1  Whatever an id or a name has in it is shown as text, never read as markup.
  MK2  Nothing is loaded from anywhere, and nothing runs: elements and their style, no more.
  MK3  Words and numbers have the colours of the page, dark or light; a colour of ours never says alone
       what no word says.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

# Of ten thousand rows a notebook would be slow, and nobody reads them; data frames do (`rows`).
_ROWS_MAX = 500
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"})

# Greys and middle tones are told from a white page and from a black one.
_LINE = "1px solid rgba(128,128,128,.35)"
_CELL = f"padding:2px 10px;border:0;border-bottom:{_LINE};background:none;color:inherit;white-space:nowrap"
_TROUGH = "display:inline-block;width:8em;height:.7em;background:rgba(128,128,128,.25);vertical-align:middle"
_GOOD, _NEAR, _FULL = "#3f9c62", "#c98a1b", "#d9534f"
#: From here on a limit deserves a look: what is left is one part in ten.
_NEARLY = Fraction(9, 10)


class Bar(NamedTuple):
    """How much of a limit is used and held."""

    used: int | Decimal
    held: int | Decimal
    limit: int | Decimal


class Indented(NamedTuple):
    """An id below another."""

    depth: int
    text: str
    mark: str = ""


Cell = str | int | Decimal | Bar | Indented | None


def text(said: str) -> str:
    r"""It as text (MK1); what cannot be seen is escaped, and it does not turn what is around it.

    >>> text("<b>a</b>"), text("two\nlines")
    ('&lt;b&gt;a&lt;/b&gt;', 'two\\nlines')
    """
    seen = said if said.isprintable() else "".join(map(_seen, said))
    return seen.translate(_ESCAPES)


def _seen(sign: str) -> str:
    return sign if sign.isprintable() else sign.encode("unicode_escape").decode()


def sentence(word: str, said: str, *, good: bool) -> str:
    """A word that says how it came out, and what is to be said of it."""
    colour = _GOOD if good else _FULL
    return (
        f'<div><span style="border-left:.4em solid {colour};padding-left:.5em;font-weight:bold">'
        f"{text(word)}</span> <bdi>{text(said)}</bdi></div>"
    )


def line(said: str) -> str:
    """A sentence of its own."""
    return f"<div><bdi>{text(said)}</bdi></div>"


def table(headings: Sequence[str], rows: Iterable[Iterable[Cell]]) -> str:
    """Rows below headings; of very many the first, and how many more there are."""
    shown: list[str] = []
    more = 0
    for row in rows:
        if len(shown) < _ROWS_MAX:
            shown.append(f'<tr style="background:none">{"".join(map(_cell, row))}</tr>')
        else:
            more += 1
    head = "".join(f'<th style="{_CELL};text-align:left;opacity:.7">{text(each)}</th>' for each in headings)
    note = "" if not more else line(f"and {more:,} more rows")
    return (
        '<table style="border-collapse:collapse;border:0;margin:.3em 0;background:none;color:inherit">'
        f'<thead><tr style="background:none">{head}</tr></thead><tbody>{"".join(shown)}</tbody></table>{note}'
    )


def _cell(cell: Cell) -> str:
    match cell:
        case Bar():
            return f'<td style="{_CELL}">{_bar(cell)}</td>'
        case Indented(depth, said, mark):
            indent = f"{10 + 16 * min(depth, 12)}px"
            style = f"{_CELL};padding-left:{indent};text-align:left"
            marked = f' <span style="opacity:.7">{text(mark)}</span>' if mark else ""
            return f'<td style="{style}"><bdi>{text(said)}</bdi>{marked}</td>'
        case int():
            return f'<td style="{_CELL};text-align:right">{cell:,}</td>'
        case Decimal():
            return f'<td style="{_CELL};text-align:right">{cell:,f}</td>'
        case None:
            return f'<td style="{_CELL}"></td>'
        case str():
            return f'<td style="{_CELL};text-align:left"><bdi>{text(cell)}</bdi></td>'


def _bar(bar: Bar) -> str:
    """What is used and what is held of a limit; what is not full never looks full."""
    used, held = Fraction(bar.used), Fraction(bar.held)
    limit = Fraction(bar.limit)
    taken = used + held
    full = taken >= limit
    part = 100 if full else max(0, min(99, int(taken * 100 / limit)))
    of_used = part if taken <= 0 else int(part * max(Fraction(0), used) / taken)
    colour = _FULL if full else _NEAR if taken >= _NEARLY * limit else _GOOD
    piece = "display:inline-block;height:100%;vertical-align:top"
    drawn = f'<span style="{piece};width:{of_used}%;background:{colour}"></span>'
    drawn += f'<span style="{piece};width:{part - of_used}%;background:{colour};opacity:.5"></span>'
    said = f"{int(taken * 100 / limit)}%" if limit else "full"
    return f'<span style="{_TROUGH}">{drawn}</span> {said}'
