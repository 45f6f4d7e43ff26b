"""Definitions: what people write. UsageModel and its parts, and how one is read.

Here: the parts (parts.py) and what may stand in their fields (values.py), reading a document with
all of its problems (reading.py), exact JSON text (text.py), what applying one did (applied.py), how
far it is (progress.py).
Not here: checks over a whole model (validation.py), how it gets into the ledger
(holder/models.py).
"""

from stiggctl.definitions.applied import Applied
from stiggctl.definitions.parts import (
    Allocation,
    CreditCurrency,
    Customer,
    Enforcement,
    Grant,
    GrantKind,
    Override,
    Part,
    Price,
    Property,
    Rate,
    RateTerm,
    Resource,
    ResourceType,
    UsageModel,
    attribution_keys_of,
)
from stiggctl.definitions.places import Steps
from stiggctl.definitions.progress import SILENT, Progress, Telling, entries_of
from stiggctl.definitions.reading import Draft, Found, draft_of, read
from stiggctl.definitions.text import filter_text, json_text, json_value, plain
from stiggctl.definitions.thresholds import threshold_of_units, units_of_threshold
from stiggctl.definitions.values import (
    A_NAME,
    AN_ID,
    Value,
    is_id,
    is_name,
    text_of_value,
    us_of,
    us_of_anchor,
)

__all__ = [
    "AN_ID",
    "A_NAME",
    "SILENT",
    "Allocation",
    "Applied",
    "CreditCurrency",
    "Customer",
    "Draft",
    "Enforcement",
    "Found",
    "Grant",
    "GrantKind",
    "Override",
    "Part",
    "Price",
    "Progress",
    "Property",
    "Rate",
    "RateTerm",
    "Resource",
    "ResourceType",
    "Steps",
    "Telling",
    "UsageModel",
    "Value",
    "attribution_keys_of",
    "draft_of",
    "entries_of",
    "filter_text",
    "is_id",
    "is_name",
    "json_text",
    "json_value",
    "plain",
    "read",
    "text_of_value",
    "threshold_of_units",
    "units_of_threshold",
    "us_of",
    "us_of_anchor",
]
