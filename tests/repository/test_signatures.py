"""Signed versions: who has signed, what a signature has to cover, and what it does not hold for."""

import base64
import json
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.errors import ModelInvalid
from server.repository.layout import VersionFolder, scan
from server.repository.signatures import Signer, read_signers, signed_names
from server.repository.staging import StagedVersion, Store
from tests.support.signing import Author, write_signers

FILES = {
    "model.onnx": b"the model",
    "weights/a.bin": b"weights",
    "golden.npz": b"golden",
    "manifest.json": b'{"files": {}}',
}


class Workshop:
    """A version in a repository, a store that wants it signed, and two who can sign."""

    def __init__(self, root: Path) -> None:
        self.version = root / "models" / "m" / "1"
        for name, content in FILES.items():
            (self.version / name).parent.mkdir(parents=True, exist_ok=True)
            (self.version / name).write_bytes(content)
        self.signature = self.version / "model.sig"
        self.ann, self.eve = Author(root, "ann"), Author(root, "eve")
        self.store = Store(root, write_signers(root, self.ann))
        self.store.prepare()

    def folder(self) -> VersionFolder:
        return scan(self.version.parent.parent).models["m"].versions["1"]

    def stage(self) -> StagedVersion:
        return self.store.stage(self.folder())

    def refusal(self) -> ModelInvalid:
        """Stage, and return why that is refused."""
        with pytest.raises(ModelInvalid) as caught:
            self.stage()
        assert caught.value.fix
        return caught.value


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    """Everything that signing takes, in a folder of its own."""
    return Workshop(tmp_path)


def test_a_signed_version_is_taken_and_its_signer_named(shop: Workshop) -> None:
    """The signature is not part of the version: its digest is that of the same files unsigned."""
    unsigned = Store(shop.version.parents[2])
    unsigned.prepare()
    before = unsigned.stage(shop.folder())
    shop.ann.sign(shop.version)
    staged = shop.stage()

    assert (staged.signer, before.signer) == ("ann", "")
    assert staged.digest == before.digest
    assert sorted(path.name for path in staged.path.iterdir()) == ["model.onnx", "weights"]
    assert [path.name for path in staged.path.parent.iterdir()] == [staged.digest]


def test_an_unsigned_version_is_not_even_copied(shop: Workshop, tmp_path: Path) -> None:
    """The reason says what is missing, and the store stays empty."""
    refusal = shop.refusal()

    assert refusal.problem == "unsigned"
    assert str(refusal) == "it has no model.sig, and versions have to be signed"
    assert list((tmp_path / "store").iterdir()) == []


