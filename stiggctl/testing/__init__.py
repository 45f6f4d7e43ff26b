"""Testing: what tests of an application need beside it.

Here: the public names: a clock that is moved by hand (clock.py), verdicts that a test gives in the
place of the limits (verdicts.py). Not here: anything that production code should import; the
fixtures for pytest (fixtures.py), for pytest need not be there.
"""

from stiggctl.testing.clock import ManualClock
from stiggctl.testing.verdicts import Verdict, allow_all, deny

__all__ = ["ManualClock", "Verdict", "allow_all", "deny"]
