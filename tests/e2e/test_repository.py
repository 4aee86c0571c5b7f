"""The repository through a whole gateway: what is put in, changed and taken out is what answers."""

import pytest

from tests.conftest import SharedWorkshop, StartGateway
from tests.support import models
from tests.support.gateway import Gateway, call, eventually
from tests.support.workshop import ROW, Workshop, offset_of, steady_client


@pytest.fixture(scope="module")
def shop(shared_workshop: SharedWorkshop) -> Workshop:
    """One gateway with two workers; each test has models of its own in it."""
    return shared_workshop(workers=2)


def test_a_model_put_into_the_repository_answers(shop: Workshop) -> None:
    """A new folder becomes a served model without any call."""
    shop.put("fresh", 1, offset=4)

    row = shop.until_live("fresh", 1)

    assert shop.offset("fresh") == 4
    assert (row["reason"], len(row["digest"])) == ("", 64)


def test_a_new_version_takes_over_when_it_is_warm(shop: Workshop) -> None:
    """Under the default policy the highest version goes live, and no request fails meanwhile.

    The one before stays loaded, to be rolled back to; older ones do not.
    """
    shop.put("grows", 1, offset=1)
    shop.until_live("grows", 1)

    with steady_client(shop.gateway, "grows", {"1": 1, "2": 2}) as seen:
        shop.put("grows", 2, offset=2)
        shop.until_live("grows", 2)
        eventually(lambda: seen.answers["2"])

    assert (shop.offset("grows"), shop.offset("grows", "1")) == (2, 1)
    shop.put("grows", 3, offset=3)
    shop.until_live("grows", 3)
    assert (shop.offset("grows"), shop.offset("grows", "2")) == (3, 2)
    eventually(lambda: shop.gateway.infer("grows", ROW, "1").status == 404)
    old = shop.gateway.index()["grows", "1"]
    assert (old["state"], old["live"]) == ("UNAVAILABLE", False)
    assert old["reason"] == "the version policy 'latest:1' does not load it"


def test_new_files_in_a_version_replace_what_it_answers(shop: Workshop) -> None:
    """A version whose file is overwritten is served anew, and by the old file until then."""
    shop.put("rewritten", 1, offset=1)
    before = shop.until_live("rewritten", 1)["digest"]

    shop.put("rewritten", 1, offset=7)
    eventually(lambda: shop.gateway.index()["rewritten", "1"]["digest"] != before)
    shop.until_live("rewritten", 1)

    eventually(lambda: shop.offset("rewritten") == 7)


def test_removing_the_live_version_goes_back_to_the_one_before(shop: Workshop) -> None:
    """What is taken out of the repository answers until its successor does, and is kept a while."""
    shop.put("shrinks", 1, offset=1)
    folder = shop.put("shrinks", 2, offset=2)
    shop.until_live("shrinks", 2)

    with steady_client(shop.gateway, "shrinks", {"1": 1, "2": 2}, connections=2) as seen:
        (folder / "model.onnx").unlink()
        folder.rmdir()
        shop.until_live("shrinks", 1)
        eventually(lambda: seen.answers["1"])

    removed = shop.gateway.index()["shrinks", "2"]
    assert (removed["state"], removed["live"]) == ("READY", False)
    assert removed["reason"] == "its files are gone; it stays to be rolled back to"


def test_a_removed_model_is_not_found(shop: Workshop) -> None:
    """A model without a folder is gone from answers, from the index and from the metrics."""
    folder = shop.put("leaves", 1, offset=1)
    shop.until_live("leaves", 1)
    assert shop.offset("leaves") == 1
    eventually(lambda: 'model="leaves"' in shop.gateway.metrics())

    (folder / "model.onnx").unlink()
    folder.rmdir()
    folder.parent.rmdir()

    answer = eventually(
        lambda: (
            answer
            if (answer := shop.gateway.infer("leaves", ROW)).json.get("code") == "model_not_found"
            else None
        )
    )
    assert answer.status == 404
    assert ("leaves", "1") not in shop.gateway.index()
    eventually(lambda: 'model="leaves"' not in shop.gateway.metrics())