def test_the_signature_of_somebody_else_is_none(shop: Workshop, tmp_path: Path) -> None:
    """A good signature by a key that nobody trusts is refused, until its holder is a signer."""
    shop.eve.sign(shop.version)
    refusal = shop.refusal()
    assert refusal.problem == "unknown_signer"
    assert "not signed by anybody" in str(refusal)

    write_signers(tmp_path, shop.ann, shop.eve)
    assert shop.stage().signer == "eve"


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(sorted(FILES)), st.data())
def test_any_byte_of_any_file_counts(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    """One changed bit anywhere in a signed version, and it is refused."""
    shop = Workshop(tmp_path_factory.mktemp("signed"))
    shop.ann.sign(shop.version)
    content = bytearray(FILES[name])
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    if name == "manifest.json":  # What stands there has to be a manifest still.
        content = bytearray(json.dumps({"files": {}, "more": place}).encode())
    (shop.version / name).write_bytes(content)
    refusal = shop.refusal()

    assert refusal.problem == "tampered"
    assert str(refusal) == "its files are not what 'ann' has signed"


def add(version: Path) -> None:
    (version / "more.bin").write_bytes(b"")


def lose(version: Path) -> None:
    (version / "weights" / "a.bin").unlink()


def rename(version: Path) -> None:
    (version / "golden.npz").rename(version / "silver.npz")


@pytest.mark.parametrize("change", [add, lose, rename])
def test_files_may_not_come_go_or_change_their_names(
    shop: Workshop, change: Callable[[Path], None]
) -> None:
    """A signature is about the set of files, too."""
    shop.ann.sign(shop.version)
    change(shop.version)

    assert shop.refusal().problem == "tampered"


@pytest.mark.parametrize("name", ["model.onnx", "weights/a.bin", "golden.npz"])
def test_a_signature_that_leaves_a_file_out_is_not_enough(shop: Workshop, name: str) -> None:
    """A signer may have files ignored; then anybody could exchange them."""
    shop.ann.sign(shop.version, name)
    refusal = shop.refusal()

    assert refusal.problem == "tampered"
    assert str(refusal) == f"the signature of 'ann' says nothing of '{name}'"


def test_a_profile_may_be_left_out_of_a_signature(shop: Workshop) -> None:
    """It may change while the model stays; if it is signed, it may not."""
    profile = shop.version / "profile.json"
    profile.write_bytes(b"{}")
    shop.ann.sign(shop.version, "profile.json")
    profile.write_bytes(b"other")
    assert shop.stage().signer == "ann"

    shop.ann.sign(shop.version)
    assert shop.stage().signer == "ann"
    profile.write_bytes(b"{}")
    assert shop.refusal().problem == "tampered"
    profile.unlink()
    assert shop.refusal().problem == "tampered"


def test_it_is_the_copy_that_is_held_to_the_signature(shop: Workshop) -> None:
    """What is served is what was signed, whatever lay in the repository when somebody looked."""
    shop.ann.sign(shop.version)
    copy = shop.stage().path / "model.onnx"
    copy.chmod(0o644)
    copy.write_bytes(b"the modem")

    assert shop.refusal().problem == "tampered"


def test_a_signature_cannot_be_bent_to_other_files(shop: Workshop) -> None:
    """Hashes exchanged in a signature are not what was signed."""
    shop.eve.sign(shop.version)
    bent = json.loads(shop.signature.read_bytes())
    shop.ann.sign(shop.version)
    good = json.loads(shop.signature.read_bytes())
    (shop.version / "model.onnx").write_bytes(b"the modem")
    shop.eve.sign(shop.version)
    other = json.loads(shop.signature.read_bytes())
    good["dsseEnvelope"]["payload"] = other["dsseEnvelope"]["payload"]
    bent["verificationMaterial"] = good["verificationMaterial"]

    for bundle in (good, bent):
        shop.signature.write_bytes(json.dumps(bundle).encode())
        assert shop.refusal().problem == "unknown_signer"


def payload(value: object) -> bytes:
    encoded = base64.b64encode(json.dumps(value).encode()).decode()
    return json.dumps({"dsseEnvelope": {"payload": encoded}}).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        b'{"dsseEnvelope": {"payload": 7}}',
        b'{"dsseEnvelope": {"payload": "!"}}',
        payload(None),
        payload({"predicate": {"resources": 7}}),
        payload({"predicate": {"resources": [{}]}}),
        payload({"predicate": {"resources": [{"name": "../../../etc/passwd"}]}}),
        payload({"predicate": {"resources": []}}),
    ],
)
def test_what_is_no_signature_is_none(shop: Workshop, content: bytes) -> None:
    """Whatever bytes stand in the file, the version is refused, and nothing else happens."""
    shop.signature.write_bytes(content)

    assert shop.refusal().problem == "unknown_signer"


def test_a_key_is_no_identity(shop: Workshop, tmp_path: Path) -> None:
    """Who trusts an identity of Sigstore trusts no key; the roots of trust are told offline."""
    shop.ann.sign(shop.version)
    (tmp_path / "signers.toml").write_text(
        '[[signers]]\nname = "ci"\nidentity = "https://ci/release"\n'
        'issuer = "https://issuer"\ntrust_config = "trust.json"\n'
    )
    (tmp_path / "trust.json").write_text(json.dumps(public_roots()))
    assert shop.refusal().problem == "unknown_signer"

    (tmp_path / "trust.json").write_text("{}")
    refusal = shop.refusal()
    assert refusal.may_pass
    assert str(refusal).startswith("signatures of 'ci' cannot be verified: ")


def public_roots() -> dict[str, Any]:
    """Return the roots of trust of the public instance, as Sigstore's library brings them along."""
    folder = files("sigstore") / "_store" / "https%3A%2F%2Ftuf-repo-cdn.sigstore.dev"
    return {
        "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
        "trustedRoot": json.loads((folder / "trusted_root.json").read_text()),
        "signingConfig": json.loads((folder / "signing_config.v0.2.json").read_text()),
    }


