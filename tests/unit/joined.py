"""Joins words of the real packs where a test must, and shows them to nobody."""

from __future__ import annotations

from rempart.prompts import Answer, PromptScreener


class Joined:
    """Forms put together by a program; neither its text nor anything made of it can be printed."""

    __slots__ = ("_parts",)

    def __init__(self, *parts: str) -> None:
        self._parts = parts

    def __repr__(self) -> str:
        """The same for all."""
        return "<joined>"

    def answer(self, screener: PromptScreener) -> Answer:
        """What the screener answers; nothing else of its verdict leaves this place."""
        __tracebackhide__ = True
        return screener.screen(" ".join(self._parts)).verdict
