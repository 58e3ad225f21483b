"""Ages in Chinese, Japanese and Korean, which need no space between words: "12岁", "十二歳", "열두 살", "小学3年生"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import msgspec

from rempart.errors import PackError
from rempart.prompts.fold import Folded
from rempart.prompts.verdict import AgeHit

FILE = Path(__file__).with_name("tables") / "ages_cjk.json"

MAX_AGES = 100
"""Ages that are looked at in one text; one that says more counts as one age of 0 years."""

_WINDOW = 12  # characters before or behind an age in which the noun that it governs is looked for
_LONGEST = 18  # characters of the longest number or range before a unit

_HAN_DIGITS = ("〇零", "一壱壹", "二两兩弐贰貳", "三参叁參", "四肆", "五伍", "六陆陸", "七柒", "八捌", "九玖")
_NATIVE_DIGITS = (
    ("하나", "한"),
    ("둘", "두"),
    ("셋", "세"),
    ("넷", "네"),
    ("다섯",),
    ("여섯",),
    ("일곱",),
    ("여덟",),
    ("아홉",),
)
_NATIVE_DECADES = (("열",), ("스물", "스무"), ("서른",), ("마흔",), ("쉰",), ("예순",), ("일흔",), ("여든",), ("아흔",))

_HAN = {char: value for value, chars in enumerate(_HAN_DIGITS) for char in chars}
_SINO = {char: value for value, char in enumerate("일이삼사오육칠팔구", start=1)}
_NATIVE = {word: value for value, words in enumerate(_NATIVE_DIGITS, start=1) for word in words}
_NATIVE_TENS = {word: 10 * value for value, words in enumerate(_NATIVE_DECADES, start=1) for word in words}

_NATIVE_ENDS = "".join(word[-1] for word in (*_NATIVE, *_NATIVE_TENS))

# A unit behind a number, and nothing that makes another word of it: "21세기" is a century.
_UNIT = re.compile(
    rf"(?<=[\d{''.join(_HAN)}十拾几幾多来來余餘{''.join(_SINO)}십{_NATIVE_ENDS}]) ?(?:"
    r"(?P<years>[周週]?[岁歳歲]|才(?![能华華])|살|세(?!기|대|트|계|상|번|월|금|종|탁))"
    r"|(?P<months>[个個]月大|개월(?= ?(?:된|아기|영아|짜리)))"
    r"|(?P<grade>年[级級]|年生|학년))"
)

_HAN_NUMBER = rf"[{''.join(_HAN)}十拾]{{1,4}}"
_NUMBER = rf"(?:(?<![\d.])(?<!\d,)\d(?: ?\d){{0,2}}(?:\.\d)?|(?<![百千万萬億亿]){_HAN_NUMBER})"
_BEFORE_UNIT = re.compile(rf"(?:({_NUMBER}) ?(?:[-~\u2010-\u2015至到]|から|에서|부터) ?)?({_NUMBER})[几幾多来來余餘]?$")
_NATIVE_NUMBER = re.compile(rf"(?<![가-힣])(?=.)({'|'.join(_NATIVE_TENS)})? ?({'|'.join(_NATIVE)})?$")
_SINO_NUMBER = re.compile(r"(?<![가-힣])([이삼사오육칠팔구]?)(십?)([일이삼사오육칠팔구]?)$")
_SINO_ALONE = re.compile(r"[의인된]|(?![가-힣])")  # a single syllable is an age only where no longer word goes on

_LED = re.compile(
    rf"(?:年[龄齡齢]|나이)[^\w,;.!?。]{{0,3}}[는은はが为為是]?[^\w,;.!?。]{{0,3}}((?>{_NUMBER}))(?! ?[岁歳歲才살세])"
)
_NEWBORN = re.compile(rf"(?:生[後后]|생후|出生) ?({_NUMBER}) ?(?:([个個かヶカケヵ]月|개월)|([週周]|주)|[天日일])")

# One of these stands in every age, so that most texts are passed over at once.
_GATE = re.compile(r"[岁歳歲才살세龄齡齢后後]|年[级級生]|학년|개월|생후|나이|出生|月大")

_UNDER_BEFORE = re.compile(r"(?<!不)(?:未[满滿]|不[满滿]|不到|小[于於]|低[于於]) ?$")
_UNDER_AFTER = re.compile(r" ?(?:未[満满滿]|미만|以下|이하)")

# Classes at school count anew in each school; these are the years to add.
_SCHOOLS = (
    (re.compile(r"(?:大学|大學|대학교?|专科|研究生) ?$"), 18),
    (re.compile(r"(?:高校|高中|고등학교|고교) ?$"), 14),
    (re.compile(r"(?:中学校?|中學|初中|중학교) ?$"), 11),
)
_PRIMARY = 5

_CANCELLING = frozenset({"thing", "animal"})

_CLAUSE_END = re.compile(r"[,.、。;:!?\n]")
_LINK = re.compile(r" ?(?:的|の|된|짜리|인|의)? ?")


class _Nouns(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The data file: for each part, the words of each language."""

    persons: dict[str, tuple[str, ...]]
    things: dict[str, tuple[str, ...]]
    animals: dict[str, tuple[str, ...]]
    modifiers: dict[str, tuple[str, ...]]
    ends: dict[str, tuple[str, ...]]
    """What may follow the noun that an age governs without being part of a longer one."""


