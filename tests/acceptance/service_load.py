"""Clients of a running service: one, and many that go on under load and keep a ledger of what they were told."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import secrets
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from tests.serving import Serving
from tests.stores import Place

from rempart.errors import StoreError
from rempart.jobs import enqueue
from rempart.lists import Content, HashValue, add_contents, create_bank
from rempart.lists.compaction import KIND as COMPACT
from rempart.lists.compaction import CompactBank
from rempart.store.tables import HashKind

BANK = "KNOWN"
"""Where the load adds and removes entries."""

PAUSE_SECONDS = 0.02
"""Between two acts of a client: enough load to be in the midst of something always, and bounded."""

ENQUEUE_SECONDS = 0.1
ANSWER_SECONDS = 30.0
REQUESTS_OF_A_CONNECTION = 10
"""Then a client that does not stay connects anew."""


class Answer(NamedTuple):
    """What a client was told."""

    status: int
    body: Any


class Known(NamedTuple):
    """What is banked before the load begins and stays: it must match in every answer there is.

    Attributes:
        bank: the number of :data:`BANK`.
        pdq: a hash, and ``pdq_entry`` the entry that has it.
        picture: the content of a file, and ``picture_entry`` the entry that has its SHA-256.
    """

    bank: int
    pdq: str
    pdq_entry: int
    picture: bytes
    picture_entry: int


def bank_known(place: Place, picture: bytes) -> Known:
    """Make the bank of the load, with what it knows from the beginning."""
    pdq = secrets.token_bytes(32)
    values = [
        (HashValue(HashKind.PDQ, pdq), HashValue(HashKind.MD5, secrets.token_bytes(16))),
        (HashValue(HashKind.SHA256, hashlib.sha256(picture).digest()),),
    ]
    with place.open() as store:
        bank = create_bank(store, BANK).id
        one, other = add_contents(store, BANK, [Content(each) for each in values])
    return Known(bank, pdq.hex(), one.entry, picture, other.entry)


@dataclass
class Ledger:
    """What was acknowledged. Nothing stands here whose answer had not arrived whole.

    Attributes:
        added: the MD5 of each entry that was banked.
        removing: entries whose removal was asked for, whatever came of it.
        removed: entries whose removal was acknowledged.
        keys: numbers of the keys that were made.
        matched: the entry that each item was found to match, by the item's source id.
        jobs: numbers of the jobs that were enqueued.
        interrupted: how many requests had to be sent again.
        wrong: answers that must never be given, whatever is killed.
    """

    added: dict[int, str] = field(default_factory=dict)
    removing: set[int] = field(default_factory=set)
    removed: set[int] = field(default_factory=set)
    keys: set[int] = field(default_factory=set)
    matched: dict[str, int] = field(default_factory=dict)
    jobs: set[int] = field(default_factory=set)
    interrupted: int = 0
    wrong: list[str] = field(default_factory=list)

    def counts(self) -> tuple[int, ...]:
        """How much of each kind was acknowledged."""
        return tuple(map(len, (self.added, self.removed, self.keys, self.matched, self.jobs)))

    def copy(self) -> Ledger:
        """As it stands now."""
        return Ledger(
            added=dict(self.added),
            removing=set(self.removing),
            removed=set(self.removed),
            keys=set(self.keys),
            matched=dict(self.matched),
            jobs=set(self.jobs),
        )


class Client:
    """Sends requests, one after the other, to wherever the service is at the moment.

    Args:
        port: where that is.
        key: shown with each request.
        stays: whether to stay on one connection, and so with one process; else every process has its share.
    """

    def __init__(self, port: Callable[[], int], key: str, *, stays: bool = False) -> None:
        self._port = port
        self._stays = stays
        self._headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        self._connection: http.client.HTTPConnection | None = None
        self._sent = 0

    def close(self) -> None:
        """Leave the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def ask(self, method: str, path: str, content: object = None, headers: Mapping[str, str] | None = None) -> Answer:
        """One request: the status, and the body, decoded if it is JSON. Bytes are sent as they are.

        Raises:
            OSError, http.client.HTTPException: there was no answer, or not the whole of it.
        """
        body = content if isinstance(content, bytes | None) else json.dumps(content).encode()
        if self._connection is None or (self._sent >= REQUESTS_OF_A_CONNECTION and not self._stays):
            self.close()
            self._connection = http.client.HTTPConnection("127.0.0.1", self._port(), timeout=ANSWER_SECONDS)
            self._sent = 0
        self._sent += 1
        try:
            self._connection.request(method, path, body, self._headers | dict(headers or {}))
            answer = self._connection.getresponse()
            said = answer.read()
        except BaseException:
            self.close()
            raise
        return Answer(answer.status, json.loads(said) if "json" in (answer.getheader("content-type") or "") else said)


