"""Words are looked up whole, in all languages at once."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rempart.prompts import Lexicon, load_lexicon
from rempart.prompts.fold import fold
from rempart.prompts.lexicon import FOREIGN_STRENGTH
from rempart.prompts.tokens import tokenize
from rempart.prompts.verdict import ConceptHit


def header(name: str, concept: str, language: str = "en") -> str:
    """The first line of a pack."""
    return (
        f'{{"pack":"{name}","version":"1","concept":"{concept}","language":"{language}",'
        '"source":"a test","licence":"Apache-2.0"}'
    )


def term(name: str, concept: str, forms: str, more: str = "") -> str:
    """A line of a pack."""
    listed = ",".join(f'"{form.strip()}"' for form in forms.split(","))
    return f'{{"id":"{name}","class":"{concept}.explicit","forms":[{listed}]{more}}}'


@pytest.fixture(scope="module")
def canary() -> Lexicon:
    """The canary lexicon."""
    return load_lexicon("canary")


@pytest.fixture(scope="module")
def birds(tmp_path_factory: pytest.TempPathFactory) -> Lexicon:
    """Birds and lamps in several languages, with exceptions and with words that languages share."""
    folder = tmp_path_factory.mktemp("birds")
    packs = {
        "a": (
            header("birds-en", "minor"),
            term("crane", "minor", "crane, cranes", ',"exceptions":["crane driver","tower crane"]'),
            term("rook", "minor", "rook", ',"shared":{"rook":["nl"]}'),
            term("tit", "minor", "tit"),
            term("tag", "minor", "1wren, many wrens"),
        ),
        "b": (header("birds-nl", "minor", "nl"), term("finch", "minor", "vink"), term("tit", "minor", "mees")),
        "c": (header("birds-fr", "minor", "fr"), term("tit", "minor", "tit, mésange")),
        "d": (header("lamps-en", "sexual"), term("lamp", "sexual", "lamp"), term("crane-lamp", "sexual", "crane lamp")),
        "e": (
            header("birds-ja", "minor", "ja"),
            term("sparrow", "minor", "雀, スズメ", ',"exceptions":["雀卓"]'),
            term("bird", "minor", "鳥", ',"shared":{"鳥":["zh"]}'),
        ),
        "f": (header("birds-ko", "minor", "ko"), term("bird", "minor", "새, 작은 새", ',"exceptions":["새우"]')),
    }
    for name, lines in packs.items():
        (folder / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return load_lexicon(folder)


def find(lexicon: Lexicon, text: str) -> tuple[ConceptHit, ...]:
    """The hits in a text."""
    folded = fold(text)
    return lexicon.find(tokenize(folded.text), folded)


def hits(lexicon: Lexicon, text: str) -> list[tuple[str, str]]:
    """The terms found in a text, with the raw text of each."""
    return [(hit.term, text[hit.start : hit.end]) for hit in find(lexicon, text)]


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
    (tmp_path / "a.jsonl").write_text(
        "\n".join((header("birds", "minor"), term("wren", "minor", "wren, lamp wren house, house lamp")))
    )
    (tmp_path / "b.jsonl").write_text("\n".join((header("lamps", "sexual"), term("lamp", "sexual", "lamp, lamps"))))
    found = hits(load_lexicon(tmp_path), "lamp wren house lamp")
    assert sorted(found) == sorted(
        [("wren", "lamp wren house"), ("lamp", "lamp"), ("wren", "house lamp"), ("lamp", "lamp")]
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a crane driver", []),
        ("crane-driver, cranes", [("crane", "cranes")]),
        ("the tower crane flew", []),
        ("tower, crane", [("crane", "crane")]),
        ("a crane lamp", [("crane-lamp", "crane lamp"), ("crane", "crane")]),
    ],
)
def test_a_form_does_not_count_inside_its_exceptions(birds: Lexicon, text: str, found: list[tuple[str, str]]) -> None:
    """An exception hides the words of its own concept, on either side, and nothing else."""
    assert hits(birds, text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1wren, sitting", [("tag", "1wren")]),
        ("1 wren, sitting", []),
        ("many wrens", [("tag", "many wrens")]),
        ("11wren", []),
    ],
)
def test_a_tag_counts_only_where_it_is_written_together(
    birds: Lexicon, text: str, found: list[tuple[str, str]]
) -> None:
    """`1wren` is a tag of picture boards; "1 wren" is a number and a word."""
    assert hits(birds, text) == found


@pytest.mark.parametrize(
    ("text", "strength"),
    [
        ("rook", 1.0),
        ("a rook in the tower", 1.0),
        ("rook van het vuur", FOREIGN_STRENGTH),
        ("rook vink", FOREIGN_STRENGTH),
        ("the rook, vink", 1.0),
        ("鳥です", 1.0),
        ("鳥", FOREIGN_STRENGTH),
    ],
)
def test_a_word_that_languages_share_is_weak_in_a_text_of_the_other(birds: Lexicon, text: str, strength: float) -> None:
    """Function words, words of one language only, and scripts tell; a draw counts in full."""
    assert [hit.strength for hit in find(birds, text) if hit.term in {"rook", "bird"}] == [strength]


def test_languages_that_mean_the_same_share_a_hit(birds: Lexicon) -> None:
    """A form of two packs and one class is one hit that names both languages."""
    assert [(hit.term, hit.language) for hit in find(birds, "tit mees")] == [("tit", "en,fr"), ("tit", "nl")]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("庭の雀が鳴く", [("sparrow", "雀")]),
        ("\uff7d\uff7d\uff9e\uff92", [("sparrow", "\uff7d\uff7d\uff9e\uff92")]),
        ("雀卓と雀", [("sparrow", "雀")]),
        ("새가 난다", [("bird", "새")]),
        ("작은 새는", [("bird", "작은 새")]),
        ("새우 요리", []),
        ("어느새", []),
        ("雀", [("sparrow", "雀")]),
        ("a 雀 and a crane", [("sparrow", "雀"), ("crane", "crane")]),
    ],
)
def test_text_without_spaces_is_searched_inside(birds: Lexicon, text: str, found: list[tuple[str, str]]) -> None:
    """Chinese and Japanese forms stand anywhere, Korean ones begin a word; the longest wins, exceptions hide."""
    assert hits(birds, text) == found


@given(
    st.lists(st.sampled_from(["crane", "driver", "tower", "雀", "卓", "새", "우", " ", ", ", "1", "wren", "rook", "x"]))
)
def test_hits_come_in_order_and_none_lies_inside_another_of_its_concept(birds: Lexicon, parts: list[str]) -> None:
    """Whatever the text, hits are sorted, not empty, and of one concept never nested."""
    found = [hit for hit in find(birds, "".join(parts)) if hit.concept.startswith("minor")]
    assert [hit.start for hit in found] == sorted(hit.start for hit in found)
    for one, other in pairwise(found):
        assert one.start < one.end
        assert other.end > one.end


def test_the_forms_of_classes_are_those_that_lookup_knows_by_them(birds: Lexicon) -> None:
    """Forms, not exceptions; each with class, term, languages and strength."""
    classes = {term.concept for pack in birds.packs for term in pack.terms}
    forms = set(birds.forms_of(classes))
    assert {"crane", "cranes", "1 wren", "many wrens", "작은 새", "雀"} < forms
    assert forms.isdisjoint({"crane driver", "雀卓", "새우"})
    for name in classes:
        for form in birds.forms_of({name}):
            assert name in {meaning.concept for meaning in birds.lookup(form)}
    (meaning,) = birds.lookup("tit")
    assert (meaning.concept, meaning.term, meaning.language, meaning.strength) == ("minor.explicit", "tit", "en,fr", 1)
    assert birds.lookup("crane driver") == birds.lookup("none") == ()


@pytest.mark.parametrize("text", ["crane " * 1_333, "雀" * 8_000, "1wren" * 1_600, "tower " * 1_333, "작은 " * 2_600])
def test_time_is_linear_in_the_text(birds: Lexicon, text: str) -> None:
    """Eight thousand characters of nothing but words of a pack take milliseconds; quadratic time would be seconds."""
    folded = fold(text)
    tokens = tokenize(folded.text)
    begin = time.perf_counter()
    birds.find(tokens, folded)
    assert time.perf_counter() - begin < 1
