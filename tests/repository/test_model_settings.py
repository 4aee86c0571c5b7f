"""The order of a model's settings, the form of model.toml, and what a load call may set."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import InvalidRequest, ModelInvalid
from server.repository.model_settings import (
    CheckTable,
    ModelSetup,
    override_from_config,
    read_setup,
)
from server.repository.shadow_table import OutputTable, ShadowTable
from server.settings import ModelSettings, parse_version_policy
from tests.support.permissions import without_root_rights

DEFAULTS = ModelSettings(max_rows=10, threads=2, queue_rows=500)


def setup(folder: Path, toml: str = "", pbtxt: str = "", **override: Any) -> ModelSetup:
    """Write a model's files and read its settings."""
    if toml:
        (folder / "model.toml").write_text(toml)
    if pbtxt:
        (folder / "config.pbtxt").write_text(pbtxt)
    return read_setup(folder, DEFAULTS, override)


def refusal(folder: Path, toml: str = "", pbtxt: str = "") -> ModelInvalid:
    with pytest.raises(ModelInvalid) as caught:
        setup(folder, toml, pbtxt)
    return caught.value


def test_a_model_without_files_has_the_defaults(tmp_path: Path) -> None:
    """A bare folder is served as the operator's own settings say."""
    assert setup(tmp_path) == ModelSetup(DEFAULTS)
    assert read_setup(tmp_path, DEFAULTS) == ModelSetup(DEFAULTS)


def test_each_source_wins_over_the_one_before(tmp_path: Path) -> None:
    """Defaults, then config.pbtxt, then model.toml, then a load call's words."""
    pbtxt = "max_batch_size: 20"
    toml = "max_rows = 30"

    assert setup(tmp_path).settings.max_rows == 10
    assert setup(tmp_path, "", pbtxt).settings.max_rows == 20
    assert setup(tmp_path, toml).settings.max_rows == 30
    assert setup(tmp_path, max_rows=40).settings.max_rows == 40
    (tmp_path / "config.pbtxt").unlink()
    assert setup(tmp_path).settings.max_rows == 30


def test_checks_are_read_by_feature(tmp_path: Path) -> None:
    """Each table is one feature's, and what it does not name is not checked."""
    toml = """
        check_policy = "warn"
        [checks."mean radius"]
        minimum = 0
        nullable = false
        [checks.colour]
        categories = ["red", "blue"]
        policy = "reject"
    """
    found = setup(tmp_path, toml)

    assert found.checks == {
        "mean radius": CheckTable(minimum=0.0, nullable=False),
        "colour": CheckTable(categories=["red", "blue"], policy="reject"),
    }
    assert found.settings.check_policy == "warn"


def test_what_a_candidate_is_held_to_is_read_from_two_tables(tmp_path: Path) -> None:
    """Without them, the defaults hold, and it is known that the model's files do not say."""
    toml = """
        release = "automatic"
        [gates]
        off = ["scores"]
        disagreement.budget = 0.05
        [canary]
        steps = [500, 5000]
    """
    found = setup(tmp_path, toml)

    assert found.gates is not None
    assert found.gates.off == ("scores",)
    assert found.gates.disagreement.budget == 0.05
    assert found.canary.steps == (500, 5000)
    assert found.settings.release == "automatic"
    (tmp_path / "model.toml").write_text("threads = 2")
    assert setup(tmp_path) == ModelSetup(DEFAULTS)


def test_the_rules_of_comparison_are_read(tmp_path: Path) -> None:
    """What is not there is left to datatypes and shapes; a key that is misspelt is refused."""
    found = setup(tmp_path, '[shadow]\nredact = ["age"]\n[shadow.outputs.y]\nrtol = 0.01\n')

    assert found.shadow == ShadowTable(redact=["age"], outputs={"y": OutputTable(rtol=0.01)})
    assert setup(tmp_path, "threads = 1").shadow == ShadowTable()
    refused = refusal(tmp_path, '[shadow]\nredacted = ["age"]\n')
    assert "line 1: shadow.redacted: unknown setting; did you mean redact?" in str(refused)


def test_a_source_changes_only_what_it_names(tmp_path: Path) -> None:
    """Each source sets one thing, and all of them hold at once."""
    found = setup(
        tmp_path, "max_delay_ms = 5", "instance_group { count: 3 }", version_policy="all"
    ).settings

    assert found == ModelSettings(
        max_rows=10,
        threads=2,
        queue_rows=500,
        max_delay_ms=5.0,
        instances=3,
        version_policy="all",
    )


def test_a_default_spelt_out_in_the_file_wins_too(tmp_path: Path) -> None:
    """model.toml may take back what config.pbtxt or the operator has set."""
    assert setup(tmp_path, "threads = 1\nmax_rows = 64", "max_batch_size: 8").settings == (
        ModelSettings(max_rows=64, threads=1, queue_rows=500)
    )


