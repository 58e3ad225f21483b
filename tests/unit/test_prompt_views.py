"""Views: what was disguised is found again, and what was not disguised stays as it is."""

from __future__ import annotations

import os
import random
import re
import string
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rempart.prompts.fold import fold
from rempart.prompts.letters import LOOK, TURNED, plain, romanised
from rempart.prompts.reading import Reading
from rempart.prompts.tokens import tokenize
from rempart.prompts.views import OBFUSCATIONS, readings
from rempart.prompts.vocabulary import Vocabulary

# Neutral words of the lengths that packs have: a third has four letters or fewer.
WORDS = [
    *("yak", "gnu", "emu", "oar", "jug", "ibex", "toad", "wren", "lamp", "kite", "gong", "fern", "bell", "mast"),
    *("zebra", "heron", "otter", "camel", "anchor", "rudder", "lantern", "pelican", "dolphin", "telescope", "compass"),
    *("kingfisher", "lighthouse", "windmill", "porcupine", "sailboat", "trumpet", "harbour"),
]
EXPRESSIONS = ["sea lion", "little owl", "tide table", "polar bear"]
FORMS = WORDS + EXPRESSIONS
NOTHING: frozenset[str] = frozenset()
VOCABULARY = Vocabulary(FORMS, NOTHING)


def read(text: str, vocabulary: Vocabulary = VOCABULARY) -> list[Reading]:
    """The readings of a text."""
    folded = fold(text)
    return readings(folded, tokenize(folded.text), vocabulary, text)[0]


def strength(form: str, text: str) -> float:
    """How strong the evidence for a form is; 1 if it stands there plainly, 0 if it is not found."""
    if re.search(rf"\b{form}\b", fold(text).text):
        return 1.0
    return max((reading.strength for reading in read(text) if reading.word == form), default=0.0)


def fullwidth(word: str, _: random.Random) -> str:
    """Full-width letters."""
    return "".join(chr(ord(char) + 0xFEE0) if char.isalpha() else char for char in word)


def accents(word: str, draw: random.Random) -> str:
    """Accents on vowels."""
    return "".join(char + draw.choice("\u0301\u0300\u0302\u0308") if char in "aeiou" else char for char in word)


def named(first: int) -> Callable[[str, random.Random], str]:
    """Letters of an alphabet of signs that begins at a code point."""
    return lambda word, _: "".join(chr(first + ord(char) - 97) if char.isalpha() else char for char in word)


SMALL_CAPITALS = dict(
    zip(
        string.ascii_lowercase,
        "\u1d00\u0299\u1d04\u1d05\u1d07\ua730\u0262\u029c\u026a\u1d0a\u1d0b\u029f\u1d0d\u0274\u1d0f\u1d18q\u0280\ua731"
        "\u1d1b\u1d1c\u1d20\u1d21x\u028f\u1d22",
        strict=True,
    )
)
UPSIDE_DOWN = dict(
    zip(
        string.ascii_lowercase,
        "\u0250q\u0254p\u01dd\u025f\u0183\u0265\u1d09\u027e\u029el\u026fuodb\u0279s\u0287n\u028c\u028dx\u028ez",
        strict=True,
    )
)
CYRILLIC = dict(
    zip(
        "aceopxyskmthib",
        "\u0430\u0441\u0435\u043e\u0440\u0445\u0443\u0455\u043a\u043c\u0442\u043d\u0456\u0432",
        strict=True,
    )
)
DIGITS = dict(zip("oieastbgz", "013457892", strict=True)) | {"i": "1", "e": "3", "a": "4", "s": "5", "t": "7", "b": "8"}
SYMBOLS = {"a": "@", "s": "$", "i": "!", "l": "|", "t": "+", "e": "\u20ac", "c": "\u00a2", "y": "\u00a5"}


def small_capitals(word: str, _: random.Random) -> str:
    """Small capitals."""
    return "".join(SMALL_CAPITALS.get(char, char) for char in word)


def upside_down(word: str, _: random.Random) -> str:
    """Letters upside down, from right to left."""
    return "".join(UPSIDE_DOWN.get(char, char) for char in reversed(word))


