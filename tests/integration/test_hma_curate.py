"""Banks and what they hold by the API of HMA: names, ratios, contents, notes, and whose they are."""

from __future__ import annotations

import json
import secrets
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.integration.hma_caller import Files, Hma, drawing, flat, hma, refused
from tests.integration.v1_caller import Caller
from tests.stores import Place

from rempart.audit import verify
from rempart.people import Scope

FIVE_YEARS = 5 * 365 * 86_400


@pytest.fixture(scope="module")
def files() -> Iterator[Files]:
    """A web server that the service may ask."""
    with Files() as files:
        yield files


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, files: Files) -> Iterator[Hma]:
    """A service with a bank LIST, empty but for what tests put there, and KEEP that always holds something."""
    with hma(Place(tmp_path_factory.mktemp("hma") / "data"), fetch=files.allowed) as service:
        service.bank("LIST")
        service.signal(service.bank("KEEP"), pdq=secrets.token_hex(32), sha256=secrets.token_hex(32))
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


def test_a_bank_is_made_seen_changed_and_deleted(stored: Hma) -> None:
    """With HMA's shapes; a ratio is always written as a fraction, which FetLife's client demands."""
    made = stored.ask("POST", "/c/banks", json={"name": "LIST"})
    assert (made.status_code, made.text) == (201, '{"matching_enabled_ratio":1.0,"name":"LIST"}')
    shown = stored.get("/c/bank/LIST")
    assert (shown.status_code, shown.text) == (200, made.text)
    stored.bank("_2", enabled_ratio=0)
    banks = stored.get("/c/banks").json()
    assert sorted(banks, key=lambda bank: str(bank["name"])) == [
        {"name": "LIST", "matching_enabled_ratio": 1},
        {"name": "_2", "matching_enabled_ratio": 0},
    ]
    assert stored.change("/c/bank/LIST", enabled_ratio=0.25) == {"name": "LIST", "matching_enabled_ratio": 0.25}
    for _ in range(2):  # HMA says the same of what is not there
        gone = stored.ask("DELETE", "/c/bank/LIST")
        assert (gone.status_code, gone.json()) == (200, {"message": "Done"})
    refused(stored.get("/c/bank/LIST"), 404, "bank 'LIST' not found")
    assert stored.acts() == ["bank_created", "bank_created", "bank_changed", "bank_deleted"]
    assert verify(stored.caller.services.store) == []


@pytest.mark.parametrize(
    ("sent", "ratio"), [("1", 1), ("0.5", 0.5), (0.25, 0.25), (1, 1), (0, 0), ("0", 0), ("1.0", 1), ("1e-3", 0.001)]
)
def test_a_ratio_is_a_number_or_its_text_as_coop_sends_it(service: Hma, sent: object, ratio: float) -> None:
    """When a bank is made and when it is changed."""
    name = f"RATIO_{secrets.token_hex(4).upper()}"
    made = service.ask("POST", "/c/banks", json={"name": name, "enabled_ratio": sent})
    assert (made.status_code, made.json()) == (201, {"name": name, "matching_enabled_ratio": ratio})
    service.change(f"/c/bank/{name}", enabled_ratio=0.7)
    assert service.change(f"/c/bank/{name}", enabled_ratio=sent)["matching_enabled_ratio"] == ratio


@pytest.mark.parametrize("sent", [7, "7", -1, 1.01, "nan", "inf", "-inf", "x", "", [1], {"a": 1}, True], ids=repr)
def test_a_ratio_that_is_none_is_refused_and_makes_no_bank(service: Hma, sent: object) -> None:
    """HMA takes 7."""
    refused(service.ask("POST", "/c/banks", json={"name": "NONE", "enabled_ratio": sent}), 400)
    refused(service.get("/c/bank/NONE"), 404)
    refused(service.ask("PUT", "/c/bank/KEEP", json={"enabled_ratio": sent}), 400)
    assert service.get("/c/bank/KEEP").json()["matching_enabled_ratio"] == 1


