"""What can be set about a scorer; none is set unless the operator does it."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class ScorerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One scorer: what it is, where it is, and what its rating may do."""

    kind: Literal["llama_guard", "safeguard", "shieldgemma", "local"]
    """How it is asked and answers; ``local`` is the embedding scorer of this machine."""
    url: str = ""
    """Where the OpenAI-compatible interface begins, such as ``http://127.0.0.1:8000/v1``."""
    model: str = ""
    """Name of the model there."""
    private: bool = False
    """Whether the host may lie on this machine or in its own network; plain http is possible only then."""
    key_file: str = ""
    """File that holds the key of the interface; none is sent when empty."""
    ca_file: str = ""
    """PEM file of the certificate authorities to trust; the system's when empty."""
    policy_file: str = ""
    """File of the policy that ``safeguard`` and ``shieldgemma`` judge by."""
    seconds: Annotated[float, Meta(gt=0)] = 5.0
    """Time for one rating."""
    threshold: Annotated[float, Meta(gt=0, le=1)] = 0.5
    """Probability from which a rating counts."""
    when_violation: Literal["review", "refuse"] = "review"
    """What a remote scorer's rating does; the local one's never does more than review."""
    when_unavailable: Literal["ignore", "review"] = "review"
    """What it does when there is no rating; it is recorded in either case."""
