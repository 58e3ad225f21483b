"""Which files a command is asked about: paths as given, folders as all the regular files in them."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from pathlib import Path

import click

from rempart.cli.output import say
from rempart.errors import UsageError

PATHS = click.Path(path_type=str, readable=False)
"""Paths as text in which undecodable bytes are surrogates: a file name need not be UTF-8, least of all a seized one."""


class Files:
    """The files to read, in order, and what in the folders was passed over.

    Attributes:
        paths: every path given that is no folder, and of each folder all regular files, sorted.
        links: symbolic links met inside folders; they are not followed.
        others: pipes, sockets and devices met inside folders.
    """

    def __init__(self, given: Iterable[str]) -> None:
        """Walk the folders.

        Raises:
            UsageError: there is no file at all.
        """
        self.paths: list[str] = []
        self.links = 0
        self.others = 0
        self._any_exists = False
        for path in given:
            if stat.S_ISDIR(_mode(path)):
                self._walk(path)
            else:
                self.paths.append(path)
                self._any_exists = self._any_exists or not _missing(path)

    def check(self) -> None:
        """Say what was passed over, and refuse to go on without any file.

        Raises:
            UsageError: no path exists, or the folders hold no regular file.
        """
        if self.links or self.others:
            say(f"passed over in folders: {self.links} links, {self.others} pipes, sockets or devices")
        if not self.paths:
            raise UsageError("no usable input: the folder holds no regular file")

    @property
    def nothing_exists(self) -> bool:
        """Whether not one of the paths exists, so that there was no usable input."""
        return not self._any_exists

    def _walk(self, folder: str) -> None:
        unreadable: list[str] = []
        for base, folders, names in os.walk(folder, onerror=lambda error: unreadable.append(str(error.filename))):
            folders.sort(key=os.fsencode)
            # os.walk lists links to folders among the folders, and does not follow them.
            self.links += sum(stat.S_ISLNK(_mode(str(Path(base, name)), follow=False)) for name in folders)
            for name in sorted(names, key=os.fsencode):
                self._take(str(Path(base, name)))
        # A folder that cannot be listed stands in the result as an item that could not be read: nothing goes silently.
        self.paths.extend(unreadable)
        self._any_exists = self._any_exists or bool(unreadable)

    def _take(self, path: str) -> None:
        try:
            mode = os.lstat(path).st_mode
        except OSError:
            mode = stat.S_IFREG  # gone or forbidden since it was listed: opening it will say why
        if stat.S_ISREG(mode):
            self.paths.append(path)
            self._any_exists = True
        elif stat.S_ISLNK(mode):
            self.links += 1
        else:
            self.others += 1


def _mode(path: str, *, follow: bool = True) -> int:
    """Kind and permissions, 0 where they cannot be had: `Path.is_dir` and its like raise on a forbidden folder."""
    try:
        return Path(path).stat(follow_symlinks=follow).st_mode
    except OSError:
        return 0


def _missing(path: str) -> bool:
    try:
        os.lstat(path)
    except OSError as error:
        return error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
    return False
