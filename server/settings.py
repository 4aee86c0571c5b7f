"""Everything an operator can set: names, types, defaults and bounds, as one frozen value.

Decides what a setting may be. Does not know where values come from: `config.py` does. The command
line builds the value once; processes receive it whole, and code receives the part it needs through
its constructor.
"""

import base64
import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, field_validator

KIB, MIB = 1 << 10, 1 << 20
_HOST_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")


def _version_policy(value: str) -> str:
    parse_version_policy(value)
    return value


def parse_version_policy(value: str) -> tuple[str, tuple[int, ...]]:
    """Split a version policy into its kind and its numbers.

    `latest:2` keeps the two highest versions loaded, `all` every one, `specific:1,3` just those.
    """
    kind, _, numbers = value.partition(":")
    try:
        parsed = tuple(int(number) for number in numbers.split(",")) if numbers else ()
    except ValueError:
        parsed = (0,)
    good = {"latest": len(parsed) == 1, "all": not parsed, "specific": bool(parsed)}
    if not good.get(kind, False) or any(number < 1 for number in parsed):
        raise ValueError("must be 'latest:N', 'all' or 'specific:N,N,…' with versions from 1")
    return kind, parsed


def _webhook_url(value: SecretStr) -> SecretStr:
    url = value.get_secret_value()
    if url:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise ValueError("must be http://HOST/… or https://HOST/…, without a user name")
        if parts.port == 0 or not all("!" <= character <= "~" for character in url):
            raise ValueError("must have a port above 0 and printable ASCII characters only")
    return value


def _webhook_secret(value: SecretStr) -> SecretStr:
    prefix, encoded = value.get_secret_value()[:6], value.get_secret_value()[6:]
    if prefix == "whsec_":
        try:
            base64.b64decode(encoded, validate=True)
        except ValueError:
            raise ValueError("must be base64 after whsec_") from None
    return value


def _host_names(value: str) -> str:
    if not all(_HOST_NAME.fullmatch(name) for name in value.split(",") if value):
        raise ValueError("must be names of hosts with commas between, without scheme and port")
    return value


VersionPolicy = Annotated[str, AfterValidator(_version_policy)]
Execution = Literal["auto", "inline", "thread"]
NonFinite = Literal["error", "token"]
CheckPolicy = Literal["count", "warn", "reject"]
ReleaseMode = Literal["latest", "manual", "automatic"]


class _Frozen(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        validate_default=True,
        defer_build=True,  # Most processes are given what was checked, and need no validator.
    )

    @field_validator("*", mode="before")
    @classmethod
    def _not_bool(cls, value: object) -> object:
        """Refuse true and false, which would count as 1 and 0 where a number is due."""
        if isinstance(value, bool):
            raise ValueError("no setting is true or false")
        return value


class ModelSettings(_Frozen):
    """How one model is served. Defaults for all models; `model.toml` sets them for one."""

    max_rows: int = Field(128, ge=1, le=65536)
    """Rows in one batch at most."""
    max_delay_ms: float = Field(0.0, ge=0, le=10_000)
    """How long the first request of a batch may wait for company; 0 never waits."""
    queue_rows: int = Field(8192, ge=1)
    """Rows that may wait per worker; beyond it, requests get 503."""
    max_queue_ms: float = Field(250.0, gt=0, le=60_000)
    """How long requests may wait in the queue, foreseen from the model's speed; beyond it, 503."""
    max_request_rows: int = Field(4096, ge=1)
    """Rows in one request at most; requests above max_rows are run in several batches."""
    threads: int = Field(1, ge=1, le=256)
    """ONNX Runtime threads for one run."""
    instances: int = Field(1, ge=1, le=64)
    """Runs that may go on at once in each worker, when the model runs on threads."""
    execution: Execution = "auto"
    """Where the model runs: inline on the event loop, on a thread, or as its run time tells."""
    hang_kill_seconds: float = Field(20.0, gt=0, le=3600)
    """How long a run may take, or ten times the usual if that is more; then it is broken off."""
    non_finite: NonFinite = "error"
    """NaN or infinity in a JSON answer: an error, or the bare tokens NaN and Infinity."""
    check_policy: CheckPolicy = "count"
    """What a value does that breaks a check: is only counted, adds a warning, refuses."""
    version_policy: VersionPolicy = "latest:1"
    """Which versions stay loaded: latest:N, all, or specific:N,N."""
    release: ReleaseMode = "latest"
    """Who lets a new version answer: the version policy, an operator, or gates on live traffic."""
    keep_previous_seconds: float = Field(86_400.0, ge=0)
    """How long what was live before stays loaded, to be rolled back to."""
    feedback_sample_bp: int = Field(10_000, ge=0, le=10_000)
    """Share of the answers that are kept for their labels, in basis points; 0 keeps none."""
    capture_bp: int = Field(0, ge=0, le=10_000)
    """Share of the batches whose rows are written to Parquet files, in basis points."""


