"""What can go wrong, in three closed lists: exceptions, exit codes and reasons.

The exception tree::

    RempartError                    base of everything raised on purpose
    ├── UsageError                  the caller asked for something that cannot be done as asked
    │   ├── ConfigError             a setting is unknown, malformed or impossible
    │   ├── InvalidHashError        a hash has the wrong length or alphabet
    │   ├── HashFileError           a hash list file has bad lines
    │   ├── BankError               a bank or entry does not exist, exists already, or has a bad name
    │   ├── PackError               a prompt pack is broken, so no prompt can be screened
    │   └── NothingToCompareError   no blocking bank holds anything, so nothing was compared
    ├── UnavailableError            something this needs is not there now
    │   ├── StoreError              the database cannot be opened, read or written
    │   ├── DecoderError            decoding children cannot be started
    │   ├── SnapshotError           the snapshot of an index is damaged, or cannot be read or written
    │   └── RemoteError             a remote host may not be asked, or does not answer as it should
    └── UndeclaredRouteError        a route of the service declares no permission, so nothing is served

A failure of the *item* (a broken picture, a prompt that is too long) is never an exception: it is a value that
carries a :class:`Reason`, so that one bad file cannot stop the batch it came in.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import ClassVar, Self


class ExitCode(IntEnum):
    """What the process says when it ends; when several hold, the first of ``PRECEDENCE`` is said."""

    CLEAN = 0
    FOUND = 1
    USAGE = 2
    UNSCANNABLE = 3
    UNAVAILABLE = 4
    INTERNAL = 5
    INTERRUPTED = 130


PRECEDENCE = (
    ExitCode.INTERRUPTED,
    ExitCode.USAGE,
    ExitCode.INTERNAL,
    ExitCode.UNAVAILABLE,
    ExitCode.FOUND,
    ExitCode.UNSCANNABLE,
    ExitCode.CLEAN,
)


def worst(codes: set[ExitCode]) -> ExitCode:
    """The one exit code to say when all of ``codes`` hold; an empty set is clean."""
    return next((code for code in PRECEDENCE if code in codes), ExitCode.CLEAN)


class RempartError(Exception):
    """Something went wrong inside rempart; please report it with the command you ran."""

    exit_code: ClassVar[ExitCode] = ExitCode.INTERNAL

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class UsageError(RempartError):
    """The command cannot do what was asked; see --help."""

    exit_code = ExitCode.USAGE


class ConfigError(UsageError):
    """A setting is unknown or has a wrong value; `rempart config show` lists them all."""


class InvalidHashError(UsageError):
    """A hash has the wrong length or holds characters that are not hexadecimal digits."""


class HashFileError(UsageError):
    """The hash list has bad lines; mend them, or leave them out with --skip-bad."""


class BankError(UsageError):
    """The bank or entry cannot be used; `rempart bank list` shows what there is."""


class PackError(UsageError):
    """A prompt pack is broken; no prompt is screened until it is mended."""


class NothingToCompareError(UsageError):
    """Nothing was compared: no blocking bank holds an entry. Fill one with `rempart bank add` or `bank add-hash`."""


class UnavailableError(RempartError):
    """Something that rempart needs is not available now; try again once it is."""

    exit_code = ExitCode.UNAVAILABLE


class StoreError(UnavailableError):
    """The database cannot be used; `rempart doctor` says why."""


class DecoderError(UnavailableError):
    """The decoding children cannot be started; `rempart doctor` says why."""


class SnapshotError(UnavailableError):
    """The snapshot of an index cannot be used; delete it, and it is built anew from the bank."""


class RemoteError(UnavailableError):
    """A remote host cannot be asked, or does not answer as it should; look whether it runs and is configured."""


class Explained(StrEnum):
    """What closed lists are made of: a value that programs rely on, and a sentence for people."""

    meaning: str

    def __new__(cls, value: str, meaning: str) -> Self:
        """Keep the sentence beside the value, so that messages and docs cannot drift from the code."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member


class Reason(Explained):
    """Why a verdict is what it is: the closed list that every place uses, each with what it means."""

    # The file could not be taken up.
    MISSING = "missing", "There is no such file."
    UNREADABLE = "unreadable", "The file exists but cannot be read: permissions, a loop of links, or a disk error."
    NOT_A_FILE = "not_a_file", "It is a pipe, socket or device, not a regular file."
    EMPTY = "empty", "The file has no bytes."
    TOO_LARGE = "too_large", "The file has more bytes than the limit; only its digests were compared."
    # The bytes could not be opened as a picture.
    UNKNOWN_FORMAT = "unknown_format", "The content is of no picture format that is known here, whatever its name says."
    UNSUPPORTED_FORMAT = "unsupported_format", "The format is known but not decoded by this version."
    MISSING_EXTRA = "missing_extra", "An optional decoder is not installed; `rempart doctor` says which to install."
    TOO_MANY_PIXELS = "too_many_pixels", "The picture says it has more pixels than the limit."
    TOO_MANY_FRAMES = "too_many_frames", "The item has more frames or pages than the limit; the rest was not read."
    FRAMES_UNREAD = "frames_unread", "Some frames or pages could not be read."
    TRUNCATED = "truncated", "The file ends before the picture does; only a part could be compared."
    DAMAGED = "damaged", "The picture is damaged inside; only what decodes could be compared."
    CORRUPT = "corrupt", "The content looks like a picture but nothing of it decodes."
    NO_VIDEO = "no_video", "It is of a video format but holds no video, only sound, a cover or data."
    TIMEOUT = "timeout", "Decoding took longer than the limit and was ended."
    OUT_OF_MEMORY = "out_of_memory", "Decoding needed more memory than the limit and was ended."
    CRASH = "crash", "The decoder crashed on this file."
    # The picture was read, but a comparison cannot be relied on.
    LOW_QUALITY = "low_quality", "The picture has too little detail for a perceptual hash; only digests were compared."
    STALE_LIST = "stale_list", "A list is older than its maximum age, so nothing can be called clear."
    PREFILTERED = "prefiltered", "It is clear by a rough look only, as the caller asked; no exact hash was compared."
    # Matches.
    EXACT_MATCH = "exact_match", "A digest of the file equals one in a blocking bank."
    NEAR_MATCH = "near_match", "A perceptual hash lies within the radius of one in a blocking bank."
    QUARANTINED = "quarantined", "Too many unlike pictures came near every entry that was hit; a person must look."
    ALLOWED = "allowed", "An entry of an allowing bank is exact, or nearer than every blocking one."
    SPECIMEN = "specimen", "It is rempart's harmless test item."
    # Prompts.
    CONCEPTS_JOINED = "concepts_joined", "The prompt joins concepts that a rule forbids together."
    TOO_LONG = "too_long", "The prompt is longer than the limit and was not screened."
    SCORER = "scorer", "A scorer that the configuration names rates the prompt at or above its threshold."
    SCORER_UNAVAILABLE = "scorer_unavailable", "A scorer that the configuration names gave no rating that can be used."
    BUDGET = "budget", "The prompt is so crowded with disguises that only some of them were undone."
    ERROR = "error", "Screening failed; a prompt that was not screened is never allowed."
