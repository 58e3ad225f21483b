"""Banks: making them, filling them from pictures and hash lists, and loading them for matching."""

from __future__ import annotations

from rempart.lists.banks import BankRecord, create_bank, delete_bank, get_bank, list_banks
from rempart.lists.entries import (
    Added,
    Content,
    EntryRecord,
    Imported,
    add_contents,
    import_hashes,
    list_entries,
    remove_entries,
)
from rempart.lists.hashfile import HashFile, HashValue, is_balanced, parse_hash
from rempart.lists.loader import load_banks
from rempart.lists.pictures import content_of

__all__ = [
    "Added",
    "BankRecord",
    "Content",
    "EntryRecord",
    "HashFile",
    "HashValue",
    "Imported",
    "add_contents",
    "content_of",
    "create_bank",
    "delete_bank",
    "get_bank",
    "import_hashes",
    "is_balanced",
    "list_banks",
    "list_entries",
    "load_banks",
    "parse_hash",
    "remove_entries",
]
