"""One file for each step, in order."""

from __future__ import annotations
