"""Whoever signs models in tests: a key of their own, and the library that publishers use."""

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec


class Author:
    """The holder of a key."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self._private_key, self._public_key = folder / f"{name}.key", folder / f"{name}.pub"
        key = ec.generate_private_key(ec.SECP256R1())
        self._private_key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        self._public_key.write_bytes(
            key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )

    def sign(self, version: Path, *left_out: str) -> None:
        """Sign the version in a folder, but for files that are left out."""
        from model_signing import hashing, signing

        signature = version / "model.sig"
        ignored = [signature, *(version / name for name in left_out)]
        what = hashing.Config().set_ignored_paths(paths=ignored)  # type: ignore[no-untyped-call]
        config = signing.Config()  # type: ignore[no-untyped-call]
        config.use_elliptic_key_signer(private_key=self._private_key)
        config.set_hashing_config(what).sign(version, signature)

    def entry(self) -> str:
        """Return what the file of signers says of them."""
        return f'[[signers]]\nname = "{self.name}"\npublic_key = "{self._public_key.name}"\n'


def write_signers(folder: Path, *authors: Author) -> Path:
    """Write the file of those who may sign; return its path. It lies beside their keys."""
    path = folder / "signers.toml"
    path.write_text("\n".join(author.entry() for author in authors))
    return path
