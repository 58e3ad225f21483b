"""Files by the API of HMA: hashing them, looking them up as uploads and by URL, and what cannot be looked at."""

from __future__ import annotations

import hashlib
import io
import secrets
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from tests.integration.hma_caller import REASONS, VERDICT, Files, Hma, drawing, flat, hma, near, picture, refused
from tests.stores import Place

import rempart
from rempart.lists import create_bank
from rempart.matching import Kind, specimen
from rempart.people import Scope
from rempart.settings import ServeSettings

UPLOAD_BYTES = 300_000
JUNK = b"neither a picture nor a video, but as long as one would expect of a small file" * 20
FORM = "multipart/form-data; boundary=x"


@pytest.fixture(scope="module")
def files() -> Iterator[Files]:
    """A web server that the service may ask."""
    with Files() as files:
        yield files


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, files: Files) -> Iterator[Hma]:
    """A service that fetches, takes small uploads only, and has a bank PHOTOS with one drawing in it."""
    place = Place(tmp_path_factory.mktemp("hma") / "data")
    with hma(place, fetch=files.allowed, serve=ServeSettings(upload_bytes=UPLOAD_BYTES)) as service:
        service.bank("PHOTOS")
        assert service.upload("/c/bank/PHOTOS/content", drawing(1)).json()["id"] == 1
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


@cache
def clip() -> bytes:
    """A short video."""
    pytest.importorskip("av", reason="PyAV is not installed: it comes with the extra video")
    from tests.integration.video_clips import clip as encoded  # noqa: PLC0415 -- needs the extra

    return encoded(seconds=2)


def pdq(content: bytes) -> str:
    """The PDQ hash of a picture, as the library has it."""
    hashed = rempart.hash_image(content)
    assert isinstance(hashed, rempart.Hashed)
    return hashed.pdq


def digests(content: bytes) -> dict[str, str]:
    """All digests of a file."""
    return {kind: hashlib.new(kind, content).hexdigest() for kind in ("md5", "sha1", "sha256")}


def test_a_photo_is_hashed_by_pdq_and_a_video_by_md5(service: Hma) -> None:
    """The field's name is the content type, and values are lower-case digits."""
    assert service.upload("/h/hash", drawing(2)).json() == {"pdq": pdq(drawing(2))}
    video = service.upload("/h/hash", clip(), "video").json()
    assert video == {"video_md5": hashlib.md5(clip()).hexdigest()}  # noqa: S324 -- HMA's type


def test_types_choose_what_is_computed(service: Hma) -> None:
    """Our digests among them; empty or unknown ones are refused."""
    of = digests(drawing(2))
    for types, expected in (
        ("pdq", {"pdq": pdq(drawing(2))}),
        ("pdq,sha1", {"pdq": pdq(drawing(2)), "sha1": of["sha1"]}),
        ("md5,sha1,sha256", of),
    ):
        assert service.upload("/h/hash", drawing(2), types=types).json() == expected
    for types in ("", ",", "tmk", "pdq,tmk"):
        for path in ("/h/hash", "/m/lookup"):
            refused(service.upload(path, drawing(2), types=types), 400)


def test_a_picture_without_detail_has_an_empty_hash(service: Hma) -> None:
    """As HMA says it; its digests are whole."""
    assert service.upload("/h/hash", flat(90)).json() == {"pdq": ""}
    assert service.upload("/h/hash", flat(90), types="pdq,md5").json() == {"pdq": "", "md5": digests(flat(90))["md5"]}


@pytest.mark.parametrize(
    "content", [JUNK, b"", drawing(3)[:40], b"GIF89a" + bytes(50)], ids=["junk", "empty", "header", "gif"]
)
def test_hma_defect_an_undecodable_file_is_no_server_error(service: Hma, content: bytes) -> None:
    """400 that says it was not scannable and why, from every route that takes a photo."""
    for path in ("/h/hash", "/m/lookup", "/c/bank/PHOTOS/content"):
        answer = service.upload(path, content)
        refused(answer, 400, code="unscannable")
        assert answer.json()["detail"]
        assert "hidden" not in answer.text  # the file's name


