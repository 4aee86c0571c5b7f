"""Which version answers which path: an immutable table, swapped whole.

Decides from a model's name and version, and from what the headers ask, who answers, or which error
does. Does not know HTTP beyond the bytes of a path.

Concurrency: a table never changes. The loader assigns a new one to `Routes.table`; a request
reads it once and so sees one state of the world from start to end.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from server.dataplane.batch_columns import KEYED, PINNED, SPLIT
from server.dataplane.served import ServedVersion
from server.dataplane.targets import Split, Target
from server.errors import (
    InvalidRequest,
    ModelLoading,
    ModelNotFound,
    ModelUnavailable,
    TidegateError,
    VersionNotFound,
)
from server.protocol.http_answer import origin_headers
from server.protocol.request_headers import InferHeaders
from server.release.route import Canary


@dataclass(frozen=True, slots=True)
class ModelRoute:
    """One model: who answers for it, and what else is known of it."""

    live: str | None
    """The version that answers when none is named; None while there is none."""
    versions: Mapping[str, ServedVersion]
    """Loaded versions."""
    pending: Mapping[str, bool] = field(default_factory=dict)
    """Known versions that are not loaded; whether they are on their way (else they failed)."""
    generation: int = 0
    """Of the release state that this carries out."""
    canary: Canary | None = None
    """Who takes a share of the requests that name no version, if it is loaded."""
    named: Mapping[str, Target] = field(init=False)
    """Who answers a request that names a version."""
    unnamed: Target | None = field(init=False)
    """Who answers a request that names none."""

    def __post_init__(self) -> None:
        named = {
            version: Target(served, self._origin(version), PINNED)
            for version, served in self.versions.items()
        }
        object.__setattr__(self, "named", named)
        object.__setattr__(self, "unnamed", self._unnamed())

    def _origin(self, version: str) -> list[tuple[bytes, bytes]]:
        return origin_headers(version, self.generation)

    def _unnamed(self) -> Target | None:
        if self.live is None:
            return None
        live, origin = self.versions[self.live], self._origin(self.live)
        canary = self.canary
        if canary is None or canary.version == self.live or canary.version not in self.versions:
            return Target(live, origin)
        arms = self._arm(self.live), self._arm(canary.version)
        return Target(live, origin, split=Split(*arms, canary.weight_bp, canary.salt.encode()))

    def _arm(self, version: str) -> Target:
        served, origin = self.versions[version], self._origin(version)
        keyed = Target(served, origin, SPLIT | KEYED)
        return Target(served, origin, SPLIT, keyed=keyed)


@dataclass(frozen=True, slots=True)
class RouteTable:
    """All models of this worker."""

    models: Mapping[str, ModelRoute]
    hot: Mapping[bytes, Target] = field(init=False)
    """Who is behind each path of an inference, as the path stands in a request."""

    def __post_init__(self) -> None:
        hot: dict[bytes, Target] = {}
        for name, route in self.models.items():
            for version, target in route.named.items():
                hot[f"/v2/models/{name}/versions/{version}/infer".encode()] = target
            if route.unnamed is not None:
                hot[f"/v2/models/{name}/infer".encode()] = route.unnamed
        object.__setattr__(self, "hot", MappingProxyType(hot))

    def choose(
        self, model: str, version: str | None, headers: InferHeaders, draw_bp: int
    ) -> Target:
        """Return who answers a request to a model, or to one version of it.

        `draw_bp` is a number below 10,000, drawn for this request: it decides between the live
        version and a canary when there is no routing key to decide.

        Raises:
            InvalidRequest: path and header name two versions.
            TidegateError: nobody answers, as `find` says.

        """
        pinned = headers.model_version
        if version is not None and pinned is not None and pinned != version:
            raise InvalidRequest(
                f"the path names version '{version[:32]}' and X-Model-Version '{pinned[:32]}'; "
                "leave one of them out"
            )
        target = self.find(model, version if pinned is None else pinned)
        if target.split is None:
            return target
        arm = target.split.arm(headers.routing_key, draw_bp)
        return arm.keyed or arm if headers.routing_key is not None else arm

    def find(self, model: str, version: str | None) -> Target:
        """Return who is responsible for a model, or for one version of it.

        Raises:
            ModelNotFound, VersionNotFound: nobody goes by that name.
            ModelLoading: it is on its way.
            ModelUnavailable: it could not be loaded, or was taken out.

        """
        route = self.models.get(model)
        if route is None:
            raise ModelNotFound(f"model '{model[:128]}' is not found")
        target = route.unnamed if version is None else route.named.get(version)
        if target is None:
            raise _reason(model, version, route)
        return target


def _reason(model: str, version: str | None, route: ModelRoute) -> TidegateError:
    """Return why nobody answers."""
    loading: bool | None
    if version is None:
        loading = bool(route.versions) or any(route.pending.values())
    else:
        loading = route.pending.get(version)
    if loading is None:
        return VersionNotFound(f"model '{model}' has no version '{str(version)[:32]}'")
    subject = f"model '{model}'" + (f" version {version}" if version else "")
    if loading:
        return ModelLoading(f"{subject} is loading")
    return ModelUnavailable(f"{subject} cannot be served; the control port says why")


class Routes:
    """The place of the current table."""

    def __init__(self) -> None:
        self.table = RouteTable({})
