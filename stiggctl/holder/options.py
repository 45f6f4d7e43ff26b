"""Options: how a process uses one ledger. Here: the record. Not here: what each choice does."""

from typing import Literal, NamedTuple

from stiggctl.clocks import Clock


class Options(NamedTuple):
    """How one ledger is used by this process; all controls on it agree on them."""

    clock: Clock
    durability: Literal["process", "power"]
    on_ledger_failure: Literal["fail_closed", "fail_open"]
    default_access: Literal["allow", "deny"]
    unknown_resources: Literal["error", "deny", "ignore"]
    reservation_ttl_seconds: int
