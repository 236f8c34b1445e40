"""The rooms of `wood` stand in layers: a room imports those below it only."""

import ast
import re
from pathlib import Path

from tests.places import ROOT

# From the ground up. The rooms of one storey do not import one another.
LAYERS = [
    {"runtime"},
    {"data", "maps", "metrics", "crf"},
    {"scoring", "models", "training"},
    {"ood"},
    {"seeds", "affinity", "segmentation"},
    {"review", "report"},
    {"workflow"},
    {"cli"},
    {"__main__"},
]
STOREY = {room: number for number, rooms in enumerate(LAYERS) for room in rooms}


def room(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "wood" and len(parts) > 1 else None


def imports(path: Path) -> set[str]:
    """The modules that a file imports, those inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "wood":
            found |= {f"wood.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def test_every_room_has_its_storey():
    folder = ROOT / "wood"
    packages = {path.parent.name for path in folder.glob("*/__init__.py")}
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert packages | modules == set(STOREY)


def test_the_unit_tests_have_the_same_rooms():
    """What concerns several rooms lies in tests/unit itself."""
    rooms = {path.parent.name for path in (ROOT / "tests" / "unit").glob("*/__init__.py")}
    assert rooms <= set(STOREY) | {"demo"}


def test_a_room_imports_lower_rooms_only():
    broken = []
    for path in sorted((ROOT / "wood").rglob("*.py")):
        place = path.relative_to(ROOT).with_suffix("").parts
        if place == ("wood", "__init__"):
            continue
        own = place[1]
        for module in imports(path):
            other = room(module)
            if other and other != own and STOREY[other] >= STOREY[own]:
                broken.append(f"{'.'.join(place)} imports {module}")
    assert broken == []


def test_the_library_knows_neither_snakemake_nor_the_demo():
    strangers = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in sorted((ROOT / "wood").rglob("*.py"))
        for module in imports(path)
        if module.split(".")[0] in ("snakemake", "demo")
    ]
    assert strangers == []


def test_the_picture_in_the_documentation_shows_these_layers():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    [picture] = re.findall(r"^```mermaid\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    boxes = dict(re.findall(r'^ *(\w+)\["(.*)"\]$', picture, re.MULTILINE))
    [arrows] = re.findall(r"^ *(\w+(?: --> \w+)+)$", picture, re.MULTILINE)
    top, *layers = arrows.split(" --> ")
    assert set(boxes) == {top, *layers}
    assert [set(boxes[name].split(" | ")) for name in reversed(layers)] == LAYERS
