"""Export-model: the model of a ledger as JSON, which `apply` takes back.

Here: the verb. Not here: what is exported (the control's export_model).
"""

import click

from stiggctl.cli.answering import say
from stiggctl.cli.locating import opened_to_read


@click.command("export-model")
@click.argument("path")
@click.option("--json", "as_json", is_flag=True, help="JSON is what it always answers with.")
def export_model(*, path: str, as_json: bool) -> None:
    """Write the model of the ledger PATH to stdout, as JSON.

    `stiggctl apply` takes it back: in this ledger that changes nothing, in an empty one it makes
    one that decides alike. Usage, and what is archived or suspended, is no part of a model.
    """
    del as_json
    with opened_to_read(path) as control:
        model = control.export_model()
    say(model.model_dump_json(indent=2))
