"""Version 4: what is recalled is found without a look at every share.

Never edited once released: a change is another version.

A cell of which nobody ever wanted more than was free stands in no index for it, so that opening one
costs what it did.
"""

STATEMENTS: tuple[str, ...] = ("CREATE INDEX cells_recalled ON cells (hush_until) WHERE hush_until > 0",)
