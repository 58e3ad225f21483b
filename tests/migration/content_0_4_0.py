"""What the databases that version 0.4.0 has left here hold: one of everything, in rows of its tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

NOW = datetime(2026, 11, 22, 19, 30, 0, 250_000, tzinfo=UTC)
"""When all of it happened."""

HOUR = NOW.replace(minute=0, second=0, microsecond=0)
LATER = NOW + timedelta(days=400)
ACTOR = "cli:keeper"

Rows = dict[str, list[dict[str, Any]]]


def value(number: int, length: int = 32) -> bytes:
    """A hash of so many bytes, another for each number."""
    return sha256(f"lighthouse {number}".encode()).digest()[:length]


ROWS: Rows = {
    "banks": [
        {
            "id": 1,
            "name": "KNOWN",
            "kind": "blocking",
            "harm": "csam",
            "radius": 31,
            "quality_floor": 50,
            "turned": True,
            "max_age_seconds": 604_800,
            "created_at": NOW,
            "refreshed_at": LATER,
            "video_query_percent": 80,
            "video_banked_percent": None,
            "video_run_seconds": 2.5,
            "enabled_ratio": 1.0,
        },
        {
            "id": 2,
            "name": "_FINE_2",
            "kind": "allowing",
            "harm": "other",
            "radius": 63,
            "quality_floor": 0,
            "turned": False,
            "max_age_seconds": None,
            "created_at": NOW,
            "refreshed_at": NOW,
            "video_query_percent": None,
            "video_banked_percent": 1,
            "video_run_seconds": None,
            "enabled_ratio": 0.25,
        },
    ],
    "entries": [
        {
            "id": number,
            "bank_id": 2 if number == 4 else 1,
            "created_at": NOW,
            "source_record": source,
            "note": note,
            "disabled_until": until,
            "enabled_ratio": ratio,
            "opinions": opinions,
        }
        for number, source, note, until, ratio, opinions in (
            (1, None, None, None, None, None),
            (2, "record 7", "gesehen: Köln, 灯台", None, 0.25, {"true_positive": 2, "who": ["a", "b"]}),
            (3, None, None, LATER, 1.0, []),
            (4, None, "a form", None, None, None),
            (5, None, None, None, None, None),
        )
    ],
    "hashes": [
        {"entry_id": entry, "kind": kind, "value": content, "quality": quality, "variant": variant, "at_ms": at}
        for entry, kind, content, quality, variant, at in (
            (1, "md5", value(1, 16), None, None, None),
            (1, "pdq", value(2), 100, "full", None),
            (1, "pdq", value(3), 51, "trimmed", None),
            (1, "sha1", value(4, 20), None, None, None),
            (1, "sha256", value(5), None, None, None),
            (2, "vpdq", value(6), 90, "full", 0),
            (2, "vpdq", value(7), 0, None, 3_600_000),
            (3, "sha256", value(8), None, None, None),
            (4, "pdq", value(9), None, None, None),
            (5, "md5", value(10, 16), None, None, None),
        )
    ],
    "changes": [
        {"id": 1, "bank_id": 1, "first_entry": 1, "last_entry": 3, "token": 2**62 + 1},
        {"id": 2, "bank_id": 2, "first_entry": 4, "last_entry": 4, "token": 5},
        {"id": 3, "bank_id": 1, "first_entry": 5, "last_entry": 6, "token": 6},
    ],
    "flood_samples": [{"entry_id": 1, "value": value(number), "seen_at": NOW} for number in (20, 21)],
    "quarantines": [
        {"entry_id": 1, "state": "quarantined", "since": NOW, "decided_at": None, "note": None},
        {"entry_id": 2, "state": "confirmed", "since": NOW, "decided_at": LATER, "note": "a form"},
        {"entry_id": 4, "state": "lifted", "since": NOW, "decided_at": LATER, "note": None},
    ],
    "jobs": [
        {
            "id": number,
            "kind": "compact_bank",
            "payload": b'{"bank":1}',
            "state": state,
            "dedupe": dedupe,
            "created_at": NOW,
            "due_at": NOW,
            "attempts": number - 1,
            "most_attempts": 8,
            "leased_by": "worker-1" if state == "running" else None,
            "lease_until": LATER if state == "running" else None,
            "finished_at": LATER if state in {"done", "dead", "cancelled"} else None,
            "error": "SnapshotError" if state == "dead" else None,
        }
        for number, (state, dedupe) in enumerate(
            [("waiting", "bank:1"), ("running", "bank:2"), ("done", "bank:1"), ("dead", "bank:1"), ("cancelled", None)],
            1,
        )
    ],
    "schedules": [
        {
            "name": "sweep",
            "kind": "sweep_jobs",
            "payload": b"{}",
            "every_seconds": 3600,
            "next_at": LATER,
            "enabled": True,
        },
        {"name": "Off", "kind": "sweep_jobs", "payload": b"", "every_seconds": 1, "next_at": NOW, "enabled": False},
    ],
    "keys": [
        {
            "id": 1,
            "name": "uploads",
            "digest": value(30),
            "created_at": NOW,
            "expires_at": LATER,
            "revoked_at": None,
            "per_minute": 600,
            "every_bank": False,
        },
        {
            "id": 2,
            "name": "curator",
            "digest": value(31),
            "created_at": NOW,
            "expires_at": None,
            "revoked_at": LATER,
            "per_minute": None,
            "every_bank": True,
        },
    ],
    "key_scopes": [
        *({"key_id": 1, "scope": scope} for scope in ("distance", "match", "screen")),
        *({"key_id": 2, "scope": scope} for scope in ("admin", "curate")),
    ],
    "key_banks": [{"key_id": 1, "bank_id": 1}, {"key_id": 1, "bank_id": 2}],
    "allowances": [{"key_id": 1, "tokens": 12.5, "filled_at": NOW}],
    "lookups": [
        {
            "key_id": 1,
            "hour": NOW.replace(minute=0, second=0, microsecond=0),
            "kind": "hash",
            "outcome": outcome,
            "count": n,
        }
        for outcome, n in (("clear", 2**40), ("near", 3))
    ],
    "client_metadata": [{"entry_id": 2, "content": {"content_id": "7", "json": {"a": [1]}}}],
    "signal_types": [{"name": "video_md5", "enabled_ratio": 0.5}],
    "idempotency": [
        {
            "key_id": 2,
            "token": "9b2c",
            "request": value(40),
            "status": 201,
            "body": b'{"id":1}\x00\xff',
            "created_at": NOW,
        },
    ],
}
"""Every table but those of the audit. After them an entry 6 was made and removed."""

ACTS = [("bank_created", "bank:1", {"radius": 31, "turned": True}), ("entries_added", "bank:1", {"entries": 3})]
"""What the audit log holds, after the act by which it started."""
