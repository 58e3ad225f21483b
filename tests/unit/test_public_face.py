from __future__ import annotations

import subprocess
import sys

import rempart


def test_the_public_names_are_sorted_and_each_one_can_be_imported() -> None:
    """`rempart.__all__` is the whole face, and nothing on it is missing."""
    assert sorted(rempart.__all__) == rempart.__all__
    for name in rempart.__all__:
        assert getattr(rempart, name).__doc__
    assert set(rempart.__all__) < set(dir(rempart))


def test_an_unknown_name_is_an_attribute_error() -> None:
    """The lazy face behaves like any module."""
    assert not hasattr(rempart, "nothing_of_that_name")


def test_importing_rempart_or_its_command_line_loads_nothing_heavy() -> None:
    """So that `rempart --help` answers at once."""
    program = (
        "import sys, rempart.cli.main\n"
        "heavy = {'numpy', 'numba', 'sqlalchemy', 'alembic', 'PIL', 'rich', 'simplejpeg'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
