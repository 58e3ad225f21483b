"""Everything that changes what is stored, held against the acts that are recorded."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import rempart
from rempart.audit import Act
from rempart.cli.main import rempart as main

ROOT = Path(rempart.__file__).parent

ACTS = {
    "audit.checkpoint._record": Act.AUDIT_CHECKPOINTED,
    "audit.export.export": Act.AUDIT_EXPORTED,
    "jobs.records.cancel_job": Act.JOB_CANCELLED,
    "jobs.records.retry_job": Act.JOB_RETRIED,
    "jobs.schedules.set_schedule": Act.SCHEDULE_CHANGED,
    "lists.banks.create_bank": Act.BANK_CREATED,
    "lists.banks.delete_bank": Act.BANK_DELETED,
    "lists.changing.change_bank": Act.BANK_CHANGED,
    "lists.changing.change_entry": Act.ENTRY_CHANGED,
    "lists.entries.add_contents": Act.ENTRIES_ADDED,
    "lists.entries.import_hashes": Act.HASHES_IMPORTED,
    "lists.entries.remove_entries": Act.ENTRIES_REMOVED,
    "lists.loader.compact_bank": Act.BANK_COMPACTED,
    "lists.quarantine.FloodWatch._kept": Act.ENTRIES_QUARANTINED,
    "lists.quarantine.decide_quarantine": Act.QUARANTINE_DECIDED,
    "lists.signal_types.set_enabled_ratio": Act.SIGNAL_TYPE_CHANGED,
    "people.keys.create_key": Act.KEY_CREATED,
    "people.keys.revoke_key": Act.KEY_REVOKED,
}
"""Which function records which act."""

MACHINERY = {
    "cli.worker": "only tries whether the database can be written",
    "jobs.handlers": "a job goes on or ends: what it does records itself",
    "jobs.leases": "who does a job next",
    "jobs.schedules.tick_schedules": "the act was to set the schedule",
    "jobs.upkeep": "puts away what is done",
    "jobs.worker": "how an attempt ended",
    "lists.compaction.ask_to_compact": "puts a job into the outbox, which records that it compacted",
    "people.allowance": "counts requests",
    "people.counter": "counts requests",
    "web.findings": "hands a finding on by the outbox",
    "web.v1.writes": "keeps the answer to a write, which records itself",
}
"""What writes to the database and records nothing, and why: a function, or a module with all of its functions."""

READS: frozenset[Act] = frozenset()
SERVES = frozenset(ACTS.values()) - {Act.AUDIT_CHECKPOINTED, Act.AUDIT_EXPORTED}

COMMANDS = {
    "audit checkpoint": {Act.AUDIT_CHECKPOINTED},
    "audit export": {Act.AUDIT_EXPORTED},
    "audit verify": READS,
    "bank add": {Act.ENTRIES_ADDED},
    "bank add-hash": {Act.ENTRIES_ADDED, Act.HASHES_IMPORTED},
    "bank compact": {Act.BANK_COMPACTED},
    "bank confirm": {Act.QUARANTINE_DECIDED},
    "bank create": {Act.BANK_CREATED},
    "bank delete": {Act.BANK_DELETED},
    "bank lift": {Act.QUARANTINE_DECIDED},
    "bank list": READS,
    "bank quarantine": READS,
    "bank remove": {Act.ENTRIES_REMOVED},
    "bank show": READS,
    "config show": READS,
    "demo": READS,  # its banks are its own, and gone with it
    "doctor": READS,
    "hash": READS,
    "job cancel": {Act.JOB_CANCELLED},
    "job list": READS,
    "job retry": {Act.JOB_RETRIED},
    "job schedules": READS,
    "key create": {Act.KEY_CREATED},
    "key list": READS,
    "key revoke": {Act.KEY_REVOKED},
    "key usage": READS,
    "match": {Act.ENTRIES_QUARANTINED},
    "origin": READS,
    "prompt bench": READS,
    "prompt check": READS,
    "prompt explain": READS,
    "prompt packs": READS,
    "serve": SERVES,
    "worker": {Act.BANK_COMPACTED},
}
"""Which command may record which acts."""


def functions(tree: ast.AST, path: str) -> Iterator[tuple[str, ast.FunctionDef, ast.ClassDef | None]]:
    """The functions and methods of a module, with the class that each is in."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef):
            yield f"{path}.{node.name}", node, tree if isinstance(tree, ast.ClassDef) else None
        elif isinstance(node, ast.ClassDef):
            yield from functions(node, f"{path}.{node.name}")