def test_hma_defect_a_bank_that_is_made_disabled_is_disabled(service: Hma) -> None:
    """HMA's default ratio wins over ``enabled: false``. Nothing in it is found until it is switched on."""
    made = service.ask("POST", "/c/banks", json={"name": "SLEEPING", "enabled": False})
    assert (made.status_code, made.json()) == (201, {"name": "SLEEPING", "matching_enabled_ratio": 0})
    value = secrets.token_hex(32)
    service.signal("SLEEPING", pdq=value)
    assert service.lookup(value) == {}
    assert service.change("/c/bank/SLEEPING", enabled=True)["matching_enabled_ratio"] == 1
    assert [*service.lookup(value)] == ["SLEEPING"]


def test_a_bank_is_made_as_fetlifes_client_asks_for_it(service: Hma) -> None:
    """A flag as text, and a key that HMA does not know and ignores."""
    body = {"name": "TEST_BANK", "enabled": "true", "matching_enabled_ratio": 0.5}
    made = service.ask("POST", "/c/banks", json=body)
    assert (made.status_code, made.json()) == (201, {"name": "TEST_BANK", "matching_enabled_ratio": 1})
    body = {"name": "TEST_BANK_OFF", "enabled": "false", "matching_enabled_ratio": 1.0}
    assert service.ask("POST", "/c/banks", json=body).json()["matching_enabled_ratio"] == 0


@pytest.mark.parametrize("name", ["list", "2LIST", "MY-LIST", "MY LIST", "", "LIST\n", "LÍST", "L" * 256, "A/B"])
def test_a_bank_is_named_by_hmas_rule(service: Hma, name: str) -> None:
    """400 in its words; 255 letters are not too many."""
    rule = "Bank names must be UPPER_WITH_UNDERSCORE"
    refused(service.ask("POST", "/c/banks", json={"name": name}), 400, rule)
    refused(service.ask("PUT", "/c/bank/KEEP", json={"name": name}), 400, rule)


def test_a_name_that_is_taken_is_refused_in_the_words_that_clients_look_for(service: Hma) -> None:
    """403, and not 409."""
    longest = service.bank("L" * 255)
    refused(service.ask("POST", "/c/banks", json={"name": longest}), 403, "Bank already exists")
    refused(service.ask("PUT", "/c/bank/KEEP", json={"name": longest}), 403, "Bank name already exists")
    refused(service.ask("PUT", "/c/bank/ABSENT", json={"enabled_ratio": 1}), 404, "ank")
    refused(service.ask("POST", "/c/banks", json=["LIST"]), 422)
    refused(service.ask("POST", "/c/banks", json={"name": 7}), 422)


def test_of_many_who_make_the_same_bank_at_once_one_does_and_the_others_hear_that_it_is_there(stored: Hma) -> None:
    """403 and not 400, which FetLife's client takes for a wrong name; the same for a name that a bank is given."""
    stored.bank("SPARE")
    with ThreadPoolExecutor(6) as threads:
        bodies = [("POST", "/c/banks"), ("PUT", "/c/bank/SPARE")] * 3
        answers = list(threads.map(lambda one: stored.ask(*one, json={"name": "WANTED"}), bodies))
    done = [answer for answer in answers if answer.status_code in {200, 201}]
    others = [answer for answer in answers if answer.status_code not in {200, 201}]
    assert done
    for answer in others:
        refused(answer, answer.status_code if answer.status_code == 404 else 403)
    assert [bank["name"] for bank in stored.get("/c/banks").json()].count("WANTED") == 1