def test_a_form_takes_exactly_one_file_of_a_known_field(service: Hma) -> None:
    """400 for none, two, another name, and what is no form."""
    for path in ("/h/hash", "/m/lookup", "/c/bank/PHOTOS/content"):
        two = {"photo": ("a", drawing(2)), "video": ("b", drawing(2))}
        twice = [("photo", ("a", drawing(2))), ("photo", ("b", drawing(2)))]
        for form in (two, twice, {"image": ("a", drawing(2))}, {"": ("a", drawing(2))}):
            refused(service.ask("POST", path, files=form), 400)
        empty = b'--x\r\ncontent-disposition: form-data; name="photo"\r\n\r\nhello\r\n--x--\r\n'
        for body, kind in ((empty, FORM), (b"--x--\r\n", FORM), (b"no form at all", FORM), (b"{}", "application/json")):
            refused(service.ask("POST", path, content=body, headers={"content-type": kind}), 400)
        refused(service.ask("POST", path), 400)


def test_an_upload_beyond_the_limit_is_too_large(service: Hma) -> None:
    """413, whatever it is."""
    large = bytes(UPLOAD_BYTES + 1)
    for path in ("/h/hash", "/m/lookup", "/c/bank/PHOTOS/content"):
        refused(service.upload(path, large), 413, code="too_large")
        refused(service.upload(path, large, "video"), 413, code="too_large")


def test_a_file_behind_a_url_is_hashed_as_what_the_client_says_or_its_bytes_show(service: Hma, files: Files) -> None:
    """The client's word wins; without it the bytes do, for a header is whatever somebody set up."""
    photo, text = files.put("/a.png", drawing(4)), files.put("/a.bin", drawing(4), "application/octet-stream")
    for more in ({"url": photo}, {"url": text}, {"url": text, "content_type": "photo"}):
        assert service.get("/h/hash", **more).json() == {"pdq": pdq(drawing(4))}
    video = {"video_md5": digests(clip())["md5"]}
    for kind in ("video/mp4; codecs=avc1", "image/png", "text/html"):
        assert service.get("/h/hash", url=files.put("/a.mp4", clip(), kind)).json() == video
    assert service.get("/h/hash", url=photo, content_type="video").json() == {"video_md5": digests(drawing(4))["md5"]}
    assert service.get("/h/hash", url=photo, types="sha256").json() == {"sha256": digests(drawing(4))["sha256"]}
    for more in ({"url": photo, "content_type": "text"}, {"url": photo, "types": "tmk"}):
        refused(service.get("/h/hash", **more), 400)
        refused(service.get("/m/lookup", **more), 400)
    refused(service.get("/h/hash", url=files.put("/junk.png", JUNK)), 400, code="unscannable")


def test_what_goes_wrong_over_there_is_a_bad_request_that_tells_nothing_of_it(service: Hma, files: Files) -> None:
    """HMA's error text is a port scanner; ours is the same for every failure."""
    texts = set()
    for url in (
        f"http://{files.host}/absent",
        files.put("/broken", drawing(4), status=500),
        files.put("/away", b"", status=302, location="http://169.254.169.254/latest/"),
        files.put("/inside", b"", status=302, location="http://127.0.0.1:1/"),
        files.put("/endless", b"", status=302, location=f"http://{files.host}/endless"),
    ):
        for path in ("/h/hash", "/m/lookup"):
            texts.add(refused(service.get(path, url=url, content_type="photo"), 400, code="fetch_failed"))
        body = service.ask("POST", "/c/bank/PHOTOS/content", params={"url": url, "content_type": "photo"})
        texts.add(refused(body, 400, code="fetch_failed"))
    (text,) = texts
    assert not {word for word in ("127.0.0.1", "169.254", "500", "404", "secret") if word in text}
    large = service.get("/h/hash", url=files.put("/large", bytes(UPLOAD_BYTES + 1)))
    assert large.status_code in {400, 413}
    refused(large, large.status_code)


def test_only_named_hosts_are_asked_and_by_default_none(service: Hma, fresh: Hma, files: Files) -> None:
    """403 before anything is sent; nonsense is a bad request."""
    for path in ("/h/hash", "/m/lookup"):
        for url in ("http://127.0.0.1:1/a.png", "http://169.254.169.254/", "https://raw.githubusercontent.com/a.png"):
            refused(service.get(path, url=url, content_type="photo"), 403, code="fetch_refused")
        for url in ("nonsense", "file:///etc/passwd", "ftp://host/a", f"http://a@{files.host}/a.png", ""):
            refused(service.get(path, url=url, content_type="photo"), 400)
        before = len(files.asked)
        url = files.put("/a.png", drawing(4))
        refused(fresh.get(path, url=url), 403, code="fetch_disabled")
        assert len(files.asked) == before


