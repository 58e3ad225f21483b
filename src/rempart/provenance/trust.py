"""Whom signed claims are held against: dated lists that come with rempart, and lists of the operator's own."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec
from cryptography.x509 import load_pem_x509_certificates

from rempart.errors import ConfigError
from rempart.settings import MIB

_FOLDER: Final = "trust"
_INDEX: Final = "lists.json"
_LARGEST_LIST: Final = 4 * MIB

Kind: TypeAlias = Literal["official", "interim", "interim_allowed", "time", "private"]

TEST_ROOTS: Final = frozenset(
    bytes.fromhex(one)
    for one in (
        "5ee65602b3f58e244c7e0c9ee99a91c86ba94e8c",
        "ba3b29289a64e67d8a0b26e3cde0e53cdf08cfaa",
        "7be14ae6debf6d018870663a9247882935ff6c9d",
        "5e99b886e1781bd957155a750052b6290ecba88c",
        "a1affcf274a35937fd0ebbcad089a8900457318c",
        "d689c3ef2475b8af39a3444579508440cd754b9f",
        "456f1be2742e66022d792c39f9fa324d942b1950",
        "14ce726054e71a7b25f9f8373cb0fa421cef7c87",
        "0ce10e2ddceea23e1d9fb4074da39c82d6175bc5",
    )
)
"""Key identifiers of the roots that c2pa-rs publishes with their private keys, for tests: anyone can sign under them.

A certificate names its issuer's key by such an identifier. Naming one of these takes trust away and never gives any, so
it need not be verified.
"""

TEST_UNIT: Final = "FOR TESTING_ONLY"
"""What those certificates give as their organisational unit."""


class TrustList(msgspec.Struct, frozen=True, kw_only=True):
    """One list of certificates.

    Attributes:
        name: what reports call it.
        kind: ``official`` and ``interim`` lists vouch for signers, ``interim_allowed`` are signers that the interim
            list allows one by one, ``time`` are time-stamping authorities, ``private`` is an operator's own list.
        dated: when it was issued or frozen, as YYYY-MM-DD; empty for a private list.
        sha256: of the file.
        next_update: when its issuer promised another one; empty where nobody did.
        anchors: the certificates, in PEM.
    """

    name: str
    kind: Kind
    dated: str
    sha256: str
    next_update: str = ""
    anchors: str = ""

    def __repr__(self) -> str:
        return f"<TrustList {self.name} {self.dated}>"


class _Listed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One row of the index."""

    name: str
    kind: Kind
    file: str
    dated: str
    next_update: str
    sha256: str


class TrustStore(msgspec.Struct, frozen=True):
    """The lists that signed claims are held against, each for itself, so that a report can name who vouches."""

    lists: tuple[TrustList, ...]

    @classmethod
    def bundled(cls, private: Sequence[str | Path] = ()) -> TrustStore:
        """The lists that come with this version, and the operator's own.

        Args:
            private: PEM files of certificates that the operator trusts; each is a list that is called as its file.

        Raises:
            ConfigError: a list cannot be read, is empty, or is not what the index says.
        """
        return cls((*_bundled(), *(_private(Path(path)) for path in private)))

    def anchors(self, *kinds: Kind, name: str = "") -> str:
        """All certificates of the lists of these kinds, and of this name if one is given, as one PEM text."""
        return "\n".join(one.anchors for one in self.lists if one.kind in kinds and name in ("", one.name))

    def names(self, *kinds: Kind) -> tuple[str, ...]:
        """The names of the lists of these kinds."""
        return tuple(one.name for one in self.lists if one.kind in kinds)

    def outdated(self, today: date) -> tuple[str, ...]:
        """The lists whose issuer promised a newer one by now; verdicts by them should be made anew with newer lists."""
        return tuple(one.name for one in self.lists if one.next_update and date.fromisoformat(one.next_update) <= today)


@lru_cache(maxsize=1)
def _bundled() -> tuple[TrustList, ...]:
    folder = resources.files("rempart.provenance") / _FOLDER
    try:
        index = msgspec.json.decode((folder / _INDEX).read_bytes(), type=list[_Listed])
        contents = [(folder / row.file).read_bytes() for row in index]
    except (OSError, msgspec.DecodeError):
        raise ConfigError("the trust lists that come with rempart cannot be read; install it again") from None
    for row, content in zip(index, contents, strict=True):
        if hashlib.sha256(content).hexdigest() != row.sha256:
            raise ConfigError(f"the trust list {row.file} is not the one that came with rempart; install it again")
    return tuple(
        TrustList(
            name=row.name,
            kind=row.kind,
            dated=row.dated,
            sha256=row.sha256,
            next_update=row.next_update,
            anchors=content.decode("utf-8"),
        )
        for row, content in zip(index, contents, strict=True)
    )


def _private(path: Path) -> TrustList:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_LIST + 1)
        text = content.decode("utf-8")
        certificates = load_pem_x509_certificates(content[:_LARGEST_LIST])
    except (OSError, ValueError):
        raise ConfigError(f"cannot read the trust list {path}: it must be a PEM file of certificates") from None
    if len(content) > _LARGEST_LIST or not certificates:
        raise ConfigError(
            f"the trust list {path} must be a PEM file of certificates, of {_LARGEST_LIST // MIB} MiB at most"
        )
    digest = hashlib.sha256(content).hexdigest()
    return TrustList(name=path.stem, kind="private", dated="", sha256=digest, anchors=text)
