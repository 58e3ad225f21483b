"""What each scope of a key lets it do: the one table that the web's guards, the tests and docs/keys.md are held to.

Whatever is not in the table is refused. No scope contains another one: a key that may do all has all five.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from rempart.errors import Explained
from rempart.store.service_tables import Scope

ANYONE = frozenset[Scope]()


class Permission(StrEnum):
    """What a route lets one do; each route names exactly one."""

    # Without a key.
    OPEN = "open"
    # With a key.
    SEE_SCHEMA = "see_schema"
    SCREEN_PROMPTS = "screen_prompts"
    MATCH_MEDIA = "match_media"
    SEE_LISTS = "see_lists"
    SEE_DISTANCES = "see_distances"
    SEE_HASHES = "see_hashes"
    SEE_ENTRIES = "see_entries"
    CHANGE_ENTRIES = "change_entries"
    CHANGE_BANKS = "change_banks"
    SEE_JOBS = "see_jobs"
    CHANGE_JOBS = "change_jobs"
    SEE_KEYS = "see_keys"
    CHANGE_KEYS = "change_keys"
    SEE_METRICS = "see_metrics"
    # A person only.
    REVEAL = "reveal"
    DECIDE = "decide"
    APPROVE = "approve"
    FILE_REPORTS = "file_reports"
    EXPORT = "export"
    # Two people only.
    SHARE_HASHES = "share_hashes"
    SHRED = "shred"
    FILE_UNVIEWED = "file_unviewed"
    REPORT_FOR_REAL = "report_for_real"
    LET_LISTS_BLOCK = "let_lists_block"
    ACT_IN_BULK = "act_in_bulk"
    GRANT_ROLES = "grant_roles"


class Needs(StrEnum):
    """Who it takes."""

    NOTHING = "nothing"
    KEY = "key"
    PERSON = "person"
    TWO_PEOPLE = "two_people"


class Rule(NamedTuple):
    """Who may do something.

    Attributes:
        needs: who it takes.
        scopes: of a key, any one of these.
        does: what it lets one do, in words that end a sentence.
    """

    needs: Needs
    scopes: frozenset[Scope]
    does: str


class Refusal(Explained):
    """Why something was refused; a stable code, and a line for the caller that names nothing secret."""

    NO_KEY = "no_key", "This takes a key: `rempart key create` makes one."
    NO_SCOPE = "no_scope", "This key has not the scope to {does}; it takes {scopes}."
    PERSON_ONLY = "person_only", "Only a person who has logged in may {does}; a key or a shell is never a person."
    TWO_PEOPLE_ONLY = (
        "two_people_only",
        "It takes two people who have logged in to {does}. This version knows no people yet, so it is refused.",
    )


def _key(does: str, *scopes: Scope) -> Rule:
    return Rule(Needs.KEY, frozenset(scopes), does)


def _person(does: str) -> Rule:
    return Rule(Needs.PERSON, ANYONE, does)


def _two(does: str) -> Rule:
    return Rule(Needs.TWO_PEOPLE, ANYONE, does)


RULES: Mapping[Permission, Rule] = {
    Permission.OPEN: Rule(Needs.NOTHING, ANYONE, "ask whether the service is alive"),
    Permission.SEE_SCHEMA: _key("read the description of the interface", *Scope),
    Permission.SCREEN_PROMPTS: _key("screen prompts", Scope.SCREEN),
    Permission.MATCH_MEDIA: _key("hash pictures and videos, and match them or their hashes", Scope.MATCH),
    Permission.SEE_LISTS: _key(
        "list the banks: their names, settings, age and how much they hold", Scope.MATCH, Scope.CURATE
    ),
    Permission.SEE_DISTANCES: _key("see how near a match is", Scope.DISTANCE),
    # Who knows distances can climb to the hash itself, so that reading it needs no scope of its own.
    Permission.SEE_HASHES: _key("see the hashes of an entry", Scope.DISTANCE),
    Permission.SEE_ENTRIES: _key("list the entries of a bank, with their notes and without their hashes", Scope.CURATE),
    Permission.CHANGE_ENTRIES: _key("add entries to a bank, change them or take them out", Scope.CURATE),
    Permission.CHANGE_BANKS: _key("make banks, change their settings or delete them", Scope.CURATE),
    Permission.SEE_JOBS: _key("see jobs", Scope.CURATE, Scope.ADMIN),
    Permission.CHANGE_JOBS: _key("cancel jobs, run them again or change their schedules", Scope.ADMIN),
    Permission.SEE_KEYS: _key("list keys and how much they are used", Scope.ADMIN),
    Permission.CHANGE_KEYS: _key("make keys of no more power than its own, or revoke keys", Scope.ADMIN),
    Permission.SEE_METRICS: _key("read the metrics", Scope.ADMIN),
    Permission.REVEAL: _person("see unblurred content"),
    Permission.DECIDE: _person("decide about a case"),
    Permission.APPROVE: _person("approve what another person wants"),
    Permission.FILE_REPORTS: _person("file a report"),
    Permission.EXPORT: _person("export a case or evidence"),
    Permission.SHARE_HASHES: _two("send a hash outside, or bank one out of a case"),
    Permission.SHRED: _two("destroy evidence"),
    Permission.FILE_UNVIEWED: _two("file a report whose only basis is a near match or unviewed files"),
    Permission.REPORT_FOR_REAL: _two("switch reporting to production"),
    Permission.LET_LISTS_BLOCK: _two("let a synced or shared list block"),
    Permission.ACT_IN_BULK: _two("act on more than 50 items of cases at once"),
    Permission.GRANT_ROLES: _two("grant a role that gives access to content"),
}


def refusal(scopes: frozenset[Scope] | None, permission: Permission) -> Refusal | None:
    """Why whoever has these scopes may not do something; None when they may.

    Args:
        scopes: of the key; None without a key.
        permission: what they want to do.
    """
    rule = RULES[permission]
    if rule.needs is Needs.KEY:
        if scopes is None:
            return Refusal.NO_KEY
        return Refusal.NO_SCOPE if rule.scopes.isdisjoint(scopes) else None
    if rule.needs is Needs.NOTHING:
        return None
    return Refusal.PERSON_ONLY if rule.needs is Needs.PERSON else Refusal.TWO_PEOPLE_ONLY


def refusal_line(reason: Refusal, permission: Permission) -> str:
    """One line for the caller: why it was refused, and what it would take."""
    rule = RULES[permission]
    scopes = " or ".join(f"`{scope}`" for scope in Scope if scope in rule.scopes)
    return reason.meaning.format(does=rule.does, scopes=scopes)