def test_a_picture_is_looked_up_and_its_default_type_is_always_answered(stored: Hma) -> None:
    """What is not found is an empty object; our digests stand beside it only when they hit."""
    stored.bank("PHOTOS")
    number = stored.upload("/c/bank/PHOTOS/content", drawing(1)).json()["id"]
    hit = {"PHOTOS": [{"bank_content_id": number, "distance": "-"}]}
    answer = stored.upload("/m/lookup", drawing(1))
    assert answer.json() == {
        "pdq": {"PHOTOS": [{"bank_content_id": number, "distance": "0"}]},
        **dict.fromkeys(("md5", "sha1", "sha256"), hit),
    }
    assert answer.headers[VERDICT] == "match"
    jpeg = stored.upload("/m/lookup", drawing(1, "JPEG")).json()
    assert jpeg.keys() == {"pdq"}
    assert 0 <= int(jpeg["pdq"]["PHOTOS"][0]["distance"]) <= 31
    clear = stored.upload("/m/lookup", drawing(2))
    assert (clear.json(), clear.headers[VERDICT]) == ({"pdq": {}}, "clear")
    weak = stored.upload("/m/lookup", drawing(1, "JPEG"), key=stored.caller.key(Scope.MATCH))
    assert weak.json() == {"pdq": hit}


def test_types_and_banks_limit_a_look_up_of_a_file(service: Hma) -> None:
    """As for a signal."""
    hit = {"PHOTOS": [{"bank_content_id": 1, "distance": "-"}]}
    assert service.upload("/m/lookup", drawing(1), types="pdq").json().keys() == {"pdq"}
    assert service.upload("/m/lookup", drawing(1), types="sha256").json()["sha256"] == hit
    assert "md5" not in service.upload("/m/lookup", drawing(1), types="pdq,sha256").json()
    service.signal(service.bank("FILTER"), pdq=secrets.token_hex(32))
    assert service.upload("/m/lookup", drawing(1), banks="FILTER,NOWHERE").json() == {"pdq": {}}
    refused(service.upload("/m/lookup", drawing(1), banks="NOWHERE"), 503, "index not yet ready")


def test_a_type_that_is_switched_off_is_not_looked_up_in_files_either(fresh: Hma) -> None:
    """Where it is the default one the look-up is refused, as one of its signals is."""
    fresh.bank("PHOTOS")
    fresh.upload("/c/bank/PHOTOS/content", drawing(1)).raise_for_status()
    fresh.change("/c/signal_type/sha1", enabled_ratio=0)
    assert fresh.upload("/m/lookup", drawing(1)).json().keys() == {"pdq", "md5", "sha256"}
    refused(fresh.upload("/m/lookup", drawing(1), types="pdq,sha1"), 400)
    fresh.change("/c/signal_type/pdq", enabled_ratio=0)
    refused(fresh.upload("/m/lookup", drawing(1)), 400)
    assert fresh.upload("/m/lookup", drawing(1), types="md5").json()["md5"].keys() == {"PHOTOS"}


@pytest.mark.parametrize("form", ["GIF", "CMYK", "P"])
def test_a_picture_in_another_colour_model_is_found(service: Hma, form: str) -> None:
    """HMA hashes palettes and CMYK as if they were grey, and finds none of them."""
    stream = io.BytesIO()
    picture(1).convert(form if form != "GIF" else "RGB").save(stream, {"GIF": "GIF", "CMYK": "JPEG", "P": "PNG"}[form])
    assert "PHOTOS" in service.upload("/m/lookup", stream.getvalue()).json()["pdq"]


