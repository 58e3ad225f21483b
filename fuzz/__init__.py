"""Fuzzing of every parser that is ours: a module for each room, and in it a table of targets.

CONTRIBUTING.md says how to run them. Nothing here is installed with rempart.
"""

from __future__ import annotations
