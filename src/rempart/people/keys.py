"""Keys of programs: making, listing and revoking them. Of a secret only the SHA-256 is stored."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import func, insert, select, update
from sqlalchemy.engine import Connection, Row
from sqlalchemy.exc import IntegrityError

from rempart import audit
from rempart.clock import Clock, utc_now
from rempart.errors import BankError, UsageError
from rempart.people.scopes import Permission, refusal
from rempart.store import Store
from rempart.store.service_tables import Scope, key_banks, key_scopes, keys
from rempart.store.tables import banks as bank_table

PREFIX: Final = "rk_"
"""By which a secret is known as one, to people and to programs that search for leaked ones."""

SECRET_BYTES: Final = 32
SECRET_LENGTH: Final = len(PREFIX) + 43  # 32 bytes in URL-safe base64 without padding
MOST_PER_MINUTE: Final = 2**31 - 1

_NAME = re.compile(r"(?![0-9]+\Z)[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class Key(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is known of whoever presents a secret.

    Attributes:
        id: its number, never used again; ``key:<id>`` is the actor of what it does.
        scopes: what it may do, see :data:`rempart.people.scopes.RULES`.
        banks: the numbers of the only banks that it may look into or change; None for every bank.
        per_minute: requests a minute, over all processes together; None for what the service allows any key.
        expires_at: when it ends; None for never.
    """

    id: int
    name: str
    scopes: frozenset[Scope]
    banks: frozenset[int] | None
    per_minute: int | None
    expires_at: datetime | None = None

    @property
    def actor(self) -> str:
        """By what name the audit knows it."""
        return f"key:{self.id}"

    def may(self, permission: Permission) -> bool:
        """Whether its scopes let it do something."""
        return refusal(self.scopes, permission) is None

    def may_use(self, bank: int) -> bool:
        """Whether it may look into the bank of this number."""
        return self.banks is None or bank in self.banks


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A key as people see it: everything but the secret, which is nowhere.

    Attributes:
        banks: the names of its banks; None for every bank. A bank that was deleted is gone from here as well.
        active: whether it was neither revoked nor expired when this was read.
    """

    id: int
    name: str
    scopes: tuple[Scope, ...]
    banks: tuple[str, ...] | None
    per_minute: int | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    active: bool


def secret_digest(secret: str) -> bytes | None:
    """The SHA-256 of a secret, under which its key is stored; None when this cannot be a secret.

    A digest is looked up instead of the secret, so that the time it takes tells nothing of how much of it was right.
    """
    if len(secret) != SECRET_LENGTH or not secret.startswith(PREFIX) or not secret.isascii():
        return None
    return hashlib.sha256(secret.encode("ascii")).digest()


def create_key(
    store: Store,
    name: str,
    scopes: Iterable[Scope],
    *,
    banks: Iterable[str] | None = None,
    per_minute: int | None = None,
    expires_at: datetime | None = None,
    giver: Key | None = None,
    actor: str | None = None,
    clock: Clock = utc_now,
) -> tuple[Key, str]:
    """Make a key.

    Args:
        store: the database.
        name: letters, digits, ``.``, ``_`` and ``-``, 63 at the most and not digits alone. It is never given twice, not
            even after the key was revoked, so that records of what was done stay unambiguous.
        scopes: what it may do; at least one.
        banks: names of the only banks it may look into or change; None for every bank, those to come as well.
        per_minute: requests a minute, over all processes together; None for what the service allows any key.
        expires_at: when it ends; None for never.
        giver: the key by which this one is asked for. A key can hand on no more than it has, and for no longer.
        actor: who makes it; by default the giver, or this machine's user.
        clock: the time.

    Returns:
        The key, and the secret, which cannot be had again.

    Raises:
        UsageError: the name, scopes, limit or end is not possible, the name is taken, or the giver has less than this.
        BankError: there is no such bank.
        StoreError: the database cannot be written.
    """
    wanted, now = frozenset(Scope(scope) for scope in scopes), clock()
    _check(name, wanted, per_minute, expires_at, now)
    secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    with store.write() as connection:
        chosen = None if banks is None else frozenset(_bank_ids(connection, banks))
        if giver is not None:
            _check_giver(giver, wanted, chosen, per_minute, expires_at)
        row = {
            "name": name,
            "digest": secret_digest(secret),
            "created_at": now,
            "expires_at": expires_at,
            "per_minute": per_minute,
            "every_bank": chosen is None,
        }
        try:
            number = connection.execute(insert(keys).values(row).returning(keys.c.id)).scalar_one()
        except IntegrityError:
            raise UsageError(
                f"there is or was a key {name}, and names are never given twice; "
                f"choose another one, such as {_next_name(name)}"
            ) from None
        connection.execute(insert(key_scopes), [{"key_id": number, "scope": scope} for scope in sorted(wanted)])
        if chosen:
            connection.execute(insert(key_banks), [{"key_id": number, "bank_id": bank} for bank in sorted(chosen)])
        details = {
            "scopes": " ".join(sorted(wanted)),
            "banks": "all" if chosen is None else " ".join(map(str, sorted(chosen))),
            "per_minute": per_minute,
            "expires_at": None if expires_at is None else expires_at.isoformat(),
        }
        by = giver.actor if actor is None and giver is not None else actor
        audit.record(connection, by, audit.Act.KEY_CREATED, f"key:{number}", details, clock=clock)
    key = Key(id=number, name=name, scopes=wanted, banks=chosen, per_minute=per_minute, expires_at=expires_at)
    return key, secret


def list_keys(store: Store, *, clock: Clock = utc_now) -> list[KeyRecord]:
    """Every key there is or was, the oldest first; never a secret.

    Raises:
        StoreError: the database cannot be read.
    """
    with store.read() as connection:
        return _records(connection, clock())


def get_key(store: Store, name: str, *, clock: Clock = utc_now) -> KeyRecord:
    """The key of this name or number.

    Raises:
        UsageError: there is none.
        StoreError: the database cannot be read.
    """
    with store.read() as connection:
        return _record(connection, name, clock())


def revoke_key(store: Store, name: str, *, actor: str | None = None, clock: Clock = utc_now) -> KeyRecord:
    """End a key for good; every process refuses it within a second.

    Args:
        store: the database.
        name: its name or number. One that was revoked before stays as it is.
        actor: who does it; by default this machine's user.
        clock: the time.

    Raises:
        UsageError: there is no such key.
        StoreError: the database cannot be written.
    """
    with store.write() as connection:
        now = clock()
        record = _record(connection, name, now)
        ended = update(keys).where(keys.c.id == record.id, keys.c.revoked_at.is_(None)).values(revoked_at=now)
        if connection.execute(ended).rowcount:
            audit.record(connection, actor, audit.Act.KEY_REVOKED, f"key:{record.id}", clock=clock)
        return _record(connection, str(record.id), now)


def read_state(connection: Connection) -> tuple[int, ...]:
    """Numbers that differ once a key was made or revoked, or lost a bank: whether all keys must be read anew."""
    counted = (func.count(keys.c.id), func.count(keys.c.revoked_at), func.coalesce(func.max(keys.c.id), 0))
    banks, scopes = (select(func.count()).select_from(table).scalar_subquery() for table in (key_banks, key_scopes))
    return tuple(connection.execute(select(*counted, banks, scopes)).one())


def read_live_keys(connection: Connection, digest: bytes | None = None) -> dict[bytes, Key]:
    """The keys that were not revoked, by the digest of their secret; expired ones are among them.

    Args:
        connection: a transaction.
        digest: only the key of this one.
    """
    live = keys.c.revoked_at.is_(None) if digest is None else (keys.c.revoked_at.is_(None) & (keys.c.digest == digest))
    rows = connection.execute(select(keys).where(live)).all()
    only = None if digest is None else [row.id for row in rows]
    scopes, banks = _scopes(connection, only), _banks(connection, only)
    return {
        bytes(row.digest): Key(
            id=row.id,
            name=row.name,
            scopes=frozenset(map(Scope, scopes[row.id])),
            banks=None if row.every_bank else frozenset(bank for bank, _ in banks[row.id]),
            per_minute=row.per_minute,
            expires_at=row.expires_at,
        )
        for row in rows
    }


def _check(
    name: str, scopes: frozenset[Scope], per_minute: int | None, expires_at: datetime | None, now: datetime
) -> None:
    if not _NAME.fullmatch(name):
        raise UsageError(
            "a key's name is made of letters, digits, `.`, `_` and `-`, 63 at the most, begins with a letter or digit "
            "and is not a number, for example platform-uploads"
        )
    if not scopes:
        raise UsageError(f"a key needs at least one scope, of {', '.join(Scope)}: without one it may do nothing")
    if per_minute is not None and not 0 < per_minute <= MOST_PER_MINUTE:
        raise UsageError(f"a limit must lie between 1 and {MOST_PER_MINUTE:,} requests a minute")
    if expires_at is not None and expires_at <= now:
        raise UsageError("a key cannot end before it begins: choose an end that is still to come")


def _check_giver(
    giver: Key, scopes: frozenset[Scope], banks: frozenset[int] | None, per_minute: int | None, end: datetime | None
) -> None:
    """Refuse what is more than the giver has: who holds a key could else make itself a stronger one."""
    if not giver.may(Permission.CHANGE_KEYS):
        raise UsageError("this key may make no keys: that takes the scope `admin`")
    if missing := scopes - giver.scopes:
        raise UsageError(f"this key has not the scope {' or '.join(sorted(missing))} itself, so it cannot hand it on")
    if giver.banks is not None and (banks is None or not banks <= giver.banks):
        raise UsageError("this key may not use all of these banks itself, so it cannot hand them on; name its own")
    if giver.per_minute is not None and (per_minute is None or per_minute > giver.per_minute):
        raise UsageError(f"this key can hand on at most its own limit of {giver.per_minute:,} requests a minute")
    if giver.expires_at is not None and (end is None or end > giver.expires_at):
        raise UsageError("this key expires, and a key that it makes cannot outlive it: choose an earlier end")


def _next_name(name: str) -> str:
    stem, _, number = name.rpartition("-")
    return f"{stem}-{int(number) + 1}" if stem and number.isdecimal() else f"{name[:60]}-2"


def _bank_ids(connection: Connection, names: Iterable[str]) -> list[int]:
    wanted = list(dict.fromkeys(names))
    if not wanted:
        raise UsageError("name at least one bank, or none at all for every bank")
    there: dict[str, int] = dict(connection.execute(select(bank_table.c.name, bank_table.c.id)).all())
    for name in wanted:
        if name not in there:
            raise BankError(f"there is no bank {name!r}; `rempart bank list` shows those there are")
    return [there[name] for name in wanted]


def _record(connection: Connection, name: str, now: datetime) -> KeyRecord:
    if name.isascii() and name.isdecimal():
        found = [] if int(name) > MOST_PER_MINUTE else _records(connection, now, keys.c.id == int(name))
    else:
        found = _records(connection, now, keys.c.name == name) if _NAME.fullmatch(name) else []
    if not found:
        raise UsageError("there is no key of that name or number; `rempart key list` shows those there are")
    return found[0]


def _records(connection: Connection, now: datetime, only: Any = None) -> list[KeyRecord]:  # noqa: ANN401 -- a condition
    chosen = select(keys).order_by(keys.c.id)
    rows = connection.execute(chosen if only is None else chosen.where(only)).all()
    numbers = [row.id for row in rows] if only is not None else None
    scopes, banks = _scopes(connection, numbers), _banks(connection, numbers)
    return [
        KeyRecord(
            id=row.id,
            name=row.name,
            scopes=tuple(scope for scope in Scope if scope in scopes[row.id]),
            banks=None if row.every_bank else tuple(sorted(name for _, name in banks[row.id])),
            per_minute=row.per_minute,
            created_at=row.created_at,
            expires_at=row.expires_at,
            revoked_at=row.revoked_at,
            active=_is_active(row, now),
        )
        for row in rows
    ]


def _is_active(row: Row[Any], now: datetime) -> bool:
    return row.revoked_at is None and (row.expires_at is None or row.expires_at > now)


def _scopes(connection: Connection, only: list[int] | None) -> dict[int, set[str]]:
    chosen = select(key_scopes.c.key_id, key_scopes.c.scope)
    found: dict[int, set[str]] = defaultdict(set)
    for key, scope in connection.execute(chosen if only is None else chosen.where(key_scopes.c.key_id.in_(only))):
        found[key].add(scope)
    return found


def _banks(connection: Connection, only: list[int] | None) -> dict[int, list[tuple[int, str]]]:
    chosen = select(key_banks.c.key_id, bank_table.c.id, bank_table.c.name).join(bank_table)
    found: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for key, bank, name in connection.execute(chosen if only is None else chosen.where(key_banks.c.key_id.in_(only))):
        found[key].append((bank, name))
    return found