def test_settings_in_the_folder_are_followed_as_they_change(shop: Workshop) -> None:
    """A new model.toml is in force without a restart, and a mended one after a broken one."""
    shop.put("tuned", 1, offset=1)
    shop.until_live("tuned", 1)
    assert shop.gateway.infer("tuned", ROW * 3).status == 200

    shop.configure("tuned", "max_request_rows = 2\n")
    refused = eventually(
        lambda: answer if (answer := shop.gateway.infer("tuned", ROW * 3)).status == 413 else None
    )
    assert refused.json["error"] == "a request may hold 2 rows, got 3; send several"

    shop.configure("tuned", "max_request_rows = 2\n\nmax_rows = 'many'\n")
    broken = eventually(
        lambda: row if "model.toml" in (row := shop.gateway.index()["tuned", "1"])["reason"] else 0
    )
    assert "model.toml, line 3: max_rows: " in broken["reason"]
    assert (broken["state"], broken["fix"]) == ("READY", "mend model.toml")
    assert shop.offset("tuned") == 1
    assert shop.gateway.infer("tuned", ROW * 3).status == 413

    (shop.repository / "tuned" / "model.toml").unlink()
    eventually(lambda: shop.gateway.infer("tuned", ROW * 3).status == 200)
    assert shop.until_live("tuned", 1)["reason"] == ""


def test_feature_names_appear_in_the_metadata(shop: Workshop) -> None:
    """Names of columns in model.toml are told, and rows may then be objects of features."""
    shop.configure("named", '[inputs.x]\nfeatures = ["a", "b", "c"]\n')
    shop.put("named", 1, offset=1)
    shop.until_live("named", 1)

    described = call(shop.gateway.data + "/v2/models/named").json
    body = {"instances": [{"c": 3, "a": 1, "b": 2}]}
    predicted = call(shop.gateway.data + "/v1/models/named:predict", body)

    assert described["inputs"][0]["parameters"] == {"features": ["a", "b", "c"]}
    assert predicted.json == {"predictions": [[3.0, 5.0, 7.0]]}


def test_an_unloaded_model_answers_nobody_until_it_is_loaded(shop: Workshop) -> None:
    """Unload takes a model away at once, says so everywhere, and load brings it back."""
    shop.put("paused", 1, offset=1)
    shop.until_live("paused", 1)
    gateway = shop.gateway

    assert shop.unload("paused").status == 200

    assert gateway.infer("paused", ROW).status == 404
    assert call(gateway.data + "/v2/models/paused/ready").status == 404
    assert call(gateway.control + "/v2/models/paused/ready").status == 503
    row = gateway.index()["paused", "1"]
    assert (row["state"], row["live"]) == ("UNAVAILABLE", False)
    assert (row["reason"], row["fix"]) == (
        "unloaded by an operator",
        "load it again with a load call",
    )
    assert shop.unload("paused").status == 200  # A second time changes nothing.

    assert gateway.load("paused").status == 200
    assert shop.offset("paused") == 1


def test_unloading_an_unknown_model_is_an_error(shop: Workshop) -> None:
    """Load and unload of a model that the repository does not have are 404."""
    for reply in (shop.unload("nobody"), shop.gateway.load("nobody")):
        assert (reply.status, reply.json["code"]) == (404, "model_not_found")
        assert reply.json["error"] == "model 'nobody' is not in the repository"


def test_what_was_unloaded_stays_so_after_a_restart(start: StartGateway) -> None:
    """Unload and the settings of a load call outlive the process; a plain load ends both."""
    with start() as gateway:
        shop = Workshop(gateway, gateway.state_dir.parent / "models")
        shop.put("paused", 1, offset=1)
        shop.put("tuned", 1, offset=1)
        shop.until_live("paused", 1)
        shop.until_live("tuned", 1)
        assert shop.unload("paused").status == 200
        assert gateway.load("tuned", config='{"max_batch_size": 5}').status == 200

    with start() as gateway:
        assert gateway.infer("paused", ROW).status == 404
        assert gateway.index()["paused", "1"]["reason"] == "unloaded by an operator"
        assert _max_rows(gateway, "tuned") == 5

        assert gateway.load("paused").status == 200
        assert offset_of(gateway.infer("paused", ROW)) == 1
        assert gateway.load("tuned").status == 200
        assert _max_rows(gateway, "tuned") == 128


def _max_rows(gateway: Gateway, name: str) -> int:
    return int(call(f"{gateway.data}/v2/models/{name}/config").json["max_batch_size"])


def test_polling_alone_finds_new_versions(start: StartGateway) -> None:
    """Where the system has no file events, looking every few moments is enough."""
    with start(watch="poll") as gateway:
        shop = Workshop(gateway, gateway.state_dir.parent / "models")
        shop.put("polled", 1, offset=1)
        shop.until_live("polled", 1)
        shop.put("polled", 2, offset=2)
        shop.until_live("polled", 2)

        assert shop.offset("polled") == 2


