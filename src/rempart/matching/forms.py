"""The forms in which a caller may hand over hashes and ids, brought to arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from rempart.errors import InvalidHashError
from rempart.matching.permutation import BYTES, Bytes


class HasHash(Protocol):
    """Anything with the 32 bytes of a hash, as :class:`rempart.hashing.pdq.Pdq`."""

    @property
    def hash(self) -> bytes:
        """The hash, in the order of the text form."""
        ...


HashLike: TypeAlias = str | bytes | Bytes | HasHash
"""One hash: 64 hexadecimal digits, 32 bytes in the order of these, a uint8 array of shape (32,), or what has one."""


def hash_table(hashes: Bytes | Sequence[HashLike]) -> Bytes:
    """Hashes in any form as a uint8 array of shape (n, 32)."""
    if isinstance(hashes, np.ndarray):
        if hashes.dtype == np.uint8 and hashes.shape[1:] == (BYTES,):
            return hashes
        shape = "x".join(map(str, hashes.shape))
        raise InvalidHashError(f"an array of hashes is uint8 of shape (n, {BYTES}), not {hashes.dtype} of {shape}")
    if isinstance(hashes, (str, bytes)):
        raise InvalidHashError("this is one hash where a list of hashes is expected; put it into a list")
    table = bytearray()
    for row, value in enumerate(hashes):
        try:
            table += hash_bytes(value)
        except InvalidHashError as error:
            raise InvalidHashError(f"row {row} of the hashes: {error}") from None
    return np.frombuffer(table, np.uint8).reshape(-1, BYTES)


def hash_bytes(value: HashLike) -> bytes:
    """One hash in any form as 32 bytes. No message quotes it: hashes of lists are confidential."""
    value = getattr(value, "hash", value)
    if isinstance(value, str):
        if len(value) != 2 * BYTES:
            raise InvalidHashError(f"a hash has {2 * BYTES} hexadecimal digits, not {len(value)} characters")
        try:
            value = bytes.fromhex(value)
        except ValueError:
            value = b""
        if len(value) != BYTES:  # fromhex skips white space
            raise InvalidHashError("a hash consists of hexadecimal digits; this one holds other characters")
    if isinstance(value, np.ndarray):
        if value.dtype != np.uint8 or value.shape != (BYTES,):
            raise InvalidHashError(
                f"a hash as an array is uint8 of shape ({BYTES},), not {value.dtype} of {value.shape}"
            )
        return value.tobytes()
    if not isinstance(value, bytes):
        raise InvalidHashError(
            f"a hash is {2 * BYTES} hexadecimal digits, {BYTES} bytes or a uint8 array, not {type(value).__name__}"
        )
    if len(value) != BYTES:
        raise InvalidHashError(f"a hash has {BYTES} bytes, not {len(value)}")
    return value


def id_array(ids: npt.ArrayLike, rows: int) -> npt.NDArray[np.int64]:
    """Ids as an int64 array of their own."""
    try:
        given = np.asarray(ids)
    except (ValueError, OverflowError):
        raise InvalidHashError("the ids are not a plain list of whole numbers") from None
    if given.shape != (rows,):
        shape = "x".join(map(str, given.shape)) or "a single number"
        raise InvalidHashError(f"there must be one id for each of the {rows} hashes; the shape of the ids is {shape}")
    if rows and given.dtype.kind not in "iu":
        raise InvalidHashError(f"ids are whole numbers from 0 to 2**63 - 1; these are {given.dtype}")
    wrong = np.flatnonzero((given < 0) | (given > np.iinfo(np.int64).max))
    if len(wrong):
        raise InvalidHashError(f"row {wrong[0]} of the ids is not a whole number from 0 to 2**63 - 1")
    return given.astype(np.int64)
