"""The audit log: every act of a person and every change of state, in a chain of digests that shows tampering."""

from __future__ import annotations

from rempart.audit.acts import Act
from rempart.audit.chain import Detail, local_actor, record
from rempart.audit.checkpoint import Checkpoint, checkpoint, read_checkpoint
from rempart.audit.export import export
from rempart.audit.log import length
from rempart.audit.verify import Fault, FaultKind, verify

__all__ = [
    "Act",
    "Checkpoint",
    "Detail",
    "Fault",
    "FaultKind",
    "checkpoint",
    "export",
    "length",
    "local_actor",
    "read_checkpoint",
    "record",
    "verify",
]
