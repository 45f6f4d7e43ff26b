"""Two calls of one key: the second waits for the first, wherever both are said; and only so long."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SECONDS_MAX = 60

#: Each in a process of its own: what waits for itself would keep this one from ending, too.
OPENING = """
import asyncio, sys
from stiggctl import ControlClosed, Receipt, UsageControl

control = UsageControl(sys.argv[1])
control.apply({
    "resourceTypes": [{"id": "user"}],
    "resources": [{"id": "ann", "resourceTypeId": "user", "customerId": "acme"}],
    "allocations": [{"resourceId": "ann", "creditCurrency": "t", "limit": 100}],
})
ANN = {"resource_ids": ["ann"], "credit_currency": "t"}
control.consume(**ANN, amount=1)  # what follows is admitted from memory

def begun(amount, times=1):
    call = lambda: control.aconsume(**ANN, amount=amount, idempotency_key="k")
    return [asyncio.ensure_future(call()) for _ in range(times)]

def charged():
    return [event.amounts["t"] for event in control.events()]
"""

ON_THE_LOOPS_THREAD = """
async def main():
    (first,) = begun(5)
    await asyncio.sleep(0)  # the first is at work; its event loop stands still from here
    second = control.consume(**ANN, amount=5, idempotency_key="k")
    first = await first
    assert (first.duplicate, second.duplicate) == (False, True), (first, second)
    assert charged() == [1, 5]

asyncio.run(main())
"""

CLOSING = """
async def main():
    first, second = begun(5, times=2)
    await asyncio.sleep(0)
    while charged() != [1, 5]:
        pass
    control.close()  # on the thread of the loop, which resolves nothing meanwhile
    first, second = await asyncio.gather(first, second, return_exceptions=True)
    assert isinstance(first, Receipt), first
    assert not first.duplicate, first
    assert isinstance(second, ControlClosed) or second.event_id == first.event_id, second

asyncio.run(main())
"""

ANOTHER_LOOP = """
async def main():
    begun(5)
    await asyncio.sleep(0)

asyncio.run(main())  # it ends before its task has, which is cancelled
second = asyncio.run(control.aconsume(**ANN, amount=5, idempotency_key="k"))
assert second.duplicate, second
assert charged() == [1, 5]
"""


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(ON_THE_LOOPS_THREAD, id="again-on-the-thread-of-the-loop"),
        pytest.param(CLOSING, id="closing-on-the-thread-of-the-loop"),
        pytest.param(ANOTHER_LOOP, id="again-on-another-loop"),
    ],
)
def test_a_key_that_is_under_way_in_an_event_loop_waits_for_the_ledger_and_not_for_the_loop(
    tmp_path: Path, said: str
) -> None:
    # X2
    told = subprocess.run(
        [sys.executable, "-c", OPENING + said, str(tmp_path / "usage.db")],
        cwd=ROOT,
        timeout=SECONDS_MAX,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
