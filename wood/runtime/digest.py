"""Digests of code: Snakemake does not see into imported modules, so rules carry these as params."""

import ast
import hashlib
import json
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from wood.runtime.parts import reserved_file

ROOT = Path(__file__).parents[2]
PACKAGES = ("wood", "demo")
# Where Python keeps the byte code of these modules, for the same reason.
KEPT = ROOT / "wood" / "__pycache__" / f"digests.{sys.implementation.cache_tag}.json"
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def code_digest(*modules: str) -> str:
    """Return a digest of the modules named, and of all of `PACKAGES` that they import.

    Imports inside functions count. Comments and formatting do not: the digest is of the parsed
    code without its docstrings.
    """
    closure: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module not in closure:
            closure.add(module)
            waiting.extend(_parsed(module)[1])
    text = "\n".join(f"{module} {_parsed(module)[0]}" for module in sorted(closure))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _file(module: str) -> Path | None:
    path = ROOT.joinpath(*module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


@cache
def _parsed(module: str) -> tuple[str, frozenset[str]]:
    """The digest of one module's own code, and the modules of `PACKAGES` that it imports."""
    path = _file(module)
    if path is None:
        raise ValueError(f"there is no module {module}")
    own, imported = _read(module, path.read_bytes())
    ours = {name for name in imported if name.split(".")[0] in PACKAGES and _file(name)}
    # Importing a module runs its packages too.
    parents = {
        ".".join(name.split(".")[:depth])
        for name in ours
        for depth in range(1, name.count(".") + 1)
    }
    return own, frozenset(ours | parents)


def _read(module: str, source: bytes) -> tuple[str, list[str]]:
    """The digest of a module's code, and all that it imports; a known source is not parsed."""
    checksum = hashlib.sha256(source).hexdigest()
    known = _known().get(module)
    if known is None or known[0] != checksum:
        tree = ast.parse(source)
        imported = _strip_and_find_imports(tree)
        known = [checksum, hashlib.sha256(ast.dump(tree).encode()).hexdigest(), sorted(imported)]
        _known()[module] = known
    return known[1], known[2]


@cache
def _known() -> dict[str, Any]:
    """What was found in the modules before: the checksum of the source, and what `_read` says."""
    try:
        kept = json.loads(KEPT.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept["modules"] if kept.get("python") == sys.version else {}


def keep_digests() -> None:
    """Keep what was found in the modules, for all that read the rules later, a run's jobs too.

    Nothing is kept where nothing can be written.
    """
    text = json.dumps({"python": sys.version, "modules": _known()})
    if KEPT.exists() and KEPT.read_text(encoding="utf-8") == text:
        return
    with suppress(OSError), reserved_file(KEPT) as temporary:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(KEPT)


def _strip_and_find_imports(tree: ast.Module) -> set[str]:
    """Take the docstrings out of a tree, and return what its import statements name.

    Both are statements, or stand first in a body of them, so expressions are not looked through.
    """
    imported: set[str] = set()
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            imported.add(node.module)
            imported |= {f"{node.module}.{alias.name}" for alias in node.names}
        for part in ("body", "orelse", "finalbody", "handlers", "cases"):
            inner = getattr(node, part, None)
            if isinstance(inner, list):
                waiting += inner
        if isinstance(node, DOCUMENTED):
            _drop_docstring(node)
    return imported


def _drop_docstring(node: Any) -> None:
    first = node.body[0] if node.body else None
    if (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    ):
        node.body = node.body[1:] or [ast.Pass()]
