"""Version policies, Triton's configuration files and external data, through a whole gateway."""

from functools import partial
from pathlib import Path

import pytest

from tests.conftest import SharedWorkshop
from tests.support import models
from tests.support.gateway import Reply, call, eventually
from tests.support.workshop import ROW, Workshop

WIDE_ROW = [[float(number) for number in range(1024)]]


@pytest.fixture(scope="module")
def shop(shared_workshop: SharedWorkshop) -> Workshop:
    """A gateway; each test has models of its own in it."""
    return shared_workshop(workers=2)


@pytest.mark.parametrize(
    ("policy", "loaded"),
    [("latest:2", {2, 10}), ("all", {1, 2, 10}), ("specific:1,2", {1, 2}), ("latest:1", {10})],
)
def test_the_policy_says_which_versions_answer(
    shop: Workshop, policy: str, loaded: set[int]
) -> None:
    """What the policy keeps answers by its number, the highest of it by the name alone."""
    name = policy.replace(":", "-").replace(",", "-")
    shop.configure(name, f'version_policy = "{policy}"\n')
    for version in (1, 2, 10):
        shop.put(name, version, offset=version)
    shop.until_live(name, max(loaded))
    eventually(lambda: {v for v in (1, 2, 10) if _answers(shop, name, v)} == loaded)

    assert shop.offset(name) == max(loaded)
    for version in loaded:
        assert shop.offset(name, str(version)) == version
    for version in {1, 2, 10} - loaded:
        eventually(partial(_is_not_there, shop, name, version))
        assert shop.gateway.index()[name, str(version)]["reason"] == (
            f"the version policy '{policy}' does not load it"
        )
    listed = call(f"{shop.gateway.data}/v2/models/{name}").json["versions"]
    assert set(map(int, listed)) == loaded


def _is_not_there(shop: Workshop, name: str, version: int) -> bool:
    """Say whether a version is refused for good; while it is checked, it may be on its way."""
    refused = shop.gateway.infer(name, ROW, str(version))
    assert refused.json["code"] in ("version_not_found", "model_loading")
    return refused.status == 404


def _answers(shop: Workshop, name: str, version: int) -> bool:
    return shop.gateway.infer(name, ROW, str(version)).status == 200


def test_a_changed_policy_is_followed(shop: Workshop) -> None:
    """Going from the latest version to all and to a chosen one needs no restart."""
    for version in (1, 2):
        shop.put("moves", version, offset=version)
    shop.until_live("moves", 2)

    shop.configure("moves", 'version_policy = "all"\n')
    eventually(lambda: shop.gateway.infer("moves", ROW, "1").status == 200)
    assert shop.offset("moves") == 2

    shop.configure("moves", 'version_policy = "specific:1"\n')
    shop.until_live("moves", 1)
    assert shop.offset("moves") == 1


def test_a_triton_repository_works_as_it_is(shop: Workshop) -> None:
    """What a config.pbtxt says is followed where it means something, and named where not."""
    folder = shop.repository / "triton"
    for version in (1, 2):
        target = folder / str(version) / "weights.onnx"
        target.parent.mkdir(parents=True)
        target.write_bytes(models.affine(offset=version))
    (folder / "config.pbtxt").write_text(
        """
        name: "triton"
        platform: "onnxruntime_onnx"
        default_model_filename: "weights.onnx"
        max_batch_size: 8
        input [ { name: "x" data_type: TYPE_FP32 dims: [ 3 ] } ]
        output [ { name: "y" data_type: TYPE_FP32 dims: [ 3 ] label_filename: "labels.txt" } ]
        dynamic_batching { max_queue_delay_microseconds: 100 preferred_batch_size: [ 4, 8 ] }
        version_policy: { all { } }
        instance_group [ { count: 2 kind: KIND_GPU } ]
        optimization { cuda { graphs: true } }
        some_later_field: 3
        """
    )

    row = shop.until_live("triton", 2)

    assert shop.offset("triton", "1") == 1
    assert shop.offset("triton") == 2
    assert sorted(row["warnings"]) == [
        "config.pbtxt: dynamic_batching.preferred_batch_size has no effect here",
        "config.pbtxt: instance_group.kind (models run on the CPU) has no effect here",
        "config.pbtxt: optimization has no effect here",
        "config.pbtxt: output.label_filename has no effect here",
        "config.pbtxt: some_later_field has no effect here",
    ]
    config = call(shop.gateway.data + "/v2/models/triton/config").json
    assert config["max_batch_size"] == 8
    assert config["version_policy"] == {"all": {}}
    assert config["instance_group"][0]["count"] == 2
    assert config["dynamic_batching"]["max_queue_delay_microseconds"] == 100


