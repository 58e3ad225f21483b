"""Packs are read strictly, and those that ship are whole, disjoint and cover what they promise."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from rempart.errors import ExitCode, PackError
from rempart.prompts import Pack, load_lexicon, read_pack, shipped_sets
from rempart.prompts.coverage import ROOTS, WORDNET, exclusions, language_coverage, wordnet_coverage
from rempart.prompts.pack import DIGESTS, SHIPPED, UNSPACED, record_digests

HEADER = '{"pack":"birds","version":"1","concept":"minor","language":"en","source":"a test","licence":"Apache-2.0"}'
TERM = '{"id":"wren","class":"minor.explicit","strength":1.0,"forms":["wren","wrens"]}'
CONCEPTS = {"minor", "adult", "sexual", "context"}
CLASSES = {
    "minor": {"explicit", "role", "ambiguous", "weak", "other"},
    "adult": {"explicit"},
    "sexual": {"explicit", "nudity", "weak", "other"},
    "context": {"medical", "childcare", "education", "art", "religion", "news", "family"},
}


def pack(*lines: str) -> bytes:
    """The bytes of a pack."""
    return "\n".join(lines).encode()


OTHER = pack(
    HEADER.replace("birds", "lamps").replace('"minor"', '"sexual"'),
    TERM.replace("minor", "sexual").replace("wren", "lamp"),
)


@pytest.fixture(scope="module")
def shipped() -> tuple[Pack, ...]:
    """All packs of all languages."""
    return load_lexicon("all").packs


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
        (pack(HEADER, TERM.replace("wrens", "secret\u200bword")), 2),
        (pack(HEADER, TERM.replace("minor.explicit", "sexual.explicit")), 2),
        (pack(HEADER, TERM.replace("minor.explicit", "minor")), 2),
        (pack(HEADER, TERM.replace("1.0", "1.5")), 2),
        (pack(HEADER, TERM.replace("1.0", "0")), 2),
        (pack(HEADER, TERM.replace("}", ',"exceptions":["Secretword house"]}')), 2),
        (pack(HEADER, TERM.replace("}", ',"exceptions":["wren"]}')), 2),
        (pack(HEADER, TERM.replace("}", ',"shared":{"secretword":["fr"]}}')), 2),
        (pack(HEADER, TERM.replace("}", ',"shared":{"wren":["Secretword"]}}')), 2),
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
    with pytest.raises(PackError, match="no such folder of packs; shipped are all, canary, en"):
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


def test_recorded_digests_pin_what_a_folder_holds(tmp_path: Path) -> None:
    """Once recorded, a changed, added or missing pack or a broken record refuses the start."""
    birds, lamps = tmp_path / "birds.jsonl", tmp_path / "lamps.jsonl"
    birds.write_bytes(pack(HEADER, TERM))
    lamps.write_bytes(OTHER)
    record_digests(tmp_path)
    before = load_lexicon(tmp_path).digest
    birds.write_bytes(pack(HEADER, TERM.replace("wrens", "wrent")))
    with pytest.raises(PackError, match=r"birds\.jsonl: its digest is not the one in digests\.json"):
        load_lexicon(tmp_path)
    record_digests(tmp_path)
    assert load_lexicon(tmp_path).digest != before
    (tmp_path / "more.jsonl").write_bytes(OTHER.replace(b"lamps", b"more"))
    with pytest.raises(PackError, match=r"more\.jsonl: its digest is not"):
        load_lexicon(tmp_path)
    (tmp_path / "more.jsonl").unlink()
    birds.rename(tmp_path / "birds.away")
    with pytest.raises(PackError, match=r"digests\.json: 1 packs that it names are missing"):
        load_lexicon(tmp_path)
    (tmp_path / DIGESTS).write_bytes(b"{")
    with pytest.raises(PackError, match=r"digests\.json"):
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


@pytest.mark.parametrize("name", [name for name in shipped_sets() if name != "all"])
def test_shipped_packs_are_written_as_they_are_looked_up(name: str) -> None:
    """Each file is one concept and one language, has the name of its file, passes every check, and is the recorded."""
    recorded = msgspec.json.decode((SHIPPED / name / DIGESTS).read_bytes())
    packs = load_lexicon(name).packs
    assert CONCEPTS >= {each.header.concept for each in packs} >= {"minor", "sexual"}
    for each in packs:
        concept = each.header.concept
        assert each.header.pack == f"{name}-{concept}"
        assert each.header.language == ("en" if name == "canary" else name)
        assert each.header.licence == "Apache-2.0"
        assert read_pack(SHIPPED / name / f"{concept}.jsonl") == each
        assert recorded[each.header.pack] == each.digest
        assert {term.concept.partition(".")[2] for term in each.terms} <= CLASSES[concept]


def test_the_set_of_all_is_every_language_without_the_canaries(shipped: tuple[Pack, ...]) -> None:
    """Thirteen languages, four concepts each, English first; its words number tens of thousands."""
    languages = list(dict.fromkeys(each.header.language for each in shipped))
    assert languages[0] == "en"
    assert set(languages) == {"en", "fr", "de", "es", "it", "pt", "nl", "pl", "ru", "tr", "zh", "ja", "ko"}
    assert sorted(each.header.pack for each in shipped) == sorted(
        f"{one}-{two}" for one in languages for two in CONCEPTS
    )
    assert sum(each.forms for each in shipped) > 15_000


def test_no_file_holds_words_of_two_concepts(shipped: tuple[Pack, ...]) -> None:
    """No form or exception of one half has a form of the other inside: the words never meet in a file."""
    halves = {(each.header.language, each.header.concept): each for each in shipped}
    for (language, concept), each in halves.items():
        if concept not in {"minor", "sexual"}:
            continue
        other = halves[language, "sexual" if concept == "minor" else "minor"]
        foreign = {
            form
            for term in other.terms
            if not term.concept.endswith(".weak")
            for form in term.forms
            if form not in term.shared
        }
        for term in each.terms:
            for text in (*term.forms, *term.exceptions):
                assert foreign.isdisjoint(_pieces(text, language)), f"{each.header.pack}: {term.id}"


def _pieces(text: str, language: str) -> set[str]:
    parts = list(text) if language in UNSPACED else text.split(" ")
    gap = "" if language in UNSPACED else " "
    return {gap.join(parts[one:two]) for one in range(len(parts)) for two in range(one + 1, len(parts) + 1)}


def test_every_language_has_a_form_for_nearly_all_english_terms(shipped: tuple[Pack, ...]) -> None:
    """At least 95% of the ids of each English pack, for each concept and language."""
    rows = language_coverage(shipped)
    assert len(rows) == len(shipped)
    assert {row.language for row in rows if row.covered == 1} >= {"en"}
    assert all(row.covered >= 0.95 for row in rows), [row[:3] for row in rows if row.covered < 0.95]


@pytest.mark.skipif(not (WORDNET / "data.noun").is_file(), reason="Debian's package wordnet-base is not installed")
@pytest.mark.parametrize("concept", sorted(ROOTS))
def test_wordnets_vocabulary_is_in_the_english_pack_or_left_out_for_a_reason(
    shipped: tuple[Pack, ...], concept: str
) -> None:
    """At least 95% of the lemmas below the concept's synsets; each exclusion says why."""
    (english,) = (each for each in shipped if each.header.pack == f"en-{concept}")
    row = wordnet_coverage(english)
    assert row.lemmas == row.packed + row.excluded + len(row.missing) > 150
    assert row.covered >= 0.95, row.missing
    assert row.packed > row.lemmas / 3
    assert all(exclusion.reason for exclusion in exclusions(concept))


def test_canaries_are_as_short_as_real_words() -> None:
    """At least three in ten canary forms have four letters or fewer, so that short words are tested too."""
    halves = [each for each in load_lexicon("canary").packs if each.header.concept in {"minor", "sexual"}]
    forms = [form for each in halves for term in each.terms for form in term.forms]
    assert sum(len(form) <= 4 for form in forms) >= 0.3 * len(forms)


def test_a_pack_survives_its_own_encoding() -> None:
    """What is read and written again is what was read: the structs lose nothing."""
    for each in load_lexicon("de").packs:
        for part in (each.header, *each.terms):
            assert msgspec.json.decode(msgspec.json.encode(part), type=type(part)) == part
