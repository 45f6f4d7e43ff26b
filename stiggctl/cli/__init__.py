"""The command line: stiggctl VERB PATH [--json].

Here: the group of verbs, and how whatever goes wrong ends: in one line on stderr, and one more for
each problem of a model. Not here: the verbs (a module each), how an answer looks (answering.py,
tables.py).
"""

import click

from stiggctl import InvalidModel, StiggctlError
from stiggctl.cli.answering import Exit, one_line, version_option, write_any_script
from stiggctl.cli.apply import apply
from stiggctl.cli.audit import audit
from stiggctl.cli.backup import backup
from stiggctl.cli.check import check
from stiggctl.cli.demo import demo
from stiggctl.cli.denials import denials
from stiggctl.cli.doctor import doctor
from stiggctl.cli.erase import erase
from stiggctl.cli.events import events
from stiggctl.cli.explain import explain
from stiggctl.cli.export import export
from stiggctl.cli.export_model import export_model
from stiggctl.cli.forecast import forecast
from stiggctl.cli.grants import grants
from stiggctl.cli.holders import holders
from stiggctl.cli.override import override
from stiggctl.cli.simulate import simulate
from stiggctl.cli.suspend import resume, suspend
from stiggctl.cli.top import top
from stiggctl.cli.tree import tree
from stiggctl.cli.usage import usage
from stiggctl.cli.verify import verify


class _Trouble(click.ClickException):
    """One line on stderr, and an exit code; of a model one line for each of its problems too."""

    exit_code = Exit.ERROR

    def __init__(self, error: StiggctlError | OSError) -> None:
        self._problems = error.problems if isinstance(error, InvalidModel) else ()
        # The sentence of a model counts its problems, and shows the first of them below.
        super().__init__(str(error).splitlines()[0] if self._problems else str(error))

    def show(self, file: object = None) -> None:
        """To stderr, whatever `file` is."""
        del file
        click.echo(f"stiggctl: {one_line(self.message)}", err=True)
        for problem in self._problems:
            click.echo(f"  {one_line(str(problem))}", err=True)


class _Verbs(click.Group):
    """Verbs whose errors are sentences already."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # who read the output has gone: click ends quietly
        except (StiggctlError, OSError) as error:
            raise _Trouble(error) from error


@click.group(
    cls=_Verbs,
    epilog="Exit codes: 0 done or allowed, 1 an error, 2 wrong usage, 3 denied, 4 verify found differences.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@version_option()
def main() -> None:
    """May this AI call spend so much right now? A look at the ledgers that know."""
    write_any_script()


_VERBS = (
    *(demo, doctor),
    *(apply, export_model, override, suspend, resume, audit, erase),
    *(check, tree, usage, grants, denials, explain, forecast, simulate, events, export),
    *(holders, top, verify, backup),
)
for _verb in _VERBS:
    main.add_command(_verb)
