"""Start the processes, watch them, replace those that end or get stuck, and stop them in order.

Decides nothing about serving: no HTTP, no models, no threads. Holds the ports for the life of the
gateway, so that a replaced process finds its port where it was.

Concurrency: one thread, one loop around a selector.
Lifetime: from `run` until all children have ended. If it is killed, the kernel kills its children
(`machine.die_with_parent`).
"""

import contextlib
import os
import selectors
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import structlog

from server import ports
from server.machine import how_it_ended, new_memory
from server.postmortem import Postmortem, examine
from server.settings import Settings
from server.spawning import Child, exit_code, has_ended, preload, send_signal, spawn
from server.supervision import is_excused, restart_at, was_paused
from server.wire import channel
from server.wire.channel import Charter

log = structlog.get_logger()

_EXIT_CUT_OFF = 3
_GOOD_ENDS = (0, -signal.SIGTERM)
"""How a child ends when it is told to; by the signal itself before it can listen to signals."""
_ABORT_PATIENCE_SECONDS = 2.0
_STOP_MARGIN_SECONDS = 5.0
_CONTROL_STOP_SECONDS = 10.0
_SHADOW_STOP_SECONDS = 2.0
"""It has nothing to finish; a candidate that is running is not waited for."""


class Supervisor:
    """The parent of all processes."""

    def __init__(
        self,
        settings: Settings,
        origins: dict[str, str],
        *,
        workers: int,
        socket_path: str,
        on_ready: Callable[["Supervisor", list[dict[str, Any]]], None],
    ) -> None:
        self.settings = settings
        self._on_ready = on_ready
        self._selector = selectors.DefaultSelector()
        self._stops = 0
        self._leaving: list[Child] = []
        """Workers that have asked to be replaced: they go on until their successors serve."""
        self._last_turn = time.monotonic()
        # Bound and never listening: it holds the port for the workers, and gives its number.
        self._held = ports.bind(settings.host, settings.port, shared=True)
        self._control_listener = ports.bind(settings.control_host, settings.control_port)
        self._control_listener.listen(128)
        self.port = ports.number_of(self._held)
        self.control_port = ports.number_of(self._control_listener)

        def charter_for(name: str, number: int, listen_fd: int = -1) -> Callable[[int], Charter]:
            return lambda restarts: Charter(
                settings=settings,
                name=name,
                worker=number,
                workers=workers,
                port=self.port,
                socket_path=socket_path,
                restarts=restarts,
                listen_fd=listen_fd,
                origins=origins,
            )

        listen_fd = self._control_listener.fileno()
        self._control = Child(
            "control", "server.controlplane.process", charter_for("control", -1, listen_fd)
        )
        self._workers = [
            Child(
                name,
                "server.dataplane.process",
                charter_for(name, number),
                memory=new_memory(name),
            )
            for number in range(workers)
            for name in [f"worker-{number}"]
        ]
        self._shadow = Child(
            "shadow", "server.shadow.start", charter_for("shadow", -1), is_wanted=False
        )

    @property
    def _children(self) -> list[Child]:
        return [self._control, *self._workers, self._shadow]

    def run(self) -> int:
        """Run everything until told to stop; return the exit code."""
        with self._signals():
            preload()
            while not self._stops:
                self._turn(self._children, may_start=True)
            return self._stop()

    def _stop(self) -> int:
        """Let workers drain, then let control take their last words and end."""
        clean = self._end([*self._workers, *self._leaving], self._drain_patience_seconds)
        self._end([self._shadow], _SHADOW_STOP_SECONDS)
        clean &= self._end([self._control], _CONTROL_STOP_SECONDS)
        self._held.close()
        self._control_listener.close()
        return 0 if clean else _EXIT_CUT_OFF

    @property
    def _drain_patience_seconds(self) -> float:
        settings = self.settings
        drain = settings.drain_delay_seconds + settings.drain_timeout_seconds
        return drain + _STOP_MARGIN_SECONDS

    def _end(self, children: list[Child], patience_seconds: float) -> bool:
        """Ask children to end and wait; kill those that do not. Say whether all ended well."""
        living = [child for child in children if child.process is not None]
        for child in living:
            send_signal(child, signal.SIGTERM)
        deadline = time.monotonic() + patience_seconds
        codes: list[int] = []
        while living and time.monotonic() < deadline and self._stops < 2:
            self._turn(self._children, may_start=False)
            codes += [exit_code(child) for child in living if has_ended(child)]
            living = [child for child in living if not has_ended(child)]
        for child in living:
            log.warning("killed", child=child.name)
            send_signal(child, signal.SIGKILL)
            assert child.process is not None, "only started children are in the list"
            child.process.wait()
        return not living and all(code in _GOOD_ENDS for code in codes)

    def _turn(self, children: list[Child], *, may_start: bool) -> None:
        """Look at every child once, then wait until something happens."""
        now = time.monotonic()
        self._forgive_after_pause(now)
        for child in children:
            child.flush()
            self._look_after(child, now, may_start=may_start)
        for child in list(self._leaving):
            self._see_off(child, now)
        for key, _ in self._selector.select(timeout=0.1):
            key.data()

    def _look_after(self, child: Child, now: float, *, may_start: bool) -> None:
        if child.process is not None and has_ended(child):
            if not may_start:
                return  # Everything is about to end.
            self._ended(child, now)
        if child.process is None:
            if may_start and child.is_wanted and now >= child.start_at:
                self._start(child, now)
        elif child.is_wanted:
            self._check_beat(child, now)
        else:
            self._let_go(child, now)

    def _forgive_after_pause(self, now: float) -> None:
        if was_paused(self._last_turn, now):
            for child in [*self._children, *self._leaving]:
                child.forgive(now)
        self._last_turn = now

    def _start(self, child: Child, now: float) -> None:
        try:
            process, ours = spawn(child)
        except OSError:  # No memory, processes or descriptors left: there may be some later.
            log.exception("cannot_start", child=child.name)
            child.ends = [*child.ends[-20:], now]
            child.start_at = restart_at(child.ends, now)
            return
        child.process, child.link = process, ours
        child.started, child.last_beat, child.aborted = now, None, None
        child.is_serving = False
        child.received.clear()
        self._selector.register(ours, selectors.EVENT_READ, lambda: self._read(child))
        log.info("started", child=child.name, pid=process.pid)

    def _let_go(self, child: Child, now: float) -> None:
        """Have a child end that is not wanted any more."""
        if child.aborted is None:
            child.aborted = now
            send_signal(child, signal.SIGTERM)
        elif now - child.aborted > _ABORT_PATIENCE_SECONDS:
            send_signal(child, signal.SIGKILL)

    def _ended(self, child: Child, now: float) -> None:
        code = exit_code(child)
        self._unlink(child)
        child.process = None
        if not child.is_wanted:
            return
        death = self._look_into(child, code)
        limit = self.settings.max_version_faults
        if is_excused(was_serving=death.was_serving, max_version_faults=limit):
            child.start_at = now
        else:
            child.ends = [*child.ends[-20:], now]
            child.start_at = restart_at(child.ends, now)
        child.restarts += 1
        log.error(
            "ended",
            child=child.name,
            how=how_it_ended(code),
            restart_in_seconds=round(child.start_at - now, 1),
            running=[f"{one.model}/{one.version}" for one in death.running],
        )

    def _look_into(self, child: Child, code: int) -> Postmortem:
        """Find out what a worker died of, and have control told of the fault of a version."""
        if child.memory < 0:
            return Postmortem((), None, "")
        death = examine(child.memory, code)
        sys.stderr.write(death.stacks)
        worker = child.charter(child.restarts).worker
        fault = death.fault(worker, code, was_stuck=child.aborted is not None)
        if fault is not None:
            self._control.tell(channel.encode_report(fault=fault.to_json()))
            self._control.flush()
        return death

    def _replace(self, child: Child, why: str) -> None:
        """Start a worker's successor beside it; one at a time, while all others serve.

        Who is not heard asks again.
        """
        if self._leaving or not all(worker.is_serving for worker in self._workers):
            return
        assert child.link is not None, "it has just been heard"
        leaving = replace(child, unsent=deque())
        self._leaving.append(leaving)
        self._selector.modify(child.link, selectors.EVENT_READ, lambda: self._read(leaving))
        child.process, child.link, child.received = None, None, bytearray()
        child.memory = new_memory(child.name)
        child.start_at = time.monotonic()
        child.restarts += 1
        log.warning("replacing", child=child.name, why=why)

    def _has_come(self, child: Child) -> None:
        """Note that a worker serves, and have the one end that it succeeds."""
        child.is_serving = True
        for leaving in self._leaving:
            if leaving.name == child.name and leaving is not child and leaving.aborted is None:
                leaving.aborted = time.monotonic()
                send_signal(leaving, signal.SIGTERM)

    def _see_off(self, child: Child, now: float) -> None:
        """Forget a replaced worker when it has ended, and kill one that takes too long."""
        if has_ended(child):
            death = self._look_into(child, exit_code(child))
            self._unlink(child)
            os.close(child.memory)
            self._leaving.remove(child)
            running = [f"{one.model}/{one.version}" for one in death.running]
            how = how_it_ended(exit_code(child))
            log.warning("replaced", child=child.name, how=how, running=running)
        elif (
            child.aborted is not None and now - child.aborted > self._drain_patience_seconds
        ) or child.is_stuck(self.settings.stuck_seconds, now):
            send_signal(child, signal.SIGKILL)

    def _unlink(self, child: Child) -> None:
        if child.link is not None:
            self._selector.unregister(child.link)
            child.link.close()
            child.link = None

    def _read(self, child: Child) -> None:
        """Take what a child says on its channel."""
        assert child.link is not None, "only open channels are watched"
        try:
            piece = child.link.recv(1 << 20)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if not piece:
            self._unlink(child)
            return
        child.beat(time.monotonic())
        child.received += piece
        while (end := child.received.find(b"\n")) >= 0:
            line = bytes(child.received[:end])
            del child.received[: end + 1]
            self._take_report(child, line)

    def _take_report(self, child: Child, line: bytes) -> None:
        try:
            report = channel.decode_report(line)
            if "ready" in report:
                self._on_ready(self, report["ready"])
            if "shadow" in report:
                self._shadow.is_wanted = bool(report["shadow"])
            if "serving" in report:
                self._has_come(child)
            if "replace" in report and any(child is worker for worker in self._workers):
                self._replace(child, str(report["replace"]))
        except Exception:  # Whatever a child says, and wherever it is printed, all others live on.
            log.exception("report_failed", child=child.name)

    def _check_beat(self, child: Child, now: float) -> None:
        """Abort a stuck child, which leaves its stack in the log; then kill it."""
        if child.aborted is not None:
            if now - child.aborted > _ABORT_PATIENCE_SECONDS:
                send_signal(child, signal.SIGKILL)
        elif child.is_stuck(self.settings.stuck_seconds, now):
            log.error("stuck", child=child.name)
            child.aborted = now
            send_signal(child, signal.SIGABRT)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Count SIGTERM and SIGINT, and wake the selector when one comes."""
        reader, writer = socket.socketpair()
        for end in (reader, writer):
            end.setblocking(False)
        signals = (signal.SIGTERM, signal.SIGINT)
        before = {number: signal.signal(number, self._told_to_stop) for number in signals}
        wakeup = signal.set_wakeup_fd(writer.fileno())
        self._selector.register(reader, selectors.EVENT_READ, lambda: reader.recv(4096))
        try:
            yield
        finally:
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._selector.unregister(reader)
            reader.close()
            writer.close()

    def _told_to_stop(self, number: int, frame: object) -> None:
        del number, frame
        self._stops += 1
