"""Tree: the resources of a ledger as trees, with what each may spend and has spent.

Here: the verb, and which trees it shows. Not here: how they are drawn (tables.py).
"""

import sys
from collections.abc import Sequence
from typing import NamedTuple

import click

from stiggctl import CustomerNotFound, TreeNode, UsageControl
from stiggctl.cli.answering import Screen, as_json_option, say, say_fact, say_json
from stiggctl.cli.locating import opened_to_read
from stiggctl.cli.tables import trees


class _Root(NamedTuple):
    """A resource to begin a tree at, and whose it is."""

    customer_id: str | None  #: None: the one customer that has it
    resource_id: str


@click.command()
@click.argument("path")
@click.argument("root", required=False)
@click.option("--currency", metavar="ID", help="Only this currency; left out: all that the model has.")
@click.option("--customer", metavar="ID", help="Only this customer's.")
@as_json_option
def tree(*, path: str, root: str | None, currency: str | None, customer: str | None, as_json: bool) -> None:
    """Show the resource ROOT of the ledger PATH and all below it; without ROOT, every tree.

    At each: what is used (booked), held (reserved), left, its limit, and how much of that is taken.
    Without a limit, what was booked under it. Of a large ledger give ROOT and --currency: then
    only what is shown is read.
    """
    screen = Screen.of(sys.stdout)
    with opened_to_read(path) as control:
        roots, currencies = _asked(control, root, currency, customer)
        shown = [
            (each, [control.tree(one.resource_id, each, customer_id=one.customer_id) for one in roots])
            for each in currencies
        ]
    if as_json:
        say_json(
            {
                "trees": [
                    _as_dict(at, node) for _, nodes in shown for at, node in zip(roots, nodes, strict=True)
                ]
            }
        )
    else:
        _say(screen, roots, shown)


def _asked(
    control: UsageControl, root: str | None, currency: str | None, customer: str | None
) -> tuple[list[_Root], list[str]]:
    """Where the trees begin, and the currencies to show them in."""
    if root is not None and currency is not None:
        return [_Root(customer, root)], [currency]
    model = control.export_model()
    if (
        customer is not None
        and root is None
        and customer not in (known := [one.id for one in model.customers])
    ):
        raise CustomerNotFound(customer_id=customer, known=tuple(known))
    currencies = [each.id for each in model.credit_currencies] if currency is None else [currency]
    if root is not None:
        return [_Root(customer, root)], currencies
    roots = [
        _Root(each.customer_id, each.id)
        for each in model.resources
        if each.parent_resource_id is None and customer in (None, each.customer_id)
    ]
    return roots, currencies


def _as_dict(root: _Root, node: TreeNode) -> dict[str, object]:
    return {"customerId": root.customer_id, **node.as_dict()}


def _say(screen: Screen, roots: Sequence[_Root], shown: Sequence[tuple[str, list[TreeNode]]]) -> None:
    if not roots or not shown:
        say_fact(screen, "trees", "there is no resource" if not roots else "there is no credit currency")
        return
    customers = list(dict.fromkeys(root.customer_id for root in roots))
    first = True
    for customer in customers:
        for _, nodes in shown:
            if not first:
                say()
            first = False
            if len(customers) > 1:
                say_fact(screen, "customer", f"{customer}")
            of_customer = [
                node for root, node in zip(roots, nodes, strict=True) if root.customer_id == customer
            ]
            for line in trees(of_customer, screen):
                say(line)
