from __future__ import annotations

import importlib
import pkgutil
import re
from itertools import combinations
from pathlib import Path

import pytest

import rempart
from rempart import errors
from rempart.errors import PRECEDENCE, ExitCode, Reason, RempartError, worst
from rempart.ids import check_bank_name

ROOT = Path(__file__).parents[2]


def error_classes(base: type[RempartError] = RempartError) -> list[type[RempartError]]:
    """The whole tree of the rooms imported so far, from its root."""
    return [base, *(found for child in base.__subclasses__() for found in error_classes(child))]


def test_every_error_of_every_room_is_drawn_in_the_tree_and_says_by_itself_what_to_do() -> None:
    """Raising one without a message already explains it."""
    for module in pkgutil.walk_packages(rempart.__path__, "rempart."):
        if not module.name.startswith("rempart.store.migrations."):  # Alembic alone can run these
            importlib.import_module(module.name)
    for kind in error_classes():
        assert kind.__name__ in (errors.__doc__ or "")
        assert len(str(kind())) > 20


def test_when_several_exit_codes_hold_the_first_of_the_precedence_is_said() -> None:
    """130 > 2 > 5 > 4 > 1 > 3 > 0."""
    assert [int(code) for code in PRECEDENCE] == [130, 2, 5, 4, 1, 3, 0]
    assert set(PRECEDENCE) == set(ExitCode)
    assert worst(set()) is ExitCode.CLEAN
    for first, second in combinations(PRECEDENCE, 2):
        assert worst({first, second}) is first


def test_every_reason_has_a_meaning_and_stands_in_the_docs_with_it() -> None:
    """The list is closed: docs/verdicts.md has exactly the reasons of the code, in the same words."""
    text = (ROOT / "docs/verdicts.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|$", text, re.MULTILINE))
    assert {reason.value: reason.meaning for reason in Reason} == listed


@pytest.mark.parametrize("name", ["A", "_X", "KNOWN_2", "A" * 255])
def test_a_good_bank_name_is_returned_as_it_is(name: str) -> None:
    """`[A-Z_][A-Z0-9_]*`, at most 255 characters."""
    assert name == check_bank_name(name)


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [("known", "KNOWN"), ("my bank!", "MY_BANK"), ("2024 list", "_2024_LIST"), ("été", "ETE"), ("", "MY_BANK")],
)
def test_a_bad_bank_name_is_refused_with_one_that_would_do(name: str, suggestion: str) -> None:
    """The suggestion can be typed as it is."""
    with pytest.raises(errors.BankError, match=f"for example {suggestion}$"):
        check_bank_name(name)
    assert check_bank_name(suggestion) == suggestion
