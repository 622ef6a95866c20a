"""The command `toets`. Commands are imported when called, so that help answers at once."""

import atexit
import gc
from collections.abc import Mapping
from importlib import import_module
from typing import ClassVar

import click

from toetssteen import __version__
from toetssteen.errors import ToetsError

OBJECTS = 100_000  # new ones between two looks for cycles; Python's own 700 suit small programs


class OneLine(click.ClickException):
    """What the reader can mend: one line, no traceback, and the exit code of its kind."""

    def __init__(self, error: ToetsError) -> None:
        """Take over message and exit code."""
        super().__init__(str(error))
        self.exit_code = error.exit_code  # type: ignore[misc]  # click documents it so


class Commands(click.Group):
    """A group whose commands live in modules of their own; our errors become one line."""

    where: ClassVar[Mapping[str, tuple[str, str]]] = {
        "list": (
            "toetssteen.cli.list_names",
            "What there is: suites, tasks, candidates, plugins.",
        ),
        "check": ("toetssteen.cli.check", "Check YAML, items and controls, or two routes."),
        "plan": ("toetssteen.cli.plan", "Say what a run would ask, and what is answered."),
        "fetch": ("toetssteen.cli.fetch", "Bring weights and external items into the cache."),
        "run": ("toetssteen.cli.run", "Ask a candidate, mark, weigh, track and report."),
        "mark": ("toetssteen.cli.mark", "Score the stored answers of a run again; asks nothing."),
        "report": ("toetssteen.cli.report", "Write the reports of a run again."),
        "compare": ("toetssteen.cli.compare", "Compare runs item by item, paired."),
        "sync": ("toetssteen.cli.sync", "Send a run that is kept here to MLflow."),
        "new": ("toetssteen.cli.new", "Write the skeleton of a task."),
    }

    def __call__(self, *args: object, **more: object) -> object:  # as click has it
        """Answer the command line in a process of our own, which comes and goes quickly."""
        # Loading torch and transformers makes a million objects that all stay. To look through
        # them for cycles time and again, and once more at the end, takes two seconds.
        gc.set_threshold(OBJECTS)
        atexit.register(gc.freeze)
        return super().__call__(*args, **more)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the order in which they are used."""
        return list(self.where)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the module of a command and return it."""
        if cmd_name not in self.where:
            return None
        module, _ = self.where[cmd_name]
        command: click.Command = import_module(module).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.where.items()])

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; what the reader can mend ends in one line and an exit code."""
        try:
            return super().invoke(ctx)
        except ToetsError as error:
            raise OneLine(error) from None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="toets")
def main() -> None:
    """Test AI models for bias, privacy leakage, energy use and task quality.

    A toetssteen (touchstone) shows what gold is worth. It tests; it does not certify.
    """
