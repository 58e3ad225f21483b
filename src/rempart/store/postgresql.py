"""PostgreSQL: how the server is reached, and what its errors mean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any, cast

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.engine import Connection, ExceptionContext
from sqlalchemy.exc import DBAPIError

from rempart.errors import ConfigError, StoreError
from rempart.settings import StoreSettings
from rempart.store.database import Store, channel_name
from rempart.store.schema import bring_up_to_date

try:
    import psycopg
except ImportError:
    raise ConfigError(
        "store.url names PostgreSQL, whose driver is not installed: pip install 'rempart[postgres]'"
    ) from None

OLDEST_VERSION = 15
CONNECT_SECONDS = 10
BUSY_SECONDS = 30
"""How long to wait for a lock that another writer holds."""

MOST_CONNECTIONS = 30
"""Of one process; one that needs more waits for half a minute."""

LISTEN_SECONDS = 0.2
"""How soon a listener notices that it is to stop."""

# A server that has gone without a word is noticed after half a minute, not after the two hours of TCP.
_PATIENCE = {
    "connect_timeout": CONNECT_SECONDS,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}

# Read what is committed before each statement of a writer, who takes locks; a commit that was acknowledged survives a
# power cut, unless the server itself was told to forget about that.
_SESSION = (
    "SELECT set_config('lock_timeout', %s, false), set_config('TimeZone', 'UTC', false),"
    " CASE current_setting('synchronous_commit') WHEN 'off' THEN set_config('synchronous_commit', 'on', false) END"
)


class PostgresStore(Store):
    """A database of a PostgreSQL server, in the first schema of its ``search_path``; many may write at a time.

    A connection that broke, as when the server was started again, is replaced when the next transaction begins.
    """

    dialect = "postgresql"
    other_place = "set store.url to another database"

    def __init__(self, folder: Path, settings: StoreSettings) -> None:
        url = make_url(settings.url).set(drivername="postgresql+psycopg")
        super().__init__(folder, _name_of(url), "rw", make_engine(url, settings.password_file))
        self._reader = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """See :meth:`Store.read`."""
        with self._explained(), self._reader.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self, *, rebuilding: bool = False) -> Iterator[Connection]:  # noqa: ARG002 -- foreign keys need no help
        """See :meth:`Store.write`."""
        if self.mode != "rw":
            raise StoreError(f"{self.name} cannot be written here; set store.url to the server that can be")
        with self._explained(), self._engine.connect() as connection, connection.begin():
            yield connection

    def listen(self, channel: str, stop: Event) -> Iterator[None]:
        """See :meth:`Store.listen`."""
        while not stop.is_set():
            try:
                with self._engine.connect() as connection:
                    # Its own, not the pool's: it would go on to hear what nobody asks about any more.
                    connection.detach()
                    raw = cast("psycopg.Connection[Any]", connection.connection.dbapi_connection)
                    raw.autocommit = True
                    raw.execute(f'LISTEN "{channel_name(channel)}"')
                    yield  # what was told before this is not told again
                    while not stop.is_set():
                        for _ in raw.notifies(timeout=LISTEN_SECONDS, stop_after=1):
                            yield
            except (DBAPIError, psycopg.Error, StoreError):
                stop.wait(1.0)

    def look(self) -> None:
        """Learn whether the database can be written here: a standby cannot."""
        read_only = "SELECT pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean"
        with self.read() as connection:
            self.mode = "ro" if connection.exec_driver_sql(read_only).scalar_one() else "rw"

    def about(self) -> str:
        """See :meth:`Store.about`."""
        with self.read() as connection:
            facts = {
                name: connection.exec_driver_sql(f"SHOW {name}").scalar_one()
                for name in ("server_version", "fsync", "full_page_writes")
            }
        for name in ("fsync", "full_page_writes"):
            if facts[name] == "off":
                raise StoreError(
                    f"{self.name} may lose what it acknowledged when the power goes: set {name} = on there"
                )
        return f"PostgreSQL {facts['server_version'].split()[0]}"

    def _explain(self, error: BaseException | None) -> str:
        return explain(error, self.name)


def open_postgresql(folder: Path, settings: StoreSettings) -> PostgresStore:
    """Open the database of a server; make its schema when it is empty, and the data folder.

    Raises:
        StoreError: the server cannot be reached or is too old, the file of the password or the folder cannot be used,
            or the schema cannot be upgraded or is of a newer rempart.
    """
    store = PostgresStore(folder, settings)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        store.look()
        bring_up_to_date(store)
    except OSError as error:
        store.close()
        raise StoreError(
            f"the data folder {folder} cannot be used: {error.strerror}. "
            "Set data_dir to a folder that you can write, or mend this one"
        ) from None
    except BaseException:
        store.close()
        raise
    return store


def make_engine(url: URL, password_file: str = "") -> Engine:
    """An engine whose connections are prepared, whose dead ones are replaced, and whose errors quote nothing."""
    engine = create_engine(
        url,
        connect_args=_PATIENCE | {"application_name": "rempart"},
        hide_parameters=True,
        isolation_level="READ COMMITTED",
        max_overflow=MOST_CONNECTIONS - 5,
        pool_pre_ping=True,
        use_native_hstore=False,
    )

    def bring_password(_: Any, __: Any, ___: Any, arguments: dict[str, Any]) -> None:  # noqa: ANN401
        if password_file:
            arguments["password"] = _password(password_file)

    event.listen(engine, "do_connect", bring_password)
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "handle_error", _quote_nothing)
    return engine


def _password(file: str) -> str:
    try:
        return Path(file).expanduser().read_text(encoding="utf-8").strip("\r\n")
    except (OSError, UnicodeDecodeError):
        raise StoreError(f"the password cannot be read from {file}, which store.password_file names") from None


def _prepare(connection: psycopg.Connection[Any], record: Any) -> None:  # noqa: ARG001, ANN401 -- SQLAlchemy's signature
    version = connection.info.server_version // 10_000
    if version < OLDEST_VERSION:
        raise StoreError(f"the server is PostgreSQL {version}; rempart needs {OLDEST_VERSION} or newer")
    connection.execute(_SESSION, (f"{BUSY_SECONDS}s",))
    connection.commit()


def _quote_nothing(context: ExceptionContext) -> None:
    """Leave of an error what it is and which rule it breaks: the server's text quotes the row."""
    error = context.original_exception
    if isinstance(error, psycopg.IntegrityError):
        said = f"{type(error).__name__}: {error.diag.constraint_name or error.diag.column_name}"
        error.args = (said,)
        if context.sqlalchemy_exception is not None:
            context.sqlalchemy_exception.args = (f"({type(error).__module__}.{said})",)


