"""A process that erases somebody, until it kills itself.

Run as a module: PATH RESOURCE CALLS. It dies at so many calls of functions of the library, counted from
where it begins: so each point before, in and after the transaction is as likely as any.
"""

import sys

from stiggctl import UsageControl

from .spender import die_at_call


def main(path: str, resource_id: str, calls: str) -> None:
    """Erase, and die."""
    control = UsageControl(path)
    die_at_call(int(calls))
    control.erase(resource_id)


if __name__ == "__main__":
    main(*sys.argv[1:])
