from __future__ import annotations

import hashlib
import itertools
import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command as alembic

from rempart.errors import ExitCode, StoreError
from rempart.lists import (
    create_bank,
    delete_bank,
    get_bank,
    import_hashes,
    list_banks,
    list_entries,
    parse_hash,
    remove_entries,
)
from rempart.store import migrations, open_store, sqlite
from rempart.store.sqlite import SqliteStore
from rempart.store.tables import REVISION

REMPART = str(Path(sys.executable).with_name("rempart"))
# Root may read and write anywhere; without these capabilities it obeys permissions like everyone else.
WITHOUT = "-dac_override,-dac_read_search"
OBEDIENT = [] if os.geteuid() else ["setpriv", f"--inh-caps={WITHOUT}", f"--bounding-set={WITHOUT}"]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with the bank A, which holds one entry; commands started from the test use it."""
    folder = tmp_path / "data"
    monkeypatch.setenv("REMPART__DATA_DIR", str(folder))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    with open_store(folder) as store:
        create_bank(store, "A")
        import_hashes(store, "A", [parse_hash("0d" * 16)])
    return folder


@pytest.fixture
def obedient() -> list[str]:
    """What to put before a command so that permissions hold for it even when root runs the tests."""
    if OBEDIENT and subprocess.run([*OBEDIENT, "true"], check=False, capture_output=True).returncode:
        pytest.skip("root cannot give up its right to write everywhere here: setpriv is missing or not allowed")
    return OBEDIENT


def digests(count: int) -> bytes:
    """A list of SHA-256 values."""
    return b"".join(f"sha256:{hashlib.sha256(str(number).encode()).hexdigest()}\n".encode() for number in range(count))


def finished(command: list[str]) -> tuple[int, list[dict[str, object]], str]:
    """Exit code, result rows and standard error of a command."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def is_being_written(folder: Path) -> bool:
    """Whether some process holds the lock of a writer."""
    raw = sqlite3.connect(folder / "rempart.db", timeout=0, isolation_level=None)
    try:
        raw.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return True
    finally:
        raw.close()
    return False


