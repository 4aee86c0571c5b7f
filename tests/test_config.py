"""Settings: where each comes from, what each may be, and that all problems are told at once."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from server.config import NOT_SETTINGS, line_of, load_settings
from server.errors import ConfigError
from server.settings import SECRETS, Settings, parse_version_policy

# For each setting another value than its default, as text, and what it becomes.
EXAMPLES: dict[str, tuple[str, Any]] = {
    "repository": ("/srv/models", Path("/srv/models")),
    "host": ("0.0.0.0", "0.0.0.0"),
    "port": ("9000", 9000),
    "control_host": ("::1", "::1"),
    "control_port": ("0", 0),
    "control_allowed_hosts": ("a.example,b.example", "a.example,b.example"),
    "workers": ("3", 3),
    "state_dir": ("/var/lib/tidegate", Path("/var/lib/tidegate")),
    "log_level": ("debug", "debug"),
    "log_format": ("json", "json"),
    "max_rows": ("64", 64),
    "max_delay_ms": ("1.5", 1.5),
    "execution": ("thread", "thread"),
    "non_finite": ("token", "token"),
    "check_policy": ("warn", "warn"),
    "version_policy": ("specific:1,3", "specific:1,3"),
    "release": ("manual", "manual"),
    "watch": ("off", "off"),
    "signatures": ("require", "require"),
    "signers_file": ("/etc/tidegate/signers.toml", "/etc/tidegate/signers.toml"),
    "feedback_sample_bp": ("500", 500),
    "capture_dir": ("/data/rows", Path("/data/rows")),
    "keys_file": ("/run/secrets/keys.json", Path("/run/secrets/keys.json")),
    "insecure": ("on", "on"),
    "tls_cert": ("/run/secrets/tls.crt", "/run/secrets/tls.crt"),
    "tls_key": ("/run/secrets/tls.key", "/run/secrets/tls.key"),
    "tls_client_ca": ("/run/secrets/ca.crt", "/run/secrets/ca.crt"),
    "jwt_issuer": ("https://login.example", "https://login.example"),
    "jwt_audience": ("tidegate", "tidegate"),
    "jwt_keys_file": ("/run/jwks.json", "/run/jwks.json"),
    "jwt_keys_url": ("https://login.example/jwks", "https://login.example/jwks"),
    "jwt_roles_claim": ("groups", "groups"),
    "monitor": ("off", "off"),
    "monitor_bin_metrics": ("on", "on"),
    "webhook_url": ("https://hooks.example/t0ken", SecretStr("https://hooks.example/t0ken")),
    "webhook_allow_private": ("on", "on"),
    "webhook_secret": ("whsec_aGVsbG8=", SecretStr("whsec_aGVsbG8=")),
}


def example(name: str) -> tuple[str, Any]:
    """Return a text for a setting and its value; for numbers, one more than the default."""
    value = Settings.model_fields[name].default
    return EXAMPLES.get(name) or (str(value + 1), value + 1)


def load(
    *, environment: dict[str, str] | None = None, file: Path | None = None, **flags: Any
) -> tuple[Settings, dict[str, str]]:
    """Load with the given sources only."""
    return load_settings(flags, environment or {}, file)


def problems(**sources: Any) -> list[str]:
    """Return the problems of sources that are wrong."""
    with pytest.raises(ConfigError) as caught:
        load(**sources)
    return caught.value.problems


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run where no tidegate.toml lies."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Name the file of settings, which is not there yet."""
    return tmp_path / "settings.toml"


def test_without_any_source_everything_has_its_default() -> None:
    """Loopback, the known ports, and the origin says that nobody chose it."""
    settings, origins = load()

    assert (settings.host, settings.port, settings.control_port) == ("127.0.0.1", 8000, 8001)
    assert settings.repository == Path.cwd() / "models"
    assert origins == dict.fromkeys(Settings.model_fields, "default")


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_a_flag_a_variable_and_a_key(name: str, file: Path) -> None:
    """All three lead to the same value, and are named as its origin."""
    text, value = example(name)
    flag = "REPOSITORY" if name == "repository" else "--" + name.replace("_", "-")
    variable = f"TIDEGATE_{name.upper()}"
    quoted = f'"{text}"' if isinstance(value, str | Path | SecretStr) else text
    file.write_text(f"# a comment\n{name} = {quoted}\n")

    for sources, origin in (
        ({name: text}, flag),
        ({"environment": {variable: text}}, variable),
        ({"file": file}, f"{file}:2"),
    ):
        settings, origins = load(**sources)
        assert getattr(settings, name) == value != getattr(load()[0], name)
        assert origins[name] == origin
        assert {where for key, where in origins.items() if key != name} == {"default"}