class Load:
    """Threads that write, match and enqueue until they are told to stop; to be used as a context manager.

    What is not answered, or with 503, is sent again just the same: a platform's client does that too.

    Args:
        place: the database, where jobs are enqueued.
        port: where the service is at the moment.
        key: may match, curate and administrate.
        known: what is asked about.
    """

    def __init__(self, place: Place, port: Callable[[], int], key: str, known: Known) -> None:
        self.ledger = Ledger()
        self._place = place
        self._port = port
        self._key = key
        self._known = known
        self._changing = threading.Lock()
        self._stop = threading.Event()
        steps = [self._curate, self._curate, self._match, self._match, self._upload]
        self._threads = [threading.Thread(target=self._drive, args=(step, number)) for number, step in enumerate(steps)]
        self._threads.append(threading.Thread(target=self._enqueue))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(2 * ANSWER_SECONDS)
        assert not any(thread.is_alive() for thread in self._threads)

    def so_far(self) -> Ledger:
        """A copy of the ledger."""
        with self._changing:
            return self.ledger.copy()

    def _drive(self, step: Callable[[Client, int], None], number: int) -> None:
        """Take one step after the other; whatever a step did not expect is noted as wrong, and ends it."""
        client = Client(self._port, self._key)
        with contextlib.closing(client):
            turn = number
            while not self._stop.is_set():
                try:
                    step(client, turn)
                except Exception as error:  # noqa: BLE001 -- the test tells of it
                    self._wrong(f"{step.__name__}: {type(error).__name__}: {error}")
                    return
                turn += 1
                self._stop.wait(PAUSE_SECONDS)

    def _curate(self, client: Client, turn: int) -> None:
        """Bank two contents; now and then make a key, and take out again what was banked before."""
        digests = [secrets.token_hex(16) for _ in range(2)]
        items = [{"md5": digest, "note": "under load"} for digest in digests]
        answer = self._sure(client, "POST", f"/v1/banks/{BANK}/entries", {"items": items})
        if body := self._acknowledged(answer, 201):
            if not all(row["new"] for row in body["results"]):
                self._wrong(f"what was banked once is not new: {body}")
            rows = [row["entry"] for row in body["results"]]
            with self._changing:
                self.ledger.added.update(zip(rows, digests, strict=True))
            if turn % 3 == 0:
                self._remove(client, rows[0])
        if turn % 5 == 0:
            wanted = {"name": f"load-{secrets.token_hex(8)}", "scopes": ["match"]}
            answer = self._sure(client, "POST", "/v1/keys", wanted)
            if made := self._acknowledged(answer, 201):
                with self._changing:
                    self.ledger.keys.add(made["id"])

    def _remove(self, client: Client, entry: int) -> None:
        with self._changing:
            self.ledger.removing.add(entry)
        answer = self._sure(client, "DELETE", f"/v1/banks/{BANK}/entries/{entry}")
        if self._acknowledged(answer, 200):
            with self._changing:
                self.ledger.removed.add(entry)

    def _match(self, client: Client, _: int) -> None:
        """Look up a banked hash and an unknown one in one call."""
        source = f"hash-{secrets.token_hex(8)}"
        items = [{"pdq": self._known.pdq, "source_id": source}, {"md5": secrets.token_hex(16)}]
        answer = self._sure(client, "POST", "/v1/match/hashes", {"items": items})
        if body := self._acknowledged(answer, 200):
            self._matched(source, self._known.pdq_entry, body["results"][0])
            if body["results"][1]["verdict"] != "clear":
                self._wrong(f"an unknown digest is {body['results'][1]}")

    def _upload(self, client: Client, _: int) -> None:
        """Look up a banked picture by the file itself."""
        source = f"file-{secrets.token_hex(8)}"
        headers = {"content-type": "image/png"}
        answer = self._sure(client, "POST", f"/v1/match?source_id={source}", self._known.picture, headers)
        if body := self._acknowledged(answer, 200):
            self._matched(source, self._known.picture_entry, body["results"][0])

    def _matched(self, source: str, entry: int, row: Any) -> None:  # noqa: ANN401 -- a decoded answer
        hit = [one["entry"] for one in row["matches"]]
        if (row["verdict"], row["source_id"], hit) != ("match", source, [entry]):
            self._wrong(f"what is banked as {entry} is {row}")
            return
        with self._changing:
            self.ledger.matched[source] = entry

    def _enqueue(self) -> None:
        """Put jobs into the outbox, which `rempart worker` does: of one bank, so that one at a time is live."""
        bank = self._known.bank
        with self._place.open() as store:
            while not self._stop.wait(ENQUEUE_SECONDS):
                with contextlib.suppress(
                    StoreError
                ):  # a server that was killed; what was not kept is not in the ledger
                    with store.write() as connection:
                        job = enqueue(connection, COMPACT, CompactBank(bank), dedupe=f"bank:{bank}")
                    if job is not None:
                        with self._changing:
                            self.ledger.jobs.add(job)

    def _sure(
        self,
        client: Client,
        method: str,
        path: str,
        content: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer | None:
        """What comes of a request that is sent until it is answered; None when the load ends before."""
        named = {"idempotency-key": secrets.token_hex(16)} | dict(headers or {})
        while not self._stop.is_set():
            with contextlib.suppress(OSError, http.client.HTTPException):
                answer = client.ask(method, path, content, named)
                if answer.status != 503:
                    return answer
            with self._changing:
                self.ledger.interrupted += 1
            self._stop.wait(PAUSE_SECONDS)
        return None

    def _acknowledged(self, answer: Answer | None, status: int) -> Any:  # noqa: ANN401 -- a decoded answer
        """The body of an answer that has this status. Any other is wrong, also to a request that was sent again."""
        if answer is None or answer.status == status:
            return answer and answer.body
        self._wrong(f"{status} was due, and this came: {answer}")
        return None

    def _wrong(self, what: str) -> None:
        with self._changing:
            self.ledger.wrong.append(what)


@contextlib.contextmanager
def client_of_each_worker(server: Serving, key: str) -> Iterator[list[Client]]:
    """A client for each worker process, on a connection that this one has taken.

    All others are stopped while it connects, so that none of them can.
    """
    pids = server.workers()
    with contextlib.ExitStack() as opened:
        clients = []
        for pid in pids:
            client = opened.enter_context(contextlib.closing(Client(lambda: server.port, key, stays=True)))
            others = [other for other in pids if other != pid]
            for other in others:
                os.kill(other, signal.SIGSTOP)
            try:
                client.ask("GET", "/healthz")
            finally:
                for other in others:
                    os.kill(other, signal.SIGCONT)
            clients.append(client)
        yield clients