def writes(function: ast.FunctionDef) -> bool:
    """Whether a function opens a writing transaction: ``with store.write() as connection``, or ``write_whole``."""
    calls = (item.context_expr for node in ast.walk(function) if isinstance(node, ast.With) for item in node.items)
    return any(
        isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in {"write", "write_whole"}
        and not call.args
        for call in calls
    )


def names(node: ast.AST) -> set[str]:
    """What a part of a program names."""
    return {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)} | {
        each.id for each in ast.walk(node) if isinstance(each, ast.Name)
    }


def records(call: ast.Call) -> bool:
    """Whether it is a call of ``record`` or ``audit.record``."""
    return "record" in {getattr(call.func, "id", None), getattr(call.func, "attr", None)}


def arguments(function: ast.FunctionDef) -> set[str]:
    """The names of a function's arguments."""
    return {each.arg for each in (*function.args.args, *function.args.kwonlyargs)}


def writers() -> dict[str, tuple[ast.FunctionDef, ast.ClassDef | None]]:
    """Every function that opens a writing transaction, but for the store itself."""
    found = {}
    for file in sorted(ROOT.rglob("*.py")):
        path = file.relative_to(ROOT).with_suffix("")
        if path.parts[0] == "store":
            continue
        module = ast.parse(file.read_text(encoding="utf-8"))
        for name, function, owner in functions(module, ".".join(path.parts)):
            if writes(function):
                found[name] = function, owner
    return found


WRITERS = writers()


def is_machinery(name: str) -> bool:
    """Whether a function, or its module, records nothing for a reason that is given."""
    return any(name == known or name.startswith(f"{known}.") for known in MACHINERY)


def test_every_function_that_writes_records_an_act_or_has_a_reason_not_to() -> None:
    """One that is new must go into one of the two tables above."""
    assert {name for name in WRITERS if not is_machinery(name)} == set(ACTS)
    assert all(any(name == known or name.startswith(f"{known}.") for name in WRITERS) for known in MACHINERY)


@pytest.mark.parametrize("name", ACTS)
def test_a_function_that_writes_is_told_who_acts_and_records_it(name: str) -> None:
    """In the same function, so that it is seen to be in the same transaction."""
    function, owner = WRITERS[name]
    made = next((each for each in owner.body if getattr(each, "name", "") == "__init__"), None) if owner else None
    told = arguments(function) | (arguments(made) if isinstance(made, ast.FunctionDef) else set())
    assert "actor" in told
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call) and records(node)]
    assert [ACTS[name].name in names(call) for call in calls] == [True]


def test_the_service_always_says_who_acts() -> None:
    """Else what a key does would be recorded as done by the user who runs the service."""
    acting = {name.split(".")[-1] for name in ACTS} - {"_kept", "_record"}  # which no request calls
    calls = [
        (file.name, call.lineno, {each.arg for each in call.keywords})
        for file in sorted((ROOT / "web").rglob("*.py"))
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and acting & {getattr(call.func, "id", None), getattr(call.func, "attr", None)}
    ]
    assert [(file, line) for file, line, told in calls if not told & {"actor", "giver"}] == []
    assert calls


def test_every_act_is_recorded_by_some_function() -> None:
    """The list is closed, and not longer than what is done."""
    assert set(Act) - set(ACTS.values()) == {Act.AUDIT_STARTED}
    assert len(set(ACTS.values())) == len(ACTS)


def leaves(group: click.Group, *path: str) -> Iterator[str]:
    """Every command below a group, as one types it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from leaves(command, *path, name)
        else:
            yield " ".join((*path, name))


def test_of_every_command_it_is_known_whether_it_records_and_what() -> None:
    """A new one must go into the table; together they record every act there is."""
    assert set(leaves(main)) == set(COMMANDS)
    recorded = set().union(*COMMANDS.values())
    assert recorded == set(Act) - {Act.AUDIT_STARTED}
