"""The records of a run's terms, each read once it is here."""

from __future__ import annotations

from collections.abc import Callable

from simssl.blocks.distributed import world_size
from simssl.training.records.terms import Sums, TermWindow
from simssl.training.records.trackers import Trackers


class Records:
    """Takes the records of a window, and tells the trackers of each once it is here.

    A CUDA device copies it to the host in its own time, so that neither waits for the other. It is here when the next
    one is taken, for the host waits for it then. `where` says which run it is, for the sentences of errors.
    """

    def __init__(self, window: TermWindow, where: Callable[[], str]) -> None:
        self._window = window
        self._where = where
        self._untold: tuple[Sums, Trackers] | None = None

    def take(self, step: int, trackers: Trackers) -> None:
        """Take the record of this step, the last one that was launched, and tell of the one before.

        RunError if a term of the loss was not finite in the one before.
        """
        self.tell()
        self._untold = (self._window.take(step), trackers)

    def tell_if_here(self) -> None:
        """Tell of the record that was taken last, if it is not told yet and the host has it. The host does not wait.

        Several processes do not ask their devices, which may answer differently: they have to fail after the same step.
        RunError if a term of the loss was not finite in it.
        """
        if self._untold is None:
            return
        sums, _ = self._untold
        if sums.copied is None or (world_size() == 1 and sums.copied.query()):
            self.tell()

    def tell(self) -> None:
        """Tell of the record that was taken last, if it is not told yet. The host waits for the device.

        RunError if a term of the loss was not finite in it.
        """
        if self._untold is None:
            return
        sums, trackers = self._untold
        terms = sums.means(self._where())
        self._untold = None  # not before: what is not finite in it stays the first that is found
        trackers.logged(sums.step, terms)

    def take_rest(self, step: int, trackers: Trackers) -> None:
        """Take a record of the steps since the last one, if there are some, and tell of it. The host waits."""
        if self._window.count:
            self.take(step, trackers)
        self.tell()

    def require_finite(self, step: int) -> None:
        """Look at all steps up to this one, the last that was launched. The host waits, and tells of all records.

        RunError if a term of the loss was not finite at any step.
        """
        self.tell()
        if self._window.count:
            self._window.so_far(step).refuse_not_finite(self._where())
