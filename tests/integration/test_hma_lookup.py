"""Look-ups of signals by the API of HMA: what is found, what is told of it to whom, and what is never called clear."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.integration.hma_caller import REASONS, VERDICT, Hma, drawing, hma, near, refused
from tests.stores import Place

from rempart.lists import Content, HashValue, add_contents, create_bank
from rempart.matching import Harm, Kind, specimen
from rempart.people import Scope
from rempart.store.tables import HashKind, quarantines

KNOWN, BLOCKED, FLOODED = (secrets.token_hex(32) for _ in range(3))
DIGESTS = {"md5": secrets.token_hex(16), "sha1": secrets.token_hex(20), "sha256": secrets.token_hex(32)}
KINDS = {"pdq": KNOWN, **DIGESTS, "video_md5": DIGESTS["md5"]}
SPECIMEN_PDQ = "ba8ed13d3b6caa82d5b49594381e6a36c6e581e91d6b5c3b2ab1a6c1d15b6634"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """LIST and OTHER hold what is near, ALLOW is nearer to a part of BLOCK, and FLOOD's entry is in quarantine."""
    place = Place(tmp_path_factory.mktemp("hma") / "data")
    with place.open() as store:
        digests = tuple(HashValue(HashKind(kind), bytes.fromhex(value)) for kind, value in DIGESTS.items())
        for name, hashes in (
            ("LIST", (pdq(KNOWN), *digests)),
            ("OTHER", (pdq(near(KNOWN, 4)),)),
            ("BLOCK", (pdq(BLOCKED), HashValue(HashKind.MD5, b"exact-and-block!"))),
            ("FLOOD", (pdq(FLOODED),)),
        ):
            create_bank(store, name)
            add_contents(store, name, [Content(hashes)])
        create_bank(store, "ALLOW", kind=Kind.ALLOWING, harm=Harm.OTHER)
        allowed = (pdq(near(BLOCKED, 10)), HashValue(HashKind.MD5, b"exact-and-block!"))
        add_contents(store, "ALLOW", [Content(allowed)])
        with store.write() as connection:
            row = {"entry_id": 4, "state": "quarantined", "since": datetime.now(UTC)}
            connection.execute(quarantines.insert().values(row))
    return place


@pytest.fixture(scope="module")
def service(place: Place) -> Iterator[Hma]:
    """A service with these banks."""
    with hma(place) as service:
        yield service


@pytest.fixture
def stored(stores: Place) -> Iterator[Hma]:
    """A service without banks, on each kind of database."""
    with hma(stores) as service:
        yield service


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Hma]:
    """A service without banks."""
    with hma(Place(tmp_path)) as service:
        yield service


def pdq(value: str) -> HashValue:
    """A PDQ hash to bank."""
    return HashValue(HashKind.PDQ, bytes.fromhex(value))


def test_a_signal_finds_each_bank_that_holds_it_and_how_near(service: Hma) -> None:
    """The distance is a string of digits, as HMA writes it; keys are the names of the banks."""
    answer = service.get("/m/lookup", signal=near(KNOWN, 1), signal_type="pdq")
    assert answer.json() == {
        "LIST": [{"bank_content_id": 1, "distance": "1"}],
        "OTHER": [{"bank_content_id": 2, "distance": "3"}],
    }
    assert (answer.headers[VERDICT], answer.headers["content-type"]) == ("match", "application/json")
    answer = service.get("/m/lookup", signal=secrets.token_hex(32), signal_type="pdq")
    assert (answer.status_code, answer.json(), answer.headers[VERDICT]) == (200, {}, "clear")


def test_pdq_matches_within_31_bits_and_no_farther(service: Hma) -> None:
    """HMA's radius, the rim included."""
    assert service.lookup(near(FLOODED, 31)) == {"FLOOD": [{"bank_content_id": 4, "distance": "31"}]}
    assert service.lookup(near(FLOODED, 32)) == {}
    assert service.raw(near(FLOODED, 31)) == [4]
    assert service.raw(near(FLOODED, 32)) == []


