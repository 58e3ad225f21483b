"""The `rempart` command: finds the subcommand, and turns whatever happens into one line and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rempart.errors import ExitCode, RempartError
from rempart.settings import CONFIG_VARIABLE, Settings, load_settings

if TYPE_CHECKING:
    from rempart.store import Store

# name -> (module, one line of help). The module is imported only when its command runs, so that `--help` is quick.
COMMANDS = {
    "demo": ("demo", "See it work, in a minute, on drawn pictures."),
    "doctor": ("doctor", "Say whether this installation works."),
    "hash": ("hash", "Hash pictures: PDQ, quality, MD5, SHA-1, SHA-256."),
    "origin": ("origin", "Say what files tell of their own origin, and who vouches for it."),
    "match": ("match", "Compare pictures with the banks."),
    "bank": ("bank", "Make, fill and look into banks of hashes."),
    "prompt": ("prompt", "Screen prompts of image generators."),
    "serve": ("serve", "Answer over HTTP."),
    "audit": ("audit", "Verify and copy the record of what was done, and by whom."),
    "key": ("key", "Make, list and revoke the keys of the service."),
    "worker": ("worker", "Do the jobs that wait in the outbox."),
    "job": ("job", "Look at jobs, cancel them or try them again."),
    "config": ("config", "Show every setting and where it came from."),
}


class LazyGroup(click.Group):
    """A group whose commands live in modules of their own, imported when called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        """The names, in the order a newcomer meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the module of a command; it defines `command`."""
        if cmd_name not in COMMANDS:
            return None
        command = import_module(f"rempart.cli.{COMMANDS[cmd_name][0]}").command
        if not isinstance(command, click.Command):
            raise TypeError(f"rempart.cli.{COMMANDS[cmd_name][0]}.command is not a click command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


class Context:
    """What every command gets: the settings, read when first needed, so that --help works with a broken file."""

    def __init__(self, config: Path | None) -> None:
        self.config = config

    @property
    def settings(self) -> Settings:
        """The settings of this run.

        Raises:
            ConfigError: the configuration is broken.
        """
        return load_settings(self.config).settings

    def open_store(self) -> Store:
        """Open the database that the settings name.

        Raises:
            ConfigError: the configuration is broken.
            StoreError: the database cannot be opened.
        """
        from rempart.store import open_store  # noqa: PLC0415 -- it costs 200 ms, and not every command needs it

        settings = self.settings
        return open_store(settings.data_path, settings.store)


pass_context = click.make_pass_decorator(Context)

EPILOG = """\b
Example, harmless and self-cleaning:
  rempart demo

\b
Exit codes: 0 clean, 1 something found, 2 wrong use or nothing to compare with,
3 some input unscannable, 4 something unavailable, 5 internal error, 130 interrupted."""


@click.group(cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"Configuration file; else ${CONFIG_VARIABLE}, else the user's own.",
)
@click.version_option(package_name="rempart", message="rempart %(version)s")
@click.pass_context
def rempart(ctx: click.Context, config: Path | None) -> None:
    """Keep sexual abuse imagery of children from being generated, spread and trained on.

    Results go to standard output, progress and errors to standard error.
    """
    ctx.obj = Context(config)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process with an exit code of :class:`rempart.errors.ExitCode`.

    Code 1 always means "something was found", never a crash: whatever is not foreseen ends with 5.
    """
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(variable, "1")  # read when numpy is imported: our matrices are too small for threads
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    try:
        outcome: Any = rempart.main(args=arguments, prog_name="rempart", standalone_mode=False)
        code = int(outcome) if isinstance(outcome, int) else ExitCode.CLEAN
        sys.stdout.flush()
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.UsageError as error:
        error.show()
        return ExitCode.USAGE
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return ExitCode.INTERRUPTED
    except (BrokenPipeError, SystemExit):
        # The reader of our output has gone (`rempart hash … | head`). Click meets some of these itself and asks to exit
        # with 1, which here would mean that something was found.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno() if sys.__stdout__ else 1)
        return ExitCode.INTERRUPTED
    except RempartError as error:
        click.echo(f"rempart: {error}", err=True)
        return error.exit_code
    except Exception as error:  # noqa: BLE001 -- the edge of the process: a crash must never look like a finding
        click.echo(crash_line(error), err=True)
        return ExitCode.INTERNAL
    else:
        return code


def crash_line(error: BaseException) -> str:
    """One line about an unforeseen error: its kind and where it arose, never its text, which may quote content."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace is not None else ""
    return (
        f"rempart: internal error ({type(error).__name__}{place}). This is a defect: please report this line, "
        "the command and `rempart doctor`'s output."
    )
