"""stiggctl: may this AI call spend N credits right now? Decides in process, exactly, and books it.

Here: the public names. Not here: anything else.
"""

from stiggctl.answers import (
    AccessDeniedReason,
    Decision,
    DecisionMade,
    GrantExpiring,
    Happening,
    LimitState,
    OpenReservation,
    Receipt,
    Remedy,
    RemedyKind,
    ThresholdCrossed,
    UsageBooked,
)
from stiggctl.clocks import Clock, SystemClock
from stiggctl.control import UsageControl
from stiggctl.control.bound import Bound
from stiggctl.control.call import Call
from stiggctl.control.fit import Candidate, Fit, Refused
from stiggctl.control.guard import Guard
from stiggctl.control.reading import AuditEntry
from stiggctl.control.reservation import Reservation
from stiggctl.control.watching import DifferencesFound, LedgerTrouble
from stiggctl.definitions import Applied, Progress, UsageModel
from stiggctl.errors import (
    AccessDenied,
    AmbiguousResource,
    BudgetExhausted,
    ControlClosed,
    CurrencyNotFound,
    CustomerNotFound,
    DecisionNotFound,
    EventNotFound,
    GrantNotFound,
    IdempotencyConflict,
    InvalidAmount,
    InvalidModel,
    InvalidRequest,
    InvalidTimestamp,
    LedgerCorrupt,
    LedgerError,
    LedgerUnavailable,
    LedgerVersionError,
    Problem,
    RateNotFound,
    ReservationNotFound,
    ResourceNotFound,
    StiggctlError,
)
from stiggctl.holder.erasing import Erased
from stiggctl.ledger.records import Difference
from stiggctl.reports.events import BookedEvent
from stiggctl.reports.explanation import (
    Charged,
    Denial,
    DenialExplained,
    EventExplained,
    Lift,
    PaidBy,
    Spender,
)
from stiggctl.reports.forecast import Forecast
from stiggctl.reports.grants import GrantState, GrantStatus
from stiggctl.reports.holders import HolderCounts, HolderShare, HolderState, HolderStatus
from stiggctl.reports.rerated import RerateRow, UnpricedRow
from stiggctl.reports.rerating import RerateTotal, Rerating
from stiggctl.reports.rows import columns
from stiggctl.reports.simulation import SimulatedDenial, Simulation, SimulationChange
from stiggctl.reports.tightest import TightLimit
from stiggctl.reports.tree import TreeNode
from stiggctl.reports.usage import UsageRow

__all__ = [
    "AccessDenied",
    "AccessDeniedReason",
    "AmbiguousResource",
    "Applied",
    "AuditEntry",
    "BookedEvent",
    "Bound",
    "BudgetExhausted",
    "Call",
    "Candidate",
    "Charged",
    "Clock",
    "ControlClosed",
    "CurrencyNotFound",
    "CustomerNotFound",
    "Decision",
    "DecisionMade",
    "DecisionNotFound",
    "Denial",
    "DenialExplained",
    "Difference",
    "DifferencesFound",
    "Erased",
    "EventExplained",
    "EventNotFound",
    "Fit",
    "Forecast",
    "GrantExpiring",
    "GrantNotFound",
    "GrantState",
    "GrantStatus",
    "Guard",
    "Happening",
    "HolderCounts",
    "HolderShare",
    "HolderState",
    "HolderStatus",
    "IdempotencyConflict",
    "InvalidAmount",
    "InvalidModel",
    "InvalidRequest",
    "InvalidTimestamp",
    "LedgerCorrupt",
    "LedgerError",
    "LedgerTrouble",
    "LedgerUnavailable",
    "LedgerVersionError",
    "Lift",
    "LimitState",
    "OpenReservation",
    "PaidBy",
    "Problem",
    "Progress",
    "RateNotFound",
    "Receipt",
    "Refused",
    "Remedy",
    "RemedyKind",
    "RerateRow",
    "RerateTotal",
    "Rerating",
    "Reservation",
    "ReservationNotFound",
    "ResourceNotFound",
    "SimulatedDenial",
    "Simulation",
    "SimulationChange",
    "Spender",
    "StiggctlError",
    "SystemClock",
    "ThresholdCrossed",
    "TightLimit",
    "TreeNode",
    "UnpricedRow",
    "UsageBooked",
    "UsageControl",
    "UsageModel",
    "UsageRow",
    "columns",
]