def test_a_bank_is_renamed_in_place_with_all_that_it_holds(stored: Hma) -> None:
    """Contents keep their numbers, notes and hashes, and are found under the new name at once."""
    value = secrets.token_hex(32)
    stored.bank("OLD", enabled_ratio=0.5)
    number = stored.signal("OLD", pdq=value, note="seen twice")
    assert stored.change("/c/bank/OLD", name="NEW") == {"name": "NEW", "matching_enabled_ratio": 0.5}
    refused(stored.get("/c/bank/OLD"), 404, "bank 'OLD' not found")
    assert stored.lookup(value, bypass_coinflip="true") == {"NEW": [{"bank_content_id": number, "distance": "0"}]}
    assert stored.get(f"/c/bank/NEW/content/{number}").json()["note"] == "seen twice"
    assert stored.signal("NEW", pdq=value) == number
    assert stored.change("/c/bank/NEW", name="NEW", enabled_ratio=1)["matching_enabled_ratio"] == 1
    stored.bank("OLD")
    refused(stored.ask("PUT", "/c/bank/OLD", json={"name": "NEW"}), 403, "Bank name already exists")


def test_signals_are_banked_as_one_content_and_found_at_once(fresh: Hma) -> None:
    """The same ones again are the same content."""
    fresh.bank("LIST")
    signals = {"pdq": secrets.token_hex(32), "sha256": secrets.token_hex(32), "video_md5": secrets.token_hex(16)}
    answer = fresh.ask("POST", "/c/bank/LIST/signal", json=signals | {"note": "from a hotline"})
    number = answer.json()["id"]
    assert (answer.status_code, answer.json().keys()) == (200, {"id", "signals"})
    assert answer.json()["signals"] == signals
    assert number == 1
    for kind, value in signals.items():
        assert fresh.lookup(value, kind)["LIST"][0]["bank_content_id"] == number
    assert fresh.signal("LIST", **signals) == number
    assert fresh.signal("LIST", pdq=secrets.token_hex(32)) == number + 1
    assert fresh.get("/c/bank/LIST/content/1").json()["note"] == "from a hotline"


def test_signals_that_cannot_be_banked_are_refused_in_hmas_words(service: Hma) -> None:
    """Whole: nothing beside a wrong one is banked."""
    good = secrets.token_hex(32)
    path = "/c/bank/LIST/signal"
    for body in ({}, {"note": "nothing"}):
        refused(service.ask("POST", path, json=body), 400, "No signals given")
    refused(service.ask("POST", path, json={"pdq": good, "tmk": "00"}), 400, "No such signal type tmk")
    for value in (good[1:], f"{good}\n", "x" * 64, 7, None, [good]):
        refused(service.ask("POST", path, json={"sha256": good, "pdq": value}), 400, "nvalid pdq signal")
    refused(service.ask("POST", path, json={"pdq": "0" * 64}), 400, "nvalid pdq signal")
    refused(service.ask("POST", path, json={"pdq": good, "note": "x" * 256}), 400)
    refused(service.ask("POST", "/c/bank/ABSENT/signal", json={"pdq": good}), 404, "bank 'ABSENT' not found")
    assert service.lookup(good) == {}
    assert service.lookup(good, "sha256") == {}


def test_a_file_is_banked_from_a_form_or_a_url_with_what_is_said_of_it(stores: Place, files: Files) -> None:
    """A note and metadata from the form, a JSON body or the query, where HMA ignores them."""
    words = {"content_id": "upload-7", "content_uri": "https://host.example/7", "json": {"seen": [1, 2], "who": "vü"}}
    url = files.put("/bank.png", drawing(1))
    with hma(stores, fetch=files.allowed) as service:
        service.bank("LIST")
        path = "/c/bank/LIST/content"
        text = {"metadata": json.dumps(words), "note": "first"}
        numbers = [
            service.ask("POST", path, files={"photo": ("a", drawing(2))}, data=text).json()["id"],
            service.ask("POST", path, files={"photo": ("a", drawing(3))}, params=text).json()["id"],
            service.ask("POST", path, params={"url": url}, json={"metadata": words, "note": "first"}).json()["id"],
            service.ask(
                "POST", path, params={"url": files.put("/other", drawing(4), "x/y"), "content_type": "photo"} | text
            ).json()["id"],
        ]
        assert numbers == [1, 2, 3, 4]
        for number in numbers:
            shown = service.get(f"{path}/{number}").json()
            assert shown["note"] == "first", number
            assert shown["metadata"].items() >= words.items(), number
        again = service.ask("POST", path, params={"url": url})
        assert (again.status_code, again.json()["id"]) == (200, 3)
        assert len(again.json()["signals"]["pdq"]) == 64
        assert [*service.upload("/m/lookup", drawing(1)).json()["pdq"]] == ["LIST"]


