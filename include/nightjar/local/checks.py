"""Requirements on a machine before set-up: Linux, Python 3.11, git and make."""

from __future__ import annotations

import shutil
import sys
from importlib.util import find_spec

_TOOLS = {
    "git": "`apt install git` or `dnf install git`",
    "make": "`apt install make` or `dnf install make`",
}


def missing_tools(path: str | None = None) -> list[str]:
    """Return one line per missing requirement, with how to install it.

    Java is checked later, as set-up can install it like a package.

    Args:
        path: Search path; None for the environment's.
    """
    lines = []
    if sys.platform != "linux":
        lines.append(f"Linux is missing (this is {sys.platform}): use a Linux machine, virtual machine or container")
    if sys.version_info[:2] != (3, 11):
        version = ".".join(map(str, sys.version_info[:3]))
        lines.append(
            f"Python 3.11 is missing (this is {version}): `apt install python3.11 python3.11-venv` or "
            "`pyenv install 3.11`"
        )
    if find_spec("pip") is None:
        lines.append("pip for Python 3.11 is missing: `apt install python3-pip` or `python3.11 -m ensurepip --user`")
    lines += [f"{tool} is missing: {how}" for tool, how in _TOOLS.items() if not shutil.which(tool, path=path)]
    return lines
