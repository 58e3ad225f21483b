"""The service: everything that rempart does, over HTTP. Needs the extra ``web``."""

from __future__ import annotations
