"""Peeking: one look by a process that holds nothing, straight from the ledger.

Here: a stripe of its own for it, what others hold. Not here: paths that stay in memory (trees.py).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from stiggctl.decision.cells import CUSTOMER, Stripe
from stiggctl.decision.decide import Wants
from stiggctl.decision.paths import compile_path
from stiggctl.holder.in_force import cells_of, limits_on
from stiggctl.holder.meant import Meant, refusal_of_customer
from stiggctl.holder.nodes import NOBODY, nodes_of, pool_as_node
from stiggctl.holder.pools import pool_of
from stiggctl.holder.trees import read_model
from stiggctl.holder.ways import Dimensions, meeting_of
from stiggctl.ledger import Reader
from stiggctl.ledger.records import CellKey, CellRow, Orphan


def peek(
    reader: Reader,
    meant: Meant,
    amounts: Sequence[tuple[int, str, int, int]],
    *,
    dimensions: Dimensions,
    held_by_others: Callable[[Iterable[int]], Mapping[int, Sequence[Orphan]]],
    refuse_unlimited: bool,
    now_us: int,
) -> tuple[Stripe, Wants]:
    """A stripe of its own for one look by a process that holds nothing, straight from the ledger.

    `amounts`: (currency row, currency id, decimals, units); `held_by_others`: of cells, what processes
    hold of each, by end. What is granted and not held is nobody's: it remains.
    """
    assert meant.customer is not None
    stripe = Stripe(meant.customer.customer_id, meant.customer.id)
    ids = meant.ids or (CUSTOMER,)
    rows = reader.lineage(meant.customer.id, meant.ids)
    grants = reader.grants(meant.customer.id, since_us=now_us)
    model = read_model(reader, meant.customer.id, [row.id for row in rows])
    stripe.scoped = reader.scoped_dimensions(meant.customer.id)
    wants = []
    for currency_row, currency_id, decimals, units in amounts:
        strand = stripe.strand(currency_id, currency_row, decimals)
        in_force = limits_on(rows, model, currency_row, now_us, now_us)
        granted = pool_of(grants, currency_row, now_us)
        rows_of_cells = reader.cells(cells_of(in_force, granted), 0)
        cells = _as_if_alone(rows_of_cells, held_by_others([one.id for one in rows_of_cells.values()]))
        pool = pool_as_node(granted, cells)
        nodes = nodes_of(rows, in_force, cells, now_us)
        nodes[CUSTOMER] = NOBODY if pool is None else pool.node
        with stripe.lock:
            compile_path(
                strand,
                [nodes[one] for one in ids],
                pool=pool,
                version=stripe.version,
                meeting=meeting_of(stripe, dimensions),
                refuse_unlimited=refuse_unlimited,
                customer_refusal=refusal_of_customer(meant.customer),
            )
        wants.append((strand, units))
    return stripe, wants


def _as_if_alone(
    cells: Mapping[CellKey, CellRow], held_by_others: Mapping[int, Sequence[Orphan]]
) -> dict[CellKey, CellRow]:
    """The cells as they would be if this process had drawn all that nobody holds."""
    drawn = {}
    for at, (key, cell) in enumerate(cells.items()):
        held = (*cell.orphans, *held_by_others.get(cell.id, ()))
        free = cell.limit_units - cell.used - sum(one.units for one in held)
        # One that is not open yet has no id; two of them must not be taken for one.
        drawn[key] = cell._replace(
            id=cell.id or -1 - at, granted=max(0, free), others=0, hidden=0, orphans=held
        )
    return drawn
