"""What front-ends leave out of the positive prompt: comments and negative parts."""

from __future__ import annotations

import re

from rempart.prompts.syntax_segments import Span

_LINE_COMMENTS = {
    "a1111": re.compile(r"#[^\n]*"),
    "dynamicprompts": re.compile(r"#[^\n]*"),
    "comfyui": re.compile(r"(?<!:)//[^\n]*"),
}

_NO = re.compile(r"(?<!\S)--no\s")
_NEXT_PARAMETER = re.compile(r"\s--(?=[a-z])")
_BELOW_ZERO = re.compile(r"(?<![\w.])-(?:\d+(?:\.\d*)?|\.\d+)::")
_SQUARE = re.compile(r"(?<!\\)\[([^\[\]]*)\]")


def find_comments(raw: str, syntax: str) -> list[Span]:
    """The spans of the comments, in order, none inside another."""
    found: list[Span] = []
    start = raw.find("/*")
    while start >= 0 and (stop := raw.find("*/", start + 2)) >= 0:
        found.append((start, stop + 2))
        start = raw.find("/*", stop + 2)
    if pattern := _LINE_COMMENTS.get(syntax):
        found = _apart(found + [comment.span() for comment in pattern.finditer(raw)])
    return found


def find_negatives(raw: str, syntax: str) -> tuple[list[Span], list[Span]]:
    """The negative parts in order: those that this front-end leaves out, with their marks; and all, without them."""
    found: list[tuple[Span, Span]] = []
    if syntax in {"auto", "horde"} and (start := raw.find("###")) >= 0:
        found.append(((start, len(raw)), (start + 3, len(raw))))
    if syntax in {"auto", "midjourney"} and "--no" in raw:
        for mark in _NO.finditer(raw):
            following = _NEXT_PARAMETER.search(raw, mark.end() - 1)
            end = following.start() if following else len(raw)
            found.append(((mark.start(), end), (mark.end(), max(end, mark.end()))))
    if syntax in {"auto", "novelai"} and "::" in raw:
        below = _BELOW_ZERO.search(raw)
        while below:
            end = raw.find("::", below.end())
            end, behind = (end, end + 2) if end >= 0 else (len(raw), len(raw))
            found.append(((below.start(), behind), (below.end(), end)))
            below = _BELOW_ZERO.search(raw, behind)
    if syntax == "invokeai":
        found += [(part.span(), part.span(1)) for part in _SQUARE.finditer(raw)]
    texts = _apart([text for _, text in found])
    return ([] if syntax == "auto" else [marked for marked, _ in found]), texts


def _apart(spans: list[Span]) -> list[Span]:
    """The spans in order, without those that begin inside an earlier one."""
    kept: list[Span] = []
    for span in sorted(spans):
        if not kept or span[0] >= kept[-1][1]:
            kept.append(span)
    return kept