def test_a_flat_picture_is_banked_by_its_digests_alone(service: Hma) -> None:
    """Its PDQ hash would match whatever is as empty; HMA refuses it."""
    answer = service.upload("/c/bank/LIST/content", flat(77))
    assert answer.status_code == 200, answer.text
    assert answer.json()["signals"].keys() == {"sha256"}
    assert [*service.upload("/m/lookup", flat(77)).json()["sha256"]] == ["LIST"]
    near = service.upload("/m/lookup", flat(78))
    assert near.json() == {"pdq": {}}


@pytest.mark.parametrize(
    "data",
    [
        {"metadata": '{"other": 1}'},
        {"metadata": '{"content_id": "a", "collab_": {}}'},
        {"metadata": "no json"},
        {"metadata": "[]"},
        {"metadata": '"text"'},
        {"metadata": '{"json": {"a": NaN}}'},
        {"metadata": '{"content_id": "\\ud800"}'},
        {"metadata": f'{{"json": {"[" * 9000}{"]" * 9000}}}'},
        {"note": "x" * 256},
    ],
    ids=["key", "keys", "text", "list", "string", "nan", "surrogate", "depth", "note"],
)
def test_metadata_and_notes_beyond_hmas_rules_are_refused_and_nothing_is_banked(
    service: Hma, data: dict[str, str]
) -> None:
    """Only content_id, content_uri and json; 255 letters of note."""
    seed = 100 + zlib.crc32(str(data).encode())
    path = "/c/bank/LIST/content"
    refused(service.ask("POST", path, files={"photo": ("a", drawing(seed))}, data=data), 400)
    assert service.upload("/m/lookup", drawing(seed)).json() == {"pdq": {}}
    if "note" in data:
        kept = service.ask("POST", path, files={"photo": ("a", drawing(seed))}, data={"note": "ü" * 255})
        assert service.get(f"{path}/{kept.json()['id']}").json()["note"] == "ü" * 255


def test_a_content_is_banked_from_one_source_only(service: Hma) -> None:
    """400 for neither; 404 for a bank that is not there."""
    refused(service.ask("POST", "/c/bank/LIST/content"), 400)
    refused(service.ask("POST", "/c/bank/LIST/content", json={"note": "x"}), 400)
    refused(service.upload("/c/bank/ABSENT/content", drawing(1)), 404, "bank 'ABSENT' not found")


def test_a_content_is_shown_with_its_hashes_only_to_who_may_see_them(service: Hma) -> None:
    """HMA gives every listed hash in clear to anyone."""
    signals = {"pdq": secrets.token_hex(32), "sha1": secrets.token_hex(20)}
    number = service.signal("LIST", **signals)
    path = f"/c/bank/LIST/content/{number}"
    bare = {
        "id": number,
        "disable_until_ts": 1,
        "original_media_uri": None,
        "bank": {"name": "LIST", "matching_enabled_ratio": 1},
    }
    curator = service.caller.key(Scope.CURATE)
    shown = service.get(path, key=curator)
    assert (shown.status_code, shown.json()) == (200, bare)
    assert service.get(path, include_signals="true").json()["signals"] == signals
    assert "signals" not in service.get(path, include_signals="false", key=curator).json()
    refused(service.get(path, include_signals="true", key=curator), 403)
    for value in (signals["pdq"], signals["sha1"]):
        assert value not in shown.text
    one_type = service.signal("LIST", video_md5=(md5 := secrets.token_hex(16)))
    assert service.get(f"/c/bank/LIST/content/{one_type}", include_signals="1").json()["signals"] == {"video_md5": md5}
    for absent in ("0", "999999", str(2**63), str(2**70), "-1"):
        refused(service.get(f"/c/bank/LIST/content/{absent}"), 404)


