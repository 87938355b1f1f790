"""The command line: answers to standard output, messages to standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import click

from midpo.answering import BAD_INPUT, OK
from midpo.extras import missing
from midpo.streams import echo
from midpo.symbolic.errors import MidpoError

from . import COMMANDS, __version__, streams


class _Commands(click.Group):
    """Lists commands in the order of a spec's path, and turns expected errors into messages."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def make_context(self, *args: Any, **more: Any) -> click.Context:
        with _unswallowed():
            return super().make_context(*args, **more)

    def invoke(self, ctx: click.Context) -> Any:
        with _unswallowed():
            return super().invoke(ctx)

    def main(self, *args: Any, standalone_mode: bool = True, **more: Any) -> Any:
        """Run a command line and leave with its status; see streams for what can go wrong."""
        plain: Callable[..., Any] = super().main
        if not standalone_mode:
            return plain(*args, standalone_mode=False, **more)
        streams.prepare()
        sys.exit(_finished(lambda: plain(*args, standalone_mode=False, **more)))


class _Broken(Exception):
    """A broken pipe on its way through click, which would end the process with status 1."""

    def __init__(self, error: BrokenPipeError) -> None:
        self.error = error


@contextmanager
def _unswallowed() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as error:
        raise _Broken(error) from None


def _finished(answer: Callable[[], Any]) -> int:
    """The exit status of what `answer` does, once all of it is written."""
    try:
        status = _status(answer)
        streams.finish()
    except BrokenPipeError as error:
        if error.filename is None:  # whoever read our output has seen enough
            streams.abandon(sys.stdout)
            return streams.SIGPIPE
        return _told(f"{error.filename}: {error.strerror}")
    except OSError as error:
        if error.filename is None:
            streams.abandon(sys.stdout)
        return _told(f"{error.filename or 'standard output'}: {error.strerror or error}")
    return status


def _status(answer: Callable[[], Any]) -> int:
    try:
        answer()
    except _Broken as wrapped:
        raise wrapped.error from None
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else OK
    except click.ClickException as error:
        error.show(sys.stderr)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        echo("interrupted", err=True)
        return 130
    except MidpoError as error:
        return _told(str(error))
    except ImportError as error:
        return _told(str(missing(error, "this")))
    except (RecursionError, MemoryError):
        return _told("the input takes more memory than there is, or is nested too deeply")
    return OK


def _told(problem: str) -> int:
    echo(f"midpo: {problem}", err=True)
    return BAD_INPUT


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="SPEC is a catalogue name (midpo list) or the path of a .toml file.",
)
@click.version_option(__version__, prog_name="midpo")
def main() -> None:
    """Derive, verify and generate preference-optimisation losses.

    \b
    Example:
      midpo verify simpo my-algorithm.toml
    """


for _name in COMMANDS:
    main.add_command(import_module(f"midpo.commands.{_name}").command)