def test_a_flag_wins_over_a_variable_and_a_variable_over_a_key(file: Path) -> None:
    """Setting by setting, not source by source."""
    file.write_text("port = 1\nworkers = 1\nmax_rows = 1\n")
    environment = {"TIDEGATE_PORT": "2", "TIDEGATE_WORKERS": "2"}

    settings, origins = load(port="3", environment=environment, file=file)

    assert (settings.port, settings.workers, settings.max_rows) == (3, 2, 1)
    assert (origins["port"], origins["workers"]) == ("--port", "TIDEGATE_WORKERS")
    assert origins["max_rows"] == f"{file}:3"


def test_a_file_in_the_working_folder_is_read_unless_another_is_named(file: Path) -> None:
    """Its name is tidegate.toml."""
    Path("tidegate.toml").write_text("port = 1\n")
    file.write_text("workers = 2\n")

    assert load()[0].port == 1
    assert load()[1]["port"] == "tidegate.toml:1"
    assert load(file=file)[0].port == 8000


def test_all_problems_are_told_at_once_with_their_origins(file: Path) -> None:
    """One run shows everything that is wrong, in files, variables and flags."""
    file.write_text('# settings\nhots = "a"\n\nmax_rows = 0\nwatch = "always"\n')
    environment = {"TIDEGATE_WORKER": "2", "TIDEGATE_STUCK_SECONDS": "soon", "HOME": "/somewhere"}

    assert problems(port="70000", execution="gpu", environment=environment, file=file) == [
        f"{file}:2: unknown setting; did you mean host?",
        "TIDEGATE_WORKER: unknown setting; did you mean workers?",
        f"{file}:4: input should be greater than or equal to 1, got '0'",
        "--execution: input should be 'auto', 'inline' or 'thread', got 'gpu'",
        "--port: input should be less than or equal to 65535, got '70000'",
        f"{file}:5: input should be 'auto', 'poll' or 'off', got 'always'",
        "TIDEGATE_STUCK_SECONDS: input should be a valid number, unable to parse string as a "
        "number, got 'soon'",
    ]


def test_an_unknown_setting_alone_is_a_problem() -> None:
    """A mistyped name would otherwise be a default that nobody expects."""
    assert problems(environment={"TIDEGATE_PROT": "1"}) == [
        "TIDEGATE_PROT: unknown setting; did you mean port?"
    ]
    assert problems(zzz="1") == ["--zzz: unknown setting"]


@pytest.mark.parametrize("name", sorted(NOT_SETTINGS))
def test_variables_that_say_where_to_look_are_no_settings(name: str) -> None:
    """They bear the prefix, and the command line reads them."""
    assert load(environment={name: "anything"})[0] == load()[0]


BOUNDS = [
    (name, constraint)
    for name, field in Settings.model_fields.items()
    for constraint in field.metadata
    if any(hasattr(constraint, bound) for bound in ("ge", "gt", "le"))
]


@pytest.mark.parametrize(("name", "constraint"), BOUNDS, ids=str)
def test_every_bound_is_kept(name: str, constraint: Any) -> None:
    """The bound itself is taken where it is part of the range; a step beyond it is not."""
    if hasattr(constraint, "le"):
        good, wrong, text = constraint.le, constraint.le + 1, "less than or equal to"
    elif hasattr(constraint, "ge"):
        good, wrong, text = constraint.ge, constraint.ge - 1, "greater than or equal to"
    else:
        good, wrong, text = constraint.gt + 0.001, constraint.gt, "greater than"

    flags: dict[str, Any] = {name: str(good)}
    assert getattr(load(**flags)[0], name) == good
    (problem,) = problems(**{name: str(wrong)})
    assert problem.startswith(f"--{name.replace('_', '-')}: input should be {text}")


NUMBERS = [
    name
    for name, field in Settings.model_fields.items()
    if field.annotation in (int, float) and name not in ("port", "control_port")
]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", ["", "abc", "nan", "inf", "-1", "1e400", True, None, [1], {}])
def test_what_is_no_number_in_range_is_no_setting(name: str, value: object) -> None:
    """Also not true, NaN and infinity, which Python would take for numbers."""
    (problem,) = problems(**{name: value})

    assert problem.startswith(f"--{name.replace('_', '-')}: ")
    assert f"got {str(value)!r}" in problem


def test_a_boolean_in_a_file_is_not_a_number(file: Path) -> None:
    """A true would be port 1."""
    file.write_text("port = true\n")

    assert problems(file=file) == [f"{file}:1: no setting is true or false, got 'True'"]


def test_a_long_value_is_shortened_in_the_text() -> None:
    """A file pasted into a variable does not flood the terminal."""
    (problem,) = problems(environment={"TIDEGATE_PORT": "x" * 5000})

    assert len(problem) < 250


WRONG_POLICIES = ["", "latest", "latest:", "latest:0", "latest:-1", "latest:1,2", "latest:x"]
WRONG_POLICIES += ["latest:1.5", "all:1", "specific", "specific:", "specific:0", "specific:1,,2"]
WRONG_POLICIES += ["specific:1,x", "newest", "LATEST:1", "latest:" + "9" * 5000]


