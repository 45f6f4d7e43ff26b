"""This process on a ledger: the only room that knows decision and ledger, and the only one that waits.

Here: what one process has of a ledger (holder.py), how it asks (asking.py), books (booking.py,
orders.py), exchanges (exchange.py), what it loads (trees.py, known.py), what it keeps for its
death (keeping.py, page.py, liveness.py), and how the model is changed (models/).
Not here: whether an amount fits (decision/), how rows are written (ledger/).
"""

from stiggctl.holder.holder import Holder
from stiggctl.holder.ids import Ids
from stiggctl.holder.keeping import Kept
from stiggctl.holder.options import Options

__all__ = ["Holder", "Ids", "Kept", "Options"]
