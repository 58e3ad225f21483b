"""Banks: making them, filling them from pictures and hash lists, and loading them for matching."""

from __future__ import annotations

from rempart.lists.banks import BankRecord, StoredBank, create_bank, delete_bank, get_bank, list_banks, stored_banks
from rempart.lists.changing import FOR_GOOD, EntryState, change_bank, change_entry, get_entry
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
from rempart.lists.loader import compact_bank, load_banks
from rempart.lists.pictures import content_of
from rempart.lists.quarantine import FloodWatch, QuarantineRecord, decide_quarantine, list_quarantine

__all__ = [
    "FOR_GOOD",
    "Added",
    "BankRecord",
    "Content",
    "EntryRecord",
    "EntryState",
    "FloodWatch",
    "HashFile",
    "HashValue",
    "Imported",
    "QuarantineRecord",
    "StoredBank",
    "add_contents",
    "change_bank",
    "change_entry",
    "compact_bank",
    "content_of",
    "create_bank",
    "decide_quarantine",
    "delete_bank",
    "get_bank",
    "get_entry",
    "import_hashes",
    "is_balanced",
    "list_banks",
    "list_entries",
    "list_quarantine",
    "load_banks",
    "parse_hash",
    "remove_entries",
    "stored_banks",
]
