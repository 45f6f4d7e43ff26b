"""Nearing: which limits are nearest to their end.

Here: the verb. Not here: how they are found (reports/tightest.py), when they run out (forecasting.py).
"""

from stiggctl.errors import InvalidRequest
from stiggctl.holder import Holder
from stiggctl.reports.tightest import TightLimit, read_tightest


class Nearing:
    """The part of a control that tells what is tight."""

    _holder: Holder

    def tightest(self, most: int = 10) -> list[TightLimit]:
        """The limits and pools of which the largest part is used or held, of all customers; at most so many.

        The numbers are those that decisions see, at this moment. Those of which nothing is used or held
        are not among them. It is a look at every counter that is open, some fifty milliseconds where ten
        thousand have something used or held, and takes no lock: for a screen that is drawn anew.

        Raises InvalidRequest.

        >>> control = getfixture("acme")  # user-01 may spend 200 ai-tokens
        >>> held = control.reserve(resource_ids=["user-01"], credit_currency="ai-tokens", amount=150)
        >>> [one] = control.tightest(1)
        >>> one.limit.resource_id, one.limit.held, str(one.utilisation)
        ('user-01', 150, '0.7500')
        """
        holder = self._holder
        holder.require_open()
        if type(most) is not int or most < 1:
            raise InvalidRequest(where="most", value=most, expected="a whole number, 1 or more")
        with holder.ledger.reader() as reader:
            return read_tightest(holder, reader, most, holder.clock.now_us())
