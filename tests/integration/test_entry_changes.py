"""The notes of what changed in a bank, by which others follow it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from tests.integration.banked import bank_content, content, digest, emptied

from rempart.errors import BankError, HashFileError
from rempart.lists import HashValue, add_contents, create_bank, get_bank, import_hashes, remove_entries
from rempart.lists import entries as entries_module
from rempart.store import Store
from rempart.store.tables import HashKind, changes, entries, hashes


class Follower:
    """Knows of one bank only what the changes since its last look name."""

    def __init__(self, store: Store, name: str) -> None:
        self.store = store
        self.bank = get_bank(store, name).id
        self.content: dict[int, set[HashValue]] = {}
        self.position = 0
        self.rows: list[tuple[int, int]] = []

    def follow(self) -> None:
        """Read the entries again that the new rows name, as the database holds them now."""
        wanted = select(changes).where(changes.c.bank_id == self.bank, changes.c.id > self.position)
        with self.store.read() as connection:
            new = connection.execute(wanted.order_by(changes.c.id)).all()
            for row in new:
                for number in [each for each in self.content if row.first_entry <= each <= row.last_entry]:
                    del self.content[number]
                query = select(hashes).join(entries).where(entries.c.bank_id == self.bank)
                for one in connection.execute(query.where(entries.c.id.between(row.first_entry, row.last_entry))):
                    value = HashValue(HashKind(one.kind), one.value, one.quality, one.variant, one.at_ms)
                    self.content.setdefault(one.entry_id, set()).add(value)
                self.position = row.id
        self.rows += [(row.first_entry, row.last_entry) for row in new]


ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=4)),
        st.tuples(st.just("import"), st.lists(st.integers(0, 30), max_size=12)),
        st.tuples(st.just("remove"), st.sets(st.integers(0, 40), max_size=5)),
    ),
    max_size=8,
)


@pytest.mark.usefixtures("unsynced")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15, deadline=None)
@given(acts=st.lists(st.tuples(st.sampled_from("AB"), ACTS), max_size=4), size=st.integers(1, 5))
def test_who_follows_the_changes_knows_at_every_moment_what_a_bank_holds(
    store: Store, acts: list[tuple[str, list[tuple[str, object]]]], size: int
) -> None:
    """After each act of two banks whose entries lie among each other, whatever the size of a batch."""
    with pytest.MonkeyPatch.context() as patch, emptied(store):
        patch.setattr(entries_module, "BATCH", size)
        for name in "AB":
            create_bank(store, name)
        followers = {name: Follower(store, name) for name in "AB"}
        for name, of_bank in acts:
            for act, what in of_bank:
                if act == "add":
                    short = HashKind.SHA256
                    add_contents(store, name, [content(n, *(() if whole else (short,))) for n, whole in what])  # type: ignore[attr-defined]
                elif act == "import":
                    import_hashes(store, name, map(digest, what))  # type: ignore[call-overload]
                else:
                    remove_entries(store, name, sorted(what & set(bank_content(store, name))))  # type: ignore[operator]
                for each, follower in followers.items():
                    follower.follow()
                    assert follower.content == bank_content(store, each)


def test_each_act_notes_neighbours_as_one_range_and_what_changes_nothing_not_at_all(store: Store) -> None:
    """An import a row for each batch; a million entries are not a million rows."""
    create_bank(store, "A")
    create_bank(store, "B")
    follower = Follower(store, "A")
    import_hashes(store, "A", map(digest, range(50)))
    add_contents(store, "A", [content(60), content(61), content(3), content(8)])
    import_hashes(store, "A", map(digest, range(50)))
    add_contents(store, "A", [content(60)])
    add_contents(store, "B", [content(1)])
    remove_entries(store, "A", [3, 2, 9, 10, 11, 40])
    follower.follow()
    assert follower.rows == [(1, 50), (4, 4), (9, 9), (51, 52), (2, 3), (9, 11), (40, 40)]


def test_an_act_that_fails_notes_no_change(store: Store) -> None:
    """The note is part of the transaction."""
    create_bank(store, "A")
    follower = Follower(store, "A")

    def failing() -> Iterator[HashValue]:
        yield from map(digest, range(entries_module.BATCH + 1))
        raise HashFileError

    with pytest.raises(HashFileError):
        import_hashes(store, "A", failing())
    with pytest.raises(BankError):
        remove_entries(store, "A", [1])
    follower.follow()
    assert follower.rows == []
