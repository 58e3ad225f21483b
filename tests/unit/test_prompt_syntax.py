"""Syntax: what the marks of the front-ends leave of a prompt, and where each character came from."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rempart.prompts.syntax import SYNTAXES, Scanned, View, scan
from rempart.prompts.syntax_options import MAX_OPTIONS
from rempart.prompts.syntax_segments import HEAVIEST, MAX_BRACKETS

FORMS = (
    *(
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "<",
        ">",
        "|",
        ":",
        "::",
        "\\",
        "\\(",
        "+",
        "++",
        "--",
        "#",
        "###",
        "//",
        "/*",
        "*/",
    ),
    *(
        ":1.2",
        ":0",
        "1.5::",
        "-1::",
        "::2",
        "12::",
        "2$$",
        "$$",
        " --sea ",
        "1-2$$ and $$",
        "0.3::",
        ")1.3",
        ").blend(.5, .5)",
    ),
    *(
        "<lora:",
        "<lora:ship:0.8>",
        "embedding:",
        "__",
        "__sea/ship__",
        "https://",
        " --no ",
        " --ar 16:9",
        " AND ",
        " BREAK ",
    ),
    *(
        "age: ",
        "7",
        "12",
        "sea",
        "ship",
        "wo",
        "rd",
        " ",
        ",",
        ".",
        "\n",
        "\u00e9",
        "\u200b",
        "\u0301",
        "\ud800",
        "\x00",
    ),
)
MARKED = st.lists(st.sampled_from(FORMS), max_size=30).map("".join)
TEXTS = st.one_of(MARKED, st.text(st.characters(exclude_categories=()), max_size=60))
PROSE = st.text(st.sampled_from("abc \u00e9\n,.;!?'\"123_-*\u4e00\U0001f600"), max_size=60).filter(
    lambda text: "--" not in text
)


def words(view: View) -> list[str]:
    """The words and numbers of a view."""
    return re.findall(r"[^\W_]+", view.text)


def views(scanned: Scanned) -> tuple[View, ...]:
    """All views of a prompt."""
    return (scanned.literal, scanned.joined, scanned.spaced, scanned.negative, scanned.options)


@pytest.mark.parametrize(
    "raw",
    [
        *(
            "(wo)(rd)",
            "(wo:1)(rd:1)",
            "(wo:1.2)(rd:1.2)",
            "(wo:1.2 )rd",
            "wo[rd]",
            "{wo}rd",
            "((wo))[[rd]]",
            "w(o)r(d)",
        ),
        *(
            "\\(wo\\)\\(rd\\)",
            "wo\\rd",
            "([{(wo)rd",
            "wo)]}rd",
            "[:wo:0]rd",
            "[wo::9]rd",
            "wo[:rd:0.5]",
            "wo[rd:]",
            "wo[|rd]",
        ),
        *(
            "wo/**/rd",
            "wo/* sea */rd",
            "wo/*/*/rd",
            "1.5::wo::rd",
            "wo1.5::rd::",
            "wo<lora:x:1>rd",
            "wo++rd",
            "(wo)1.3(rd)",
        ),
    ],
)
def test_what_marks_part_grows_together(raw: str) -> None:
    """The joined view shows the word that the model reads."""
    assert "word" in words(scan(f"a {raw} at sea").joined)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("(sea)(ship)", "sea ship"),
        ("(sea:1.2)(ship:.5)", "sea ship"),
        ("(sea:-1)", "sea"),
        ("((sea, (ship:1.331))", "sea ship"),
        ("(sea:0)", "sea"),
        ("[sea|ship]", "sea ship"),
        ("[sea:ship:0.95]", "sea ship"),
        ("[sea:ship:12]", "sea ship"),
        ("[sea::12] [ship:9]", "sea ship"),
        ("sea AND ship:1.2 AND red:-1", "sea AND ship AND red"),
        ("sea BREAK ship", "sea BREAK ship"),
        ("<lora:sea_ship-v2.safetensors:0.8:0.5>", "sea ship v 2 safetensors"),
        ("<hypernet:sea:1><LyCO:ship>", "sea ship"),
        ("<lora:sea", "lora sea"),
        ("<lora:sea:ship:1:red>", "sea ship 1 red"),
        ("embedding:sea-ship.pt", "embedding sea ship pt"),
        ("(embedding:ship:1.2)", "embedding ship"),
        ("__sea/ship__", "sea ship"),
        ("{sea|{red|blue}|ship}", "sea red blue ship"),
        ("{2$$sea|ship}", "sea ship"),
        ("{1-2$$ and $$sea|ship}", "and sea ship"),
        ("{0.3::sea|0.7::ship}", "sea ship"),
        ("${sea=!{red|blue}}", "sea red blue"),
        ("# sea\nship", "sea ship"),
        ("sea // red\nship", "sea red ship"),
        ("sea /* red */ ship", "sea red ship"),
        ("sea++ (red ship)1.3 blue--", "sea red ship blue"),
        ('("sea", "ship").blend(.5, 0.5)', "sea ship"),
        ('("sea", "ship").and()', "sea ship"),
        ("sea:1.2, ship:0.8", "sea ship"),
        ("1.5::sea:: ship", "sea ship"),
        ("sea::2 ship::-0.5", "sea ship"),
        ("sea, ship --ar 16:9 --v 6.1", "sea ship"),
        ("sea --ship 5, --age 7", "sea ship 5 age 7"),
        ("https://a.test/red-ship.png sea", "https a test red ship png sea"),
        ("[[sea, ship]]", "sea ship"),
        ("12 year old (oak:1.2)", "12 year old oak"),
        ("(age: 7), aged:8, (edad:9)", "age 7 aged 8 edad 9"),
        ("sea at 12:30 (12:30)", "sea at 12 30 12 30"),
        ("a 16:9 sea", "a 16 9 sea"),
        ("12:: sea", "12 sea"),
        ("him--no one", "him no one"),
        ("Album #7", "Album 7"),
    ],
)
def test_the_spaced_view_shows_all_words_and_no_weights(raw: str, expected: str) -> None:
    """Words stay apart; names, comments and links are shown; weights, steps and parameters are not."""
    assert re.findall(r"[^\W\d_]+|\d+", scan(raw).spaced.text) == expected.split()


@pytest.mark.parametrize(
    ("raw", "syntax", "positive", "negative"),
    [
        ("sea ### red, blue", "horde", "sea", "red blue"),
        ("sea --no red, blue --ar 16:9", "midjourney", "sea", "red blue"),
        ("sea --no red --no blue", "midjourney", "sea", "red blue"),
        ("sea -1::red:: ship", "novelai", "sea ship", "red"),
        ("sea -.5::red", "novelai", "sea", "red"),
        ("sea [red (blue)] \\[ship\\]", "invokeai", "sea ship", "red blue"),
        ("sea [red]", "a1111", "sea red", ""),
        ("sea ### red", "comfyui", "sea red", ""),
        ("sea --no red", "a1111", "sea no red", ""),
        ("sea, ship::-0.5", "midjourney", "sea ship", ""),
    ],
)
def test_a_front_end_leaves_its_negative_parts_out(raw: str, syntax: str, positive: str, negative: str) -> None:
    """What the named front-end draws away from stands in the negative view alone."""
    scanned = scan(raw, syntax)
    assert words(scanned.joined) == words(scanned.spaced) == positive.split()
    assert words(scanned.negative) == negative.split()


@pytest.mark.parametrize("raw", ["sea ### red", "sea --no red", "sea -1::red::"])
def test_text_that_only_some_read_as_negative_is_positive_too(raw: str) -> None:
    """Under ``auto`` it stands in both, and its segment is marked."""
    scanned = scan(raw)
    assert "red" in words(scanned.joined)
    assert "red" in words(scanned.spaced)
    assert words(scanned.negative) == ["red"]
    assert [segment.negative for segment in scanned.segments if "red" in raw[segment.start : segment.end]] == [True]


@pytest.mark.parametrize(
    ("raw", "syntax"),
    [("sea # ship\nred", "a1111"), ("sea # ship\nred", "dynamicprompts"), ("sea // ship\nred", "comfyui")],
)
def test_a_comment_is_left_out_where_the_front_end_is_known(raw: str, syntax: str) -> None:
    """The joined view loses it, the spaced one keeps it, and its span is told."""
    scanned = scan(raw, syntax)
    assert words(scanned.joined) == ["sea", "red"]
    assert words(scanned.spaced) == ["sea", "ship", "red"]
    assert [raw[start:end].strip("#/ ") for start, end in scanned.removed] == ["ship"]


def test_links_hold_no_comment() -> None:
    """The slashes of a link begin none, for ComfyUI neither."""
    assert words(scan("https://a.test/ship sea", "comfyui").joined) == ["https", "a", "test", "ship", "sea"]


@pytest.mark.parametrize(
    "raw", ["wo[rd|x]", "wo[x|rd]", "[wo|x]rd", "[x|wo]rd", "wo{x|rd|y}", "wo[x:rd:9]", "[wo:x:9]rd", "/* (wo)(rd) */"]
)
def test_options_are_read_with_the_letters_that_they_touch(raw: str) -> None:
    """A word that a choice completes is seen, and so is one put together in a comment."""
    scanned = scan(raw)
    assert "word" in words(scanned.options)


def test_many_options_are_read_as_far_as_the_limit() -> None:
    """Options beyond it are left to the other views."""
    scanned = scan("wo[rd|x] " * MAX_OPTIONS)
    assert words(scanned.options).count("word") == MAX_OPTIONS // 2


@pytest.mark.parametrize("separator", ["|", ":", "::", ", "])
def test_what_is_drawn_apart_is_no_expression(separator: str) -> None:
    """Between options something stays that no expression reaches across."""
    for view in (scanned := scan(f"[lantern{separator}fish]")).joined, scanned.spaced:
        assert re.search(r"lantern[\s_'-]*fish", view.text) is None


def test_the_literal_view_keeps_brackets() -> None:
    """There a word with no weight does not change the meaning of the word before it."""
    assert scan("lantern (fish:0)").literal.text == "lantern (fish:0)"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("red sea, (old ship:1.3)\nblue", [("red sea,", 1.0), ("(old ship:1.3)", 1.3), ("blue", 1.0)]),
        ("((sea)), [ship]", [("((sea)),", 1.21), ("[ship]", 0.91)]),
        ("[sea:ship:9], {sea|ship}", [("[sea:ship:9],", 1.0), ("{sea|", 1.0), ("ship}", 1.0)]),
        ("(sea:0.5) red. Ship", [("(sea:0.5) red.", 1.0), ("Ship", 1.0)]),
        ("(sea:0)", [("(sea:0)", 0.0)]),
        ("sea BREAK ship AND red", [("sea BREAK", 1.0), ("ship AND", 1.0), ("red", 1.0)]),
        ("sea::2 ship", [("sea::2", 2.0), ("ship", 1.0)]),
        ("1.5::sea:: ship", [("1.5::", 1.0), ("sea::", 1.5), ("ship", 1.0)]),
        ("(sea:9e9", [("(sea:9e9", 1.1)]),
        ("(sea:1" + "0" * 400 + ")", [("(sea:1" + "0" * 400 + ")", HEAVIEST)]),
    ],
)
def test_phrases_carry_their_strongest_weight(raw: str, expected: list[tuple[str, float]]) -> None:
    """Commas, line ends, bars and stops end a phrase; brackets do not."""
    found = [(raw[part.start : part.end].strip(), round(part.weight, 2)) for part in scan(raw).segments]
    assert found == expected


@pytest.mark.parametrize(
    ("raw", "text", "kind", "weight"),
    [
        ("a <lora:red_ship:0.8>", "red_ship", "lora", 0.8),
        ("(embedding:ship.pt:1.2)", "ship.pt", "embedding", 1.2),
        ("a __sea/ship__", "__sea/ship__", "wildcard", 1.0),
        ("https://a.test/ship.png, sea", "https://a.test/ship.png", "url", 1.0),
        ("sea --ar 16:9", "--ar", "parameter", 1.0),
    ],
)
def test_names_are_segments_of_their_own_kind(raw: str, text: str, kind: str, weight: float) -> None:
    """Names, links and parameters lie inside the phrases."""
    (found,) = [part for part in scan(raw).segments if part.kind != "text"]
    assert (raw[found.start : found.end], found.kind, found.weight) == (text, kind, weight)


def test_prose_is_one_view_of_itself() -> None:
    """A prompt without marks is taken as it is, and dashes, times and lists in it are no marks."""
    raw = "A well-lit lighthouse, 12 metres high: white - and red; at 5 o'clock"
    scanned = scan(raw)
    assert scanned.joined is scanned.spaced is scanned.literal
    assert scanned.joined.text is raw
    assert scanned.joined.origins is None
    assert scanned.joined.span(2, 5) == (2, 5)


def test_only_marks_inside_a_word_make_two_views() -> None:
    """Where both views have the same words they are the same object, so that words are looked up once."""
    scanned = scan("Harbour [Turner], with (two) ships")
    assert scanned.joined is scanned.spaced
    assert scanned.joined.text == "Harbour Turner, with two ships"


def test_an_unknown_front_end_is_an_error() -> None:
    """The message names those that there are."""
    with pytest.raises(ValueError, match=r"no such prompt syntax; there are auto, plain, a1111"):
        scan("sea", "paint")


@given(TEXTS, st.sampled_from(SYNTAXES))
@example("(" * 8000, "auto")
@example("a[b|" * 2000, "auto")
@example("\ud800(\x00:1.2", "auto")
def test_every_character_came_from_the_same_raw_one(raw: str, syntax: str) -> None:
    """No text is an error; a view holds raw characters and gaps, spans lie in the text, and go forward."""
    scanned = scan(raw, syntax)
    for view in views(scanned):
        origins = list(range(len(raw))) if view.origins is None else view.origins
        assert len(origins) >= len(view.text)
        assert all(char in (raw[at], " ") for char, at in zip(view.text, origins, strict=False))
        assert all(0 <= view.span(at, at + 1)[0] < view.span(at, at + 1)[1] <= len(raw) for at in range(len(view.text)))
    for view in (scanned.literal, scanned.joined, scanned.spaced, scanned.negative):
        assert view.origins is None or view.origins == sorted(view.origins)


@given(TEXTS, st.sampled_from(SYNTAXES))
def test_phrases_cover_the_prompt(raw: str, syntax: str) -> None:
    """Phrases follow one another from end to end; other segments lie inside, and weights are numbers in bounds."""
    scanned = scan(raw, syntax)
    parts = scanned.segments
    phrases = [part for part in parts if part.kind == "text"]
    assert "".join(raw[part.start : part.end] for part in phrases) == raw
    assert all(0 <= part.start <= part.end <= len(raw) and abs(part.weight) <= HEAVIEST for part in parts)
    assert list(parts) == sorted(parts, key=lambda part: part.start)
    numbers = [scanned.phrase(at) for part in phrases for at in (part.start, part.end - 1)]
    assert numbers == [number for number in range(len(phrases)) for _ in range(2)]


@given(PROSE, st.sampled_from(SYNTAXES))
def test_text_without_marks_is_untouched(raw: str, syntax: str) -> None:
    """Every front-end shows it as it is."""
    assert scan(raw, syntax).joined.text == scan(raw, syntax).spaced.text == raw


@given(MARKED, MARKED)
def test_no_marks_around_a_word_hide_it(before: str, behind: str) -> None:
    """Whatever marks stand before and behind it, one of the positive views shows the word."""
    scanned = scan(f"{before} lighthouse {behind}")
    assert "lighthouse" in f"{scanned.joined.text} {scanned.spaced.text}"


@given(st.sampled_from("([{"), st.sampled_from(["", ":1.2", ":0", ":-1", ":12"]), st.integers(1, 5), MARKED)
def test_emphasis_inside_a_word_leaves_it_whole(bracket: str, weight: str, depth: int, behind: str) -> None:
    """A word in pieces, each with brackets and a weight of its own, is whole in the joined view."""
    closing = {"(": ")", "[": "]", "{": "}"}[bracket]
    weight = "" if bracket == "{" else weight
    pieces = "".join(f"{bracket * depth}{piece}{weight}{closing * depth}" for piece in ("li", "gh", "t"))
    assert "light" in scan(f"a {pieces} at sea {behind}").joined.text


HOSTILE = (
    *("(", ")", "[", "]", "{", "}", "<", ">", "\\", "|", ":", "([{<", "(a", "{a|", "[a:", "((a),", "a(", "[|", "|]"),
    *(
        "(a:1)",
        "[a:b:1]",
        "/*",
        "/**/",
        "//",
        "#",
        "--",
        "--no ",
        "1",
        "1.",
        "-1::",
        "::",
        ":1",
        ": ",
        "<lora:",
        "__a",
        "+",
    ),
    *("{1$$", ").and(1", "http://", "\u0301", "\u200b"),
)


@pytest.mark.parametrize("unit", HOSTILE)
def test_hostile_prompts_take_linear_time(unit: str) -> None:
    """Eight times the text takes far from 64 times as long, for the views and for the segments."""

    def seconds(length: int) -> float:
        raw = (unit * length)[:length]
        best = 1.0
        for _ in range(3):
            begin = time.perf_counter()
            assert scan(raw).segments
            best = min(best, time.perf_counter() - begin)
        return best

    assert seconds(32_000) < 40 * seconds(4_000) + 0.004


@pytest.mark.parametrize("unit", ["(", ")", "[", "]", "{", "}", "<", ">", "(a", "{a|", "[a:", "([{<"])
def test_brackets_cost_little(unit: str) -> None:
    """8,000 characters of brackets or nested alternations take some 2 ms, on a busy machine a few times that."""
    raw = (unit * 8000)[:8000]
    best = 1.0
    for _ in range(5):
        begin = time.perf_counter()
        scan(raw)
        best = min(best, time.perf_counter() - begin)
    assert best <= 0.008


def test_weights_of_too_many_brackets_are_left_out() -> None:
    """Beyond the limit all phrases have the weight of plain text."""
    assert {part.weight for part in scan("(sea:2), " * MAX_BRACKETS).segments} == {1.0}


def test_nothing_shows_the_prompt_by_accident() -> None:
    """What is printed of a view or a scanned prompt is its length."""
    scanned = scan("(lighthouse:1.2)")
    assert repr(scanned) == "<Scanned prompt of 16 characters>"
    assert repr(scanned.joined) == "<View of 10 characters>"