def test_content_is_switched_off_and_noted_and_its_state_dumped(stored: Hma) -> None:
    """0 off, 1 on, or off until a time of the next five years."""
    stored.bank("LIST")
    number = stored.signal("LIST", pdq=secrets.token_hex(32))
    path, soon = f"/c/bank/LIST/content/{number}", int(time.time()) + 86_400
    dump = {
        "id": number,
        "disable_until_ts": soon,
        "collab_metadata": {},
        "original_media_uri": None,
        "bank": {"name": "LIST", "matching_enabled_ratio": 1},
        "user_metadata": {},
        "note": "looked at",
    }
    assert stored.change(path, disable_until_ts=soon, note="looked at") == dump
    assert stored.get(path).json()["disable_until_ts"] == soon
    for until in (0, 1):
        assert stored.change(path, disable_until_ts=until)["disable_until_ts"] == until
        assert stored.get(path).json()["disable_until_ts"] == until
    assert stored.get(path).json()["note"] == "looked at"
    assert not stored.change(path, note="")["note"]
    assert not stored.get(path).json().get("note")
    far = int(time.time()) + FIVE_YEARS + 10 * 86_400
    for wrong in (-1, far, 2**63, 2**80, -(2**70)):
        refused(stored.ask("PUT", path, json={"disable_until_ts": wrong}), 400)
    for text in ('"soon"', "[0]", "{}", "1e400"):
        answer = stored.ask("PUT", path, content=f'{{"disable_until_ts": {text}}}')
        refused(answer, 422 if answer.status_code == 422 else 400)
    refused(stored.ask("PUT", path, json={"note": "x" * 256}), 400)
    assert stored.change(path, disable_until_ts=far - 20 * 86_400)["disable_until_ts"] == far - 20 * 86_400
    refused(stored.ask("PUT", "/c/bank/LIST/content/999", json={"note": "x"}), 404)


def test_hma_defect_content_is_deleted_only_in_the_bank_that_is_named(stored: Hma) -> None:
    """HMA deletes, shows and changes by number alone, whosever bank the path names."""
    value = secrets.token_hex(32)
    stored.bank("MINE")
    stored.bank("OTHER")
    number = stored.signal("OTHER", pdq=value)
    wrong = f"/c/bank/MINE/content/{number}"
    assert stored.ask("DELETE", wrong).json() == {"deleted": 0}
    refused(stored.get(wrong), 404)
    refused(stored.ask("PUT", wrong, json={"disable_until_ts": 0}), 404)
    assert [*stored.lookup(value)] == ["OTHER"]
    refused(stored.ask("DELETE", f"/c/bank/ABSENT/content/{number}"), 404, "bank 'ABSENT' not found")
    right = stored.ask("DELETE", f"/c/bank/OTHER/content/{number}")
    assert (right.status_code, right.json()) == (200, {"deleted": 1})
    assert stored.ask("DELETE", f"/c/bank/OTHER/content/{number}").json() == {"deleted": 0}
    assert stored.signal("OTHER", pdq=value) > number  # numbers never come back


def test_every_change_is_in_the_audit_under_the_key(fresh: Hma) -> None:
    """Look-ups and what changed nothing are not; the chain holds."""
    fresh.bank("LIST")
    number = fresh.signal("LIST", pdq=secrets.token_hex(32))
    path = f"/c/bank/LIST/content/{number}"
    fresh.change(path, disable_until_ts=0, note="wrong one")
    fresh.change(path, disable_until_ts=1)
    fresh.get("/m/raw_lookup", signal=secrets.token_hex(32), signal_type="pdq")
    fresh.ask("DELETE", path)
    fresh.ask("DELETE", path)
    fresh.change("/c/signal_type/sha1", enabled_ratio=0)
    fresh.ask("DELETE", "/c/bank/LIST")
    assert fresh.acts() == [
        "bank_created",
        "entries_added",
        "entry_changed",
        "entry_changed",
        "entries_removed",
        "signal_type_changed",
        "bank_deleted",
    ]
    assert verify(fresh.caller.services.store) == []