class Settings(ModelSettings):
    """Every setting of the gateway."""

    repository: Path = Path("models")
    """The model repository: models/<name>/<version>/model.onnx."""
    host: str = "127.0.0.1"
    """Address of the data port."""
    port: int = Field(8000, ge=0, le=65535)
    """Data port: predictions, health, metadata. 0 takes a free one."""
    control_host: str = "127.0.0.1"
    """Address of the control port."""
    control_port: int = Field(8001, ge=0, le=65535)
    """Control port: repository, statistics, metrics. 0 takes a free one."""
    workers: int = Field(0, ge=0, le=256)
    """Worker processes; 0 takes the number of cores this process may use."""
    state_dir: Path = Path(".tidegate")
    """Where staged model files and the last desired state are kept."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe log lines to write."""
    log_format: Literal["auto", "text", "json"] = "auto"
    """Log lines as text or JSON; auto writes text to a terminal and JSON elsewhere."""

    max_connections: int = Field(1000, ge=1)
    """Connections per worker; beyond it, new ones get 503, except for health, and are closed."""
    max_connections_per_address: int = Field(0, ge=0)
    """Connections per worker from one client address; 0 sets no limit but the one of all."""
    quota_requests_per_second: float = Field(0.0, ge=0)
    """Inferences a second that one caller may ask of a worker; beyond it, 429. 0 sets no limit."""
    quota_burst: int = Field(100, ge=1)
    """Inferences that a caller may ask at once, when it has asked for fewer before."""
    max_header_bytes: int = Field(32 * KIB, ge=1 * KIB)
    """Bytes of request line and header fields; beyond it, 431."""
    max_headers: int = Field(100, ge=8)
    """Header fields of a request; beyond it, 431."""
    max_url_bytes: int = Field(8 * KIB, ge=256)
    """Bytes of the request target; beyond it, 414."""
    header_timeout_seconds: float = Field(10.0, gt=0)
    """Time for a request's headers to arrive; beyond it, 408."""
    body_timeout_seconds: float = Field(30.0, gt=0)
    """Time for a request's body to arrive; beyond it, 408."""
    write_timeout_seconds: float = Field(30.0, gt=0)
    """Time in which a client must read something of its answer; beyond it, it is cut off."""
    keep_alive_seconds: float = Field(75.0, gt=0)
    """Time that an idle connection stays open; keep it above the proxy's."""
    max_json_bytes: int = Field(4 * MIB, ge=1 * KIB)
    """Bytes of JSON in a request; beyond it, 413."""
    max_body_bytes: int = Field(64 * MIB, ge=1 * KIB)
    """Bytes of a request body, also when decompressed; beyond it, 413."""
    max_output_bytes: int = Field(64 * MIB, ge=1 * KIB)
    """Bytes of the tensors of one answer; beyond it, 500."""
    max_in_flight_bytes: int = Field(256 * MIB, ge=1 * MIB)
    """Request bytes that a worker may hold at once; beyond it, 503."""
    compress_min_bytes: int = Field(64 * KIB, ge=0)
    """Inference answers from this size are compressed for clients that accept it."""
    request_timeout_ms: int = Field(5_000, ge=1)
    """How long an answer may take when its caller sets no limit; beyond it, 504."""
    max_request_timeout_ms: int = Field(60_000, ge=1)
    """The longest time for an answer that a caller may ask for."""

    watch: Literal["auto", "poll", "off"] = "auto"
    """How changes of the repository are noticed: file events and polling, polling, or not."""
    poll_seconds: float = Field(5.0, gt=0)
    """Time between two looks at the repository."""
    settle_seconds: float = Field(0.5, ge=0)
    """A version is read when nothing in it has changed for this long."""
    verify_timeout_seconds: float = Field(300.0, gt=0)
    """Time to open, run and check a new version before it counts as broken."""
    load_timeout_seconds: float = Field(120.0, gt=0)
    """How long a load call waits for the result."""
    signatures: Literal["off", "require"] = "off"
    """Whether a version has to be signed by somebody in signers_file before it is opened."""
    signers_file: str = ""
    """A TOML file of who may sign models: public keys, or identities of Sigstore."""

    drain_delay_seconds: float = Field(0.0, ge=0)
    """After SIGTERM: time to go on accepting while not ready. In Kubernetes 5 unless set."""
    drain_timeout_seconds: float = Field(25.0, ge=0)
    """After that: time to finish requests before they are cut off."""
    worker_memory_bytes: int = Field(0, ge=0)
    """Memory that a worker may take; beyond it, another one takes its place. 0 sets no limit."""
    stuck_seconds: float = Field(30.0, gt=0)
    """A process whose event loop does not turn for this long is killed and replaced."""
    max_version_faults: int = Field(3, ge=0)
    """A version that crashes or hangs this often within two minutes is taken out; 0: never."""
    river_max_row_bytes: int = Field(16 * KIB, ge=0)
    """Bytes of a row's inputs or outputs that monitoring gets whole; of more, summaries."""

    monitor: Literal["on", "off"] = "on"
    """Whether rows are counted and held to their reference."""
    monitor_window_rows: int = Field(100, ge=10, le=1_000_000)
    """Rows after which a version's counts are judged."""
    monitor_window_seconds: float = Field(10.0, ge=0.1, le=3600)
    """Time between two such judgements at least; at most six times that."""
    monitor_false_alarms_per_month: float = Field(1.0, gt=0, le=1000)
    """False alarms that one version may raise, over all features and windows."""
    monitor_self_reference_rows: int = Field(5000, ge=500, le=1_000_000)
    """Rows from which a version without a profile learns what is usual."""
    monitor_flush_seconds: float = Field(10.0, gt=0, le=3600)
    """Time between two writes of counts to the store: what a crash loses at most."""
    monitor_bin_metrics: Literal["on", "off"] = "off"
    """Whether /metrics has the counts of every bin too, for Prometheus to judge and to draw."""

    shadow_memory_bytes: int = Field(1024 * MIB, ge=64 * MIB)
    """Memory that candidates may take, all together; beyond it, their process is replaced."""
    shadow_cpu_cores: float = Field(1.0, gt=0)
    """Processor time that candidates may take, in cores; beyond it, fewer batches are mirrored."""

    feedback_max_rows: int = Field(5_000_000, ge=1_000, le=1_000_000_000)
    """Answered rows that are kept for their labels, of all models together."""
    feedback_days: float = Field(7.0, gt=0, le=90)
    """Days for which they are kept; of more rows than may be kept, the oldest go earlier."""

    capture_dir: Path = Path("capture")
    """Where captured rows are written; a path that is not absolute is below the state directory."""
    capture_max_bytes: int = Field(1024 * MIB, ge=16 * MIB)
    """Bytes of captured rows; beyond it, the oldest files are removed."""

    keys_file: Path = Path("keys.json")
    """The file of API keys; a path that is not absolute is below the state directory."""
    insecure: Literal["on", "off"] = "off"
    """Whether hosts that others can reach may be bound without anything that checks callers."""
    control_allowed_hosts: Annotated[str, AfterValidator(_host_names)] = ""
    """Names, with commas between, by which the control port may be called while it has no keys."""
    tls_cert: str = ""
    """A PEM file with the certificate of both ports and its chain; empty: plain HTTP."""
    tls_key: str = ""
    """A PEM file with its private key, without passphrase."""
    tls_client_ca: str = ""
    """A PEM file with the authorities of client certificates; empty: none are asked for."""

    jwt_issuer: str = ""
    """Issuer of tokens (JWT) that callers may show instead of keys; empty: none may."""
    jwt_audience: str = ""
    """The audience that such a token has to name."""
    jwt_keys_file: str = ""
    """A file with the issuer's public keys, a JWKS."""
    jwt_keys_url: str = ""
    """Where control fetches them, https://; they are kept in the state directory."""
    jwt_roles_claim: str = "roles"
    """The claim with the roles: predict, predict:MODEL, read-metrics, operate."""

    webhook_url: Annotated[SecretStr, AfterValidator(_webhook_url)] = SecretStr("")
    """Where events of alerts are posted, http:// or https://; empty posts nothing."""
    webhook_secret: Annotated[SecretStr, AfterValidator(_webhook_secret)] = SecretStr("")
    """What these posts are signed with; whsec_ and base64, or any text. Empty signs nothing."""
    webhook_allow_private: Literal["on", "off"] = "off"
    """Whether the name in webhook_url may lead to an address that is not the internet's."""

    @property
    def speaks_tls(self) -> bool:
        """Whether both ports speak TLS, and nothing else."""
        return bool(self.tls_cert or self.tls_key)

    @property
    def allowed_hosts(self) -> frozenset[str]:
        """Names by which the control port may be called, beside those that are clear."""
        return frozenset(filter(None, self.control_allowed_hosts.lower().split(",")))

    @property
    def signers_path(self) -> Path | None:
        """Where those are who may sign models; None where versions need not be signed."""
        return Path(self.signers_file) if self.signatures == "require" else None

    @property
    def keys_path(self) -> Path:
        """Where the file of API keys is."""
        return self.state_dir / self.keys_file

    @property
    def jwt_keys_path(self) -> Path:
        """Where the issuer's keys are: named by a setting, or fetched by control."""
        return Path(self.jwt_keys_file) if self.jwt_keys_file else self.state_dir / "jwks.json"

    @field_validator("repository", "state_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()


SECRETS = tuple(
    name for name, field in Settings.model_fields.items() if field.annotation is SecretStr
)
"""Settings that are never shown: not in errors, logs or dumps."""
