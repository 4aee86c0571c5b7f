"""What a restart must not take away: versions whose files or settings have broken meanwhile."""

from pathlib import Path

from tests.conftest import StartGateway
from tests.support import models
from tests.support.gateway import call, eventually

ROW = [[1.0, 2.0, 3.0]]


def test_what_was_served_is_served_after_a_restart_though_its_files_are_broken(
    start: StartGateway, repository: Path
) -> None:
    """The private copy answers as before, the index says what is wrong, and mending heals it."""
    folder = models.put(repository, "a", 1, models.affine(offset=1))
    with start() as gateway:
        assert gateway.infer("a", ROW).json["outputs"][0]["data"] == [3, 5, 7]
    (folder / "model.onnx").write_bytes(b"half a mod")

    with start() as gateway:
        assert gateway.infer("a", ROW).json["outputs"][0]["data"] == [3, 5, 7]
        row = gateway.index()["a", "1"]
        assert (row["state"], row["live"]) == ("READY", True)
        assert row["reason"].startswith("its files have changed and cannot be served: ")
        assert row["fix"]
        assert gateway.load("a").status == 422
        assert gateway.infer("a", ROW).json["outputs"][0]["data"] == [3, 5, 7]
        assert call(gateway.data + "/v2/models/a").status == 200

        models.put(repository, "a", 1, models.affine(offset=2))
        eventually(lambda: gateway.infer("a", ROW).json["outputs"][0]["data"] == [4, 6, 8])
        assert gateway.index()["a", "1"]["reason"] == ""


def test_what_was_served_is_served_after_a_restart_though_its_settings_are_broken(
    start: StartGateway, repository: Path
) -> None:
    """The model answers with the settings it had, and a mended model.toml is taken up."""
    models.put(repository, "a", 1, models.affine(offset=1))
    settings = repository / "a" / "model.toml"
    settings.write_text("max_rows = 7\n")
    with start() as gateway:
        assert gateway.index()["a", "1"]["live"]
    settings.write_text("max_rows = 'many'\n")

    with start() as gateway:
        assert gateway.infer("a", ROW).json["outputs"][0]["data"] == [3, 5, 7]
        assert "model.toml, line 1" in gateway.index()["a", "1"]["reason"]
        config = call(gateway.data + "/v2/models/a/config").json
        assert config["max_batch_size"] == 7

        settings.write_text("max_rows = 9\n")
        eventually(lambda: call(gateway.data + "/v2/models/a/config").json["max_batch_size"] == 9)
        assert gateway.index()["a", "1"]["reason"] == ""
