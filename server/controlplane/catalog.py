"""The models of the repository, kept in step with its files.

Decides when a version is looked at again, and keeps what was found: a plan for serving it, or the
reason why not. Wherever a new or changed version fails, what was served before stays.

Concurrency: state belongs to the event loop. At most one look at the repository goes on at a time,
and at most one check of a version.
Lifetime: `watch` is one task for the life of control.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import structlog
import watchfiles

from server.controlplane.intake import Intake
from server.controlplane.intents import Intents
from server.controlplane.known import KnownModel, KnownVersion
from server.errors import ModelInvalid
from server.repository.layout import ModelFolder, VersionFolder, scan, scan_model
from server.repository.model_settings import read_setup
from server.repository.staging import StillChanging
from server.settings import ModelSettings, Settings

log = structlog.get_logger()

_RETRY_SECONDS = 0.2

Guard = Callable[[KnownModel, str, str], Awaitable[str]]
"""Says why files of a digest may not take the place of what a version is now; nothing if they may.
"""


async def _anything_goes(_model: KnownModel, _version: str, _digest: str) -> str:
    return ""


class Catalog:
    """All known models."""

    def __init__(
        self, settings: Settings, intake: Intake, intents: Intents, on_change: Callable[[], None]
    ) -> None:
        self.models: dict[str, KnownModel] = {}
        self.problems: dict[str, str] = {}
        """Folders that look like models and are not."""
        self.repository_error = ""
        """Why the repository itself cannot be read, if it cannot."""
        self.loads: Counter[tuple[str, str]] = Counter()
        """Finished checks by model and outcome."""
        self.guard: Guard = _anything_goes
        self._settings = settings
        self._defaults = ModelSettings(
            **{name: getattr(settings, name) for name in ModelSettings.model_fields}
        )
        self._intake = intake
        self._intents = intents
        self._on_change = on_change
        self._looking = asyncio.Lock()
        self._checks: dict[tuple[str, str], asyncio.Task[None]] = {}

    async def watch(self) -> None:
        """Look at the repository whenever it may have changed, for ever."""
        if self._settings.watch == "off":
            return
        hints = asyncio.Event()
        watching = asyncio.create_task(self._hint_forever(hints))
        try:
            while True:
                try:
                    async with asyncio.timeout(self._settings.poll_seconds):
                        await hints.wait()
                except TimeoutError:
                    pass
                hints.clear()
                await self.refresh()
        finally:
            watching.cancel()

    async def _hint_forever(self, hints: asyncio.Event) -> None:
        """Turn file events into hints; where there are none (a network disk), polling is left."""
        if self._settings.watch == "poll":
            return
        while True:
            try:
                async for _ in watchfiles.awatch(
                    self._settings.repository, step=50, debounce=200, recursive=True
                ):
                    hints.set()
            except (OSError, RuntimeError):
                log.warning("watching_failed", falling_back_to="polling")
            await asyncio.sleep(self._settings.poll_seconds)

    async def refresh(self, only: str | None = None) -> None:
        """Look at the repository, or at one model, and start the checks that are due."""
        async with self._looking:
            try:
                listing = await self._intake.on_thread(scan, self._settings.repository)
                self.repository_error = ""
            except OSError as error:
                self.repository_error = f"the repository cannot be read: {error.strerror}"
                log.warning("repository_unreadable", error=error.strerror)
                return
            self.problems = dict(listing.problems)
            changed = False
            for name in self.models.keys() - listing.models.keys():
                if only in (None, name):
                    self._forget(name)
                    changed = True
            for name, folder in listing.models.items():
                if only in (None, name):
                    changed |= self._look_at(name, folder)
        if changed:
            self._on_change()

    def _forget(self, name: str) -> None:
        del self.models[name]
        for key in [key for key in self.loads if key[0] == name]:
            del self.loads[key]

    def _look_at(self, name: str, folder: ModelFolder) -> bool:
        """Take note of a model's folder; say whether anything is different."""
        model = self.models.get(name)
        changed = model is None
        if model is None:
            model = self.models[name] = KnownModel(name, folder)
        model.folder = folder
        model.is_unloaded = name in self._intents.unloaded
        if not folder.is_readable:
            return changed  # A disk that fails, or a folder on its way out: nothing is taken away.
        changed |= self._read_setup(model)
        for version in model.versions.keys() - folder.versions.keys():
            changed |= not model.versions[version].is_gone
            model.versions[version].is_gone = True
        for version, found in folder.versions.items():
            known = model.versions.get(version)
            if known is None:
                known = model.versions[version] = KnownVersion(found)
                changed = True
            known.folder, known.is_gone = found, False
            if known.checked != (found.fingerprint, model.setup_key) and not model.is_unloaded:
                self._start_check(model, version)
        return changed

    def _read_setup(self, model: KnownModel) -> bool:
        override = self._intents.overrides.get(model.name, {})
        key = (model.folder.settings_fingerprint, tuple(sorted(override.items())))
        if model.setup_key == key:
            return False
        model.setup_key = key
        try:
            model.setup = read_setup(model.folder.path, self._defaults, override)
            model.setup_error = model.setup_fix = ""
        except ModelInvalid as error:
            model.setup_error, model.setup_fix = str(error), error.fix
            log.warning("model_settings_invalid", model=model.name, error=str(error))
        return True

    def _start_check(self, model: KnownModel, version: str) -> None:
        key = (model.name, version)
        if key not in self._checks:
            model.versions[version].is_checking = True
            task = self._checks[key] = asyncio.create_task(self._check(model, version))
            task.add_done_callback(lambda _: self._checks.pop(key, None))

    def try_again(self, name: str) -> None:
        """Have the next look check what failed before: the cause may not lie in the files."""
        for known in self.models[name].versions.values():
            if known.error:
                known.checked = None

    async def mend(self) -> None:
        """Check again what could not be copied, and copy anew what is not there any more."""
        known_versions = [one for model in self.models.values() for one in model.versions.values()]
        files = {path for one in known_versions if one.plan for path in one.plan.files}
        missing = await self._intake.on_thread(_missing, files)
        for model in list(self.models.values()):
            for version, known in list(model.versions.items()):
                if model.is_unloaded or known.is_checking:
                    continue
                plan, was_gone = known.plan, known.is_copy_gone
                if plan is not None:
                    known.is_copy_gone = not missing.isdisjoint(plan.files)
                if known.is_copy_gone and not was_gone:
                    log.error("private_copy_gone", model=model.name, version=version)
                is_due = known.is_uncopied or (known.is_copy_gone and not was_gone)
                if is_due and not known.is_gone:
                    known.checked = None
                    self._start_check(model, version)

    async def checks_of(self, name: str) -> None:
        """Wait for the checks of a model that are going on."""
        tasks = [task for (model, _), task in self._checks.items() if model == name]
        if tasks:
            await asyncio.wait(tasks)

    @property
    def is_checking(self) -> bool:
        """Whether any version is being checked."""
        return bool(self._checks)

    async def all_checks(self) -> None:
        """Wait for every check that is going on."""
        if self._checks:
            await asyncio.wait(list(self._checks.values()))

    async def _check(self, model: KnownModel, version: str) -> None:
        """Check a version until what was checked is what lies there."""
        known = model.versions[version]
        try:
            while model.versions.get(version) is known and not known.is_gone:
                subject = (known.folder.fingerprint, model.setup_key)
                if known.checked == subject:
                    break
                try:
                    await self._check_once(model, version, known)
                except StillChanging:
                    await asyncio.sleep(_RETRY_SECONDS)
                    known.folder = await self._look_again(model, known.folder)
                    continue
                known.checked = subject
                known.folder = await self._look_again(model, known.folder)
        except Exception:  # Leave a trace and an answer, whatever goes wrong here.
            log.exception("check_failed", model=model.name, version=version)
            known.error, known.fix = "checking it failed", "see control's log"
            known.problem = ""
            known.checked = (known.folder.fingerprint, model.setup_key)
        finally:
            known.is_checking = False
            self._on_change()

    async def _check_once(self, model: KnownModel, version: str, known: KnownVersion) -> None:
        wait = self._intake.seconds_to_settle(known.folder)
        if wait > 0:
            await asyncio.sleep(wait)
            raise StillChanging
        if model.setup is None:
            known.error, known.fix = model.setup_error, model.setup_fix
            return
        try:
            accepted = await self._intake.accept(known.folder, model.setup)
            refusal = await self.guard(model, version, accepted.plan.digest)
            if refusal:
                raise ModelInvalid(refusal, fix="put the new files in the folder of a new version")
        except ModelInvalid as error:
            self._note_invalid(model, version, error)
            return
        known.error = known.fix = known.problem = ""
        known.is_uncopied = False
        if known.is_copy_gone:
            known.is_copy_gone = False
            model.failures.pop(version, None)  # A worker has not found it, and will now.
        known.plan, known.verdict = accepted.plan, accepted.verdict
        known.signer = accepted.signer
        known.verdict_key = accepted.verdict_key
        known.reference = accepted.reference
        known.shadow_rules, known.left_out = accepted.shadow_rules, accepted.left_out
        self.loads[model.name, "ok"] += 1
        for warning in [*accepted.verdict.warnings, *accepted.reference.warnings]:
            log.warning("version_warning", model=model.name, version=version, warning=warning)

    def _note_invalid(self, model: KnownModel, version: str, error: ModelInvalid) -> None:
        known = model.versions[version]
        is_news = known.error != str(error) or not known.is_uncopied
        known.error, known.fix, known.problem = str(error), error.fix, error.problem
        known.is_uncopied = error.may_pass
        if is_news:  # What cannot be copied is tried every few seconds.
            self.loads[model.name, "failed"] += 1
            log.warning(
                "version_invalid",
                model=model.name,
                version=version,
                error=str(error),
                fix=error.fix,
            )

    async def _look_again(self, model: KnownModel, folder: VersionFolder) -> VersionFolder:
        """Return a version's folder as it is now; as it was, if it is gone."""
        real_root = self._settings.repository.resolve()
        found = await self._intake.on_thread(scan_model, model.folder.path, real_root)
        return found.versions.get(folder.path.name, folder)

    def digests(self) -> set[str]:
        """Return the digests of all plans."""
        return {
            known.plan.digest
            for model in self.models.values()
            for known in model.versions.values()
            if known.plan is not None
        }

    def verdict_keys(self) -> set[str]:
        """Return the keys of all verdicts in use."""
        return {
            known.verdict_key for model in self.models.values() for known in model.versions.values()
        }


def _missing(paths: Iterable[str]) -> set[str]:
    """Return those of some paths at which there is no file."""
    return {path for path in paths if not Path(path).is_file()}