def test_what_else_the_files_say_is_kept(tmp_path: Path) -> None:
    """Features, the model file's name, whether it may batch, and warnings come along."""
    found = setup(
        tmp_path,
        '[inputs.x]\nfeatures = ["a", "b"]\n[inputs."my y"]\nfeatures = []\n',
        'max_batch_size: 0 default_model_filename: "net.onnx" optimization { }',
    )

    assert found == ModelSetup(
        DEFAULTS,
        may_batch=False,
        model_file="net.onnx",
        features={"x": ["a", "b"], "my y": []},
        warnings=("config.pbtxt: optimization has no effect here",),
    )


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        (
            "\n\nmax_rows = 0",
            "model.toml, line 3: max_rows: input should be greater than or equal ",
        ),
        ("max_rows = 'many'", "model.toml, line 1: max_rows: input should be a valid integer"),
        (
            "threads = 2\nmax_row = 5",
            "model.toml, line 2: max_row: unknown setting; did you mean max_rows?",
        ),
        (
            'version_policy = "newest"',
            "version_policy: must be 'latest:N', 'all' or 'specific:N,N,…' with versions from 1, "
            "got 'newest'",
        ),
        ("max_delay_ms = nan", "line 1: max_delay_ms: input should be a finite number, got 'nan'"),
        ("execution = 'gpu'", "execution: input should be 'auto', 'inline' or 'thread', got 'gpu'"),
        ("port = 8000", "line 1: port: unknown setting"),
        (
            "threads = 1\n[inputs.x]\nfeatures = 'a'",
            "line 2: inputs.x.features: input should be a valid list, got 'a'",
        ),
        (
            "threads = 1\n\n[inputs.x]\nfeature = []",
            "line 3: inputs.x.features: field required",
        ),
        ("[inputs]\nx = ['a']", "line 1: inputs.x: expected a table, got \"['a']\""),
        ("checks = 3", "line 1: checks: expected a table, got '3'"),
        (
            "[checks.x]\ncategories = ['a', 1]",
            "line 1: checks.x.categories.1: expected a list of texts, or of whole numbers, got '1'",
        ),
        (
            "[checks.x]\ncategories = 'a'",
            "line 1: checks.x.categories: expected a list of texts, or of whole numbers, got 'a'",
        ),
        (
            "[checks.x]\nminimum = 'low'",
            "line 1: checks.x.minimum: input should be a valid number, got 'low'",
        ),
        (
            "[checks.x]\npolicy = 'hope'",
            "line 1: checks.x.policy: input should be 'count', 'warn' or 'reject', got 'hope'",
        ),
        (
            "[checks.x]\nminimun = 1",
            "line 1: checks.x.minimun: unknown setting; did you mean minimum?",
        ),
        (
            "[gates.disagrement]\nbudget = 0.1",
            "line 1: gates.disagrement: unknown setting; did you mean disagreement?",
        ),
        (
            "threads = 1\n[gates]\nslow.budgt = 1",
            "line 2: gates.slow.budgt: unknown setting; did you mean budget?",
        ),
        (
            "[gates]\nmin_seconds = 60\nmax_seconds = 5.5",
            "line 1: gates: max_seconds: expected at least min_seconds, which is 60, got 5.5",
        ),
        ("[canary]\nsteps = [5, 5]", "line 1: canary.steps: steps[1]: expected more than 5, got 5"),
        ("max_rows = ", "model.toml: Invalid value (at end of document)"),
        ("threads = 1\nmax_rows 5", "(at line 2, column 10)"),
        (f"max_rows = {'9' * 5000}", "model.toml: Exceeds the limit (4300 digits)"),
        (f"max_rows = {'[' * 50_000}", "model.toml: nested too deeply"),
        (f"execution = '{'x' * 500}'", "got '" + "x" * 80 + "'"),
    ],
)
def test_a_wrong_file_names_line_key_and_what_came(tmp_path: Path, toml: str, message: str) -> None:
    """Whatever is wrong in model.toml is told with its place, and never crashes the reader."""
    error = refusal(tmp_path, toml)

    assert str(error).startswith("model.toml")
    assert message in str(error)
    assert error.fix == "mend model.toml"


@pytest.mark.parametrize(
    ("pbtxt", "message"),
    [
        ("max_batch_size: 65537", "max_batch_size is max_rows: input should be less than or equal"),
        ("instance_group { count: 65 }", "the count of instance_group is instances: input should"),
        ("version_policy { specific { versions: 0 } }", "version_policy: must be 'latest:N'"),
        ("version_policy { specific { } }", "got 'specific:'"),
        (
            "dynamic_batching { max_queue_delay_microseconds: 99000000 }",
            "max_queue_delay_microseconds is max_delay_ms: input should be less than or equal to "
            "10000, got '99000.0'",
        ),
        ("dynamic_batching { max_queue_delay_microseconds: -1 }", "got '-0.001'"),
        (
            'parameters { key: "intra_op_thread_count" value { string_value: "999" } }',
            "intra_op_thread_count is threads: input should be less than or equal to 256",
        ),
    ],
)
def test_a_value_of_triton_out_of_bounds_is_told_in_both_words(
    tmp_path: Path, pbtxt: str, message: str
) -> None:
    """The reader of config.pbtxt finds the field, and learns what it is here."""
    error = refusal(tmp_path, pbtxt=pbtxt)

    assert str(error).startswith("config.pbtxt: ")
    assert message in str(error)
    assert error.fix == "mend config.pbtxt"


