"""`rempart serve`: the service."""

from __future__ import annotations

import click
import msgspec

from rempart.cli.main import Context, pass_context
from rempart.cli.output import say
from rempart.errors import UsageError


@click.command(epilog="\b\nExample:\n  rempart serve --port 8080 --workers 2")
@click.option("--host", help="Address to listen on; serve.host of the settings by default.")
@click.option("--port", type=click.IntRange(0, 65_535), help="Port; 0 takes a free one. By default serve.port.")
@click.option("--workers", type=click.IntRange(1, 256), help="Processes that answer; by default one for each core.")
@pass_context
def command(context: Context, host: str | None, port: int | None, workers: int | None) -> int:
    """Answer over HTTP: screen prompts, match pictures, videos and hashes, keep banks.

    One line on standard output says when look-ups work. SIGTERM and Ctrl-C finish what was accepted. Every request but
    /healthz and /readyz takes a key, which `rempart key create` makes. The native interface is described at /schema,
    HMA's lies under /hma. Logs go to standard error, a JSON object a line.
    """
    try:
        from rempart.web.server import serve  # noqa: PLC0415 -- its packages are an extra
    except ModuleNotFoundError as error:
        raise UsageError(f"the service needs {error.name}: pip install 'rempart[web]'") from None
    settings = context.settings
    given = {name: value for name, value in (("host", host), ("port", port), ("workers", workers)) if value is not None}
    settings = msgspec.structs.replace(settings, serve=msgspec.structs.replace(settings.serve, **given))
    return serve(settings, announce=click.echo, tell=say)
