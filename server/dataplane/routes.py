"""Which version answers which path: an immutable table, swapped whole.

Decides from a model's name and version who answers, or which error does. Does not know HTTP
beyond the bytes of a path.

Concurrency: a table never changes. The loader assigns a new one to `Routes.table`; a request
reads it once and so sees one state of the world from start to end.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from server.dataplane.served import ServedVersion
from server.errors import ModelLoading, ModelNotFound, ModelUnavailable, VersionNotFound


@dataclass(frozen=True, slots=True)
class ModelRoute:
    """One model: who answers for it, and what else is known of it."""

    live: str | None
    """The version that answers when none is named; None while there is none."""
    versions: Mapping[str, ServedVersion]
    """Loaded versions."""
    pending: Mapping[str, bool] = field(default_factory=dict)
    """Known versions that are not loaded; whether they are on their way (else they failed)."""


@dataclass(frozen=True, slots=True)
class RouteTable:
    """All models of this worker."""

    models: Mapping[str, ModelRoute]
    hot: Mapping[bytes, ServedVersion] = field(init=False)
    """The version behind each path of an inference, as the path stands in a request."""

    def __post_init__(self) -> None:
        hot: dict[bytes, ServedVersion] = {}
        for name, route in self.models.items():
            for version, served in route.versions.items():
                hot[f"/v2/models/{name}/versions/{version}/infer".encode()] = served
            if route.live is not None:
                hot[f"/v2/models/{name}/infer".encode()] = route.versions[route.live]
        object.__setattr__(self, "hot", MappingProxyType(hot))

    def find(self, model: str, version: str | None) -> ServedVersion:
        """Return who answers for a model, or for one version of it.

        Raises:
            ModelNotFound, VersionNotFound: nobody goes by that name.
            ModelLoading: it is on its way.
            ModelUnavailable: it could not be loaded.

        """
        route = self.models.get(model)
        if route is None:
            raise ModelNotFound(f"model '{model[:128]}' is not found")
        wanted = route.live if version is None else version
        if wanted is not None and wanted in route.versions:
            return route.versions[wanted]
        loading: bool | None
        if version is None:
            loading = bool(route.versions) or any(route.pending.values())
        else:
            loading = route.pending.get(version)
        if loading is None:
            raise VersionNotFound(f"model '{model}' has no version '{str(version)[:32]}'")
        subject = f"model '{model}'" + (f" version {version}" if version else "")
        if loading:
            raise ModelLoading(f"{subject} is loading")
        raise ModelUnavailable(f"{subject} could not be loaded; the control port says why")


class Routes:
    """The place of the current table."""

    def __init__(self) -> None:
        self.table = RouteTable({})
