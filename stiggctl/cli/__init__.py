"""The command line: stiggctl VERB PATH [--json].

Here: the group of verbs, and how whatever goes wrong ends: in one line on stderr. Not here: the
verbs (demo.py, doctor.py), how an answer looks (answering.py, tables.py).
"""

import click

from stiggctl import StiggctlError
from stiggctl.cli.answering import Exit, one_line, version_option, write_any_script
from stiggctl.cli.demo import demo
from stiggctl.cli.doctor import doctor


class _Trouble(click.ClickException):
    """One line on stderr, and an exit code."""

    exit_code = Exit.ERROR

    def show(self, file: object = None) -> None:
        """To stderr, whatever `file` is."""
        del file
        click.echo(f"stiggctl: {one_line(self.message)}", err=True)


class _Verbs(click.Group):
    """Verbs whose errors are sentences already."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # who read the output has gone: click ends quietly
        except (StiggctlError, OSError) as error:
            raise _Trouble(str(error)) from error


@click.group(
    cls=_Verbs,
    epilog="Exit codes: 0 done, 1 an error, 2 wrong usage, 4 verify found differences.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@version_option()
def main() -> None:
    """May this AI call spend so much right now? A look at the ledgers that know."""
    write_any_script()


main.add_command(demo)
main.add_command(doctor)