def test_a_picture_with_too_little_detail_says_so_beside_an_empty_answer(service: Hma) -> None:
    """HMA answers 400 'invalid PDQ hash'. Its digests are compared all the same."""
    answer = service.upload("/m/lookup", flat(90))
    assert (answer.status_code, answer.json()) == (200, {"pdq": {}})
    assert (answer.headers[VERDICT], answer.headers[REASONS]) == ("unscannable", "low_quality")
    service.signal("PHOTOS", sha256=digests(flat(91))["sha256"])
    answer = service.upload("/m/lookup", flat(91))
    assert answer.json()["pdq"] == {}
    assert [*answer.json()["sha256"]] == ["PHOTOS"]
    assert answer.headers[VERDICT] == "match"


def test_a_file_that_cannot_be_read_is_found_by_its_digest(service: Hma) -> None:
    """And is unscannable, never clear, when it is not."""
    number = service.signal("PHOTOS", sha1=digests(JUNK + b"1")["sha1"])
    for field in ("photo", "video"):
        answer = service.upload("/m/lookup", JUNK + b"1", field)
        assert answer.status_code == 200, answer.text
        assert answer.json()["sha1"] == {"PHOTOS": [{"bank_content_id": number, "distance": "-"}]}
        assert answer.headers[VERDICT] == "match"
        refused(service.upload("/m/lookup", JUNK + b"2", field), 400, code="unscannable")


def test_a_video_is_looked_up_by_its_md5_and_by_its_looks(service: Hma) -> None:
    """The default type is always there; `vpdq` and our digests only when they hit."""
    service.bank("VIDEOS")
    clear = service.upload("/m/lookup", clip(), "video")
    assert (clear.status_code, clear.json(), clear.headers[VERDICT]) == (200, {"video_md5": {}}, "clear")
    number = service.upload("/c/bank/VIDEOS/content", clip(), "video").json()["id"]
    found = service.upload("/m/lookup", clip(), "video").json()
    assert found["video_md5"] == {"VIDEOS": [{"bank_content_id": number, "distance": "-"}]}
    assert [row["bank_content_id"] for row in found["vpdq"]["VIDEOS"]] == [number]
    changed = service.upload("/m/lookup", clip() + b"\0\0\0\x08free", "video").json()
    assert changed["video_md5"] == {}
    assert [*changed["vpdq"]] == ["VIDEOS"]
    assert service.ask("DELETE", "/c/bank/VIDEOS").status_code == 200


def test_a_look_up_by_url_is_one_by_upload_and_a_signal_type_takes_its_layer_off(service: Hma, files: Files) -> None:
    """Only the scope match is needed, as for uploads."""
    key = service.caller.key(Scope.MATCH)
    url = files.put("/banked.png", drawing(1))
    uploaded = service.upload("/m/lookup", drawing(1), key=key).json()
    answer = service.get("/m/lookup", key=key, url=url)
    assert (answer.json(), answer.headers[VERDICT]) == (uploaded, "match")
    assert service.get("/m/lookup", key=key, url=url, signal_type="pdq").json() == uploaded["pdq"]
    assert service.get("/m/lookup", key=key, url=files.put("/c.png", drawing(2))).json() == {"pdq": {}}
    assert service.get("/m/lookup", key=key, url=f"http://{files.host}/c.png", signal_type="pdq").json() == {}
    typed = service.get("/m/lookup", key=key, url=files.put("/d", drawing(1), "text/plain"), content_type="photo")
    assert typed.json() == uploaded


def test_uploads_and_urls_flip_the_same_coin_as_signals(service: Hma, files: Files) -> None:
    """Repeatably by seed, and not with bypass_coinflip."""
    service.bank("COIN", enabled_ratio=0.5)
    service.signal("COIN", pdq=pdq(drawing(7)))
    url = files.put("/coin.png", drawing(7))
    seeds = [f"seed-{number}" for number in range(12)]
    of_signal = ["COIN" in service.lookup(pdq(drawing(7)), seed=seed) for seed in seeds]
    assert {*of_signal} == {True, False}
    for seed, expected in zip(seeds, of_signal, strict=True):
        assert ("COIN" in service.upload("/m/lookup", drawing(7), seed=seed).json()["pdq"]) == expected
        assert ("COIN" in service.get("/m/lookup", url=url, seed=seed).json()["pdq"]) == expected
        always = service.upload("/m/lookup", drawing(7), seed=seed, bypass_coinflip="true").json()
        assert "COIN" in always["pdq"]
        assert "COIN" in service.get("/m/lookup", url=url, seed=seed, bypass_coinflip="true").json()["pdq"]


