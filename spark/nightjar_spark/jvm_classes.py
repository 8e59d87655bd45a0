"""Compile the few Java classes that Spark needs, with the compiler that Spark includes (Janino)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SOURCES = Path(__file__).parent / "java"


def compile_into(jvm: Any, folder: Path) -> None:
    """Compile ``java/*.java`` into ``folder``, which must be on the JVM's class path.

    A folder, not the compiler's class loader: Hive and Spark look classes up by name in their own threads.
    """
    for source in sorted(SOURCES.glob("*.java")):
        compiler = jvm.org.codehaus.janino.SimpleCompiler()
        compiler.cook(source.read_text())
        for name, code in compiler.getBytecodes().items():
            target = folder / f"{name.replace('.', '/')}.class"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(bytes(code))
