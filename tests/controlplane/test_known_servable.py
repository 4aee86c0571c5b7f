"""Which versions may be served when workers could not load them."""

from pathlib import Path

from server.controlplane.known import KnownModel, KnownVersion
from server.repository.layout import ModelFolder, VersionFolder
from server.repository.model_settings import ModelSetup
from server.repository.policy import Route
from server.settings import ModelSettings
from server.wire.desired import VersionPlan
from server.wire.status import Failure

BAD = {"2": Failure("b", "no memory", "")}


def known_model(live: str) -> KnownModel:
    """Return a model with versions 1 and 2, of digests a and b, that were both checked."""
    model = KnownModel("m", ModelFolder(Path("m"), {}, ()), setup=ModelSetup(ModelSettings()))
    for version, digest in (("1", "a"), ("2", "b")):
        plan = VersionPlan(digest, "", "", ModelSettings(), is_batched=True, batch_seconds=0.0)
        model.versions[version] = KnownVersion(VersionFolder(Path(version), (), ()), plan=plan)
    model.route = Route(live, frozenset({"1", "2"}))
    return model


def test_a_version_that_a_worker_could_not_load_is_not_served() -> None:
    """One worker without a version is enough to keep it from going live."""
    assert known_model(live="1").servable(BAD, {"1", "2"}) == {"1": "a"}


def test_other_files_than_those_that_failed_may_be_served() -> None:
    """A failure belongs to the files that it was about; new ones get their chance."""
    old = {"2": Failure("old", "no memory", "")}

    assert known_model(live="1").servable(old, {"1"}) == {"1": "a", "2": "b"}


def test_a_live_version_stays_while_any_worker_answers_with_it() -> None:
    """What answers on some workers is not taken from them; what answers nowhere gives way."""
    model = known_model(live="2")

    assert model.servable(BAD, {"1", "2"}) == {"1": "a", "2": "b"}
    assert model.servable(BAD, {"1"}) == {"1": "a"}