def test_a_triton_model_that_forbids_batching_runs_alone(shop: Workshop) -> None:
    """A max_batch_size of 0 keeps requests apart, as it does in Triton."""
    shop.put("alone", 1, offset=1)
    (shop.repository / "alone" / "config.pbtxt").write_text("max_batch_size: 0\n")
    shop.until_live("alone", 1)

    config = eventually(
        lambda: (
            found
            if (found := call(shop.gateway.data + "/v2/models/alone/config").json)["max_batch_size"]
            == 0
            else None
        )
    )

    assert "dynamic_batching" not in config
    assert shop.offset("alone") == 1


def test_a_model_for_another_backend_is_refused(shop: Workshop) -> None:
    """A Triton model that is not ONNX says so, and what it asks for."""
    shop.put("foreign", 1, offset=1)
    shop.until_live("foreign", 1)
    (shop.repository / "foreign" / "config.pbtxt").write_text('backend: "python"\n')

    row = shop.until_refused("foreign", 1)

    assert "config.pbtxt asks for backend 'python'; only ONNX models are served" in row["reason"]
    assert shop.gateway.load("foreign").status == 422
    assert shop.offset("foreign") == 1


def _wide(shop: Workshop, name: str) -> Reply:
    return shop.gateway.infer(name, WIDE_ROW)


@pytest.mark.parametrize("harm", ["overwrite", "truncate", "delete", "replace"])
def test_uploaded_external_data_is_never_what_is_served(shop: Workshop, harm: str) -> None:
    """Whatever happens to uploaded weights, answers stay the same to the bit, and nobody dies.

    ONNX Runtime maps such files: served from the upload, the first of these would change the
    answers and the second would kill the worker.
    """
    name = f"mapped-{harm}"
    models.with_external_data(shop.repository / name / "1", offset=1.0)
    shop.until_live(name, 1)
    before = _wide(shop, name)
    workers = shop.gateway.workers()

    _hurt(shop.repository / name / "1" / "weights.bin", harm)
    row = shop.until_refused(name, 1)

    assert (row["state"], row["live"]) == ("READY", True)
    assert before.json["outputs"][0]["data"] == [number + 1 for number in WIDE_ROW[0]]
    for _ in range(20):
        assert _wide(shop, name).body == before.body
    assert shop.gateway.workers() == workers


def _hurt(weights: Path, harm: str) -> None:
    size = weights.stat().st_size
    match harm:
        case "overwrite":
            with weights.open("r+b") as file:
                file.write(b"\xff" * (size // 2))
                file.truncate(size // 2)
        case "truncate":
            with weights.open("r+b") as file:
                file.truncate(0)
        case "delete":
            weights.unlink()
        case "replace":
            weights.unlink()
            weights.mkdir()


def test_new_external_data_is_a_new_model(shop: Workshop) -> None:
    """Good weights in place of the old ones are served, because the digest covers every file."""
    models.with_external_data(shop.repository / "reweighted" / "1", offset=1.0)
    shop.until_live("reweighted", 1)
    assert _wide(shop, "reweighted").json["outputs"][0]["data"][0] == 1.0

    models.with_external_data(shop.repository / "reweighted" / "1", offset=5.0)

    eventually(lambda: _wide(shop, "reweighted").json["outputs"][0]["data"][0] == 5.0)
