"""One target under atheris: ``python -m fuzz.engine TARGET FOLDER... [OPTIONS OF LIBFUZZER]``; fuzz.run starts it."""

from __future__ import annotations

import sys

import atheris


def main() -> None:
    """Instrument what the target imports, then try inputs until libFuzzer ends the process."""
    program, name, *arguments = sys.argv
    with atheris.instrument_imports(include=["rempart"], enable_loader_override=False):
        from fuzz.target import check, find  # noqa: PLC0415 -- what is imported here is instrumented

        target = find(name)
    atheris.Setup([program, *arguments], lambda data: check(target, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
