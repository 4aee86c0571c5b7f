"""What a worker does about versions that hang.

Decides what is told of a hang: the log always; control when two runs of a version in a row have
hung, because one alone may be its input's fault; whoever replaces this worker when a thread is
lost for good. A model that does not let go of the event loop ends the process at once: nothing
else can.

Concurrency: `hung` is called on the event loop, `leave_at_once` on the watchdog's thread.
Lifetime: the worker's.
"""

import signal
import threading
from collections.abc import Callable, Sequence

import structlog

from server.dataplane.served import VersionName
from server.engine.runs import Hang
from server.wire import fault
from server.wire.fault import Fault, FaultKind
from server.wire.frames import Kind

log = structlog.get_logger()

EXIT_HUNG = 4
"""How a worker ends that has lost a thread to a model."""
_TOLD_FROM = 2


class Hangs:
    """The versions of one worker that hung."""

    def __init__(
        self, worker: int, send: Callable[[Kind, Sequence[bytes | memoryview]], bool]
    ) -> None:
        self.lost_to = ""
        """The model and version that do not stop: only another process gets the thread back."""
        self._worker = worker
        self._send = send

    def hung(self, name: VersionName, hang: Hang) -> None:
        """Take note of a run that hung."""
        log.error(
            "model_hung",
            model=name.model,
            version=name.version,
            ran_seconds=round(hang.ran_seconds, 2),
            in_a_row=hang.in_a_row,
            thread_lost=hang.is_given_up,
        )
        if hang.is_given_up or hang.in_a_row >= _TOLD_FROM:
            how = f"a run did not end in {hang.ran_seconds:.1f} s"
            message = Fault(
                name.model, name.version, name.digest, FaultKind.HANG, self._worker, how
            )
            self._send(Kind.FAULT, [fault.encode(message)])
        if hang.is_given_up:
            self.lost_to = f"{name.model}/{name.version}"


def leave_at_once(label: str) -> None:
    """End the process, because a model keeps the event loop and does not stop.

    As it does when the supervisor finds it stuck: on the thread that is kept, so that the stacks
    and what is found out from them name the model.
    """
    log.critical("model_keeps_event_loop", model_and_version=label)
    main = threading.main_thread().ident
    assert main is not None, "a process has a main thread"
    signal.pthread_kill(main, signal.SIGABRT)