def cyrillic(word: str, draw: random.Random) -> str:
    """Cyrillic look-alikes for at least one letter."""
    hidden = [at for at, char in enumerate(word) if char in CYRILLIC]
    chosen = set(draw.sample(hidden, draw.randint(1, len(hidden)))) if hidden else set()
    return "".join(CYRILLIC[char] if at in chosen else char for at, char in enumerate(word))


LOOKS: dict[str, list[str]] = {}
for _code, _letter in LOOK.items():
    LOOKS.setdefault(_letter, []).append(chr(_code))


def unicode_lookalikes(word: str, draw: random.Random) -> str:
    """Any look-alikes that Unicode knows, for about half of the letters."""
    return "".join(draw.choice(LOOKS[char]) if char in LOOKS and draw.random() < 0.5 else char for char in word)


def digits(word: str, draw: random.Random) -> str:
    """Digits for some letters."""
    return some(word, DIGITS, draw)


def symbols(word: str, draw: random.Random) -> str:
    """Symbols for some letters."""
    return some(word, SYMBOLS, draw)


def some(form: str, table: dict[str, str], draw: random.Random) -> str:
    """A form with letters replaced, but never all of a word: nobody reads a number as one."""
    return " ".join("".join(_some(list(word), table, draw)) for word in form.split())


def _some(letters: list[str], table: dict[str, str], draw: random.Random) -> list[str]:
    places = [at for at, char in enumerate(letters) if char in table]
    for at in draw.sample(places, draw.randint(min(1, len(places)), min(len(places), len(letters) - 1))):
        letters[at] = table[letters[at]]
    return letters


def between(sign: str) -> Callable[[str, random.Random], str]:
    """A sign between all letters."""
    return lambda word, _: sign.join(word.replace(" ", ""))


def once(sign: str) -> Callable[[str, random.Random], str]:
    """A sign at one place inside a word."""

    def change(word: str, draw: random.Random) -> str:
        at = draw.choice([at for at in range(1, len(word)) if word[at] != " " != word[at - 1]])
        return word[:at] + sign + word[at:]

    return change


def repeated(word: str, draw: random.Random) -> str:
    """One letter three times or more."""
    at = draw.choice([at for at, char in enumerate(word) if char != " "])
    return word[:at] + word[at] * draw.randint(2, 6) + word[at:]


def doubled(word: str, draw: random.Random) -> str:
    """One letter twice."""
    at = draw.choice([at for at, char in enumerate(word) if char != " "])
    return word[:at] + word[at] + word[at:]


def swapped(word: str, draw: random.Random) -> str:
    """Two neighbouring letters swapped."""
    at = draw.choice([at for at in range(len(word) - 1) if " " not in word[at : at + 2] and word[at] != word[at + 1]])
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]


def dropped(word: str, draw: random.Random) -> str:
    """One letter left out."""
    at = draw.choice([at for at, char in enumerate(word) if char != " "])
    return word[:at] + word[at + 1 :]


def entities(word: str, draw: random.Random) -> str:
    """HTML entities, decimal or hexadecimal."""
    return "".join(f"&#{ord(char)};" if draw.random() < 0.5 else f"&#x{ord(char):x};" for char in word)


def percent(word: str, _: random.Random) -> str:
    """Percent codes."""
    return "".join(f"%{ord(char):02X}" for char in word)


def camel(word: str, _: random.Random) -> str:
    """Glued to neighbours that begin with capitals."""
    return "my" + "".join(part.capitalize() for part in word.split()) + "Scene"


def glued(word: str, _: random.Random) -> str:
    """Glued to neighbours."""
    return "my" + word.replace(" ", "") + "scene"


def backwards(word: str, _: random.Random) -> str:
    """From right to left."""
    return word[::-1]


