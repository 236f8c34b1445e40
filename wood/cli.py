"""The command `wood`: what the library does outside the pipeline.

A command is a module with `add_arguments(parser)` and `run(options) -> exit status`. To add one,
write these two and name the module in `COMMANDS`. Modules are imported when their command is run,
so that `wood --help` is there at once.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from wood.runtime.errors import InputError


@dataclass(frozen=True)
class Command:
    """A command: its module, and what it does in a line."""

    module: str
    help: str


COMMANDS = {
    "predict": Command("wood.segmentation.predict", "segment one photograph with a network"),
    "export": Command("wood.segmentation.export", "write a network as ONNX"),
    "convert": Command("wood.models.convert", "make files of ours from published weights"),
    "verify": Command("wood.runtime.provenance", "check that results are those that were recorded"),
    "openimages": Command("wood.ood.openimages", "fetch labels and photographs of Open Images"),
    "review": Command("wood.review.session", "look at candidates, and say which are OoD images"),
    "preflight": Command("wood.workflow.preflight", "say what a run needs, and what is missing"),
}


def make_parser(chosen: str | None = None) -> argparse.ArgumentParser:
    """Return the parser, with the arguments of the command `chosen` alone."""
    parser = argparse.ArgumentParser(prog="wood", description="W-OoD outside the pipeline.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        sub = commands.add_parser(name, help=command.help, description=f"{command.help}.")
        if name == chosen:
            importlib.import_module(command.module).add_arguments(sub)
    return parser


def complete() -> None:
    """Answer the shell's question what may come next, if it is one (needs argcomplete)."""
    if "_ARGCOMPLETE" not in os.environ:
        return
    import argcomplete

    words = os.environ.get("COMP_LINE", "").split()[1:]
    argcomplete.autocomplete(make_parser(next((w for w in words if w in COMMANDS), None)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status is 1 after bad input, which is one sentence."""
    complete()
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = make_parser(next((word for word in given if word in COMMANDS), None))
    chosen = options.parse_args(given)
    try:
        return importlib.import_module(COMMANDS[chosen.command].module).run(chosen)
    except (InputError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