def test_an_import_killed_in_the_middle_leaves_the_bank_as_it_was(data: Path) -> None:
    """SIGKILL, with several batches written and the transaction still open; then the import is done again."""
    with open_store(data) as store:
        before = get_bank(store, "A")
    content = digests(70_000)
    command = [REMPART, "bank", "add-hash", "A", "--file", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        assert process.stdin is not None
        process.stdin.write(content)
        process.stdin.flush()
        # The child has taken the list but for what a pipe and a block hold, and waits for more.
        assert is_being_written(data)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not is_being_written(data)
    with open_store(data) as store:
        assert get_bank(store, "A") == before
        result = import_hashes(store, "A", map(parse_hash, content.decode().split()))
        assert (result.added, get_bank(store, "A").entries) == (70_000, 70_001)


WRITER = """
import itertools, sys
from pathlib import Path
from rempart.lists import Content, add_contents, parse_hash
from rempart.store import open_store

with open_store(Path(sys.argv[1])) as store:
    for number in itertools.count(1):
        [added] = add_contents(store, "A", [Content((parse_hash(f"md5:{number:032}"),))])
        print(added.entry, flush=True)
"""


def test_what_was_acknowledged_survives_a_kill(data: Path) -> None:
    """Every entry whose number was printed is there with its hash, three times over."""
    printed: set[int] = set()
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", WRITER, data], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            printed.update(int(line) for line in itertools.islice(process.stdout, 60))
            process.send_signal(signal.SIGKILL)
            printed.update(int(line) for line in process.stdout if line.endswith("\n"))
    with open_store(data) as store:
        assert {entry.id for entry in list_entries(store, "A") if len(entry.hashes) == 1} >= printed
    with sqlite3.connect(data / "rempart.db") as raw:
        assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    raw.close()


def test_processes_that_start_together_make_one_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each finds the folder missing, and none trips over another."""
    folder = tmp_path / "new" / "data"
    monkeypatch.setenv("REMPART__DATA_DIR", str(folder))
    commands = [[REMPART, "bank", "create", f"BANK_{number}"] for number in range(4)]
    started = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for command in commands]
    assert [process.communicate()[1] for process in started] == [b""] * 4
    assert [process.returncode for process in started] == [ExitCode.CLEAN] * 4
    with open_store(folder) as store:
        assert [bank.name for bank in list_banks(store)] == [f"BANK_{number}" for number in range(4)]


def old_database(folder: Path) -> None:
    """A database as revision 0001 made it: two banks, three entries with two hashes each, the last entry removed."""
    folder.mkdir()
    file = folder / "rempart.db"
    file.touch()
    sqlite.use_write_ahead_log(file)
    moment = "2026-01-02 03:04:05.000006"
    with SqliteStore(file, "rw") as store, store.write() as connection:
        config = migrations._config()
        config.attributes["connection"] = connection
        alembic.upgrade(config, "0001")
        for name, kind in (("OLD", "blocking"), ("FINE", "allowing")):
            connection.exec_driver_sql(
                "INSERT INTO banks VALUES (NULL, ?, ?, 'other', 20, 40, 1, 3600, ?, ?)", (name, kind, moment, moment)
            )
        for bank in (1, 2, 1, 2):
            row = (bank, moment, f"note {bank}", moment if bank == 2 else None)
            columns = "bank_id, created_at, note, disabled_until, opinions"
            connection.exec_driver_sql(f"INSERT INTO entries ({columns}) VALUES (?, ?, ?, ?, '[1]')", row)  # noqa: S608
        for entry in range(1, 5):
            for kind, size, quality, variant in (("pdq", 32, 77, "full"), ("md5", 16, None, None)):
                row = (entry, kind, bytes([entry]) * size, quality, variant)
                connection.exec_driver_sql("INSERT INTO hashes VALUES (?, ?, ?, ?, ?)", row)
        connection.exec_driver_sql("DELETE FROM entries WHERE id = 4")


def content(file: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every row of the first three tables, by their first columns."""
    raw = sqlite3.connect(file)
    columns = {
        "banks": "id, name, kind, harm, radius, quality_floor, turned, max_age_seconds, created_at, refreshed_at",
        "entries": "id, bank_id, created_at, source_record, note, disabled_until, enabled_ratio, opinions",
        "hashes": "entry_id, kind, value, quality, variant",
    }
    rows = {table: raw.execute(f"SELECT {names} FROM {table}").fetchall() for table, names in columns.items()}  # noqa: S608
    raw.close()
    return rows


def test_a_database_of_the_first_revision_is_upgraded_with_all_that_it_holds(tmp_path: Path) -> None:
    """And works like a new one: rows still belong to each other, numbers go on, old content stands in the changes."""
    folder = tmp_path / "data"
    old_database(folder)
    before = content(folder / "rempart.db")
    with open_store(folder) as store:
        assert content(store.file) == before
        fine, old = list_banks(store)
        assert (old.name, old.entries, old.radius, fine.name, fine.entries) == ("OLD", 2, 20, "FINE", 1)
        assert (old.video_query_percent, old.video_banked_percent, old.video_run_seconds) == (80, 80, 5.0)
        with store.read() as connection:
            rows = connection.exec_driver_sql("SELECT bank_id, first_entry, last_entry FROM changes").all()
            assert [tuple(row) for row in rows] == [(1, 1, 3), (2, 2, 2)]
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar_one() == 1
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"
        remove_entries(store, "OLD", [3])
        delete_bank(store, "FINE")
        assert import_hashes(store, "OLD", [parse_hash("0e" * 16)]).added == 1
        assert [entry.id for entry in list_entries(store, "OLD")] == [1, 5]
        assert create_bank(store, "NEW").id == 3
        with store.read() as connection:
            owners = connection.exec_driver_sql("SELECT DISTINCT entry_id FROM hashes ORDER BY 1").scalars().all()
            assert owners == [1, 5]


def test_processes_that_find_an_old_database_together_upgrade_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others wait, and all see the whole."""
    folder = tmp_path / "data"
    monkeypatch.setenv("REMPART__DATA_DIR", str(folder))
    old_database(folder)
    command = [REMPART, "bank", "list"]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
    outcomes = [(process.communicate(), process.returncode) for process in started]
    assert len(set(outcomes)) == 1
    (out, err), code = outcomes[0]
    assert (out.count(b"\n"), err, code) == (2, b"", ExitCode.CLEAN)


def test_an_upgrade_that_fails_leaves_the_old_database_as_it_was(tmp_path: Path) -> None:
    """Here because rows belong to nothing, which no upgrade may carry on; once mended, it goes through."""
    folder = tmp_path / "data"
    old_database(folder)
    with sqlite3.connect(folder / "rempart.db") as raw:
        raw.execute("INSERT INTO hashes VALUES (99, 'md5', zeroblob(16), NULL, NULL)")
    raw.close()
    before = content(folder / "rempart.db")
    with pytest.raises(StoreError, match="belong to nothing; nothing was changed"):
        open_store(folder)
    assert content(folder / "rempart.db") == before
    with sqlite3.connect(folder / "rempart.db") as raw:
        assert raw.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)
        raw.execute("DELETE FROM hashes WHERE entry_id = 99")
    raw.close()
    with open_store(folder) as store, store.read() as connection:
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one() == REVISION


@pytest.fixture
def read_only(data: Path) -> Iterator[Path]:
    """The data folder and its file without permission to write."""
    (data / "rempart.db").chmod(0o400)
    data.chmod(0o500)
    yield data
    data.chmod(0o700)


def test_a_read_only_folder_can_be_read(read_only: Path, obedient: list[str]) -> None:
    """Nothing is put into it."""
    before = sorted(read_only.iterdir())
    code, rows, err = finished([*obedient, REMPART, "bank", "show", "A"])
    assert (code, [row["entry"] for row in rows], err) == (ExitCode.CLEAN, [1], "")
    assert sorted(read_only.iterdir()) == before


def test_a_read_only_folder_refuses_a_write_in_one_line(read_only: Path, obedient: list[str]) -> None:
    """With the folder's name and what to do; the content stays as it was."""
    before = (read_only / "rempart.db").read_bytes()
    code, rows, err = finished([*obedient, REMPART, "bank", "add-hash", "A", "0e" * 16])
    assert (code, rows, err.count("\n")) == (ExitCode.UNAVAILABLE, [], 1)
    assert f"{read_only}/rempart.db cannot be written here; make it and its folder writable" in err
    assert (read_only / "rempart.db").read_bytes() == before


def test_no_database_can_be_made_in_a_read_only_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, obedient: list[str]
) -> None:
    """Nor the folder itself; nor can it be looked for where one may not enter."""
    try:
        for mode, folder in itertools.product((0o500, 0), (tmp_path, tmp_path / "data")):
            tmp_path.chmod(mode)
            monkeypatch.setenv("REMPART__DATA_DIR", str(folder))
            code, _, err = finished([*obedient, REMPART, "bank", "list"])
            assert (code, err.count("\n")) == (ExitCode.UNAVAILABLE, 1)
            assert f"the data folder {folder} cannot be used: Permission denied. Set data_dir" in err
    finally:
        tmp_path.chmod(0o700)


