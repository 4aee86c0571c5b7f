"""From a version's folder to a plan for serving it: settle, copy, check.

Decides whether one version can be served, and how. Does not know other versions, policies or
workers.

Concurrency: called on the event loop; files are read and copied on one thread of its own.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from server.controlplane.verifying import Verifiers
from server.errors import ModelInvalid
from server.monitoring.checks import Policy
from server.monitoring.profile_checks import checks_of_profile
from server.release.shadow_rules import ShadowRules
from server.repository.intake_rules import (
    checked_capture,
    checked_checks,
    checked_features,
    checked_shadow,
    model_file_of,
)
from server.repository.layout import GOLDEN_FILE, VersionFolder
from server.repository.model_settings import ModelSetup
from server.repository.reference import Reference, find_reference
from server.repository.staging import StagedVersion, Store
from server.repository.verdict import Verdict, VerificationOrder
from server.repository.verdicts import RUNTIME_VERSION, VerdictStore
from server.settings import Settings
from server.wire.desired import VersionPlan

T = TypeVar("T")

_CHECKING_PROCESSES = 2


@dataclass(frozen=True, slots=True)
class Accepted:
    """A version that can be served."""

    plan: VersionPlan
    verdict: Verdict
    verdict_key: str
    reference: Reference
    """The profile beside it; whatever is wrong with that, the version can be served."""
    shadow_rules: ShadowRules
    """How candidates are compared with it, while it is live."""
    left_out: Mapping[str, tuple[int, ...]]
    """Places in a row that are not captured, by tensor; none means all of it."""
    signer: str = ""
    """Who has signed it; empty where versions need not be signed."""


class Intake:
    """The way of a version into the gateway."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._store = Store(settings.state_dir, settings.signers_path)
        self._verdicts = VerdictStore(settings.state_dir)
        self._verifiers = Verifiers(_CHECKING_PROCESSES, settings.verify_timeout_seconds)
        self._checking: dict[str, asyncio.Lock] = {}
        """By verdict: the same files under two names are checked once, not twice at a time."""
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="files")

    async def close(self) -> None:
        """Let go of the checking processes and of the thread."""
        await self._verifiers.close()
        self._threads.shutdown(wait=False)

    async def on_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run blocking file work."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    async def prepare(self) -> None:
        """Make the folders of the state directory."""
        await self.on_thread(self._store.prepare)
        await self.on_thread(self._verdicts.prepare)

    def seconds_to_settle(self, folder: VersionFolder) -> float:
        """Return how long to wait until nothing in a folder has changed for long enough."""
        age = (time.time_ns() - folder.changed_ns) / 1e9
        wait = self._settings.settle_seconds - age
        # A clock that was set back makes files look as if they came from the future.
        return wait if 0 < wait <= self._settings.settle_seconds else 0.0

    async def accept(self, folder: VersionFolder, setup: ModelSetup) -> Accepted:
        """Copy and check a version.

        Raises:
            ModelInvalid: it cannot be served; says why, and what would help.
            StillChanging: its files are being written.

        """
        if folder.problem:
            raise ModelInvalid(folder.problem, fix="mend the version's folder")
        model_file = model_file_of(folder, setup.model_file)
        try:
            await self.prepare()  # Somebody may have cleared the state directory away.
            staged = await self.on_thread(self._store.stage, folder)
        except OSError as error:
            raise ModelInvalid(
                f"it cannot be copied to the state directory: {error.strerror}",
                fix="free some space, or choose another directory with --state-dir",
                may_pass=True,
            ) from error
        verdict, key = await self._verdict(folder, setup, staged, model_file)
        samples_path = self._verdicts.samples_path(key)
        plan = VersionPlan(
            digest=staged.digest,
            path=str(staged.path / model_file),
            samples=str(samples_path) if samples_path.exists() else "",
            settings=setup.settings,
            is_batched=verdict.is_batched,
            batch_seconds=verdict.batch_seconds,
            features=checked_features(setup, verdict),
            checks=checked_checks(setup, verdict),
        )
        rules = checked_shadow(setup, verdict)
        left_out = checked_capture(setup, verdict)
        reference = await self.on_thread(
            find_reference, folder.path, verdict.signature, plan.features, staged.digest
        )
        if reference.profile is not None:
            own = {check.feature for check in plan.checks}
            policy = Policy(setup.settings.check_policy)
            more = checks_of_profile(reference.profile, policy, own)
            plan = replace(plan, checks=(*plan.checks, *more))
        return Accepted(plan, verdict, key, reference, rules, left_out, staged.signer)

    async def _verdict(
        self, folder: VersionFolder, setup: ModelSetup, staged: StagedVersion, model_file: str
    ) -> tuple[Verdict, str]:
        settings = setup.settings
        key = self._verdicts.key(
            staged.digest,
            staged.golden_digest,
            RUNTIME_VERSION,
            settings.threads,
            settings.max_rows,
            setup.may_batch,
            model_file,
        )
        golden = folder.path / GOLDEN_FILE if staged.golden_digest else None
        order = VerificationOrder(
            staged.path / model_file,
            golden,
            self._verdicts.samples_path(key),
            settings.threads,
            settings.max_rows,
            setup.may_batch,
        )
        async with self._checking.setdefault(key, asyncio.Lock()):
            verdict = await self.on_thread(self._verdicts.get, key)
            if verdict is None:
                verdict = await self._verifiers.verify(order)
                await self.on_thread(self._verdicts.put, key, verdict)
        return verdict, key

    async def keep_only(self, digests: set[str], verdict_keys: set[str]) -> None:
        """Remove copies and verdicts that nobody needs; nothing may be being checked."""
        self._checking.clear()
        await self.on_thread(self._store.remove_all_but, digests)
        await self.on_thread(self._verdicts.remove_all_but, verdict_keys)
