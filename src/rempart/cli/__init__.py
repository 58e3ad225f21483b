"""The command line: an adapter that reads arguments, calls the rooms below and prints what they say."""

from __future__ import annotations

from rempart.cli.main import main

__all__ = ["main"]
