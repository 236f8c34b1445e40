"""What a reader can hold in the head: no module of `wood` over 400 lines, no function over 60."""

import ast

from tests.places import ROOT

MODULES = sorted((ROOT / "wood").rglob("*.py"))
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def test_no_module_has_over_400_lines():
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {str(path.relative_to(ROOT)): n for path, n in lines.items() if n > 400} == {}


def test_no_function_has_over_60_lines():
    """From its `def` to its end, the signature and the docstring included."""
    long = {}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, FUNCTIONS) and node.end_lineno - node.lineno >= 60:
                name = f"{path.relative_to(ROOT)}: {node.name}"
                long[name] = node.end_lineno - node.lineno + 1
    assert long == {}
