"""Whether what a call costs stays the same: with many resources or customers, and after many events.

Here: consume's decision, a first touch, opening, report; each in a small ledger and in a large one.
Not here: what a decision costs by itself (decide.py), what a million resources weigh (memory.py).

    decision     as in decide.py, `consume`, for users drawn anew for each figure, each touched before;
                 beside a floor that has as many numbers, and finds a user's by its id in a dict
    first touch  `control.reserve` and `release` of a user that nobody has named since the ledger was
                 opened: it is read, its cell made, a share drawn; beside the same among the fewest
    open         in a process of its own, from the end of the imports to an answer of `control.check`,
                 and on to one of `control.reserve`; beside 100 ms
    report       `control.report` with a key, after so many events; beside the same after none
    customers    `control.report`, and `reserve` with `release`, in a process that has decided for so many
                 customers; beside the same in one that has for one
"""

import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from threading import Lock

from benchmarks.company import BESIDE, LIMIT, ledger_of, opened, say, touch, user
from benchmarks.decide import AMOUNT, Ours
from benchmarks.measuring import Goal, Line, compared, interleaved, spread
from benchmarks.model import CUSTOMER, TOKENS, model
from stiggctl import UsageControl

USERS = (10, 10_000, 1_000_000)
USERS_QUICK = (10, 1_000, 20_000)
CUSTOMERS = 10_000
CUSTOMERS_QUICK = 500
PAST = 1_000_000
PAST_QUICK = 20_000
#: As in decide.py: so few that most figures lie between two interruptions.
CALLS = 200
ROUNDS = 400
ROUNDS_QUICK = 60
TOUCHES = 100
REPORTS = 40
OPENINGS = 9
OPEN_MS = 100.0

DECISION_GOAL = Goal(at_most=5.0)
REPORT_GOAL = Goal(at_most=2.0)
CUSTOMERS_GOAL = Goal(at_most=1.5)
OPEN_GOAL = Goal(at_most=1.0)

Calls = Sequence[Callable[[], object]]


class Floor:
    """Limits of many users, as one would write them for the occasion."""

    def __init__(self, users: int) -> None:
        many = users + 1 + len(BESIDE)
        self.lock = Lock()
        self.place_of = {user(number): number for number in range(users)}
        self.beside = tuple(range(users, many))
        # Numbers of their own, as those of a ledger are: not one object a million times.
        self.used = [AMOUNT + place for place in range(many)]
        self.held = [0] * many
        self.limit = [LIMIT + place for place in range(many)]


class ByHand:
    """What one request does to it."""

    def __init__(self, floor: Floor, user_id: str) -> None:
        self._floor = floor
        self._user_id = user_id

    def take(self, amount: int = AMOUNT) -> bool:
        """Add to all, if it fits all."""
        floor = self._floor
        used, held, limit = floor.used, floor.held, floor.limit
        with floor.lock:
            places = (floor.place_of[self._user_id], *floor.beside)
            for place in places:
                if used[place] + held[place] + amount > limit[place]:
                    return False
            for place in places:
                held[place] += amount
        return True


