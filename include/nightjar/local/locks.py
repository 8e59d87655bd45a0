"""``make lock``: resolve pyproject.toml into the locks, and export the requirements of the Airflow image."""

from __future__ import annotations

from pathlib import Path

from nightjar.local.environment import install_uv, uv_environ
from nightjar.local.paths import Paths
from nightjar.local.steps import run_logged, setup_step

_PLAIN = ("--python-version", "3.11", "--no-emit-index-url", "--no-header", "--no-annotate")
_HEADER = "# What the image installs: the versions of requirements/run.lock, without hashes. Written by `make lock`.\n"


def lock(paths: Paths, *, upgrade: bool) -> None:
    """Resolve the dependencies, and write all locks and requirements.

    ``run.lock`` is for this machine; ``dev.lock`` has the same versions with torch and the test tools.
    ``training.lock`` is for the training image, ``training-torch.lock`` the same with torch. ``requirements.txt`` is
    for the Airflow image: ``run.lock`` without hashes, which the image's installer does not accept.

    Args:
        paths: Paths of the checkout.
        upgrade: Whether to take the newest versions; otherwise versions stay that still fit.

    Raises:
        SetupError: when the dependencies conflict.
    """
    run, dev, image = (paths.requirements / name for name in ("run.lock", "dev.lock", "image.txt"))
    project = paths.root / "pyproject.toml"
    versions = ("--upgrade",) if upgrade else ()
    _compile(paths, project, run, "--generate-hashes", *versions)
    _compile(paths, project, dev, "--generate-hashes", *versions, "--extra", "torch", "--extra", "dev", "-c", run)
    _compile(paths, project, image, "-c", run)
    (paths.root / "requirements.txt").write_text(_HEADER + image.read_text())
    image.unlink()
    # NCCL (469 MiB) is only used with GPUs on several ranks: it comes with torch.
    for name, left_out in (("training", ("--no-emit-package", "nvidia-nccl-cu12")), ("training-torch", ())):
        source, output = paths.requirements / f"{name}.in", paths.requirements / f"{name}.lock"
        _compile(paths, source, output, "--generate-hashes", "-c", dev, *left_out)


def pins(text: str) -> dict[str, str]:
    """Return package to version of a lock or a requirements file."""
    pairs = (line.split()[0].split("==") for line in text.splitlines() if line[:1].isalnum())
    return {name: version for name, version in pairs}


def _compile(paths: Paths, source: Path, output: Path, *options: str | Path) -> None:
    log = paths.logs / "lock.log"
    with setup_step(str(output.relative_to(paths.root))):
        command: list[str | Path] = [install_uv(paths, log), "pip", "compile", source, *_PLAIN, *options, "-o", output]
        run_logged(command, log, uv_environ())
