"""Models: what people define, into rows of the ledger, and back.

Here: `plan` (a model), the single changes, `export`. Each reads through a Reader and returns a
ModelChange with what to tell of it (Applied); there is nothing to write where the Applied is
false. Whoever writes it does so while `LedgerState.change` is what was read, else plans anew.
Not here: what is wrong in a model (validation/), writing the rows (ledger/).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stiggctl.definitions import SILENT, Applied, Draft, Telling, UsageModel, draft_of
from stiggctl.holder.models.ending import remove_allocation, remove_override, void_grant
from stiggctl.holder.models.exporting import export
from stiggctl.holder.models.marks import (
    archive_customer,
    archive_resource,
    restore_customer,
    restore_resource,
    resume,
    suspend,
)
from stiggctl.holder.models.planning import Plan
from stiggctl.holder.models.pruning import names_of, prune_rest, rest_of
from stiggctl.holder.models.single import (
    define_resource_type,
    grant_credits,
    move_resource,
    override_limit,
    put_customer,
    put_resource,
    set_allocation,
    set_price,
    set_rate,
)
from stiggctl.holder.models.writing import Stamp, rows_of
from stiggctl.ledger import Reader
from stiggctl.ledger.records import ModelChange


def plan(
    model: Mapping[str, Any] | str | Path | UsageModel | Draft,
    reader: Reader,
    *,
    prune: bool,
    at_us: int,
    actor: str | None,
    reason: str | None,
    verb: str = "apply",
    telling: Telling = SILENT,
) -> tuple[ModelChange, Applied]:
    """What has to be written so that the ledger has the model, and what to tell of it.

    With `prune`, what the model does not name is archived or removed; else it is told. To plan
    the same model again and again, read it once: `draft_of(model)` is a model too.

    Raises InvalidModel with all problems, of reading and of fitting; InvalidRequest for no model.
    """
    planned = Plan(draft_of(model), reader, Stamp(at_us, actor, reason, verb), telling=telling)
    writing = planned.write()
    rest = rest_of(planned, everything=prune)
    if prune:
        prune_rest(planned, rest, at_us)
        return writing.change, writing.applied()
    return writing.change, writing.applied(names_of(planned, rest))


__all__ = [
    "Stamp",
    "archive_customer",
    "archive_resource",
    "define_resource_type",
    "export",
    "grant_credits",
    "move_resource",
    "override_limit",
    "plan",
    "put_customer",
    "put_resource",
    "remove_allocation",
    "remove_override",
    "restore_customer",
    "restore_resource",
    "resume",
    "rows_of",
    "set_allocation",
    "set_price",
    "set_rate",
    "suspend",
    "void_grant",
]
