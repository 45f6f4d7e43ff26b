"""Definitions: what people write. UsageModel and its parts, and how one is read.

Here: the parts (parts.py), reading a document with all of its problems (reading.py), exact
JSON text (text.py), what applying one did (applied.py), how far it is (progress.py).
Not here: checks over a whole model (validation.py), how it gets into the ledger
(holder/models.py).
"""

from stiggctl.definitions.applied import Applied
from stiggctl.definitions.parts import (
    A_NAME,
    AN_ID,
    Allocation,
    CreditCurrency,
    Customer,
    Enforcement,
    Part,
    Property,
    Rate,
    RateTerm,
    Resource,
    ResourceType,
    UsageModel,
    Value,
    attribution_keys_of,
    is_id,
    is_name,
)
from stiggctl.definitions.places import Steps
from stiggctl.definitions.progress import SILENT, Progress, Telling, entries_of
from stiggctl.definitions.reading import Draft, Found, draft_of, read
from stiggctl.definitions.text import json_text, json_value, plain

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
    "Part",
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
    "is_id",
    "is_name",
    "json_text",
    "json_value",
    "plain",
    "read",
]