# What is done to a form, the weakest strength with which it must be found, and how often.
CHANGES: list[tuple[str, Callable[[str, random.Random], str], float, float]] = [
    ("full width", fullwidth, 1.0, 1.0),
    ("accents", accents, 1.0, 1.0),
    ("bold", named(0x1D41A), 1.0, 1.0),
    ("circled", named(0x24D0), 1.0, 1.0),
    ("squared", named(0x1F130), 1.0, 1.0),
    ("black circles", named(0x1F150), 0.95, 1.0),
    ("black squares", named(0x1F170), 0.95, 1.0),
    ("regional indicators", named(0x1F1E6), 0.95, 1.0),
    ("small capitals", small_capitals, 0.95, 1.0),
    ("upside down", upside_down, 0.95, 1.0),
    ("Cyrillic look-alikes", cyrillic, 0.95, 1.0),
    ("all look-alikes", unicode_lookalikes, 0.95, 1.0),
    ("digits", digits, 0.85, 1.0),
    ("symbols", symbols, 0.85, 1.0),
    *((f"{sign!r} between", between(sign), 0.9, 1.0) for sign in (" ", ".", "-", "_", "*", " - ")),
    *((f"{sign!r} inside", once(sign), 0.7, 1.0) for sign in (" ", "-", "\n", ".", "_")),
    *(
        (f"{sign!a} inside", once(sign), 1.0, 1.0)
        for sign in ("\u200b", "\u00ad", "\u2060", "\u202e", "\ufe0f", "\u3164")
    ),
    ("repeated", repeated, 0.9, 1.0),
    ("doubled", doubled, 0.85, 1.0),
    ("swapped", swapped, 0.3, 1.0),
    ("dropped", dropped, 0.3, 0.8),  # of a word of three letters too little is left
    ("backwards", backwards, 0.7, 1.0),
    ("entities", entities, 0.9, 1.0),
    ("percent codes", percent, 0.9, 1.0),
    ("camel case", camel, 0.9, 1.0),
    ("glued", glued, 0.6, 1.0),
]


@pytest.mark.parametrize(
    ("change", "weakest", "share"), [case[1:] for case in CHANGES], ids=[case[0] for case in CHANGES]
)
def test_a_disguised_form_is_found_with_the_strength_of_its_view(
    change: Callable[[str, random.Random], str], weakest: float, share: float
) -> None:
    """Of all forms, each changed in eight ways, at least the given share is found."""
    draw = random.Random(7)
    results = [
        strength(form, f"photo of a {change(form, draw)} at dusk, oil painting") >= weakest
        for form in FORMS
        for _ in range(8)
    ]
    assert sum(results) >= share * len(results)


SURE = [change for _, change, _, share in CHANGES if share == 1.0]


@pytest.mark.parametrize("change", SURE, ids=[case[0] for case in CHANGES if case[3] == 1.0])
@given(
    form=st.sampled_from(FORMS), draw=st.randoms(use_true_random=False), before=st.sampled_from(["", "a red ", "two\n"])
)
def test_no_way_to_make_a_change_hides_a_form(
    change: Callable[[str, random.Random], str], form: str, draw: random.Random, before: str
) -> None:
    """Wherever the change falls and whatever stands before, the form is found, and its span is not empty."""
    text = f"{before}{change(form, draw)} by the old mill"
    assert strength(form, text) > 0
    folded = fold(text).text
    assert all(0 <= reading.start < reading.end <= len(folded) for reading in read(text))


@given(
    st.text(
        st.one_of(st.characters(exclude_categories=()), st.sampled_from("yak.-_ $40&#%;\u0430\u200b\u0250I")),
        max_size=120,
    )
)
def test_any_text_can_be_read(text: str) -> None:
    """Nothing raises, spans lie in the folded text, words are forms, and signals are of the closed list."""
    folded = fold(text)
    found, signals, _ = readings(folded, tokenize(folded.text), VOCABULARY, text)
    assert signals <= OBFUSCATIONS
    for reading in found:
        assert reading.word in VOCABULARY.forms
        assert 0 <= reading.start < reading.end <= len(folded.text)
        assert 0 < reading.strength <= 1


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("a z3bra!", {("zebra", "z3bra")}),
        ("y.a.k at", {("yak", "y.a.k")}),
        ("a y a k", {("yak", "y a k")}),
        ("myLampHouse", {("lamp", "Lamp"), ("lamp", "myLampHouse")}),
        ("se a lion", {("sea lion", "se a lion")}),
        ("sea l10n", {("sea lion", "sea l10n")}),
        ("sealion", {("sea lion", "sealion")}),
        ("noil aes", {("sea lion", "noil aes")}),
        ("see &#121;&#97;&#107;!", {("yak", "&#121;&#97;&#107;")}),
        ("see %79a%6B", {("yak", "%79a%6B")}),
        ("teIescope", {("telescope", "teIescope")}),
        ("larnp", {("lamp", "larnp")}),
        ("to ad", {("toad", "to ad")}),
    ],
)
def test_a_reading_says_where_it_stands(text: str, places: set[tuple[str, str]]) -> None:
    """The span holds the disguised word and nothing else, also where codes make the text longer."""
    assert {(reading.word, text[reading.start : reading.end]) for reading in read(text)} == places