class _Patterns(NamedTuple):
    """What an age can be the age of."""

    person: re.Pattern[str]
    noun: re.Pattern[str]
    """Modifiers and things up to the end of the last one; the group ``animal`` matched if that is one."""


class _Age(NamedTuple):
    """An age, in characters."""

    start: int
    end: int
    value: int
    unit: str


@cache
def cjk_patterns() -> _Patterns:
    """The shipped table; it is read when this is first called.

    Raises:
        PackError: the table is missing or broken, so ages cannot be read and nothing can be screened.
    """
    try:
        nouns = msgspec.json.decode(FILE.read_bytes(), type=_Nouns)
    except (OSError, ValueError) as error:
        raise PackError(f"a table of ages is broken ({type(error).__name__}); install rempart again") from None
    modifiers, things, animals, ends = map(_any_of, (nouns.modifiers, nouns.things, nouns.animals, nouns.ends))
    phrase = (
        rf"(?:(?:{modifiers}) ?){{0,3}}(?:(?:{things}) ?){{0,2}}(?:{things}|(?P<animal>{animals}))(?:{ends}|(?!\w))"
    )
    return _Patterns(re.compile(_any_of(nouns.persons)), re.compile(phrase))


def find_cjk_ages(folded: Folded) -> list[AgeHit]:
    """The ages in a folded text that is not ASCII, in order; takes linear time and never raises.

    More than :data:`MAX_AGES` are one age of 0 years, because nobody asks for a picture like that.
    """
    text = folded.text
    if not _GATE.search(text):
        return []
    ages = list(islice(_ages(text), MAX_AGES + 1))
    if len(ages) > MAX_AGES:
        return [AgeHit(0, "years", *folded.span(min(ages).start, len(text)))]
    hits: list[AgeHit] = []
    free = 0  # the first character that no age has taken yet
    for age in sorted(ages):
        if age.start < free:
            continue
        free = age.end
        under = _UNDER_BEFORE.search(text[max(0, age.start - _WINDOW) : age.start]) or _UNDER_AFTER.match(text, age.end)
        value = max(0, age.value - 1) if under else age.value  # who is under 18 may be 17
        category = _governed(text, age)
        hits.append(AgeHit(value, age.unit, *folded.span(age.start, age.end), category, category in _CANCELLING))
    return hits


def _ages(text: str) -> Iterator[_Age]:
    for found in _UNIT.finditer(text):
        if age := _before_unit(text, found):
            yield age
    for found in _LED.finditer(text):
        yield _Age(*found.span(), _value(found[1]), "years")
    for found in _NEWBORN.finditer(text):
        yield _Age(*found.span(), _value(found[1]), "months" if found[2] else "weeks" if found[3] else "days")


def _before_unit(text: str, unit: re.Match[str]) -> _Age | None:
    """The age that ends with a unit, if a number stands before it."""
    floor = max(0, unit.start() - _LONGEST)
    before = text[floor : unit.start()]
    if found := _BEFORE_UNIT.search(before):
        value = min(_value(number) for number in found.groups() if number)
        if unit["grade"]:
            school = next((years for name, years in _SCHOOLS if name.search(before[: found.start()])), _PRIMARY)
            return _Age(floor + found.start(), unit.end(), value + school, "grade")
        return _Age(floor + found.start(), unit.end(), value, "months" if unit["months"] else "years")
    ending = unit[0].strip()
    if ending == "살" and (found := _NATIVE_NUMBER.search(before)) and found[0].strip():
        value = _NATIVE_TENS.get(found[1], 0) + _NATIVE.get(found[2], 0)
        return _Age(floor + found.start(), unit.end(), value, "years")
    if ending == "세" and (found := _SINO_NUMBER.search(before)) and found[0]:
        tens, ten, ones = found.groups()
        if not ten and (found[0] in "일이" or not _SINO_ALONE.match(text, unit.end())):
            return None
        value = (10 * _SINO.get(tens, 1) if ten else 0) + _SINO.get(ones or ("" if ten else tens), 0)
        return _Age(floor + found.start(), unit.end(), value, "years")
    return None


def _value(number: str) -> int:
    """The number that digits of any script, or Han numerals, say."""
    digits = number.partition(".")[0].replace(" ", "")
    if digits.isdecimal():
        return int(digits)
    tens, ten, ones = digits.replace("拾", "十").partition("十")
    if ten:
        return 10 * _HAN.get(tens[-1:], 1) + _HAN.get(ones[:1], 0)
    values = [_HAN[char] for char in tens]
    if len(values) > 1 and values[1] == values[0] + 1:
        return values[0]  # "三四岁" is three or four years
    return int("".join(map(str, values)))


def _governed(text: str, age: _Age) -> str:
    person, noun = cjk_patterns()
    link = _LINK.match(text, age.end)
    start = link.end() if link else age.end
    stop = _CLAUSE_END.search(text, start, start + _WINDOW)
    if person.search(text, start, stop.start() if stop else start + _WINDOW):
        return "person"
    if found := noun.match(text, start):
        return "animal" if found["animal"] else "thing"
    return "person" if person.search(text, max(0, age.start - _WINDOW), age.start) else ""


def _any_of(words: dict[str, tuple[str, ...]]) -> str:
    return "|".join(sorted({re.escape(word) for group in words.values() for word in group}, key=len, reverse=True))
