"""Letters: how wide text is on a terminal, and how it is made to fit.

Here: widths, cutting, breaking, escaping what cannot be seen, numbers. Not here: columns (tables.py).
Names are of any script: a Chinese letter takes two columns, an accent none, an emoji of several
signs two.
"""

import unicodedata
from collections.abc import Iterator
from decimal import Decimal

_JOINER = "\N{ZERO WIDTH JOINER}"
_AS_EMOJI = "\N{VARIATION SELECTOR-16}"
_SKIN_TONES = "\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"


def width_of(text: str) -> int:
    """How many columns of a terminal it takes.

    >>> width_of("user-01"), width_of("渡辺"), width_of("e\N{COMBINING ACUTE ACCENT}")
    (7, 4, 1)
    """
    return sum(width for _, width in _letters(text))


def _letters(text: str) -> Iterator[tuple[str, int]]:
    """What is seen as one letter, with its width."""
    letter, width, joined = "", 0, False
    for sign in text:
        if letter and (joined or _belongs_to_what_it_follows(sign)):
            # An emoji that is joined to another is drawn in its place.
            letter, width = letter + sign, 2 if joined or sign == _AS_EMOJI else width
        else:
            if letter:
                yield letter, width
            letter, width = sign, _width_of_sign(sign)
        joined = sign == _JOINER
    if letter:
        yield letter, width


def _belongs_to_what_it_follows(sign: str) -> bool:
    return sign == _JOINER or sign in _SKIN_TONES or unicodedata.category(sign) in {"Mn", "Me"}


def _width_of_sign(sign: str) -> int:
    return 2 if unicodedata.east_asian_width(sign) in {"W", "F"} else 1


def cut(text: str, columns: int, *, ellipsis: str = "…") -> str:
    """As much of it as fits; what is cut ends in an ellipsis.

    >>> cut("department", 6), cut("渡辺さん", 6), cut("team", 6)
    ('depar…', '渡辺…', 'team')
    """
    if width_of(text) <= columns:
        return text
    return _beginning(text, columns - width_of(ellipsis)) + ellipsis


def _beginning(text: str, columns: int) -> str:
    kept = ""
    for letter, width in _letters(text):
        columns -= width
        if columns < 0:
            break
        kept += letter
    return kept


def padded(text: str, columns: int) -> str:
    """It, with spaces to its right up to that width."""
    return text + " " * (columns - width_of(text))


def printable(text: str) -> str:
    r"""An id may have newlines and worse in it: what cannot be seen is escaped.

    >>> print(printable("two\nlines, \x1b[31mred"))
    two\nlines, \x1b[31mred
    """
    return "".join(
        sign if sign.isprintable() or sign == _JOINER else sign.encode("unicode_escape").decode()
        for sign in text
    )


def number(amount: int | Decimal) -> str:
    """An amount with its thousands apart, and no exponent.

    >>> number(12_000), number(Decimal("1E-9")), number(Decimal("1234.5"))
    ('12,000', '0.000000001', '1,234.5')
    """
    return f"{amount:,f}" if isinstance(amount, Decimal) else f"{amount:,}"


def wrapped(text: str, columns: int | None) -> list[str]:
    """It in lines of at most so many columns, broken between words, and within one that is longer.

    >>> wrapped("a call of 渡辺 was denied", 10)
    ['a call of', '渡辺 was', 'denied']
    """
    if columns is None:
        return [text]
    lines, line = [], ""
    for word in text.split(" "):
        longer = f"{line} {word}" if line else word
        if line and width_of(longer) > columns:
            lines.append(line)
            longer = word
        while width_of(longer) > columns:
            part = _beginning(longer, columns) or longer[0]  # a wide letter, and one column
            lines.append(part)
            longer = longer[len(part) :]
        line = longer
    return [*lines, line] if line or not lines else lines