@pytest.mark.parametrize(
    "text",
    [
        "a zebra, a sea lion and a lamp",
        "the heron's nest, the emu\u2019s egg, oar 's",
        "to, ad. la, mp",
        "8k, 3d, 1girl, f/1.8, 16:9, 100% (masterpiece:1.2)",
        "A. B. and C. met at 5 p.m. in the U.S.A.",
        "R&D & more, AT&T; 50% off, 20% on",
        "MyPhone and YouTube in HDR",
    ],
)
def test_what_is_not_disguised_gives_no_reading(text: str) -> None:
    """Plain words, possessives, lists, numbers and abbreviations are left to the lexicon."""
    assert read(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "\u043a\u043e\u0442 \u0438 \u0440\u0430\u043a, \u0438\u0434\u0451\u0442",
        "\u03bf \u03ba\u03b1\u03c4 \u03ba\u03b1\u03b9 \u03c4\u03bf \u03c0\u03bb\u03bf\u03af\u03bf",
    ],
)
def test_native_text_is_not_taken_for_look_alikes(text: str) -> None:
    """A Russian or Greek word that happens to look like a Latin one is that only where nobody writes the script."""
    vocabulary = Vocabulary(["kot", "pak", "kat"], NOTHING)
    word = max(text.split()[:2], key=len)
    assert [reading.view for reading in read(text, vocabulary) if reading.view == "look-alike"] == []
    assert [reading.view for reading in read(f"a {word}", vocabulary)] != []


def test_words_of_other_scripts_are_found_too() -> None:
    """Mixed scripts, missing accents, romanised words, ideographs set apart and foreign spellings of our own words."""
    forms = ["\u043b\u0430\u043c\u043f\u0430", "caf\u00e9", "m\u00fchle", "\u98a8\u8eca", "zebra"]
    vocabulary = Vocabulary(forms, NOTHING)
    found = {
        text: {(reading.word, reading.view) for reading in read(text, vocabulary)}
        for text in (
            "\u043bam\u043f\u0430",
            "lampa",
            "cafe",
            "muehle",
            "muhle",
            "\u98a8-\u8eca",
            "\u0437\u0435\u0431\u0440\u0430",
        )
    }
    assert found == {
        "\u043bam\u043f\u0430": {("\u043b\u0430\u043c\u043f\u0430", "look-alike")},
        "lampa": {("\u043b\u0430\u043c\u043f\u0430", "romanised")},
        "cafe": {("caf\u00e9", "accents")},
        "muehle": {("m\u00fchle", "accents")},
        "muhle": {("m\u00fchle", "accents")},
        "\u98a8-\u8eca": {("\u98a8\u8eca", "letter-run")},
        "\u0437\u0435\u0431\u0440\u0430": {("zebra", "romanised")},
    }


@pytest.mark.parametrize(
    ("text", "signals"),
    [
        ("a red bicycle", set()),
        ("wo\u200brd", {"invisible"}),
        ("w\u043erd", {"look-alikes", "mixed-scripts"}),
        ("w o r d", {"letter-run"}),
        ("w0rd", {"signs"}),
        ("wo(rd)", {"brackets"}),
        ("&#97;&#98;", {"codes"}),
        ("\u0250pp\u01dd", {"turned"}),
        ("\U0001f468\u200d\U0001f469", set()),
    ],
)
def test_ways_of_writing_that_hide_are_signalled(text: str, signals: set[str]) -> None:
    """Signals do not depend on any word being found."""
    folded = fold(text)
    assert readings(folded, tokenize(folded.text), VOCABULARY, text)[1] == signals


