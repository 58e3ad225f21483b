from __future__ import annotations

import re
from http import HTTPStatus
from pathlib import Path

from rempart.web.problems import Code

DOCS = Path(__file__).parents[2] / "docs" / "service.md"


def test_every_code_has_a_status_a_sentence_and_a_line_in_the_docs() -> None:
    """Codes are a promise: what clients can rely on is written down, with the status that goes with it."""
    text = DOCS.read_text(encoding="utf-8")
    described = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", text, re.MULTILINE))
    assert described == {code.value: str(code.status) for code in Code}
    for code in Code:
        assert HTTPStatus(code.status) >= HTTPStatus.BAD_REQUEST
        assert code.meaning.endswith(".")
        assert code.meaning in text
