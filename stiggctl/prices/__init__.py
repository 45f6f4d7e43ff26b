"""Prices: from a provider's response to exact money. Pure: no ledger, no control, no SDK.

    usage_of(response)            what it used, in disjoint classes of tokens   (responses.py, shapes.py)
    StreamUsage().add(chunk)      the same of a stream, as far as it was told   (streams.py)
    cost_of(usage, model, at)     what that costs, by contract or by list       (cost.py)
    estimate(model, …)            what a call can cost at most                  (cost.py)

List prices need the extra: pip install "stiggctl[prices]". Contract prices need nothing.
"""

from stiggctl.prices.contracts import ContractPrice
from stiggctl.prices.cost import Cost, cost_of, estimate
from stiggctl.prices.errors import PriceNotFound, UsageUnclear
from stiggctl.prices.responses import usage_of
from stiggctl.prices.streams import StreamUsage
from stiggctl.prices.usage import Usage

__all__ = [
    "ContractPrice",
    "Cost",
    "PriceNotFound",
    "StreamUsage",
    "Usage",
    "UsageUnclear",
    "cost_of",
    "estimate",
    "usage_of",
]