def test_an_ordinary_word_is_never_a_disguise() -> None:
    """Words and pairs of the guard are read as what they are."""
    guarded = Vocabulary(["lantern", "drawer", "awhile"], frozenset({"reward", "a while", "while"}))
    assert [read(text, guarded) for text in ("reward", "a while")] == [[], []]
    assert [reading.word for reading in read("rewar-d lan-tern", guarded)] == ["lantern"]


def test_the_shipped_guard_holds_words_and_not_everything() -> None:
    """It is not empty and does not swallow unknown words."""
    shipped = Vocabulary([]).ordinary
    assert "xqzebra" not in shipped
    assert VOCABULARY.ordinary is NOTHING


def test_a_vocabulary_without_forms_reads_nothing() -> None:
    """The empty vocabulary is a vocabulary."""
    assert read("a z3bra, y.a.k, \u0430", Vocabulary([])) == []


def test_letters_stand_for_one_latin_letter_each() -> None:
    """Tables replace one letter by one, so that places stay; native letters keep their own spelling."""
    assert all(
        len(letter) == 1 and letter in string.ascii_lowercase for table in (LOOK, TURNED) for letter in table.values()
    )
    assert (
        plain("\u0142\u00f3d\u017a cr\u00e8me \u00e5\u00f8 \u0451\u0436 \u304c") == "lodz creme ao \u0435\u0436 \u304c"
    )
    assert romanised("\u0437\u0435\u0431\u0440\u0430 \u30e9\u30f3\u30d7 \u98a8") == "zebra ranpu \u98a8"


HOSTILE = {
    "brackets": "(a",
    "zero-width": "a\u200b",
    "marks": "a\u0336\u0301",
    "letters apart": "a b c ",
    "signs": "1aa$",
    "long signed word": "1" + "a" * 7_999,
    "entities": "&#97;",
    "look-alikes": "\u0430\u0431",
    "mixed": "a\u0430 ",
    "turned": "\u0250",
    "capitals": "aA",
    "ideographs apart": "\u98a8 \u8eca ",
    "one letter": "a",
    "glue": "thean",
    "open codes": "&a",
}


@pytest.mark.parametrize("piece", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_takes_linear_time(piece: str) -> None:
    """Eight times the text takes nowhere near the 64 times that a quadratic step would take."""

    def seconds(size: int) -> float:
        text = (piece * size)[:size]
        folded = fold(text)
        tokens = tokenize(folded.text)
        best = float("inf")
        for _ in range(3):
            began = time.perf_counter()
            readings(folded, tokens, VOCABULARY, text)
            best = min(best, time.perf_counter() - began)
        return best

    assert seconds(64_000) < 30 * max(seconds(8_000), 1e-4)


def test_a_text_crowded_with_disguises_says_so() -> None:
    """When the layers would come to more than four times the text, some are left out and the caller is told."""
    plain_text = "a red bicycle on the beach " * 4

    def over(text: str) -> bool:
        folded = fold(text)
        return readings(folded, tokenize(folded.text), VOCABULARY, text)[2]

    assert not over(f"{plain_text}\u0430 \u0250")
    assert not over(f"{plain_text}&#97;&#98;")
    assert over(f"{plain_text}\u0430 \u0250 &#97;&#98;")


def test_innocent_prompts_give_few_readings() -> None:
    """Over real prompts the strong views find next to nothing, even without a guard of ordinary words."""
    data = os.environ.get("REMPART_TEST_DATA")
    if not data:
        pytest.skip("REMPART_TEST_DATA is not set: no corpora of innocent prompts")
    counts: Counter[str] = Counter()
    lines = 0
    for path in sorted(Path(data, "prompts").glob("*.txt")):
        for line in path.read_text(encoding="utf-8").splitlines():
            lines += 1
            counts.update({reading.view for reading in read(line)})
    share = {view: count / lines * 100_000 for view, count in counts.items()}
    assert sum(share.get(view, 0) for view in ("letter-run", "invisible", "turned", "codes")) == 0
    assert all(share.get(view, 0) <= 5 for view in ("look-alike", "signs", "repeated", "seam", "run-together"))
    assert share.get("split", 0) <= 148
