"""Tables: trees of limits, the limits of one request, and grants, as lines of text that fit a terminal.

Here: columns and bars. Not here: how wide text is (letters.py), what a terminal can show
(answering.py), where the numbers come from.

What always holds:
  TB1  On a terminal no line is wider than it, whatever the names are.
  TB2  A bar and a percentage say full only of what is full; what is used shows as used.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from stiggctl import GrantState, GrantStatus, LimitState, TightLimit, TreeNode
from stiggctl.cli.answering import Screen
from stiggctl.cli.letters import cut, number, padded, printable, width_of

# Two spaces: with one, numbers of two columns are read as one; three cost a terminal of 60 a bar.
_GAP = "  "
# Less than six cells show nothing but empty, half and full; more than two dozen say no more.
_BAR_MIN, _BAR_MAX = 6, 24
# Names that are cut shorter are mistaken for each other.
_NAME_MIN = 18
_NAME_KEPT = 8
# Guides of a deep tree must leave room for its names.
_DEPTH_SHOWN = 6
#: From here on a limit deserves a look: what is left is one part in ten.
_NEARLY = Fraction(9, 10)

# ------------------------------------------------------------------ bars


def bar(used: int | Decimal, held: int | Decimal, limit: int | Decimal, cells: int, *, blocks: bool) -> str:
    """A limit as a bar: what is used, what is held, what is left (TB2).

    >>> bar(500, 250, 1_000, 8, blocks=True), bar(1, 0, 1_000, 8, blocks=False)
    ('████▒▒░░', '#.......')
    """
    full, half, empty = "█▒░" if blocks else "#=."
    taken = cells if used + held >= limit else min(_part(used + held, limit, cells), cells - 1)
    # What is held shows too, beside what is used, where there are cells for both.
    shown = min(_part(used, limit, cells), taken - 1 if held > 0 and taken > 1 else taken)
    return full * shown + half * (taken - shown) + empty * (cells - taken)


def _part(amount: int | Decimal, limit: int | Decimal, cells: int) -> int:
    """How many of the cells an amount fills; one at least, where it is more than nothing."""
    if amount <= 0 or limit <= 0:
        return 0
    # Fractions, for Decimals would be rounded as the host's context says.
    return max(1, int(Fraction(amount) * cells / Fraction(limit)))


def percent(utilisation: Decimal | Fraction | None) -> str:
    """A utilisation as a whole percentage, cut; above 100 where the limit is passed.

    >>> percent(Decimal("0.9999")), percent(Decimal("1.0321")), percent(Decimal(25)), percent(None)
    ('99%', '103%', '>999%', '')
    """
    if utilisation is None:
        return ""
    return f"{int(Fraction(utilisation) * 100)}%" if utilisation < 10 else ">999%"


def _colour(utilisation: Decimal | Fraction | None) -> str | None:
    if utilisation is None:
        return None
    return "red" if utilisation >= 1 else "yellow" if utilisation >= _NEARLY else "green"


# ------------------------------------------------------------------ rows

_NUMBERS = ("used", "held", "left", "limit")
_PERCENT = len(">999%")


class _Row(NamedTuple):
    guides: str
    name: str
    mark: str  #: what is not as usual: " (soft)"
    used: int | Decimal
    held: int | Decimal
    left: int | Decimal | None
    limit: int | Decimal | None  #: None: no limit, and no bar
    utilisation: Decimal | Fraction | None

    @property
    def numbers(self) -> tuple[str, ...]:
        """As they are shown, in the order of _NUMBERS."""
        amounts = (self.used, self.held, self.left, self.limit)
        return tuple("" if amount is None else number(amount) for amount in amounts)


def trees(roots: Sequence[TreeNode], screen: Screen) -> list[str]:
    """Trees of one currency, one below the other in the same columns, with headings and a legend."""
    rows = [row for root in roots for row in _rows(root, blocks=screen.blocks)]
    return _table(rows, printable(roots[0].credit_currency), screen)


def limits(states: Sequence[LimitState], screen: Screen) -> list[str]:
    """The limits of one request, in their order: a table for each currency, an empty line between."""
    lines: list[str] = []
    for currency in dict.fromkeys(state.credit_currency for state in states):
        rows = [_row_of(state) for state in states if state.credit_currency == currency]
        lines += [""] * bool(lines) + _table(rows, printable(currency), screen)
    return lines


def grants(states: Sequence[GrantState], screen: Screen) -> list[str]:
    """Grants as they burn: a table for each customer and currency, an empty line between."""
    lines: list[str] = []
    for owner in dict.fromkeys((state.customer_id, state.credit_currency) for state in states):
        rows = [_row_of_grant(one) for one in states if (one.customer_id, one.credit_currency) == owner]
        lines += [""] * bool(lines) + _table(rows, printable(f"{owner[1]} of {owner[0]}"), screen)
    return lines


def tightest(found: Sequence[TightLimit], screen: Screen) -> list[str]:
    """Limits in their order, of all customers and currencies in one table."""
    currencies = {one.limit.credit_currency for one in found}
    customers = {one.customer_id for one in found}
    rows = []
    for one in found:
        marks = [one.customer_id] if len(customers) > 1 and not one.limit.is_pool else []
        marks += [one.limit.credit_currency] if len(currencies) > 1 else []
        marks += ["soft"] if one.limit.enforcement_type == "SOFT" else []
        mark = f" ({printable(', '.join(marks))})" if marks else ""
        rows.append(_row_of(one.limit)._replace(mark=mark))
    return _table(rows, printable("limit" if len(currencies) > 1 else next(iter(currencies))), screen)


def _row_of_grant(state: GrantState) -> _Row:
    marks = [] if state.status is GrantStatus.OPEN else [state.status.lower()]
    marks += ["promotional"] if state.kind == "PROMOTIONAL" else []
    return _Row(
        guides="",
        name=printable(state.grant_id),
        mark=f" ({', '.join(marks)})" if marks else "",
        used=state.used,
        held=state.held,
        left=state.remaining,
        limit=state.amount,
        utilisation=Fraction(state.used + state.held) / Fraction(state.amount),
    )


def _row_of(state: LimitState) -> _Row:
    soft = state.enforcement_type == "SOFT"
    marks = (["soft"] if soft else []) + ([] if state.allowed else ["no room" if soft else "denies"])
    return _Row(
        guides="",
        name=printable(f"pool of {state.resource_id}" if state.is_pool else state.resource_id),
        mark=f" ({', '.join(marks)})" if marks else "",
        used=state.used,
        held=state.held,
        left=state.remaining,
        limit=state.limit,
        utilisation=Fraction(state.used + state.held) / Fraction(state.limit) if state.limit else None,
    )


def _rows(root: TreeNode, *, blocks: bool) -> Iterator[_Row]:
    """The nodes as one reads them; a stack, for a tree may be deeper than Python's own."""
    middle, last, through = ("├ ", "└ ", "│ ") if blocks else ("|-", "`-", "| ")
    below: list[tuple[TreeNode, str, str]] = [(root, "", "")]
    while below:
        node, guides, under = below.pop()
        yield _Row(
            guides=guides,
            name=printable(node.resource_id),
            mark=_mark(node),
            used=node.used,
            held=node.held,
            left=node.remaining,
            limit=node.limit,
            utilisation=node.utilisation,
        )
        inner = under[-2 * _DEPTH_SHOWN :]
        children = [
            (child, inner + (last if at == 0 else middle), inner + ("  " if at == 0 else through))
            for at, child in enumerate(reversed(node.children))
        ]
        below.extend(children)


