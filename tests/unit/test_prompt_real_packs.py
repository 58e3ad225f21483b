"""The shipped packs: each half alone is harmless, the floor holds for every pair, innocent prompts pass.

Words of two concepts are joined by the program only, inside `Joined`, and only answers are counted.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rempart.prompts import Answer, ConceptHit, PromptScreener
from rempart.prompts.fold import fold
from rempart.prompts.tokens import tokenize

HERE = Path(__file__).parent
SURE = 0.85  # strength from which a reading needs no second signal
FAILING = """
from joined import Joined
from rempart.prompts import Answer, PromptScreener


def pair(screener):
    return Joined(
        *(
            next(form for term in pack.terms if term.concept.endswith(".explicit") for form in term.forms)
            for pack in screener.lexicon.packs
            if pack.header.concept in {"minor", "sexual"}
        )
    )


def test_wrong_answer():
    screener = PromptScreener("canary")
    assert pair(screener).answer(screener) == Answer.ALLOW


def test_wrong_object():
    assert pair(PromptScreener("canary")) == "something else"


def test_an_exception():
    print(pair(PromptScreener("canary")))
    raise ValueError(f"{pair(PromptScreener('canary'))}")
"""


def joined_class() -> type[Any]:
    """The class `Joined` of the module beside this one, which no import path leads to."""
    spec = importlib.util.spec_from_file_location("joined", HERE / "joined.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    joined: type[Any] = module.Joined
    return joined


@pytest.fixture(scope="module")
def real() -> PromptScreener:
    """The screener that people use."""
    return PromptScreener("all")


@pytest.fixture
def corpora() -> Path:
    """The folder of innocent prompts."""
    data = os.environ.get("REMPART_TEST_DATA")
    if not data:
        pytest.skip("REMPART_TEST_DATA is not set: the corpora of innocent prompts are not there")
    return Path(data) / "prompts"


@pytest.fixture(scope="module")
def forms(real: PromptScreener) -> dict[tuple[str, str], list[str]]:
    """The forms of each language and class."""
    found: dict[tuple[str, str], list[str]] = {}
    for pack in real.lexicon.packs:
        for term in pack.terms:
            found.setdefault((pack.header.language, term.concept), []).extend(term.forms)
    return found


def answers(
    real: PromptScreener, forms: dict[tuple[str, str], list[str]], one: str, other: str, *, abroad: int = 0
) -> Counter[Answer]:
    """What is answered to every form of two classes, each joined with one of the other, whichever comes first.

    Args:
        real: the screener.
        forms: the forms of each language and class.
        one: a class.
        other: a class of the other half.
        abroad: by how many languages the second half is shifted; 0 joins words of the same language.
    """
    joined = joined_class()
    languages = sorted({language for language, _ in forms})
    counts: Counter[Answer] = Counter()
    for at, language in enumerate(languages):
        first = forms[language, one]
        second = forms[languages[(at + abroad) % len(languages)], other]
        for number in range(max(len(first), len(second))):
            pair = (first[number % len(first)], second[number % len(second)])
            counts[joined(*pair).answer(real)] += 1
            counts[joined(*reversed(pair)).answer(real)] += 1
    return counts


@pytest.mark.parametrize("abroad", [0, 1, 5])
def test_the_floor_holds_for_every_explicit_word(
    real: PromptScreener, forms: dict[tuple[str, str], list[str]], abroad: int
) -> None:
    """Each explicit form of one half is refused beside one of the other, of the same language or of another."""
    counts = answers(real, forms, "minor.explicit", "sexual.explicit", abroad=abroad)
    assert counts.total() > 5_000
    # Beside a foreign word, a word that two languages share may be taken for the other language's.
    assert counts[Answer.REFUSE] >= (0.99 if abroad else 1.0) * counts.total()


def test_the_floor_holds_for_ages_and_every_explicit_word(
    real: PromptScreener, forms: dict[tuple[str, str], list[str]]
) -> None:
    """An age under eighteen in digits refuses beside every explicit form of the other half."""
    joined = joined_class()
    counts = Counter(
        joined("aged 9", form).answer(real)
        for (_, concept), found in forms.items()
        if concept == "sexual.explicit"
        for form in found
    )
    assert counts.total() > 1_500
    assert counts.keys() == {Answer.REFUSE}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("minor.ambiguous", "sexual.explicit"),
        ("minor.role", "sexual.explicit"),
        ("minor.explicit", "sexual.nudity"),
    ],
)
def test_words_that_are_less_plain_are_never_allowed(
    real: PromptScreener, forms: dict[tuple[str, str], list[str]], one: str, other: str
) -> None:
    """Ambiguous words, roles and nudity end in refusal or before a person, in every language."""
    counts = answers(real, forms, one, other)
    assert counts.total() > 3_000
    assert counts[Answer.ALLOW] == 0


def test_each_real_word_alone_is_never_refused(real: PromptScreener) -> None:
    """No form of any pack is refused without the other half, and hardly one is reviewed: not even fifty together."""
    alone: Counter[Answer] = Counter()
    for pack in real.lexicon.packs:
        every = [form for term in pack.terms for form in term.forms]
        alone.update(real.screen(form).verdict for form in every)
        for begin in range(0, len(every), 50):
            assert real.screen(", ".join(every[begin : begin + 50])).verdict != Answer.REFUSE, pack.header.pack
    assert alone[Answer.REFUSE] == 0
    assert alone[Answer.REVIEW] <= 0.001 * alone.total()


def test_every_form_is_found_in_its_own_class(real: PromptScreener) -> None:
    """No form is hidden by another pack: each gives a hit of its class that spans it, in its language."""
    for pack in real.lexicon.packs:
        for term in pack.terms:
            for form in term.forms:
                found = {(hit.concept, hit.end) for hit in hits(real, form) if hit.start == 0}
                assert (term.concept, len(form)) in found, f"{pack.header.pack} {term.id}"


def hits(screener: PromptScreener, text: str) -> tuple[ConceptHit, ...]:
    """What the lexicon finds in a text."""
    folded = fold(text)
    return screener.lexicon.find(tokenize(folded.text), folded)


def test_a_failing_test_shows_and_stores_nothing_of_joined_words(tmp_path: Path) -> None:
    """With every switch on that shows more, three failing tests leave no canary in any output or file."""
    (tmp_path / "joined.py").write_text((HERE / "joined.py").read_text())
    (tmp_path / "test_failing.py").write_text(FAILING)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    done = subprocess.run(
        [*(sys.executable, "-m", "pytest", "-vv", "-l", "--tb=long"), "--junitxml=report.xml", "test_failing.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "3 failed" in done.stdout
    assert "<joined>" in done.stdout
    assert "report.xml" in {path.name for path in tmp_path.iterdir()}
    assert (tmp_path / ".pytest_cache" / "v" / "cache" / "lastfailed").is_file()
    written = (done.stdout + done.stderr).encode()
    written += b"".join(path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file())
    screener = PromptScreener("canary")
    first, second = (
        next(form for term in pack.terms if term.concept.endswith(".explicit") for form in term.forms)
        for pack in screener.lexicon.packs
        if pack.header.concept in {"minor", "sexual"}
    )
    assert screener.screen(f"{first} {second}").verdict == Answer.REFUSE
    assert first.encode() not in written
    assert second.encode() not in written


def test_no_innocent_prompt_is_refused(real: PromptScreener, corpora: Path) -> None:
    """Over the corpora of innocent prompts nothing is refused, and at most one line in 200 of a file is reviewed."""
    files = sorted(corpora.glob("*.txt"))
    assert files
    for path in files:
        lines = path.read_text(encoding="utf-8").splitlines()
        answers = Counter(real.screen(line).verdict for line in lines)
        assert answers[Answer.REFUSE] == 0, path.name
        assert answers[Answer.REVIEW] <= 0.005 * len(lines), path.name


ENOUGH = {"en": 0.97, "de": 0.90, "fr": 0.90}
FEW = 500


def recall(screener: PromptScreener, path: Path) -> dict[str, float]:
    """Share of the lines of each language in which the lexicon finds a minor; the first line names the languages."""
    wanted = {"minor.explicit", "minor.ambiguous", "minor.role"}
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
    languages = rows.pop(0)
    found = Counter(
        language
        for row in rows
        for language, text in zip(languages, row, strict=True)
        if any(hit.concept in wanted and hit.strength >= SURE for hit in hits(screener, text))
    )
    return {language: found[language] / len(rows) for language in languages}


def test_captions_that_name_a_child_are_recognised_in_every_language(real: PromptScreener, corpora: Path) -> None:
    """97% of the English captions and 90% of their translations, where there are enough to tell; 75% elsewhere."""
    paths = sorted((corpora / "aligned").glob("children_*.tsv"))
    assert paths
    shipped = {pack.header.language for pack in real.lexicon.packs}
    for path in paths:
        many = len(path.read_text(encoding="utf-8").splitlines()) > FEW
        for language, share in recall(real, path).items():
            if language in shipped:
                assert share >= (ENOUGH[language] if many else 0.75), (path.name, language)


def test_titles_of_nude_studies_are_recognised(real: PromptScreener, corpora: Path) -> None:
    """Of the titles of artworks that say so in English, nearly all are seen, which is reported, not refused."""
    lines = (corpora / "tate_titles.txt").read_text(encoding="utf-8").splitlines()
    said = [line for line in lines if {"nude", "nudes", "naked"} & set(line.lower().split())]
    seen = sum(any(hit.concept == "sexual.nudity" for hit in hits(real, line)) for line in said)
    assert seen >= 0.95 * len(said) > 50
