"""The committer: a thread that leads exchanges for event loops, which must not wait.

Here: when it is started, woken and ended. Not here: what leading is (exchange.py).
"""

from queue import SimpleQueue
from threading import Lock, Thread, current_thread, get_ident
from typing import TYPE_CHECKING

from stiggctl.holder.news import NOTHING

if TYPE_CHECKING:
    from stiggctl.holder.exchange import Exchange

#: How long close() waits for this thread; it has at most one exchange under way.
STOP_SECONDS_MAX = 10


class Committer:
    """The thread of one exchange; started when first needed."""

    def __init__(self, exchange: "Exchange") -> None:
        self._exchange = exchange
        self._calls: SimpleQueue[bool] = SimpleQueue()  # True: look whether the lead is here; False: stop
        self._starting = Lock()
        self._stopped = False
        self._thread: Thread | None = None
        self.thread = 0
        self.gone = False

    def up(self) -> None:
        """Lead, if the lead was handed here."""
        self._calls.put(True)
        if self._stopped:  # put after it was told to stop, perhaps: nobody else would look
            self._end()
            self._lead()
        elif self._thread is None:
            with self._starting:
                if self._thread is None:
                    self._thread = Thread(target=self._body, name="stiggctl-committer", daemon=True)
                    self._thread.start()

    def stop(self) -> None:
        """End the thread after what it was called for."""
        self._stopped = True  # before the word to stop: what is put after that sees it
        self._calls.put(False)
        self._end()

    def _end(self) -> None:
        thread = self._thread
        if thread is not None and thread is not current_thread():  # a hook may close from there
            thread.join(STOP_SECONDS_MAX)

    def _body(self) -> None:
        self.thread = get_ident()
        while self._calls.get():
            self._lead()

    def _lead(self) -> None:
        if self._exchange.has_lead(self):
            after = self._exchange.lead(self)
            if after is not NOTHING:
                # On a thread of its own: a hook that reports would wait for this one.
                Thread(target=self._exchange.tell, args=([after],), daemon=True).start()