def test_the_specimen_and_what_is_allowed_look_as_in_a_look_up_of_signals(fresh: Hma) -> None:
    """The specimen under its name, an allowed file clear."""
    found = fresh.upload("/m/lookup", specimen.picture()).json()
    assert found == {"pdq": {"SPECIMEN": [{"bank_content_id": 0, "distance": "0"}]}}
    fresh.bank("BLOCK")
    fresh.signal("BLOCK", pdq=near(pdq(drawing(5)), 6))
    assert [*fresh.upload("/m/lookup", drawing(5)).json()["pdq"]] == ["BLOCK"]
    create_bank(fresh.caller.services.store, "ALLOW", kind=Kind.ALLOWING)
    fresh.upload("/c/bank/ALLOW/content", drawing(5)).raise_for_status()
    answer = fresh.upload("/m/lookup", drawing(5))
    assert (answer.json(), answer.headers[VERDICT]) == ({"pdq": {}}, "clear")


def test_a_file_makes_one_finding_however_often_and_by_whatever_way_it_comes(service: Hma, files: Files) -> None:
    """Another file makes another one; what is clear makes none."""
    key = service.caller.key(Scope.MATCH)
    url = files.put("/again.png", drawing(1))
    for _ in range(2):
        service.upload("/m/lookup", drawing(1), key=key)
        assert len(service.findings(key)) == 1
    service.get("/m/lookup", key=key, url=url)
    service.upload("/m/lookup", drawing(2), key=key)
    assert len(service.findings(key)) == 1
    assert service.findings(key)[0]["item"].items() >= digests(drawing(1)).items()
    service.upload("/m/lookup", drawing(1, "JPEG"), key=key)
    assert len(service.findings(key)) == 2


def test_files_are_counted_as_what_they_turned_out_to_be(service: Hma) -> None:
    """Also those that could not be looked at."""
    key = service.caller.key(Scope.MATCH)
    for content in (drawing(1, "JPEG"), drawing(2), flat(90), JUNK):
        service.upload("/m/lookup", content, key=key)
    counts = service.counts(key)
    assert counts.pop("near", 0) + counts.pop("rim", 0) == 1
    assert counts == {"clear": 1, "unscannable": 2}


def test_two_hashes_are_compared_without_any_bank(fresh: Hma) -> None:
    """Both are the caller's own, so their distance is no secret."""
    key, value = fresh.caller.key(Scope.MATCH), secrets.token_hex(32)
    pairs = {bits: [value, near(value, bits)] for bits in (0, 31, 32, 256)}
    for bits, pair in pairs.items():
        answer = fresh.ask("POST", "/m/compare", key=key, json={"pdq": pair})
        assert answer.json() == {"pdq": [bits <= 31, {"distance": bits}]}
    both = {"pdq": [value, value.upper()], "sha1": ["0a" * 20, "0b" * 20]}
    answer = fresh.ask("POST", "/m/compare", key=key, json=both)
    assert answer.json() == {"pdq": [True, {"distance": 0}], "sha1": [False, {"distance": 1}]}
    wrong: list[object] = [{"pdq": [value]}, {"pdq": [value] * 3}, {"pdq": value}, {"tmk": [value, value]}]
    wrong += [{"pdq": [value, value[1:]]}, {"pdq": [value, 7]}, {"pdq": [value, f"{value}\n"]}, {"pdq": {}}]
    for body in (*wrong, [], "pdq", None, 7):
        refused(fresh.ask("POST", "/m/compare", key=key, json=body), 400)


@pytest.mark.parametrize("kind", ["video_md5", "md5", "sha1", "sha256"])
def test_hma_defect_digests_can_be_compared(service: Hma, kind: str) -> None:
    """HMA fails on them with 500: 0 for equal ones, 1 for others."""
    size = {"video_md5": 16, "md5": 16, "sha1": 20, "sha256": 32}[kind]
    one, other = (secrets.token_hex(size) for _ in range(2))
    for second, expected in ((one, [True, {"distance": 0}]), (other, [False, {"distance": 1}])):
        answer = service.ask("POST", "/m/compare", json={kind: [one, second]})
        assert (answer.status_code, answer.json()) == (200, {kind: expected})
