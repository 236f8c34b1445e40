"""Digests of code: Snakemake does not see into imported modules, so rules carry these as params."""

import ast
import hashlib
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("wood", "demo")


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
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            imported.add(node.module)
            imported |= {f"{node.module}.{alias.name}" for alias in node.names}
    ours = {name for name in imported if name.split(".")[0] in PACKAGES and _file(name)}
    # Importing a module runs its packages too.
    parents = {
        ".".join(name.split(".")[:depth])
        for name in ours
        for depth in range(1, name.count(".") + 1)
    }
    _drop_docstrings(tree)
    own = hashlib.sha256(ast.dump(tree).encode()).hexdigest()
    return own, frozenset(ours | parents)


def _drop_docstrings(tree: ast.Module) -> None:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
            and isinstance(body[0].value.value, str)
        ):
            node.body = body[1:] or [ast.Pass()]
