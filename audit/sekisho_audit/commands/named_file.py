"""The name of something to write. `-` is refused: elsewhere it means standard output, and here it
would make a file of that name, beside whatever the other program reads in vain.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def named_file(text: str) -> Path:
    """A path as an argument; for `type` of argparse. Raises ArgumentTypeError."""
    if text == "-":
        raise argparse.ArgumentTypeError(
            "this is not written to standard output; name what to write, and read that "
            "(./- if it is really to be called -)"
        )
    return Path(text)
