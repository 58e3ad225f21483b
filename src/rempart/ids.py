"""Names and numbers by which things are called."""

from __future__ import annotations

import re
import unicodedata

from rempart.errors import BankError

_BANK_NAME = re.compile(r"[A-Z_][A-Z0-9_]{0,254}")


def check_bank_name(name: str) -> str:
    """Return ``name`` if it is a bank name (``[A-Z_][A-Z0-9_]*``, at most 255 characters).

    Raises:
        BankError: it is not one; the message suggests the nearest name that is.
    """
    if _BANK_NAME.fullmatch(name):
        return name
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().upper()
    suggestion = re.sub(r"[^A-Z0-9]+", "_", plain)[:254].strip("_") or "MY_BANK"
    if suggestion[0].isdigit():
        suggestion = f"_{suggestion}"
    raise BankError(
        f"{name!r} is not a bank name: use capital letters, digits and underscores, not starting with a digit, "
        f"for example {suggestion}"
    )