def test_a_limited_key_is_refused_every_other_bank_whether_it_is_there_or_not(service: Hma) -> None:
    """403 and never 404, by which it could learn what there is, and Coop would forget its bank."""
    service.bank("TENANT")
    number = service.signal("KEEP", sha1=secrets.token_hex(20))
    key = service.caller.key(Scope.CURATE, Scope.MATCH, Scope.DISTANCE, banks=["TENANT"])
    assert service.get("/c/banks", key=key).json() == [{"name": "TENANT", "matching_enabled_ratio": 1}]
    signal = {"pdq": secrets.token_hex(32)}
    for name in ("KEEP", "ABSENT", "lower", "KEEP%20"):
        for method, path, more in (
            ("GET", f"/c/bank/{name}", {}),
            ("PUT", f"/c/bank/{name}", {"json": {"enabled_ratio": 0}}),
            ("DELETE", f"/c/bank/{name}", {}),
            ("POST", f"/c/bank/{name}/signal", {"json": signal}),
            ("POST", f"/c/bank/{name}/content", {"files": {"photo": ("a", drawing(9))}}),
            ("GET", f"/c/bank/{name}/content/{number}", {}),
            ("PUT", f"/c/bank/{name}/content/{number}", {"json": {"disable_until_ts": 0}}),
            ("DELETE", f"/c/bank/{name}/content/{number}", {}),
        ):
            refused(service.ask(method, path, key=key, **more), 403, code="forbidden")
    refused(service.ask("POST", "/c/banks", key=key, json={"name": "MORE"}), 403)
    refused(service.ask("POST", "/c/banks", key=key, json={"name": "KEEP"}), 403)
    assert service.get("/c/bank/KEEP").json()["matching_enabled_ratio"] == 1
    assert service.ask("POST", "/c/bank/TENANT/signal", key=key, json=signal).status_code == 200
    assert [*service.lookup(signal["pdq"], key=key)] == ["TENANT"]
    assert service.get(f"/c/bank/TENANT/content/{number}", key=key).status_code == 404
    assert service.ask("DELETE", f"/c/bank/TENANT/content/{number}", key=key).json() == {"deleted": 0}


def test_another_process_follows_within_a_second(stores: Place) -> None:
    """New content, a bank that is switched off, and a type of signal that is."""
    with hma(stores) as one, hma(stores) as two:
        value, kept = secrets.token_hex(32), secrets.token_hex(16)
        one.signal(one.bank("KEEP"), md5=kept, pdq=secrets.token_hex(32))
        one.signal(one.bank("LIST"), pdq=value)
        key = two.caller.all_scopes

        def within_a_second(status: int, expected: object, kind: str = "pdq", signal: str = value) -> None:
            deadline = time.monotonic() + 1
            while True:
                answer = two.get("/m/lookup", key=key, signal=signal, signal_type=kind)
                if (answer.status_code, status == 200 and [*answer.json()]) == (status, expected):
                    return
                assert time.monotonic() < deadline, answer.text
                time.sleep(0.02)

        within_a_second(200, ["LIST"])
        one.change("/c/bank/LIST", enabled_ratio=0)
        within_a_second(200, [])
        one.change("/c/bank/LIST", enabled_ratio=1)
        within_a_second(200, ["LIST"])
        one.change("/c/signal_type/md5", enabled_ratio=0)
        within_a_second(400, False, "md5", kept)  # noqa: FBT003 -- nothing is found in a refusal
        one.change("/c/signal_type/md5", enabled_ratio=1)
        within_a_second(200, ["KEEP"], "md5", kept)


def test_a_caller_of_the_native_api_sees_what_clients_of_hma_bank(service: Hma) -> None:
    """Both look into the same banks."""
    caller: Caller = service.caller
    value = secrets.token_hex(32)
    number = service.signal("LIST", pdq=value)
    answer = caller.ask("POST", "/v1/match/hashes", key=caller.all_scopes, json={"items": [{"pdq": value}]})
    assert [(match["bank"], match["entry"]) for match in answer.json()["results"][0]["matches"]] == [("LIST", number)]