def test_without_watching_only_a_load_call_looks(start: StartGateway) -> None:
    """With `--watch off` nothing changes by itself, and a load call does it and waits for it."""
    with start(watch="off") as gateway:
        shop = Workshop(gateway, gateway.state_dir.parent / "models")
        shop.put("asked", 1, offset=1)
        assert gateway.index() == {}

        loaded = gateway.load("asked")

        assert loaded.status == 200
        assert [(row["version"], row["live"]) for row in loaded.json["versions"]] == [("1", True)]
        assert shop.offset("asked") == 1

        shop.put("asked", 2, offset=2)
        assert shop.offset("asked") == 1
        assert gateway.load("asked").status == 200
        assert shop.offset("asked") == 2


def test_a_repository_that_goes_away_takes_nothing_with_it(start: StartGateway) -> None:
    """While the repository cannot be read, everything loaded answers on, and a metric says so."""
    with start() as gateway:
        repository = gateway.state_dir.parent / "models"
        shop = Workshop(gateway, repository)
        shop.put("kept", 1, offset=1)
        shop.until_live("kept", 1)

        with steady_client(gateway, "kept", {"1": 1}):
            repository.rename(repository.with_name("away"))
            eventually(lambda: gateway.metric("tidegate_repository_readable") == 0)
            assert gateway.index()["kept", "1"]["state"] == "READY"

            repository.with_name("away").rename(repository)
            eventually(lambda: gateway.metric("tidegate_repository_readable") == 1)
            shop.put("later", 1, offset=3)
            shop.until_live("later", 1)

        assert (shop.offset("kept"), shop.offset("later")) == (1, 3)


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ("[]", "'config' must be a JSON object in a string"),
        ("{", "'config' must be a JSON object in a string"),
        ('{"max_batch_size": 70000}', "max_batch_size"),
        ('{"max_batch_size": "many"}', "max_batch_size"),
        ('{"optimization": {}}', "'config' may set version_policy and max_batch_size"),
        ('{"version_policy": {"newest": {}}}', "'version_policy' must be"),
        ('{"version_policy": {"specific": {"versions": [0]}}}', "'version_policy' must be"),
    ],
)
def test_a_wrong_override_changes_nothing(shop: Workshop, config: str, problem: str) -> None:
    """A load call with settings that cannot be followed is a 400, and the model stays as it was."""
    if ("steady", "1") not in shop.gateway.index():
        shop.put("steady", 1, offset=1)
        shop.until_live("steady", 1)

    refused = shop.gateway.load("steady", config=config)

    assert (refused.status, refused.json["code"]) == (400, "invalid_request"), refused.body
    assert problem in refused.json["error"]
    assert _max_rows(shop.gateway, "steady") == 128
    assert shop.gateway.index()["steady", "1"]["reason"] == ""


def test_a_load_call_that_selects_no_version_says_so(shop: Workshop) -> None:
    """A policy that names only versions that are not there fails, and what answers stays."""
    shop.put("chosen", 1, offset=1)
    shop.until_live("chosen", 1)
    nothing = '{"version_policy": {"specific": {"versions": [9]}}}'

    refused = shop.gateway.load("chosen", config=nothing)

    assert (refused.status, refused.json["code"]) == (422, "model_invalid")
    assert "'specific:9' selects none of its versions (1)" in refused.json["error"]
    assert shop.offset("chosen") == 1


def test_files_sent_with_a_load_call_are_refused(shop: Workshop) -> None:
    """Models come from the repository only, whoever may call the control port."""
    refused = shop.gateway.load("any", **{"file:1/model.onnx": "AAAA"})

    assert refused.status == 400
    assert "'file:' is refused" in refused.json["error"]


def test_an_override_wins_over_the_folder(shop: Workshop) -> None:
    """Settings of a load call hold against model.toml until a load call without them."""
    shop.configure("overridden", 'version_policy = "all"\nmax_rows = 16\n')
    for version in (1, 2):
        shop.put("overridden", version, offset=version)
    shop.until_live("overridden", 2)
    config = '{"max_batch_size": 4, "version_policy": {"specific": {"versions": [1]}}}'

    assert shop.gateway.load("overridden", config=config).status == 200
    assert shop.offset("overridden") == 1
    assert _max_rows(shop.gateway, "overridden") == 4

    assert shop.gateway.load("overridden").status == 200
    assert shop.offset("overridden") == 2
    assert _max_rows(shop.gateway, "overridden") == 16


def test_models_of_one_name_and_case_are_two(shop: Workshop) -> None:
    """Names are taken as they are written."""
    shop.put("Case", 1, offset=1)
    models.put(shop.repository, "case", 1, models.affine(offset=2))
    shop.until_live("Case", 1)
    shop.until_live("case", 1)

    assert (shop.offset("Case"), shop.offset("case")) == (1, 2)
