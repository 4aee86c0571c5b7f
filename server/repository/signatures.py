"""Who may sign models, and whether what is to be served is signed by one of them.

Decides what a signature has to cover: every file of a version that is served or used to check it.
Signatures are those of the OpenSSF (`model.sig`, a Sigstore bundle), which the library
`model-signing` verifies; it is an extra, and is imported when the first signature is looked at.
Does not know where copies are kept: `staging.py` lays out what is to be verified.
"""

import base64
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson

from server.errors import ModelInvalid
from server.repository.layout import SIGNATURE_FILE

MISSING_EXTRA = "signatures cannot be verified: model-signing is not installed"
EXTRA_FIX = "pip install 'tidegate[signatures]', or set signatures to off"

_MISMATCH = "Signature mismatch"
"""How the library begins to say that files are not what a trusted signer has signed."""
_DIFFERS, _NOT_BY = "differs", "not by"
_MAX_SIGNATURE_BYTES = 16 << 20
_FORM = "it needs tables [[signers]], each with 'name', and 'public_key' or 'identity' and 'issuer'"


@dataclass(frozen=True, slots=True)
class Signer:
    """Somebody whose signature counts: the holder of a key, or an identity of Sigstore's."""

    name: str
    public_key: Path | None = None
    """A PEM file with an elliptic curve's public key."""
    identity: str = ""
    """What the certificate of the signature has to name, an e-mail address or a workflow's URL."""
    issuer: str = ""
    """Who has to have vouched for that identity, an OpenID Connect issuer's URL."""
    trust_config: Path | None = None
    """A file with the roots of trust of a Sigstore instance; None fetches the public one's."""


def is_installed() -> bool:
    """Whether the library is there."""
    return find_spec("model_signing") is not None


def read_signers(path: Path) -> tuple[Signer, ...]:
    """Read the file of signers; paths of keys are relative to it.

    Raises:
        ValueError: the file, or a key that it names, cannot be used; says what is wrong.

    """
    if path == Path():
        raise ValueError("signers_file names no file")
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not TOML: {error}") from None
    entries = document.get("signers")
    if not isinstance(entries, list) or not entries or document.keys() != {"signers"}:
        raise ValueError(f"{path}: {_FORM}")
    signers = tuple(_signer(path, entry) for entry in entries)
    if len({signer.name for signer in signers}) < len(signers):
        raise ValueError(f"{path}: two signers have one name")
    return signers


def _signer(path: Path, entry: object) -> Signer:
    if not isinstance(entry, dict) or not all(
        isinstance(value, str) and value for value in entry.values()
    ):
        raise ValueError(f"{path}: {_FORM}")
    if entry.keys() - {"trust_config"} == {"name", "identity", "issuer"}:
        config = path.parent / entry["trust_config"] if "trust_config" in entry else None
        if config is not None:
            _read(config)
        return Signer(entry["name"], None, entry["identity"], entry["issuer"], config)
    if entry.keys() != {"name", "public_key"}:
        raise ValueError(f"{path}: {_FORM}")
    key = path.parent / entry["public_key"]
    if b"-----BEGIN PUBLIC KEY-----" not in _read(key):
        raise ValueError(f"{key} is not a public key in PEM")
    return Signer(entry["name"], key)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None


def signed_names(signature: Path) -> frozenset[str]:
    """Return which files a signature is about, whoever it is by.

    Raises:
        ModelInvalid: it is not a signature of a model.

    """
    try:
        if signature.stat().st_size > _MAX_SIGNATURE_BYTES:
            raise ValueError("it is too large")
        bundle = orjson.loads(signature.read_bytes())
        payload = orjson.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
        return frozenset(str(one["name"]) for one in payload["predicate"]["resources"])
    except (ValueError, KeyError, TypeError):
        raise ModelInvalid(
            f"{SIGNATURE_FILE} is not a signature of a model",
            fix=_sign_fix(),
            problem="unknown_signer",
        ) from None


def verify(folder: Path, signature: Path, signers: Sequence[Signer]) -> str:
    """Return the name of the trusted signer of all that is in `folder`, and of nothing else.

    Raises:
        ModelInvalid: nobody who is trusted has signed it, files are not what was signed, or that
            cannot be found out.

    """
    if not is_installed():
        raise ModelInvalid(MISSING_EXTRA, fix=EXTRA_FIX, may_pass=True)
    names = signed_names(signature)
    problems = {}
    for signer in signers:
        problem = problems[signer.name] = _problem(folder, signature, signer)
        if not problem:
            _check_covered(folder, names, signer)
            return signer.name
    for name, problem in problems.items():
        if problem == _DIFFERS:
            raise ModelInvalid(
                f"its files are not what '{name}' has signed",
                fix="copy the version again as it was signed, or have it signed as it is",
                problem="tampered",
            )
    for name, problem in problems.items():
        if problem != _NOT_BY:
            raise ModelInvalid(
                f"signatures of '{name}' cannot be verified: {problem}",
                fix="mend what the file of signers says of it, or its way to Sigstore's servers",
                may_pass=True,
            )
    raise ModelInvalid(
        "it is not signed by anybody whom the file of signers names",
        fix=_sign_fix(),
        problem="unknown_signer",
    )


def unsigned() -> ModelInvalid:
    """Return the error of a version that has no signature."""
    return ModelInvalid(
        f"it has no {SIGNATURE_FILE}, and versions have to be signed",
        fix=_sign_fix(),
        problem="unsigned",
    )


def _sign_fix() -> str:
    return f"have it signed by one of the signers, with the signature beside it as {SIGNATURE_FILE}"


def _problem(folder: Path, signature: Path, signer: Signer) -> str:
    """Say why a signature is not one of `signer` for a folder; nothing if it is.

    Whatever the library raises is a refusal: any bytes may be in the file that it reads.
    """
    try:
        verifier = _verifier(signer)
    except Exception as error:  # noqa: BLE001 - told to whoever asks for the version
        return f"{type(error).__name__}: {error}"[:200]
    try:
        verifier.verify(folder, signature)
    except Exception as error:  # noqa: BLE001 - the same
        return _DIFFERS if str(error).startswith(_MISMATCH) else _NOT_BY
    return ""


def _verifier(signer: Signer) -> Any:
    from model_signing import verifying

    config = verifying.Config()  # type: ignore[no-untyped-call]
    if signer.public_key is not None:
        return config.use_elliptic_key_verifier(public_key=signer.public_key)
    return config.use_sigstore_verifier(
        identity=signer.identity, oidc_issuer=signer.issuer, trust_config=signer.trust_config
    )


def _check_covered(folder: Path, names: frozenset[str], signer: Signer) -> None:
    """See that a signature that holds leaves nothing out: signers may have files ignored."""
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    left_out = min(there - names, default="")
    if left_out:
        raise ModelInvalid(
            f"the signature of '{signer.name}' says nothing of '{left_out}'",
            fix="sign the version without leaving files out",
            problem="tampered",
        )