def _mark(node: TreeNode) -> str:
    marks = []
    if node.limits and all(limit.enforcement_type == "SOFT" for limit in node.limits):
        marks.append("soft")
    if node.suspended:
        marks.append("suspended")
    if node.archived:
        marks.append("archived")
    return f" ({', '.join(marks)})" if marks else ""


# ------------------------------------------------------------------ a table


class _Form(NamedTuple):
    """Which columns there are, and how wide."""

    name: int
    numbers: dict[int, int]  #: place in _NUMBERS -> width
    bar: int  #: 0: none
    percent: bool


#: What a narrow terminal gives up, one after the other: (numbers, bar, percentage).
_FORMS: tuple[tuple[tuple[int, ...], bool, bool], ...] = (
    ((0, 1, 2, 3), True, True),
    ((0, 1, 2), True, True),
    ((0, 2), True, True),
    ((0, 2), False, True),
    ((0, 2), False, False),
    ((), False, False),
)


def _table(rows: Sequence[_Row], currency: str, screen: Screen) -> list[str]:
    form = _form(rows, currency, screen.columns)
    headings = [padded(cut(currency, form.name, ellipsis=screen.ellipsis), form.name)]
    headings += [_NUMBERS[at].rjust(width) for at, width in form.numbers.items()]
    lines = [screen.paint(_GAP.join(headings).rstrip(), dim=True)]
    lines += [_line(row, form, screen) for row in rows]
    if form.bar:
        legend = "█ used  ▒ held  ░ left" if screen.blocks else "# used  = held  . left"
        lines.append(screen.paint(legend, dim=True))
    return lines


def _form(rows: Sequence[_Row], heading: str, columns: int | None) -> _Form:
    """The first form whose names are not cut too short (TB1)."""
    widths = [max(len(row.numbers[at]) for row in rows) for at in range(len(_NUMBERS))]
    widths = [max(width, len(word)) for width, word in zip(widths, _NUMBERS, strict=True)]
    natural = max(map(width_of, [heading, *(row.guides + row.name + row.mark for row in rows)]))
    numbers, has_bar, has_percent = _FORMS[0]
    if columns is None:
        return _Form(natural, dict(enumerate(widths)), _BAR_MAX, has_percent)
    room = 0
    for numbers, has_bar, has_percent in _FORMS:
        room = columns - sum(len(_GAP) + widths[at] for at in numbers)
        room -= (len(_GAP) + _PERCENT if has_percent else 0) + (len(_GAP) + _BAR_MIN if has_bar else 0)
        if room >= min(natural, _NAME_MIN):
            break
    name = max(min(natural, room), 1)
    bar_cells = min(_BAR_MAX, _BAR_MIN + room - name) if has_bar else 0
    return _Form(name, {at: widths[at] for at in numbers}, bar_cells, has_percent)


def _line(row: _Row, form: _Form, screen: Screen) -> str:
    ellipsis, numbers = screen.ellipsis, row.numbers
    # Of a name with a long mark something stays, too: rather the mark is cut.
    kept = max(form.name - width_of(row.guides + row.mark), min(_NAME_KEPT, form.name), 1)
    name = row.guides + cut(row.name, kept, ellipsis=ellipsis) + row.mark
    name = cut(name, form.name, ellipsis=ellipsis)
    parts = [padded(name, form.name)]
    parts += [numbers[at].rjust(width) for at, width in form.numbers.items()]
    colour = _colour(row.utilisation)
    if form.bar:
        drawn = (
            " " * form.bar
            if row.limit is None
            else bar(row.used, row.held, row.limit, form.bar, blocks=screen.blocks)
        )
        parts.append(screen.paint(drawn, colour))
    if form.percent:
        parts.append(screen.paint(percent(row.utilisation).rjust(_PERCENT), colour))
    return _GAP.join(parts).rstrip()
