"""The shipped packs: each half alone is harmless, the floor holds for every pair, innocent prompts pass.

Words of two concepts are joined by the program only, inside `Joined`, and only answers are counted.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rempart.prompts import Answer, PromptScreener

HERE = Path(__file__).parent
FAILING = """
from joined import Joined
from rempart.prompts import Answer, PromptScreener


def pair(screener):
    return Joined(
        *(
            next(form for term in pack.terms if term.concept.endswith(".explicit") for form in term.forms)
            for pack in screener.lexicon.packs
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
    return PromptScreener()


@pytest.fixture
def corpora() -> Path:
    """The folder of innocent prompts."""
    data = os.environ.get("REMPART_TEST_DATA")
    if not data:
        pytest.skip("REMPART_TEST_DATA is not set: the corpora of innocent prompts are not there")
    return Path(data) / "prompts"


def forms(screener: PromptScreener, concept: str) -> Iterator[str]:
    """The forms of a class."""
    for pack in screener.lexicon.packs:
        for term in pack.terms:
            if term.concept == concept:
                yield from term.forms


def test_the_floor_holds_for_every_pair_of_real_words(real: PromptScreener) -> None:
    """Each form of one half, or an age, with each form of the other is refused, whichever comes first."""
    joined = joined_class()
    answers = Counter(
        joined(*pair).answer(real)
        for first in [*forms(real, "minor.explicit"), "aged 9"]
        for second in forms(real, "sexual.explicit")
        for pair in ((first, second), (second, first))
    )
    assert answers.total() > 20_000
    assert answers.keys() == {Answer.REFUSE}


def test_ambiguous_and_weaker_words_go_to_a_person(real: PromptScreener) -> None:
    """The two rules that end in review do so for every pair of their words."""
    joined = joined_class()
    answers = Counter(
        joined(*pair).answer(real)
        for one, others in (
            ("minor.ambiguous", ["explicit"]),
            ("minor.explicit", ["nudity", "anatomy", "suggestive", "harm"]),
        )
        for first in forms(real, one)
        for other in others
        for second in forms(real, f"sexual.{other}")
        for pair in ((first, second), (second, first))
    )
    assert answers.total() > 20_000
    assert answers.keys() == {Answer.REVIEW}


def test_each_real_word_alone_is_allowed(real: PromptScreener) -> None:
    """No form of either half is refused or reviewed without the other, not even all forms of one half together."""
    for pack in real.lexicon.packs:
        every = [form for term in pack.terms for form in term.forms]
        assert {real.screen(form).verdict for form in every} == {Answer.ALLOW}
        for begin in range(0, len(every), 100):
            assert real.screen(", ".join(every[begin : begin + 100])).verdict == Answer.ALLOW


def test_every_form_is_found_as_its_own_term_and_nothing_else(real: PromptScreener) -> None:
    """No form is hidden by another or holds a word of the other half: each gives one hit, with its own id."""
    for pack in real.lexicon.packs:
        for term in pack.terms:
            for form in term.forms:
                assert [hit.term for hit in real.screen(form).concepts] == [term.id]


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


def test_english_captions_that_name_a_young_person_are_recognised(real: PromptScreener, corpora: Path) -> None:
    """Of captions chosen for naming one in English, at least 97% give a word or an age of that half."""
    lines = [
        line.split("\t")[0]
        for path in sorted((corpora / "aligned").glob("children_en_*.tsv"))
        for line in path.read_text(encoding="utf-8").splitlines()[1:]
    ]
    verdicts = [real.screen(line) for line in lines]
    wanted = {"minor.explicit", "minor.ambiguous"}
    found = sum(bool(verdict.ages or wanted & {hit.concept for hit in verdict.concepts}) for verdict in verdicts)
    assert found >= 0.97 * len(lines) > 0
