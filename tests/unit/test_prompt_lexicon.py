"""Packs are read strictly, and words are looked up whole."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from rempart.errors import ExitCode, PackError
from rempart.prompts import Lexicon, load_lexicon, read_pack, shipped_sets
from rempart.prompts.fold import fold
from rempart.prompts.lexicon import SHIPPED
from rempart.prompts.tokens import tokenize

HEADER = '{"pack":"birds","version":"1","concept":"minor","language":"en","source":"a test","licence":"Apache-2.0"}'
TERM = '{"id":"wren","class":"minor.explicit","strength":1.0,"forms":["wren","wrens"]}'


def pack(*lines: str) -> bytes:
    """The bytes of a pack."""
    return "\n".join(lines).encode()


OTHER = pack(
    HEADER.replace("birds", "lamps").replace('"minor"', '"sexual"'),
    TERM.replace("minor", "sexual").replace("wren", "lamp"),
)


@pytest.fixture(scope="module")
def canary() -> Lexicon:
    """The canary lexicon."""
    return load_lexicon("canary")


def hits(lexicon: Lexicon, text: str) -> list[tuple[str, str]]:
    """The terms found in a text, with the raw text of each."""
    folded = fold(text)
    return [(hit.term, text[hit.start : hit.end]) for hit in lexicon.find(tokenize(folded.text), folded)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a Zebra", [("zebra", "Zebra")]),
        ("zebras, wrens", [("zebra", "zebras"), ("wren", "wrens")]),
        ("zebra's zebra\u2019s", [("zebra", "zebra"), ("zebra", "zebra")]),
        ("l'emu", [("emu", "emu")]),
        ("red_zebra-house", [("zebra", "zebra")]),
        ("2zebras3", [("zebra", "zebras")]),
        ("(zebra:1.2)", [("zebra", "zebra")]),
        ("a sea lion", [("sea-lion", "sea lion")]),
        ("a sea-lion, sea_lions", [("sea-lion", "sea-lion"), ("sea-lion", "sea_lions")]),
        ("sea\u00a0\n lion", [("sea-lion", "sea\u00a0\n lion")]),
        ("\uff5a\uff45\u200b\uff42\uff52\uff41", [("zebra", "\uff5a\uff45\u200b\uff42\uff52\uff41")]),
        ("zebra crossing", [("zebra-thing", "zebra crossing")]),
        ("zebra crossing zebra", [("zebra-thing", "zebra crossing"), ("zebra", "zebra")]),
        ("zebra, crossing", [("zebra", "zebra")]),
        ("little owl", [("little-owl", "little owl")]),
        ("little, owl", [("owl", "owl")]),
        ("bell buoy", [("buoy", "bell buoy")]),
        ("at sea", []),
        ("sea.lion", []),
        ("sea, lion", []),
        ("zebrawood wrench lampoon doorbell", []),
        ("", []),
    ],
)
def test_words_are_found_whole_and_the_longest_expression_wins(
    canary: Lexicon, text: str, found: list[tuple[str, str]]
) -> None:
    """Marks of every kind separate words, parts of words are never found, and expressions hide what is inside them."""
    assert hits(canary, text) == found


def test_hits_of_two_concepts_never_hide_each_other(tmp_path: Path) -> None:
    """An expression of one concept covers its own words only, and overlapping expressions both stay."""
    (tmp_path / "a.jsonl").write_bytes(pack(HEADER, TERM.replace('"wrens"', '"lamp wren house", "house lamp"')))
    (tmp_path / "b.jsonl").write_bytes(OTHER)
    found = hits(load_lexicon(tmp_path), "lamp wren house lamp")
    assert sorted(found) == sorted(
        [("wren", "lamp wren house"), ("lamp", "lamp"), ("wren", "house lamp"), ("lamp", "lamp")]
    )


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", 1),
        (b"{}", 1),
        (b"[1]", 1),
        (b"secretword", 1),
        (pack(HEADER.replace("}", ',"secretword":1}'), TERM), 1),
        (pack(HEADER.replace('"1"', "1"), TERM), 1),
        (pack(HEADER.replace("birds", "Secretword!"), TERM), 1),
        (pack(HEADER, "", TERM), 2),
        (pack(HEADER, TERM.replace("}", ',"secretword":1}')), 2),
        (pack(HEADER, TERM, TERM.replace('"wren","wrens"', '"secretword"')), 3),
        (pack(HEADER, TERM, TERM.replace('"id":"wren"', '"id":"bird"')), 3),
        (pack(HEADER, TERM.replace("wrens", "wren")), 2),
        (pack(HEADER, TERM.replace("wrens", "")), 2),
        (pack(HEADER, TERM.replace('"wren","wrens"', "")), 2),
        (pack(HEADER, TERM.replace("wrens", "Secretword")), 2),
        (pack(HEADER, TERM.replace("wrens", "secret-word")), 2),
        (pack(HEADER, TERM.replace("wrens", "secret  word")), 2),
        (pack(HEADER, TERM.replace("wrens", " ")), 2),
        (pack(HEADER, TERM.replace("wrens", "1secretword")), 2),
        (pack(HEADER, TERM.replace("wrens", "secret\u200bword")), 2),
        (pack(HEADER, TERM.replace("minor.explicit", "sexual.explicit")), 2),
        (pack(HEADER, TERM.replace("minor.explicit", "minor")), 2),
        (pack(HEADER, TERM.replace("1.0", "1.5")), 2),
        (pack(HEADER, TERM.replace("1.0", "0")), 2),
        (pack(HEADER, TERM) + b"\n\xffsecretword", 3),
        (pack(HEADER, TERM).decode().encode("utf-16"), 1),
    ],
)
def test_a_broken_pack_stops_the_start_and_is_named_by_file_and_line(tmp_path: Path, content: bytes, line: int) -> None:
    """Whatever is wrong, the message says where and what, and never quotes the pack."""
    (tmp_path / "birds.jsonl").write_bytes(content)
    (tmp_path / "lamps.jsonl").write_bytes(OTHER)
    with pytest.raises(PackError) as caught:
        load_lexicon(tmp_path)
    place, message = f"{tmp_path / 'birds.jsonl'}:{line}: ", str(caught.value)
    assert message.startswith(place)
    assert "\n" not in message
    assert "secret" not in message.removeprefix(place).lower()
    assert caught.value.exit_code == ExitCode.USAGE


def test_a_set_that_cannot_hold_the_floor_is_refused(tmp_path: Path) -> None:
    """A missing folder, an empty one, one concept alone, a name used twice, an unreadable pack: no start."""
    with pytest.raises(PackError, match="no such folder"):
        load_lexicon(tmp_path / "nowhere")
    with pytest.raises(PackError, match="no such folder of packs; shipped are canary, en"):
        load_lexicon("nowhere")
    with pytest.raises(PackError, match="no packs are there"):
        load_lexicon(tmp_path)
    (tmp_path / "birds.jsonl").write_bytes(pack(HEADER, TERM))
    with pytest.raises(PackError, match=r"no term has the class sexual\.explicit"):
        load_lexicon(tmp_path)
    (tmp_path / "lamps.jsonl").write_bytes(OTHER)
    load_lexicon(tmp_path)
    (tmp_path / "more.jsonl").write_bytes(OTHER)
    with pytest.raises(PackError, match=r"more\.jsonl:1: another pack"):
        load_lexicon(tmp_path)
    (tmp_path / "more.jsonl").unlink()
    (tmp_path / "more.jsonl").mkdir()
    with pytest.raises(PackError, match=r"more\.jsonl: cannot be read"):
        load_lexicon(tmp_path)


def test_the_digest_is_that_of_the_content(tmp_path: Path) -> None:
    """Byte order mark, line ends and spaces between keys make no difference; one letter or the version does."""
    path = tmp_path / "birds.jsonl"
    digests = []
    for content in (
        pack(HEADER, TERM, ""),
        b"\xef\xbb\xbf" + pack(f"{HEADER}\r", f"{TERM}\r", ""),
        pack(HEADER, TERM.replace(",", " , ")),
        pack(HEADER, TERM.replace("wrens", "wrent")),
        pack(HEADER.replace('"1"', '"2"'), TERM),
    ):
        path.write_bytes(content)
        digests.append(read_pack(path).digest)
    assert digests[0] == digests[1] == digests[2]
    assert len(set(digests)) == 3
    assert all(len(digest) == 64 for digest in digests)


@pytest.mark.parametrize("name", shipped_sets())
def test_shipped_packs_load_and_say_where_they_come_from(name: str) -> None:
    """Each shipped file is one concept and one language, and has the name of its file."""
    packs = load_lexicon(name).packs
    assert {each.header.concept for each in packs} == {"minor", "sexual"}
    for each in packs:
        assert each.header.pack == f"{name}-{each.header.concept}"
        assert read_pack(SHIPPED / name / f"{each.header.concept}.jsonl") == each
        assert each.header.licence == "Apache-2.0"


def test_canaries_are_as_short_as_real_words() -> None:
    """At least three in ten canary forms have four letters or fewer, so that short words are tested too."""
    forms = [form for each in load_lexicon("canary").packs for term in each.terms for form in term.forms]
    assert sum(len(form) <= 4 for form in forms) >= 0.3 * len(forms)


def test_a_pack_survives_its_own_encoding() -> None:
    """What is read and written again is what was read: the structs lose nothing."""
    for each in load_lexicon("canary").packs:
        for part in (each.header, *each.terms):
            assert msgspec.json.decode(msgspec.json.encode(part), type=type(part)) == part
