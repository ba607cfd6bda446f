"""Files that appear whole or not at all, and the commit that results belong to."""

import contextlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from lrpilot.errors import UserError


class OutputError(UserError):
    """Results can't be written where they should be; the message says what to do."""


def make_folder(folder: Path) -> None:
    """Make a folder for results, and see that it can be written to, before the work that they come from.

    Args:
        folder: May exist.

    Raises:
        OutputError: It can't be made or written to.
    """
    probe = folder / ".writable"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError(
            f"can't write to {folder} ({error.strerror}): make it a folder that you may write to, or run from another "
            "one"
        ) from None


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file that appears whole or not at all.

    Args:
        path: Where to.
        data: What.

    Raises:
        OSError: It can't be written; nothing is left behind.
    """
    temporary = Path(f"{path}.tmp")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def write_text(path: Path, text: str) -> None:
    """Write text, in UTF-8, as `write_bytes` does."""
    write_bytes(path, text.encode())


def write_json(path: Path, data: Any) -> None:
    """Write plain data as JSON, as `write_bytes` does; numbers that are not finite are refused."""
    write_text(path, json.dumps(data, indent=1, allow_nan=False) + "\n")


def commit() -> str:
    """Return the commit of the source tree, marked if it is changed; "unknown" outside a checkout."""
    command = ["git", "-C", str(Path(__file__).resolve().parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return result.stdout.strip()
