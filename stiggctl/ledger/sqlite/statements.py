"""Statements: the named SQL of ledger/statements/sqlite.sql, read once.

Here: a name -> its text, and the packed forms of those that write many rows in one step.
Not here: what they mean (the comments there say it), when they run.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

# Rows of one packed statement, at most. SQLite parses and keeps each size on its own; with more
# the first use of a size costs more than the steps it saves (32 rows of 18 columns: 0.2 ms), and
# SQLite before 3.32 takes no more than 999 parameters.
ROWS_MAX = 32
#: So few rows are written as they are, without looking for sizes: most exchanges have no more.
ROWS_EXACT = 8

_ROW = re.compile(r"VALUES (\([?, ]+\))")


def read(text: str) -> dict[str, str]:
    r"""Each statement by its name, without comments and the semicolon.

    >>> read("-- name: one\n-- Always one row.\nSELECT 1;\n")
    {'one': 'SELECT 1'}
    """
    statements = {}
    for block in re.split(r"^-- name: ", text, flags=re.MULTILINE)[1:]:
        name, _, rest = block.partition("\n")
        lines = [line for line in rest.splitlines() if not line.startswith("--")]
        statements[name.strip()] = "\n".join(lines).strip().removesuffix(";")
    return statements


SQL: Mapping[str, str] = MappingProxyType(
    read(files("stiggctl.ledger").joinpath("statements", "sqlite.sql").read_text(encoding="utf-8"))
)


@cache  # three names, eleven sizes
def packed(name: str, rows: int) -> str:
    """The statement `name` for so many rows at once."""
    text = SQL[name]
    row = _ROW.search(text)
    assert row is not None, name
    return text[: row.end(1)] + f", {row[1]}" * (rows - 1) + text[row.end(1) :]


def sizes(rows: int) -> Iterator[int]:
    """How to write so many rows in few statements of few different sizes.

    >>> list(sizes(4)), list(sizes(39))
    ([4], [32, 4, 2, 1])
    """
    size = ROWS_MAX
    while rows:
        while size > rows:
            size //= 2
        yield size
        rows -= size
