"""What is recorded: the closed list of acts."""

from __future__ import annotations

from rempart.errors import Explained


class Act(Explained):
    """An act of a person or a change of state, each with what it means and what its details say.

    Looking something up is no act. A function that changes what is stored takes ``actor`` and records one of these; a
    test holds the tables of functions and commands against each other.
    """

    AUDIT_STARTED = "audit_started", "The first row of every log; `database` tells it from the logs of other databases."
    AUDIT_EXPORTED = "audit_exported", "The log was read out, from the row `first` on."
    AUDIT_CHECKPOINTED = "audit_checkpointed", "The end of the log was noted outside the database."
    BANK_CREATED = "bank_created", "A bank was made, with these settings."
    BANK_CHANGED = "bank_changed", "Settings of a bank were changed to these; all of its settings are told."
    BANK_DELETED = "bank_deleted", "A bank was deleted with all its `entries`."
    BANK_COMPACTED = "bank_compacted", "The snapshot of a bank was written anew, from the `changes` up to this number."
    ENTRIES_ADDED = "entries_added", "Contents were banked: entries that are new or gained hashes."
    HASHES_IMPORTED = "hashes_imported", "A list of hashes was banked, an entry each; it confirms the bank as fresh."
    ENTRY_CHANGED = "entry_changed", "An entry was switched off or on, or its note or a client's words on it changed."
    SIGNAL_TYPE_CHANGED = "signal_type_changed", "A type of signal was switched off or on for clients of HMA."
    ENTRIES_REMOVED = "entries_removed", "Entries were taken out of a bank."
    ENTRIES_QUARANTINED = (
        "entries_quarantined",
        "Entries went into quarantine because too many unlike pictures came near.",
    )
    QUARANTINE_DECIDED = "quarantine_decided", "A person confirmed or lifted the quarantine of entries."
    KEY_CREATED = "key_created", "A key was made, with these scopes and limits."
    KEY_REVOKED = "key_revoked", "A key was revoked."
    JOB_CANCELLED = "job_cancelled", "A job was cancelled before it was done, or a dead letter put away."
    JOB_RETRIED = "job_retried", "A job that had failed for good was given another try."
    SCHEDULE_CHANGED = "schedule_changed", "A schedule was made, changed, or switched on or off."