@pytest.mark.parametrize("policy", WRONG_POLICIES, ids=lambda policy: policy[:20])
def test_another_version_policy_is_refused(policy: str) -> None:
    """The text tells the three forms."""
    expected = "must be 'latest:N', 'all' or 'specific:N,N,…' with versions from 1"
    with pytest.raises(ValueError, match="must be 'latest:N'"):
        parse_version_policy(policy)

    (problem,) = problems(version_policy=policy)
    assert problem == f"--version-policy: {expected}, got {policy[:80]!r}"


def test_in_kubernetes_the_drain_waits_unless_somebody_says_otherwise() -> None:
    """Endpoints are removed while SIGTERM is on its way."""
    kubernetes = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}

    settings, origins = load(environment=kubernetes)
    assert settings.drain_delay_seconds == 5.0
    assert origins["drain_delay_seconds"] == "default in Kubernetes"

    settings, origins = load(drain_delay_seconds="0", environment=kubernetes)
    assert settings.drain_delay_seconds == 0.0
    assert origins["drain_delay_seconds"] == "--drain-delay-seconds"
    assert load()[0].drain_delay_seconds == 0.0


def test_paths_are_absolute_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that changes its folder still finds them; ~ is the home."""
    monkeypatch.setenv("HOME", "/somewhere")

    settings, _ = load(repository="models", state_dir="~/state")
    assert settings.repository == Path.cwd() / "models"
    assert settings.state_dir == Path("/somewhere/state")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"port = \n", "Invalid value (at line 1, column 8)"),
        (b"port = 1\nport = 2\n", "Cannot overwrite a value (at line 2"),
        (b"port = " + b"9" * 5000, "Exceeds the limit"),
        (b"port = " + b"[" * 5000, ""),
        (b'host = "\xff"\n', "cannot be read: UnicodeDecodeError"),
        (None, "cannot be read: FileNotFoundError"),
    ],
    ids=["no value", "twice", "long number", "deep", "not UTF-8", "missing"],
)
def test_a_file_that_cannot_be_read_is_a_problem(
    file: Path, content: bytes | None, text: str
) -> None:
    """It names the file and, where it can, the line; other sources are still checked."""
    if content is not None:
        file.write_bytes(content)

    found = problems(file=file, port="x")
    assert len(found) == 2
    assert found[0].startswith(f"{file}: ")
    assert text in found[0]
    assert found[1].startswith("--port: ")


def test_a_table_is_not_a_setting(file: Path) -> None:
    """Keys stand at the top; a table of them is named with its line."""
    file.write_text("workers = 1\n[server]\nport = 1\n")

    assert problems(file=file)[0].startswith(f"{file}:2: unknown setting")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("port = 1", 1),
        ("\n# port = 2\n  port=1", 3),
        ('"port" = 1', 1),
        ("a = 1\n'port' = 1", 2),
        ("ports = 1\nport = 2", 2),
        ("a = 1\n[port]\nx = 1", 2),
        ("a = 1\n[port.inner]\nx = 1", 2),
        ("a = 1\nport.inner = 1", 2),
        ("[[port]]", 1),
        ("a = 1", 1),
        ("", 1),
    ],
)
def test_the_line_of_a_key_is_found(text: str, line: int) -> None:
    """For every way in which TOML sets a key at the top."""
    assert line_of(text, "port") == line


@pytest.mark.parametrize(
    "url",
    [
        "http://receiver",
        "https://hooks.example:8443/a/b?token=x%20y",
        "http://127.0.0.1:9/",
        "http://[::1]:9/",
    ],
)
def test_a_webhook_is_an_address_of_http(url: str) -> None:
    """With or without TLS, port, path and query."""
    assert load(webhook_url=url)[0].webhook_url.get_secret_value() == url


@pytest.mark.parametrize(
    "url",
    [
        "hooks.example/a",
        "ftp://hooks.example",
        "http://",
        "http:///path",
        "http://user:word@host/",
        "http://host:0/",
        "http://host:99999/",
        "http://host:port/",
        "http://[::1/",
        "http://host/a b",
        "http://host/\r\nx: y",
        "http://höst/",
    ],
)
def test_another_webhook_is_refused(url: str) -> None:
    """What cannot be posted to, or could break a request, is found at the start."""
    (problem,) = problems(webhook_url=url)

    assert problem.startswith("--webhook-url: ")


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_never_shown(name: str) -> None:
    """Not where it is wrong, and not where settings are printed or dumped."""
    wrong = {"webhook_url": "ftp://t0ken", "webhook_secret": "whsec_t0ken"}[name]
    (problem,) = problems(**{name: wrong})
    assert "t0ken" not in problem

    secret = EXAMPLES[name][0]
    flags: dict[str, Any] = {name: secret}
    settings, _ = load(**flags)
    for shown in (repr(settings), str(getattr(settings, name)), settings.model_dump_json()):
        assert secret not in shown
