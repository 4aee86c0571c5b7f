"""Broken and half-copied versions: never served, always explained, and no harm to the others."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support import models
from tests.support.gateway import call, eventually
from tests.support.workshop import ROW, Workshop, steady_client, workshop


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """A gateway that started with one good model among broken ones."""
    prepared = {"good": models.affine(offset=1), "garbage": b"not a model", "nothing": b""}
    with workshop(tmp_path_factory, prepared, workers=2) as made:
        yield made


def test_broken_models_do_not_keep_the_others_from_starting(shop: Workshop) -> None:
    """The gateway is ready with what is good, and each broken model has its reason and a fix."""
    assert call(shop.gateway.data + "/v2/health/ready").status == 200
    assert shop.offset("good") == 1
    for name in ("garbage", "nothing"):
        row = shop.gateway.index()[name, "1"]
        assert (row["state"], row["live"]) == ("UNAVAILABLE", False)
        assert row["reason"]
        assert row["fix"]
        refused = shop.gateway.infer(name, ROW)
        assert (refused.status, refused.json["code"]) == (503, "model_unavailable")
        assert "cannot be served; the control port says why" in refused.json["error"]


def test_folders_that_are_no_models_are_named(shop: Workshop) -> None:
    """A name that cannot be and a model without versions are rows of the index with a reason."""
    (shop.repository / "bad name!").mkdir()
    (shop.repository / "hollow" / "one").mkdir(parents=True)

    rows = eventually(
        lambda: (
            rows
            if {("bad name!", ""), ("hollow", "")} <= (rows := shop.gateway.index()).keys()
            else None
        )
    )

    assert "the name of a model is made of letters" in rows["bad name!", ""]["reason"]
    assert rows["hollow", ""]["reason"] == (
        "it has no version: put the model at hollow/1/model.onnx"
    )
    assert shop.gateway.load("hollow").status == 422


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.9, 0.999])
def test_a_half_copied_version_is_never_served(shop: Workshop, share: float) -> None:
    """Wherever a copy stops, the old version answers on, the reason is told, and completing heals.

    The pause at the cut is longer than `settle_seconds`, so the gateway does look at the half.
    """
    name = f"copied-{int(share * 1000)}"
    gateway = shop.gateway
    shop.put(name, 1, offset=1)
    shop.until_live(name, 1)
    content = models.affine(offset=2)
    cut = int(len(content) * share)
    target = shop.repository / name / "2" / "model.onnx"
    target.parent.mkdir()
    failed = f'tidegate_model_load_failed{{model="{name}",version="2"}}'

    with steady_client(gateway, name, {"1": 1, "2": 2}) as seen, target.open("wb") as file:
        file.write(content[:cut])
        file.flush()
        row = shop.until_refused(name, 2)
        refused = gateway.load(name)
        assert gateway.metric(failed) == 1
        listed = _list_models(shop)[name, "2"]
        assert seen.answers.keys() == {"1"}

        file.write(content[cut:])
        file.close()
        shop.until_live(name, 2)
        eventually(lambda: seen.answers["2"])

    assert (row["state"], row["live"]) == ("UNAVAILABLE", False)
    assert (refused.status, refused.json["code"]) == (422, "model_invalid")
    assert refused.json["error"] == f"model '{name}' version 2: {row['reason']}"
    assert refused.json["fix"] == row["fix"] != ""
    assert (listed["reason"], listed["fix"]) == (row["reason"], row["fix"])
    assert gateway.metric(failed) == 0


def _list_models(shop: Workshop) -> dict[tuple[str, str], dict[str, str]]:
    command = [sys.executable, "-m", "server", "model", "list", "--json"]
    command += ["--url", shop.gateway.control]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {(row["name"], row["version"]): row for row in json.loads(done.stdout)}


def test_a_version_that_breaks_in_place_is_served_as_it_was(shop: Workshop) -> None:
    """Overwriting a live version with rubbish changes no answer, and the index warns of it."""
    shop.put("spoilt", 1, offset=1)
    shop.until_live("spoilt", 1)

    with steady_client(shop.gateway, "spoilt", {"1": 1}):
        (shop.repository / "spoilt" / "1" / "model.onnx").write_bytes(b"rubbish")
        row = shop.until_refused("spoilt", 1)

    assert (row["state"], row["live"]) == ("READY", True)
    assert row["reason"].startswith("its files have changed and cannot be served: ")
    assert shop.gateway.load("spoilt").status == 422
    assert shop.offset("spoilt") == 1


def _golden(folder: Path, expected: float) -> None:
    inputs = np.array(ROW, np.float32)
    arrays: dict[str, Any] = {"inputs/x": inputs, "outputs/y": inputs * 2 + expected}
    np.savez(folder / "golden.npz", **arrays)


def test_a_version_that_misses_its_golden_rows_is_refused(shop: Workshop) -> None:
    """Golden rows hold a version back, name the first difference, and let a good one through."""
    _golden(shop.put("golden", 1, offset=1), expected=1)
    shop.until_live("golden", 1)
    folder = shop.repository / "golden" / "2"
    folder.mkdir()
    _golden(folder, expected=3)
    shop.put("golden", 2, offset=2)

    row = shop.until_refused("golden", 2)

    assert row["reason"] == (
        "golden output 'y' is not what the model answers: expected 5.0, got 4.0 at [0, 0]"
    )
    assert row["fix"] == "save golden.npz again from this model, or correct the model"
    assert shop.offset("golden") == 1

    _golden(folder, expected=2)
    shop.until_live("golden", 2)
    assert shop.offset("golden") == 2


def test_a_version_is_held_to_its_manifest(shop: Workshop) -> None:
    """A file that is not the one its manifest names is refused, however well it loads."""
    folder = shop.repository / "listed" / "1"
    folder.mkdir(parents=True)
    good = models.affine(offset=1)
    manifest = {"files": {"model.onnx": hashlib.sha256(good).hexdigest()}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "model.onnx").write_bytes(models.affine(offset=2))

    row = shop.until_refused("listed", 1)
    assert row["reason"] == "'model.onnx' is not the file that manifest.json names"
    assert row["fix"] == "copy the version again, or write its manifest anew"

    (folder / "model.onnx").write_bytes(good)
    shop.until_live("listed", 1)
    assert shop.offset("listed") == 1


def test_a_model_that_mixes_rows_is_served_unbatched(shop: Workshop) -> None:
    """A row must not depend on its batch-mates: such a model runs alone, and its row says so."""
    models.put(shop.repository, "mixes", 1, models.batch_mean())

    row = shop.until_live("mixes", 1)

    assert row["warnings"] == [
        "it is served unbatched: a row of output 'y' in a batch is not what it is alone"
    ]
    config = call(shop.gateway.data + "/v2/models/mixes/config").json
    assert config["max_batch_size"] == 0
    assert "dynamic_batching" not in config
    answer = shop.gateway.infer("mixes", [[0, 0, 0], [2, 4, 6]])
    assert answer.json["outputs"][0]["data"] == [-1, -2, -3, 1, 2, 3]


def test_a_link_out_of_the_repository_is_refused(shop: Workshop, tmp_path: Path) -> None:
    """Whoever may write into the repository may not have other files read."""
    secret = tmp_path / "secret"
    secret.write_bytes(models.affine())
    folder = shop.repository / "linked" / "1"
    folder.mkdir(parents=True)
    (folder / "model.onnx").symlink_to(secret)

    row = shop.until_refused("linked", 1)

    assert row["reason"] == "'model.onnx' is a link that leads out of the repository"


def test_a_version_that_workers_cannot_load_is_tried_once(shop: Workshop) -> None:
    """What passes the check and fails in a worker is told, and leaves everything else at rest."""
    gateway = shop.gateway
    shop.configure("torn", 'version_policy = "specific:1"\n')
    shop.put("torn", 1, offset=1)
    shop.put("torn", 2, offset=77)
    shop.until_live("torn", 1)
    digest = eventually(lambda: gateway.index()["torn", "2"]["digest"])
    copy = gateway.state_dir / "store" / digest / "model.onnx"
    copy.chmod(0o644)
    copy.write_bytes(b"rubbish")  # A disk that fails between the check and the worker.

    with steady_client(gateway, "torn", {"1": 1}):
        shop.configure("torn", 'version_policy = "all"\n')
        refused = gateway.load("torn")
        assert (refused.status, refused.json["code"]) == (422, "model_invalid")
        assert "torn' version 2: ONNX Runtime cannot load it" in refused.json["error"]
        generation = gateway.metric("tidegate_generation")
        failed = gateway.infer("torn", ROW, "2")
        assert (failed.status, failed.json["code"]) == (503, "model_unavailable")
        assert gateway.metric('tidegate_model_load_failed{model="torn",version="2"}') == 1
        assert gateway.metric("tidegate_generation") == generation


def test_a_load_call_that_is_refused_leaves_the_settings_as_they_were(shop: Workshop) -> None:
    """What the call asked for is not kept: neither now nor for versions to come."""
    gateway = shop.gateway
    shop.put("steady", 1, offset=1)
    shop.until_live("steady", 1)
    before = (gateway.state_dir / "intents.json").read_bytes()

    refused = gateway.load("steady", config='{"version_policy": {"specific": {"versions": [9]}}}')

    assert (refused.status, refused.json["code"]) == (422, "model_invalid")
    assert (gateway.state_dir / "intents.json").read_bytes() == before
    assert shop.offset("steady") == 1
    shop.put("steady", 2, offset=2)
    shop.until_live("steady", 2)


def test_a_load_call_tries_again_what_failed_for_a_passing_reason(shop: Workshop) -> None:
    """A full disk is nothing that the files show: when there is room, a load call is enough."""
    gateway, store = shop.gateway, shop.gateway.state_dir / "store"
    kept = store.with_name("kept")
    store.rename(kept)
    store.write_bytes(b"in the way")
    try:
        shop.put("later", 1, offset=3)
        failed = eventually(lambda: gateway.index().get(("later", "1"), {}).get("fix"))
        assert "free some space" in failed
    finally:
        store.unlink()
        kept.rename(store)

    assert gateway.load("later").status == 200
    assert shop.offset("later") == 3


def test_a_version_that_kills_its_checker_is_refused(shop: Workshop) -> None:
    """A crash while a version is tried costs that version only; the next one is checked."""
    folder = shop.repository / "deadly" / "2"
    shop.put("deadly", 1, offset=1)
    shop.until_live("deadly", 1)

    with steady_client(shop.gateway, "deadly", {"1": 1}):
        folder.mkdir()
        fatal: dict[str, Any] = {
            name: np.array([[-2]], np.int32) for name in ("inputs/x", "outputs/y")
        }
        np.savez(folder / "golden.npz", **fatal)
        models.put(shop.repository, "deadly", 2, models.crashing())
        row = eventually(
            lambda: (
                row if "crashed" in (row := shop.gateway.index()["deadly", "2"])["reason"] else None
            )
        )
        shop.put("afterwards", 1, offset=5)
        shop.until_live("afterwards", 1)

    assert row["reason"] == "opening or running it crashed the checking process (SIGFPE)"
    assert "onnxruntime alone" in row["fix"]
    assert shop.offset("afterwards") == 5