def run(*, quick: bool) -> list[Line]:
    """All comparisons."""
    sizes = USERS_QUICK if quick else USERS
    lines: list[Line] = []
    few: list[float] = []
    for users in sizes:
        with opened(ledger_of(users)) as control:
            touches = _first_touches(control, users)
            few = few or touches
            lines.append(_beside_median(f"first touch, {users:,} resources", "µs", touches, few))
            touch(control, users)
            lines.append(_decision(control, users, ROUNDS_QUICK if quick else ROUNDS))
    lines.sort(key=lambda line: line.goal is None)  # what has a goal first
    return [
        *lines,
        *_opening(sizes[-1]),
        _report(PAST_QUICK if quick else PAST, ROUNDS_QUICK if quick else ROUNDS // 4),
        *_beside_customers(CUSTOMERS_QUICK if quick else CUSTOMERS, ROUNDS_QUICK if quick else ROUNDS // 4),
    ]


def _beside_median(what: str, unit: str, ours: Sequence[float], other: Sequence[float]) -> Line:
    """Figures that were not taken in turns: each beside the median of the others."""
    middle = statistics.median(other)
    return Line(what, unit, statistics.median(ours), middle, spread([one / middle for one in ours]))


# -------------------------------------------------------------------- decisions


def _first_touches(control: UsageControl, users: int) -> list[float]:
    """Microseconds of each; user 0 was named when the control was opened."""
    took = []
    for number in random.sample(range(1, users), min(TOUCHES, users - 1)):
        ids = [user(number), *BESIDE]
        began = time.perf_counter_ns()
        control.reserve(resource_ids=ids, credit_currency=TOKENS, amount=AMOUNT).release()
        took.append((time.perf_counter_ns() - began) / 1_000)
    return took


def _decision(control: UsageControl, users: int, rounds: int) -> Line:
    floor, holder = Floor(users), control._holder  # noqa: SLF001 - it is what is measured

    def ours() -> Calls:
        return [Ours(holder, [user(number), *BESIDE]).consume for number in _drawn(users)]

    def by_hand() -> Calls:
        return [ByHand(floor, user(number)).take for number in _drawn(users)]

    figures = interleaved(
        {"ours": partial(_nanoseconds, ours), "floor": partial(_nanoseconds, by_hand)}, rounds
    )
    what = f"consume's decision, {users:,} resources"
    return compared(what, "ns", figures["ours"], figures["floor"], DECISION_GOAL)


def _drawn(users: int) -> list[int]:
    return [random.randrange(users) for _ in range(CALLS)]


def _nanoseconds(make: Callable[[], Calls]) -> float:
    """How long one call takes; they are made before."""
    calls = make()
    began = time.perf_counter_ns()
    for call in calls:
        call()
    return (time.perf_counter_ns() - began) / len(calls)


# -------------------------------------------------------------------- opening

_OPEN = """
import json, sys, time
import filelock
from stiggctl import UsageControl
path, ids, currency = json.loads(sys.argv[1])
began = time.perf_counter()
control = UsageControl(path)
assert control.check(resource_ids=ids, credit_currency=currency)
checked = time.perf_counter()
control.reserve(resource_ids=ids, credit_currency=currency, amount=1).release()
reserved = time.perf_counter()
control.close()
print(json.dumps([(checked - began) * 1000, (reserved - began) * 1000]))
"""


def _opening(users: int) -> Iterator[Line]:
    path = ledger_of(users)
    took: list[list[float]] = []
    for number in random.sample(range(users), OPENINGS):
        asked = json.dumps([str(path), [user(number), *BESIDE], TOKENS])
        ran = subprocess.run([sys.executable, "-c", _OPEN, asked], capture_output=True, text=True, check=True)
        took.append(json.loads(ran.stdout))
    names = ("open and check", "open, check and reserve")
    for name, figures in zip(names, zip(*took, strict=True), strict=True):
        what = f"{name}, {users:,} resources"
        yield compared(what, "ms", figures, [OPEN_MS] * OPENINGS, OPEN_GOAL)


# -------------------------------------------------------------------- after many events


def _report(past: int, rounds: int) -> Line:
    _, ids = model(4)
    with ExitStack() as stack:
        ways = {}
        for name, events in (("after none", 0), ("after many", past)):
            control = stack.enter_context(_with_past(stack, events))
            ways[name] = partial(_a_report, control, ids)
        figures = interleaved(ways, rounds)
    what = f"report, {past:,} past events"
    return compared(what, "µs", figures["after many"], figures["after none"], REPORT_GOAL)


def _with_past(stack: ExitStack, events: int) -> UsageControl:
    """A control on a ledger in which so much took place."""
    described, ids = model(4)
    control = UsageControl(Path(stack.enter_context(tempfile.TemporaryDirectory()), "usage.db"))
    control.apply(described)
    control.reserve(resource_ids=ids, credit_currency=TOKENS, amount=AMOUNT).settle()
    for start in range(0, events, 10_000):
        if start % 100_000 == 0:
            say(f"reporting {events:,} events: {start:,}")
        control.report_many([_event(ids) for _ in range(min(10_000, events - start))])
    return control


def _a_report(control: UsageControl, ids: list[str]) -> float:
    """Microseconds of one."""
    events = [_event(ids) for _ in range(REPORTS)]
    began = time.perf_counter_ns()
    for event in events:
        control.report(event)
    return (time.perf_counter_ns() - began) / REPORTS / 1_000


def _event(ids: list[str]) -> dict[str, object]:
    return {
        "customerId": CUSTOMER,
        "eventName": "chat",
        "idempotencyKey": uuid.uuid4().hex,  # as people's are: in no order
        "dimensions": {"model": "gpt-5", "user_id": "user"},
        "creditCurrency": TOKENS,
        "amount": AMOUNT,
        "resourceIds": ids,
    }


# -------------------------------------------------------------------- with many customers


def _beside_customers(many: int, rounds: int) -> Iterator[Line]:
    with ExitStack() as stack:
        few_control, many_control = (stack.enter_context(_with_customers(stack, each)) for each in (1, many))
        for what, call, goal in (
            ("report", _reports_of_first, CUSTOMERS_GOAL),
            ("reserve + release", _reserves_of_first, CUSTOMERS_GOAL),
        ):
            figures = interleaved(
                {"many": partial(call, many_control), "one": partial(call, few_control)}, rounds
            )
            yield compared(f"{what}, {many:,} customers", "µs", figures["many"], figures["one"], goal)


def _with_customers(stack: ExitStack, customers: int) -> UsageControl:
    """A control that has decided for each of them."""
    control = UsageControl(Path(stack.enter_context(tempfile.TemporaryDirectory()), "usage.db"))
    names = [f"customer-{number}" for number in range(customers)]
    control.apply(
        {
            "resourceTypes": [{"id": "user"}],
            "resources": [{"id": "ann", "resourceTypeId": "user", "customerId": name} for name in names],
            "allocations": [
                {"resourceId": "ann", "customerId": name, "creditCurrency": TOKENS, "limit": LIMIT}
                for name in names
            ],
        }
    )
    for number, name in enumerate(names):
        if number % 1_000 == 0:
            say(f"deciding for {customers:,} customers: {number:,}")
        _reserve_of(control, name)
    return control


def _reserve_of(control: UsageControl, customer_id: str) -> None:
    asked = control.reserve(
        customer_id=customer_id, resource_ids=["ann"], credit_currency=TOKENS, amount=AMOUNT
    )
    asked.release()


def _reserves_of_first(control: UsageControl) -> float:
    """Microseconds of one."""
    began = time.perf_counter_ns()
    for _ in range(REPORTS):
        _reserve_of(control, "customer-0")
    return (time.perf_counter_ns() - began) / REPORTS / 1_000


def _reports_of_first(control: UsageControl) -> float:
    """Microseconds of one."""
    events = [{**_event(["ann"]), "customerId": "customer-0"} for _ in range(REPORTS)]
    began = time.perf_counter_ns()
    for event in events:
        control.report(event)
    return (time.perf_counter_ns() - began) / REPORTS / 1_000
