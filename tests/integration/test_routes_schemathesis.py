"""Every route against requests that schemathesis makes up from the interface's own description."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from tests.serving import Serving
from tests.stores import Place

from rempart.jobs import enqueue
from rempart.lists import Content, HashValue, add_contents, create_bank
from rempart.lists.compaction import KIND, CompactBank
from rempart.people import Scope, create_key
from rempart.store.tables import HashKind

LONG = "REMPART_LONG_TESTS"
EXAMPLES = 500 if os.environ.get(LONG) else 3
# Each kind of request on one of the stores; by command, all of them on both.
PHASES = {"sqlite": "examples,fuzzing,stateful", "postgresql": "coverage"}
SECONDS = 7200 if os.environ.get(LONG) else 280

CONFIGURATION = f"""
hooks = {json.dumps(str(Path(__file__).with_name("schemathesis_hooks.py")))}
seed = 5
color = false
continue-on-failure = true
request-timeout = 30
cache.enabled = false
generation.max-examples = {EXAMPLES}
generation.database = "none"
# Look-ups are 503 while no blocking bank holds anything, which a request can bring about.
checks.not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", 503]
# The description cannot say all that a request must be: that it names a hash, or a host that is allowed.
checks.positive_data_acceptance.enabled = false
"""


def seeded(place: Place) -> tuple[int, str]:
    """Banks, entries, a job and a key that may do everything, so that requests reach what is behind a route."""
    with place.open() as store:
        for name in ("LIST", "OTHER"):
            create_bank(store, name)
            values = [HashValue(HashKind.MD5, secrets.token_bytes(16)) for _ in range(9)]
            add_contents(
                store, name, [Content((HashValue(HashKind.PDQ, secrets.token_bytes(32)), md5)) for md5 in values]
            )
        with store.write() as connection:
            enqueue(connection, KIND, CompactBank(1))
        key, secret = create_key(store, "own", list(Scope))
    return key.id, secret


@pytest.mark.timeout(SECONDS + 120)
def test_whatever_is_sent_each_route_answers_as_it_is_described(stores: Place, tmp_path: Path) -> None:
    """No status, content type or shape but the described ones, no defect, and nobody gets in without a key."""
    number, secret = seeded(stores)
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
    with Serving(stores, workers=2, settings={"PROMPTS__PACKS": "canary", "MEDIA__WORKERS": "2"}) as server:
        done = subprocess.run(
            [
                Path(sys.executable).with_name("schemathesis"),
                "--config-file",
                tmp_path / "schemathesis.toml",
                "run",
                f"{server.url}/schema/openapi.json",
                "--header",
                f"Authorization: Bearer {secret}",
                "--phases",
                ",".join(PHASES.values()) if os.environ.get(LONG) else PHASES[stores.dialect],
            ],
            cwd=tmp_path,
            env={**os.environ, "REMPART_TEST_KEY_NUMBER": str(number)},
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        described = server.ask("GET", "/schema/openapi.json", key=secret).json()["paths"]
        log = server.logged()
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
    assert '"internal"' not in log
    routes = sum(len(methods) for methods in described.values())
    assert f"Tested: {routes}\n" in done.stdout
