"""python -m stiggctl.cli: the command line, where its script is not on the path."""

from stiggctl.cli import main

main(prog_name="stiggctl")
