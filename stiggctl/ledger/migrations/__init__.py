"""Migrations: how a ledger file became what it is, step by step, each applied once.

Here: the numbered steps, in order, and the SQL of each. Not here: when they are applied, and
that no two processes apply them at once (sqlite/schema.py does, inside its BEGIN IMMEDIATE).

What always holds:
  G1  A step that was released is never edited: a change is a new step.
  G2  All steps, from nothing or from any earlier version, lead to the same schema.

Importing this module imports sqlite-utils, which takes a tenth of a second: only what creates
or migrates a ledger does.
"""

from collections.abc import Callable

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from stiggctl.ledger.migrations import (
    version_1,
    version_2,
    version_3,
    version_4,
    version_5,
    version_6,
    version_7,
)

STEPS = Migrations("stiggctl")


def _step(statements: tuple[str, ...]) -> Callable[[Database], None]:
    def run(database: Database) -> None:
        # Not `executescript`: it commits what is open, and with it our BEGIN IMMEDIATE.
        for statement in statements:
            database.execute(statement)

    return run


STEPS(name="version_1")(_step(version_1.STATEMENTS))
STEPS(name="version_2")(_step(version_2.STATEMENTS))
STEPS(name="version_3")(_step(version_3.STATEMENTS))
STEPS(name="version_4")(_step(version_4.STATEMENTS))
STEPS(name="version_5")(_step(version_5.STATEMENTS))
STEPS(name="version_6")(_step(version_6.STATEMENTS))
STEPS(name="version_7")(_step(version_7.STATEMENTS))
