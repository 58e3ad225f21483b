"""What a file's texts say of how it was made: a table of detectors, each for one family of generators or labels."""

from __future__ import annotations

import itertools
from typing import Final

from rempart.provenance.detectors.table import TABLE, Row
from rempart.provenance.detectors.texts import VERSION, Looking
from rempart.provenance.evidence import Evidence, Location, Strength
from rempart.provenance.fields import DEFAULT_LIMITS, FileView, Limits

__all__ = ["MAX_RECORDS", "TABLE", "Row", "detect"]

MAX_RECORDS: Final = 64
"""Records that one detector makes of one file; what is beyond is named, never passed over."""


def detect(view: FileView, limits: Limits = DEFAULT_LIMITS) -> list[Evidence]:
    """All that the detectors find in a file, in the order of the table.

    Never fails: a detector that gives up is itself a record, ``reader.failure``, so that nobody takes its silence for
    an answer. The same file gives the same records, whatever was looked at before.
    """
    found: list[Evidence] = []
    looking = Looking(view, limits)
    for row in TABLE:
        texts = row.wanted(looking.texts)
        if not texts and not row.always:
            continue
        try:
            records = list(itertools.islice(row.read(texts, looking), MAX_RECORDS + 1))
        except Exception as error:  # noqa: BLE001 -- a defect of one reader must not hide what the others find
            records = [_failure(row, type(error).__name__)]
        if len(records) > MAX_RECORDS:
            records[MAX_RECORDS:] = [_failure(row, "too many", "records")]
        found.extend(records)
    return found


def _failure(row: Row, why: str, *limits_hit: str) -> Evidence:
    """A record of a detector that gave up: the kind of error only, because its message may quote a prompt."""
    return Evidence(
        kind="reader.failure",
        claim="none",
        strength=Strength.NONE,
        caveat="reader_failed",
        location=Location(container="", field=""),
        excerpt=why,
        reader=row.detector,
        reader_version=VERSION,
        limits_hit=limits_hit,
    )
