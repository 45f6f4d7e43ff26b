"""Decision: whether an amount fits, and what is held. Pure: no I/O, no clock, no pydantic.

Here: what a cell counts (cells.py), a request as the cells it touches (paths.py), the one
comparison (decide.py), what is held until it ends (reservations.py).
Not here: where the numbers come from and go to (holder/, ledger/). Time is an argument.
"""
