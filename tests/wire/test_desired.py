"""The desired state survives the wire and the disk, and a bad file is no state at all."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.monitoring.checks import Check, Policy
from server.release.route import Canary, ReleaseRoute, Shadow
from server.settings import ModelSettings, Settings
from server.wire.desired import (
    FILE_NAME,
    Damaged,
    DesiredState,
    ModelPlan,
    VersionPlan,
    decode,
    encode,
    open_file,
    read_file,
    sealed,
)

words = st.text(st.characters(codec="utf-8"), max_size=8)
model_settings = st.builds(
    ModelSettings,
    max_rows=st.integers(1, 65536),
    max_delay_ms=st.floats(0, 10_000),
    execution=st.sampled_from(["auto", "inline", "thread"]),
    non_finite=st.sampled_from(["error", "token"]),
    version_policy=st.sampled_from(["latest:2", "all", "specific:1,3"]),
)
version_plans = st.builds(
    VersionPlan,
    digest=words,
    path=words,
    samples=words,
    settings=model_settings,
    is_batched=st.booleans(),
    batch_seconds=st.floats(0, 100),
    features=st.dictionaries(words, st.lists(words, max_size=3), max_size=2),
    checks=st.just(()) | st.just((Check("f", "x", 1, Policy.WARN, 0.0, None, False, ("a", "b")),)),
)
releases = st.builds(
    ReleaseRoute,
    words,
    st.integers(1, 99),
    live=words,
    canary=st.none() | st.just(Canary("2", "bb", (100, 500), 1, 3.5, "7", "salt")),
    shadows=st.just(()) | st.just((Shadow("3", "cc", 250, "8", 4.5),)),
    refused=st.dictionaries(words, words, max_size=2),
)
model_plans = st.builds(
    ModelPlan,
    live=st.none() | words,
    versions=st.dictionaries(words, version_plans, max_size=2),
    pending=st.dictionaries(words, st.booleans(), max_size=2),
    release=st.none() | releases,
)
states = st.builds(
    DesiredState,
    generation=st.integers(-1, 2**40),
    models=st.dictionaries(words, model_plans, max_size=2),
    repository=words,
    is_settled=st.booleans(),
    is_signed=st.booleans(),
)

REPOSITORY = Path("/srv/models")
STATE = DesiredState(
    7,
    {"m": ModelPlan("1", {"1": VersionPlan("d", "p", "s", ModelSettings(), True, 0.1)})},
    str(REPOSITORY),
    is_settled=True,
)


def at(state_dir: Path, **others: Any) -> Settings:
    """Return the settings of a gateway with its state in `state_dir`."""
    return Settings(**{"state_dir": state_dir, "repository": REPOSITORY, **others})


@settings(max_examples=40)
@given(states)
def test_what_is_encoded_is_decoded(state: DesiredState) -> None:
    """Every plan, setting and flag survives, so control and workers mean the same."""
    assert decode(memoryview(encode(state))) == state


def test_a_saved_state_is_read_back(tmp_path: Path) -> None:
    """A worker without control, and control after a restart, go on with what was saved."""
    (tmp_path / FILE_NAME).write_bytes(sealed(encode(STATE)))

    assert read_file(at(tmp_path)) == STATE


def test_the_state_of_another_repository_is_not_ours(tmp_path: Path) -> None:
    """Started on another folder, the gateway does not serve the last one's models."""
    (tmp_path / FILE_NAME).write_bytes(sealed(encode(STATE)))

    assert read_file(at(tmp_path, repository="/srv/other")) is None


def test_what_was_not_held_to_signatures_is_no_state_where_they_are_required(
    tmp_path: Path,
) -> None:
    """Once versions have to be signed, nothing is served from before on trust alone."""
    required = at(tmp_path, signatures="require", signers_file="signers.toml")
    (tmp_path / FILE_NAME).write_bytes(sealed(encode(STATE)))
    assert read_file(required) is None

    signed = replace(STATE, is_signed=True)
    (tmp_path / FILE_NAME).write_bytes(sealed(encode(signed)))
    assert read_file(required) == read_file(at(tmp_path)) == signed


def test_without_a_file_there_is_no_state(tmp_path: Path) -> None:
    """The first start of all is no error."""
    assert read_file(at(tmp_path)) is None
    assert read_file(at(tmp_path / "nowhere")) is None


GOOD = encode(STATE)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b"[" * 100_000,
        GOOD.replace(b'"models":{"m"', b'"models":[],"other":{"m"'),
        GOOD.replace(b'"m":{', b'"m":[],"n":{'),
        GOOD.replace(b'"versions":{"1"', b'"versions":[],"others":{"1"'),
        GOOD.replace(b'"versions":{"1":{', b'"versions":{"0":null,"1":{'),
        GOOD.replace(b'"settings":{', b'"settings":null,"other":{'),
        GOOD.replace(b'"max_rows":128', b'"max_rows":-1'),
        GOOD.replace(b'"max_rows":128', b'"max_rows":64,"unknown":1'),
        GOOD.replace(b'"checks":[]', b'"checks":[{"policy":"hope","categories":null}]'),
        GOOD.replace(b'"checks":[]', b'"checks":[null]'),
    ],
)
def test_a_file_that_makes_no_sense_is_no_state(tmp_path: Path, content: bytes) -> None:
    """Whatever stands in the file, a process starts: it waits for control instead of failing."""
    assert content != GOOD
    (tmp_path / FILE_NAME).write_bytes(sealed(content))

    assert read_file(at(tmp_path)) is None
    with pytest.raises(Damaged):
        open_file(at(tmp_path))


@pytest.mark.parametrize("cut", range(0, len(GOOD), 7))
def test_a_truncated_file_is_no_state(tmp_path: Path, cut: int) -> None:
    """A disk that lost the end of the file does not stop a start."""
    (tmp_path / FILE_NAME).write_bytes(sealed(GOOD)[:cut])

    assert read_file(at(tmp_path)) is None


@pytest.mark.parametrize("place", range(0, len(sealed(GOOD)), 5))
def test_a_file_with_a_flipped_bit_is_no_state(tmp_path: Path, place: int) -> None:
    """Also if it is good JSON still, and would have another version answer."""
    content = bytearray(sealed(GOOD))
    content[place] ^= 1
    (tmp_path / FILE_NAME).write_bytes(content)

    with pytest.raises(Damaged, match="checksum"):
        open_file(at(tmp_path))