def test_our_own_file_can_put_a_value_of_triton_right(tmp_path: Path) -> None:
    """What model.toml sets need not be good in config.pbtxt."""
    assert setup(tmp_path, "max_rows = 5", "max_batch_size: 99999999").settings.max_rows == 5


@pytest.mark.parametrize("name", ["model.toml", "config.pbtxt"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    """A file of other bytes than text, or without the right to read it, is the model's fault."""
    (tmp_path / name).write_bytes(b"\xff\xfe")
    assert str(refusal(tmp_path)) == f"{name} cannot be read: UnicodeDecodeError"

    (tmp_path / name).write_bytes(b"")
    (tmp_path / name).chmod(0)
    with without_root_rights():
        error = refusal(tmp_path)
    assert str(error) == f"{name} cannot be read: PermissionError"
    assert error.fix == f"mend {name}"


@pytest.mark.parametrize(
    ("config", "override"),
    [
        ({}, {}),
        ({"name": "m", "backend": "onnxruntime", "platform": "onnxruntime_onnx"}, {}),
        ({"max_batch_size": 7}, {"max_rows": 7}),
        ({"max_batch_size": "7"}, {"max_rows": 7}),
        ({"version_policy": {"latest": {"num_versions": 2}}}, {"version_policy": "latest:2"}),
        ({"version_policy": {"latest": {"num_versions": "2"}}}, {"version_policy": "latest:2"}),
        ({"version_policy": {"latest": {"num_versions": 0}}}, {"version_policy": "latest:1"}),
        ({"version_policy": {"latest": {}}}, {"version_policy": "latest:1"}),
        ({"version_policy": {"all": {}}}, {"version_policy": "all"}),
        (
            {"version_policy": {"specific": {"versions": [1, "3"]}}},
            {"version_policy": "specific:1,3"},
        ),
    ],
)
def test_a_load_call_may_set_versions_and_batch_size(
    config: dict[str, Any], override: dict[str, Any]
) -> None:
    """Triton's own JSON for these, with 64-bit numbers as text too, becomes settings."""
    assert override_from_config(config) == override
    ModelSettings.model_validate(override)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ([], "'config' must be a JSON object in a string"),
        (None, "'config' must be a JSON object in a string"),
        ({"instance_group": []}, "not 'instance_group'; set the rest in model.toml"),
        ({"x" * 200: 1}, "not '" + "x" * 64 + "'"),
        ({"max_batch_size": 0}, "'max_batch_size' must be a whole number from 1 to 65536, got 0"),
        ({"max_batch_size": 65537}, "from 1 to 65536, got 65537"),
        ({"max_batch_size": True}, "got True"),
        ({"max_batch_size": 1.5}, "got 1.5"),
        ({"max_batch_size": "many"}, "got many"),
        ({"max_batch_size": None}, "got None"),
        ({"version_policy": "all"}, "'version_policy' must be"),
        ({"version_policy": {}}, "'version_policy' must be"),
        ({"version_policy": {"latest": None}}, "'version_policy' must be"),
        ({"version_policy": {"latest": {"num_versions": True}}}, "'version_policy' must be"),
        ({"version_policy": {"latest": {"num_versions": -1}}}, "'version_policy' must be"),
        ({"version_policy": {"latest": {"num_versions": "x"}}}, "'version_policy' must be"),
        ({"version_policy": {"specific": {"versions": []}}}, "'version_policy' must be"),
        ({"version_policy": {"specific": {"versions": [0]}}}, "'version_policy' must be"),
        ({"version_policy": {"specific": {"versions": ["²"]}}}, "'version_policy' must be"),
        ({"version_policy": {"specific": {"versions": [1.5]}}}, "'version_policy' must be"),
        ({"version_policy": {"specific": {"versions": [None]}}}, "'version_policy' must be"),
    ],
)
def test_a_load_call_that_cannot_be_followed_is_the_callers_error(
    config: object, message: str
) -> None:
    """What a load call asks for is checked before it is kept, and blamed on the call."""
    with pytest.raises(InvalidRequest) as caught:
        override_from_config(config)
    assert message in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["latest", "all", "specific", "num_versions", "versions"]), inner
        )
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(["version_policy", "max_batch_size", "name"]), json_values))
def test_whatever_a_load_call_sets_is_a_good_setting(config: dict[str, Any]) -> None:
    """No JSON gets past the check and then spoils the model's settings."""
    try:
        override = override_from_config(config)
    except InvalidRequest:
        return
    settings = ModelSettings.model_validate(override)
    parse_version_policy(settings.version_policy)