def _name_of(url: URL) -> str:
    host = url.host or cast("str", url.query.get("host", "this machine"))
    return f"the database {url.database} on {host}{f':{url.port}' if url.port else ''}"


def explain(error: BaseException | None, name: str) -> str:
    """One line for a person: what is wrong with the database, and what to do next."""
    state = getattr(error, "sqlstate", None) or ""
    for prefix, meaning in _MEANINGS.items():
        if state.startswith(prefix):
            return meaning.format(name=name)
    if state or not isinstance(error, psycopg.OperationalError):
        return f"{name} cannot be used ({state or type(error).__name__}); `rempart doctor` says more"
    # Before a session stands, there is only the text, and the server writes it in its own language.
    said = str(error)
    for part, meaning in _REFUSALS.items():
        if part in said:
            return meaning.format(name=name)
    return _GONE.format(name=name)


_GONE = (
    "{name} cannot be reached, or the connection was lost: whatever was not acknowledged may be missing. "
    "Look whether the server runs, and try again"
)
_WAITED = "another process has been writing to {name} for too long; nothing was changed. Try again"
_REFUSED = "{name} refuses this user; check store.url, store.password_file and the server's pg_hba.conf"
_FULL = "no space is left for {name}; nothing was changed. Free some space and run the command again"

_MEANINGS = {
    "08": _GONE,
    "28": _REFUSED,
    "3D": "{name} does not exist; make it with `createdb`, or mend store.url",
    "25006": "{name} cannot be written here; set store.url to the server that can be",
    "3F": "{name} has no schema to make tables in; look at its search_path",
    "40": "two writers got in each other's way in {name}; nothing was changed. Try again",
    "42501": "this user may not do that in {name}; nothing was changed. Let it own the database, or GRANT it rights",
    "53100": _FULL,
    "53300": "{name} has no connection left; raise max_connections there, or run fewer processes",
    "53": "{name} has not enough of what it needs (memory, or another limit); nothing was changed. Look at its log",
    "55P03": _WAITED,
    "57014": "{name} ended what took too long (statement_timeout); nothing was changed",
    "57": _GONE,
    "58": "reading or writing {name} failed; nothing was changed. Check the health of the server's disk",
    "XX": "{name} is damaged, or its server failed; nothing was changed. Look at its log",
}
_REFUSALS = {
    "password": _REFUSED,
    "authentication": _REFUSED,
    "pg_hba.conf": _REFUSED,
    "does not exist": _MEANINGS["3D"],
    "too many clients": _MEANINGS["53300"],
    "remaining connection slots": _MEANINGS["53300"],
}
