"""The command line: what it says, what it ends with, and that it fits where it is shown."""
