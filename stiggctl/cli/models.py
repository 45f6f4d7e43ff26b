"""Models: a model that a verb is given, as a file or on stdin.

Here: reading it. Not here: what is wrong in one (the model's own problems say so).
"""

import sys
from pathlib import Path

from stiggctl import InvalidModel, InvalidRequest, Problem


def read_model(model: str) -> str | Path:
    """The model, as `UsageControl.apply` takes it: a file, or the text of stdin."""
    if model != "-":
        return Path(model)
    read = sys.stdin.buffer.read()
    try:
        text = read.decode()
    except UnicodeDecodeError as error:
        wrong = read[error.start : error.end]
        raise InvalidModel(problems=(Problem("stdin", wrong, "text in UTF-8"),)) from None
    if not text.strip():
        raise InvalidRequest(where="model", value=text, expected="a model as JSON on stdin")
    # Text that begins otherwise would be taken for a path that was meant; behind a space it is read
    # as JSON, and what is wrong with it is told.
    return text if text.startswith("{") else f" {text}"