def test_a_reader_without_permission_to_write_sees_what_a_writer_has_committed(data: Path, obedient: list[str]) -> None:
    """Though it is not folded into the file yet."""
    with open_store(data) as store:
        import_hashes(store, "A", [parse_hash("0e" * 16)])
        data.chmod(0o500)
        try:
            code, rows, _ = finished([*obedient, REMPART, "bank", "show", "A"])
        finally:
            data.chmod(0o700)
    assert (code, [row["entry"] for row in rows]) == (ExitCode.CLEAN, [1, 2])


def test_changes_that_a_reader_cannot_see_are_not_passed_over(data: Path, tmp_path: Path, obedient: list[str]) -> None:
    """A folder as a killed writer leaves it, made read-only: its newest entries would be missed."""
    left = tmp_path / "left"
    left.mkdir()
    with open_store(data) as store:
        import_hashes(store, "A", [parse_hash("0e" * 16)])
        for name in ("rempart.db", "rempart.db-wal"):
            shutil.copy(data / name, left)
    left.chmod(0o500)
    try:
        code, rows, err = finished([*obedient, "env", f"REMPART__DATA_DIR={left}", REMPART, "bank", "show", "A"])
    finally:
        left.chmod(0o700)
    assert (code, rows, err.count("\n")) == (ExitCode.UNAVAILABLE, [], 1)
    assert "changes that are not folded in yet" in err
    with open_store(left) as store:
        assert get_bank(store, "A").entries == 2