@pytest.mark.parametrize("kind", ["md5", "sha1", "sha256", "video_md5"])
def test_a_digest_is_found_and_its_distance_is_a_dash_whoever_asks(service: Hma, kind: str) -> None:
    """A digest is equal or not; both names of MD5 look in the same place."""
    for key in (service.caller.all_scopes, service.caller.key(Scope.MATCH)):
        found = service.lookup(KINDS[kind], kind, key=key)
        assert found == {"LIST": [{"bank_content_id": 1, "distance": "-"}]}
    assert service.lookup(secrets.token_hex(len(KINDS[kind]) // 2), kind) == {}
    assert service.raw(KINDS[kind], kind) == [1]


def test_without_the_scope_no_answer_tells_how_near_a_match_is(service: Hma) -> None:
    """Neither the field, nor the order of banks or contents: a list must not be searchable by hill-climbing."""
    key = service.caller.key(Scope.MATCH)
    texts = set()
    for bits in (0, 1, 3, 4):  # nearer to LIST, then to OTHER
        answer = service.get("/m/lookup", key=key, signal=near(KNOWN, bits), signal_type="pdq")
        assert {row["distance"] for rows in answer.json().values() for row in rows} == {"-"}
        texts.add(answer.text)
        raw = service.get("/m/raw_lookup", key=key, signal=near(KNOWN, bits), signal_type="pdq")
        texts.add(raw.text)
    assert len(texts) == 2, texts


@pytest.mark.parametrize("kind", [*KINDS])
def test_upper_case_is_accepted_and_whatever_else_is_no_hash_is_not(service: Hma, kind: str) -> None:
    """400 with HMA's words; pytx lets a line end pass, and refuses upper case."""
    value = KINDS[kind]
    assert "LIST" in service.lookup(value.upper(), kind)
    wrong = (
        value[:-1],
        f"{value}0",
        f"{value}\n",
        f"{value} ",
        f"g{value[1:]}",
        f"\u0661{value[1:]}",
        f"0x{value[2:]}",
    )
    for text in wrong:
        for path in ("/m/lookup", "/m/raw_lookup"):
            refused(service.get(path, signal=text, signal_type=kind), 400, f"nvalid {kind} signal")


def test_what_is_missing_or_unknown_is_a_bad_request(service: Hma) -> None:
    """A look-up takes a URL, or a signal with its type."""
    for query in ({}, {"signal": KNOWN}, {"signal_type": "pdq"}, {"signal": "", "signal_type": "pdq"}):
        refused(service.get("/m/lookup", **query), 400)
    for kind in ("tmk", "PDQ", "", "pdq,md5"):
        refused(service.get("/m/lookup", signal=KNOWN, signal_type=kind), 400)


def test_hma_defect_a_missing_or_wrong_parameter_is_told_in_the_shape_of_every_other_error(service: Hma) -> None:
    """HMA sends a bare list for these; a client that reads ``message`` breaks on it. The status stays 422."""
    refused(service.get("/m/raw_lookup"), 422)
    refused(service.get("/m/raw_lookup", signal=KNOWN), 422)
    refused(service.get("/m/raw_lookup", signal_type="pdq"), 422)
    refused(service.get("/m/raw_lookup", signal=KNOWN, signal_type="pdq", include_distance="perhaps"), 422)
    refused(service.get("/h/hash"), 422)
    refused(service.ask("POST", "/c/banks", json={"enabled_ratio": 1}), 422)
    refused(service.ask("POST", "/c/banks", content=b"name=LIST", headers={"content-type": "application/json"}), 422)


def test_banks_limit_a_look_up_and_unknown_ones_are_ignored(service: Hma) -> None:
    """Unless none is left that holds anything: then nothing was compared, and nothing is clear."""
    assert [*service.lookup(KNOWN, banks="OTHER,NOWHERE")] == ["OTHER"]
    assert sorted(service.lookup(KNOWN, banks="OTHER,LIST")) == ["LIST", "OTHER"]
    assert service.lookup(KNOWN, banks="FLOOD") == {}
    raw = service.get("/m/raw_lookup", signal=KNOWN, signal_type="pdq", banks="OTHER,NOWHERE")
    assert raw.json() == {"matches": [2]}
    for banks in ("NOWHERE", "ALLOW"):
        for path in ("/m/lookup", "/m/raw_lookup"):
            refused(service.get(path, signal=KNOWN, signal_type="pdq", banks=banks), 503, "index not yet ready")


def test_a_raw_look_up_gives_numbers_and_distances_only_with_the_scope(service: Hma) -> None:
    """403 for them without it, however the flag is written."""
    query = {"signal": near(KNOWN, 1), "signal_type": "pdq"}
    assert service.get("/m/raw_lookup", **query).json() == {"matches": [1, 2]}
    expected = [{"bank_content_id": 1, "distance": "1"}, {"bank_content_id": 2, "distance": "3"}]
    weak = service.caller.key(Scope.MATCH)
    for flag in ("true", "True", "1", "yes"):
        answer = service.get("/m/raw_lookup", include_distance=flag, **query)
        assert answer.json() == {"matches": expected}, flag
        assert answer.headers[VERDICT] == "match"
        refused(service.get("/m/raw_lookup", key=weak, include_distance=flag, **query), 403, code="distance_forbidden")
    for flag in ("false", "0", "no"):
        assert service.get("/m/raw_lookup", key=weak, include_distance=flag, **query).json() == {"matches": [1, 2]}


def test_what_an_allowing_bank_cancels_is_not_shown_nor_is_its_own_match(service: Hma) -> None:
    """A client of HMA takes every bank that it is told for a hit. An exact digest that blocks is never cancelled."""
    answer = service.get("/m/lookup", signal=near(BLOCKED, 9), signal_type="pdq")  # 1 bit from the allowed hash
    assert (answer.json(), answer.headers[VERDICT]) == ({}, "clear")
    assert service.raw(near(BLOCKED, 9)) == []
    assert service.lookup(near(BLOCKED, 1)) == {"BLOCK": [{"bank_content_id": 3, "distance": "1"}]}
    assert service.raw(near(BLOCKED, 1)) == [3]
    exact = service.get("/m/lookup", signal=b"exact-and-block!".hex(), signal_type="md5")
    assert exact.json() == {"BLOCK": [{"bank_content_id": 3, "distance": "-"}]}
    assert exact.headers[VERDICT] == "match"


def test_an_entry_in_quarantine_is_shown(service: Hma) -> None:
    """A flood turns its matches into review; a client of HMA can only review what it is told."""
    answer = service.get("/m/lookup", signal=near(FLOODED, 2), signal_type="pdq")
    assert answer.json() == {"FLOOD": [{"bank_content_id": 4, "distance": "2"}]}
    assert answer.headers[VERDICT] == "match"
    assert "quarantined" in answer.headers[REASONS]


def test_the_specimen_is_caught_also_where_nothing_is_banked(fresh: Hma) -> None:
    """The harmless test picture, under a name that no bank has."""
    found = fresh.lookup(SPECIMEN_PDQ)
    assert found == {specimen.BANK: [{"bank_content_id": specimen.ENTRY, "distance": "0"}]}
    assert fresh.get("/c/banks").json() == []


def test_nothing_to_compare_with_is_never_an_empty_answer(fresh: Hma) -> None:
    """503 in HMA's words without a bank, with an empty one, one that is switched off, and none of the type."""
    for step in range(3):
        for path in ("/m/lookup", "/m/raw_lookup"):
            refused(fresh.get(path, signal=KNOWN, signal_type="pdq"), 503, "index not yet ready")
        if step == 0:
            fresh.bank("LIST")
        else:
            fresh.signal("LIST", pdq=KNOWN)
            fresh.change("/c/bank/LIST", enabled_ratio=0)
    fresh.change("/c/bank/LIST", enabled_ratio=1)
    assert [*fresh.lookup(KNOWN)] == ["LIST"]
    refused(fresh.get("/m/lookup", signal=DIGESTS["md5"], signal_type="md5"), 503)  # nobody banked any


def test_a_list_that_is_too_old_lets_nothing_be_clear(tmp_path: Path) -> None:
    """503 where nothing is found; a match stays a match."""
    place = Place(tmp_path / "data")
    with place.open() as store:
        old = datetime.now(UTC) - timedelta(days=2)
        create_bank(store, "OLD", max_age_seconds=60, clock=lambda: old)
        add_contents(store, "OLD", [Content((pdq(KNOWN),))], clock=lambda: old)
    with hma(place) as service:
        for path in ("/m/lookup", "/m/raw_lookup"):
            refused(service.get(path, signal=secrets.token_hex(32), signal_type="pdq"), 503)
        assert [*service.lookup(KNOWN)] == ["OLD"]
        assert service.raw(KNOWN) == [1]


def test_disabled_content_is_gone_from_every_look_up_at_once_and_comes_back(stored: Hma) -> None:
    """0 switches it off, 1 on, and a time off until then."""
    value, beside = secrets.token_hex(32), secrets.token_hex(32)
    stored.bank("LIST")
    number = stored.signal("LIST", pdq=value, md5=value[:32])
    stored.signal("LIST", pdq=beside, md5=beside[:32])
    now = int(datetime.now(UTC).timestamp())
    for until, found in ((0, []), (1, [number]), (now + 3600, []), (now - 3600, [number])):
        stored.change(f"/c/bank/LIST/content/{number}", disable_until_ts=until)
        hits = [{"bank_content_id": one, "distance": "0"} for one in found]
        assert stored.lookup(value) == ({"LIST": hits} if hits else {}), until
        assert stored.raw(value) == found, until
        assert [*stored.lookup(value[:32], "md5")] == (["LIST"] if found else [])


def test_hma_defect_deleted_content_is_no_ghost_in_raw_look_ups(stored: Hma) -> None:
    """HMA finds it there until its index is built anew; so it does what is disabled or of a bank that is off."""
    value = secrets.token_hex(32)
    stored.bank("KEEP")
    stored.signal("KEEP", pdq=secrets.token_hex(32))
    for name in ("DELETED", "DISABLED", "OFF", "GONE"):
        stored.bank(name)
    numbers = [stored.signal(name, pdq=value) for name in ("DELETED", "DISABLED", "OFF", "GONE")]
    assert stored.raw(value) == sorted(numbers)
    assert stored.ask("DELETE", f"/c/bank/DELETED/content/{numbers[0]}").json() == {"deleted": 1}
    assert stored.raw(value) == sorted(numbers[1:])
    stored.change(f"/c/bank/DISABLED/content/{numbers[1]}", disable_until_ts=0)
    assert stored.raw(value) == sorted(numbers[2:])
    stored.change("/c/bank/OFF", enabled_ratio=0)
    assert stored.raw(value) == numbers[3:]
    assert stored.ask("DELETE", "/c/bank/GONE").status_code == 200
    assert stored.raw(value) == []
    assert stored.lookup(value) == {}


def test_a_bank_that_is_switched_off_takes_no_part_anywhere(service: Hma) -> None:
    """Not even past the coin, nor in the native API, and at once."""
    value = secrets.token_hex(32)
    service.signal(service.bank("SWITCHED"), pdq=value)

    def found() -> list[bool]:
        native = service.caller.ask(
            "POST", "/v1/match/hashes", key=service.caller.all_scopes, json={"items": [{"pdq": value}]}
        )
        return [
            bool(service.lookup(value)),
            bool(service.lookup(value, bypass_coinflip="true")),
            bool(service.raw(value)),
            native.json()["results"][0]["verdict"] == "match",
        ]

    assert found() == [True] * 4
    assert service.change("/c/bank/SWITCHED", enabled=False)["matching_enabled_ratio"] == 0
    assert found() == [False] * 4
    assert service.change("/c/bank/SWITCHED", enabled_ratio=1)["matching_enabled_ratio"] == 1
    assert found() == [True] * 4


def test_a_bank_takes_part_in_its_share_of_look_ups_repeatably_by_seed(service: Hma) -> None:
    """By a coin for each bank; the native API and raw look-ups, where nobody can ask for a coin, leave none out."""
    value = secrets.token_hex(32)
    service.signal(service.bank("QUARTER", enabled_ratio=0.25), pdq=value)
    seeds = [f"seed-{number}" for number in range(150)]
    first = [bool(service.lookup(value, seed=seed)) for seed in seeds]
    assert [bool(service.lookup(value, seed=seed)) for seed in seeds[:30]] == first[:30]
    # The same in each run, since the seeds decide: about 37, and hardly ever farther off than this in any other draw.
    assert 10 <= sum(first) <= 70
    # Without a seed another coin each time: 80 times the same side has a chance of 1 in 10 thousand million.
    assert True in {bool(service.lookup(value)) for _ in range(80)}
    assert False in {bool(service.lookup(value)) for _ in range(80)}
    assert service.raw(value)
    native = {"items": [{"pdq": value}]}
    answer = service.caller.ask("POST", "/v1/match/hashes", key=service.caller.all_scopes, json=native)
    assert answer.json()["results"][0]["verdict"] == "match"


def test_a_look_up_in_which_no_bank_takes_part_is_not_called_clear(fresh: Hma) -> None:
    """HMA's clients get its empty answer; the verdict beside it says that nothing was compared."""
    value = secrets.token_hex(32)
    fresh.signal(fresh.bank("SELDOM", enabled_ratio=0.001), pdq=value)
    key = fresh.caller.key(Scope.MATCH)
    answer = fresh.get("/m/lookup", key=key, signal=value, signal_type="pdq", seed="seed-1")
    assert (answer.json(), answer.headers[VERDICT]) == ({}, "unscannable")
    answer = fresh.upload("/m/lookup", drawing(1), key=key, seed="seed-1")
    assert (answer.json(), answer.headers[VERDICT]) == ({"pdq": {}}, "unscannable")
    assert fresh.findings(key) == []


def test_hma_defect_bypass_coinflip_is_honoured_by_get_look_ups_too(service: Hma) -> None:
    """HMA declares it there and never reads it."""
    value = secrets.token_hex(32)
    service.signal(service.bank("SELDOM", enabled_ratio=0.001), pdq=value)
    seeds = [f"seed-{number}" for number in range(20)]
    assert not all(service.lookup(value, seed=seed) for seed in seeds)
    assert all(service.lookup(value, seed=seed, bypass_coinflip="true") for seed in seeds)
    assert not all(service.lookup(value, seed=seed, bypass_coinflip="false") for seed in seeds)


def test_a_key_that_is_limited_to_a_bank_finds_nothing_of_others(service: Hma) -> None:
    """A bank that it may not use is refused as one that is not there would be."""
    key = service.caller.key(Scope.MATCH, banks=["OTHER"])
    assert [*service.lookup(KNOWN, key=key)] == ["OTHER"]
    assert service.raw(KNOWN, key=key) == [2]
    assert [*service.lookup(KNOWN, key=key, bypass_coinflip="true", banks="OTHER")] == ["OTHER"]
    for path in ("/m/lookup", "/m/raw_lookup"):
        hidden, absent = (
            service.get(path, key=key, signal=KNOWN, signal_type="pdq", banks=bank) for bank in ("LIST", "NOWHERE")
        )
        assert hidden.status_code in {403, 503}
        assert refused(hidden, hidden.status_code) == refused(absent, hidden.status_code)


def test_a_match_is_in_the_outbox_before_it_is_answered_and_once_for_all_retries(stored: Hma) -> None:
    """By key, type and signal: Coop asks up to six times."""
    stored.bank("LIST")
    stored.signal("LIST", pdq=KNOWN, md5=DIGESTS["md5"])
    first, second = (stored.caller.key(Scope.MATCH) for _ in range(2))
    stored.lookup(secrets.token_hex(32), key=first)
    assert stored.findings(first) == []
    for signal in (KNOWN, KNOWN, KNOWN.upper()):
        stored.lookup(signal, key=first)
        assert len(stored.findings(first)) == 1
    finding = stored.findings(first)[0]
    assert (finding["place"], finding["verdict"], finding["item"]) == ("distribution", "match", {"pdq": KNOWN})
    assert [match["bank"] for match in finding["matches"]] == ["LIST"]
    stored.lookup(near(KNOWN, 1), key=first)
    assert len(stored.findings(first)) == 2
    stored.lookup(DIGESTS["md5"], "md5", key=first)
    assert len(stored.findings(first)) == 3
    stored.raw(near(KNOWN, 2), key=first)
    assert len(stored.findings(first)) == 4
    assert stored.findings(second) == []
    stored.lookup(KNOWN, key=second)
    assert len(stored.findings(second)) == 1


def test_look_ups_are_counted_by_key_and_outcome(service: Hma) -> None:
    """Those at the rim by themselves, which tells hill-climbing; comparing hashes of the caller's own is no look-up."""
    key = service.caller.key(Scope.MATCH)
    for value in (near(FLOODED, 0), near(FLOODED, 31), near(FLOODED, 30, first=40), secrets.token_hex(32)):
        service.lookup(value, key=key)
        service.raw(value, key=key)
    service.lookup(DIGESTS["sha1"], "sha1", key=key)
    service.lookup(secrets.token_hex(20), "sha1", key=key)
    service.ask("POST", "/m/compare", key=key, json={"pdq": [KNOWN, KNOWN]})
    assert service.counts(key) == {"near": 2, "rim": 4, "clear": 3, "exact": 1}


def test_a_used_up_allowance_is_told_as_429_and_never_as_404(service: Hma) -> None:
    """On every path, Coop's check of its banks among them."""
    key = service.caller.key(Scope.MATCH, per_minute=1)
    statuses = [service.get("/m/lookup", key=key, signal=KNOWN, signal_type="pdq").status_code for _ in range(10)]
    assert set(statuses) == {200, 429}
    for path in ("/c/bank/LIST", "/c/bank/NOWHERE", "/m/lookup"):
        answer = service.get(path, key=key)
        refused(answer, 429, code="too_many_requests")
        assert int(answer.headers["retry-after"]) >= 1