def test_a_huge_signature_is_not_read(shop: Workshop) -> None:
    """A file of many megabytes is no signature, and takes no memory."""
    with shop.signature.open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(ModelInvalid, match=r"model\.sig is not a signature of a model"):
        signed_names(shop.signature)


def test_a_file_of_signers_that_breaks_is_tried_again(shop: Workshop, tmp_path: Path) -> None:
    """That is not the version's fault, and it is taken when the file is mended."""
    shop.ann.sign(shop.version)
    (tmp_path / "signers.toml").write_text("[[signers]")
    refusal = shop.refusal()
    assert refusal.may_pass
    assert refusal.problem == ""
    assert "is not TOML" in str(refusal)

    write_signers(tmp_path, shop.ann)
    assert shop.stage().signer == "ann"


def test_a_key_that_cannot_be_used_is_said_so(shop: Workshop, tmp_path: Path) -> None:
    """Nobody is told that a version is not signed when it is the key that is broken."""
    shop.ann.sign(shop.version)
    (tmp_path / "ann.pub").write_text("-----BEGIN PUBLIC KEY-----\nAAAA\n")
    refusal = shop.refusal()

    assert refusal.may_pass
    assert str(refusal).startswith("signatures of 'ann' cannot be verified: ValueError: ")


def test_without_the_library_nothing_is_taken(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason says what to install; a version is never taken because nobody could look."""
    shop.ann.sign(shop.version)
    monkeypatch.setitem(sys.modules, "model_signing", None)
    refusal = shop.refusal()

    assert str(refusal) == "signatures cannot be verified: model-signing is not installed"
    assert refusal.fix.startswith("pip install 'tidegate[signatures]'")


def test_signers_are_keys_and_identities(tmp_path: Path) -> None:
    """Paths of keys are relative to the file that names them."""
    ann = Author(tmp_path, "ann")
    path = tmp_path / "signers.toml"
    path.write_text(
        f'{ann.entry()}[[signers]]\nname = "ci"\nidentity = "https://ci/release"\n'
        'issuer = "https://issuer"\n'
        '[[signers]]\nname = "ours"\nidentity = "a@b"\nissuer = "https://issuer"\n'
        'trust_config = "trust.json"\n'
    )
    (tmp_path / "trust.json").write_text("{}")

    assert read_signers(path) == (
        Signer("ann", tmp_path / "ann.pub"),
        Signer("ci", None, "https://ci/release", "https://issuer"),
        Signer("ours", None, "a@b", "https://issuer", tmp_path / "trust.json"),
    )


FORM = "it needs tables"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", FORM),
        ("signers = 7", FORM),
        ("signers = []", FORM),
        ("signers = [7]", FORM),
        ('signers = [{name = "a"}]', FORM),
        ('signers = [{name = "a", public_key = ""}]', FORM),
        ('signers = [{name = "a", public_key = 7}]', FORM),
        ('signers = [{name = "a", identity = "b"}]', FORM),
        ('signers = [{name = "a", public_key = "a.pub", issuer = "b"}]', FORM),
        ('more = 1\n[[signers]]\nname = "a"\npublic_key = "a.pub"', FORM),
        ('signers = [{name = "a", public_key = "no.pub"}]', "cannot be read: No such file"),
        ('signers = [{name = "a", public_key = "a.key"}]', "is not a public key in PEM"),
        ("=", "is not TOML"),
        ("signers = " + "[" * 100_000, "is not TOML"),
        (
            'signers = [{name = "a", public_key = "a.pub"}, {name = "a", public_key = "a.pub"}]',
            "two signers have one name",
        ),
    ],
)
def test_a_file_of_signers_that_cannot_be_used_is_told(
    tmp_path: Path, text: str, problem: str
) -> None:
    """Whoever wrote it is told what is wrong; nobody is trusted by mistake."""
    Author(tmp_path, "a")
    path = tmp_path / "signers.toml"
    path.write_text(text)

    with pytest.raises(ValueError, match=problem):
        read_signers(path)


def test_a_missing_file_of_signers_is_told(tmp_path: Path) -> None:
    """With its path, as it was given."""
    with pytest.raises(ValueError, match=r"signers\.toml cannot be read: No such file"):
        read_signers(tmp_path / "signers.toml")
    with pytest.raises(ValueError, match="signers_file names no file"):
        read_signers(Path(""))
