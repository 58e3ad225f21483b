"""Who may ask the service for what: keys of programs, their scopes and limits, and how often they asked."""

from __future__ import annotations

from rempart.people.allowance import PER_MINUTE, Allowance
from rempart.people.counter import NEAR_PER_HOUR, RIM_PER_HOUR, Counted, Counter, Usage, counted, list_usage
from rempart.people.keys import Key, KeyRecord, create_key, get_key, list_keys, revoke_key
from rempart.people.ring import KeyRing
from rempart.people.scopes import RULES, Needs, Permission, Refusal, refusal, refusal_line
from rempart.people.veil import sees_distances, shown_matches
from rempart.store.service_tables import Scope

__all__ = [
    "NEAR_PER_HOUR",
    "PER_MINUTE",
    "RIM_PER_HOUR",
    "RULES",
    "Allowance",
    "Counted",
    "Counter",
    "Key",
    "KeyRecord",
    "KeyRing",
    "Needs",
    "Permission",
    "Refusal",
    "Scope",
    "Usage",
    "counted",
    "create_key",
    "get_key",
    "list_keys",
    "list_usage",
    "refusal",
    "refusal_line",
    "revoke_key",
    "sees_distances",
    "shown_matches",
]