OPEN_AND_READ = """
import sys, time
from pathlib import Path
from rempart.errors import StoreError
from rempart.lists import list_banks
from rempart.store import open_store

with open_store(Path(sys.argv[1])) as store:
    print(store.mode, flush=True)
    try:
        with store.read() as connection:
            sys.stdin.readline()
    except StoreError as error:
        print(error)
"""


def test_a_change_under_a_reader_who_cannot_lock_is_noticed(read_only: Path, obedient: list[str]) -> None:
    """What such a reader saw may be half of one state and half of another."""
    command = [*obedient, sys.executable, "-c", OPEN_AND_READ, str(read_only)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "immutable\n"
        (read_only / "rempart.db").chmod(0o600)
        read_only.chmod(0o700)
        time.sleep(0.2)
        with open_store(read_only) as store:
            create_bank(store, "B")
        out, _ = process.communicate("\n")
    assert "was changed while it was read; run the command again" in out


def test_a_full_disk_is_one_clear_line_and_nothing_half_written(tmp_path: Path) -> None:
    """On a file system of 2 MB, too small for a list of 20,000."""
    folder, file = tmp_path / "disk", tmp_path / "list.txt"
    folder.mkdir()
    file.write_bytes(digests(20_000))
    script = """
        mount -t tmpfs -o size=2m none "$1" || exit
        export REMPART__DATA_DIR="$1/data"
        "$2" bank create A && "$2" bank add-hash A 0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d || exit
        "$2" bank add-hash A --file "$3"
        echo "{\\"code\\": $?}"
        "$2" bank show A
    """
    unshare = shutil.which("unshare") or "/bin/false"
    code, rows, err = finished([unshare, "--mount", "sh", "-c", script, "sh", str(folder), REMPART, str(file)])
    if not rows:
        pytest.skip("no file system can be mounted here: unshare is missing or not allowed")
    assert (code, rows[2]) == (ExitCode.CLEAN, {"code": ExitCode.UNAVAILABLE})
    assert [row["entry"] for row in rows[3:]] == [1]
    assert err.count("\n") == 1
    assert f"no space is left for {folder}/data; nothing was changed. Free some space" in err


def test_a_limit_on_file_size_is_one_clear_line_and_nothing_half_written(data: Path, tmp_path: Path) -> None:
    """As when a quota is used up."""
    file = tmp_path / "list.txt"
    file.write_bytes(digests(20_000))

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    command = [REMPART, "bank", "add-hash", "A", "--file", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=limit)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (ExitCode.UNAVAILABLE, "", 1)
    assert f"{data}/rempart.db failed; nothing was changed. Check the disk" in done.stderr
    with open_store(data) as store:
        assert get_bank(store, "A").entries == 1


def test_a_database_that_may_not_be_read_is_named_in_one_line(data: Path, obedient: list[str]) -> None:
    """Not as an empty one."""
    (data / "rempart.db").chmod(0)
    code, rows, err = finished([*obedient, REMPART, "bank", "list"])
    assert (code, rows, err.count("\n")) == (ExitCode.UNAVAILABLE, [], 1)
    assert "cannot be read: check its permissions" in err
