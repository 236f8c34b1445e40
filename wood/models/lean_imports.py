"""torchvision and timm, without what they import and no network here uses.

A job's start is mostly imports. torchvision loads torch's compiler for one check in the pooling of
regions, and timm loads every network it knows, with all of torchvision and the client of a model
hub. Here both leave that for later: it is imported as usual once somebody asks for it.
"""

import importlib
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from types import ModuleType
from typing import Any

COMPILER = "torch._dynamo"


def torchvision_models() -> ModuleType:
    """Return torchvision.models."""
    with _without_compiler():
        return importlib.import_module("torchvision.models")


def create_timm_model(name: str, **arguments: Any) -> Any:
    """Return what `timm.create_model` does; only the file that defines the network is imported.

    Raises:
        RuntimeError, TypeError, AssertionError: as `timm.create_model`.
    """
    if "timm" not in sys.modules:
        _prepare_timm()
    with _without_compiler():
        if defined := _file_of(name):
            importlib.import_module(f"timm.models.{defined}")
            create = importlib.import_module("timm.models._factory").create_model
        else:
            create = importlib.import_module("timm").create_model
    return create(name, **arguments)


def timm_layers() -> ModuleType:
    """Return timm.layers."""
    if "timm" not in sys.modules:
        _prepare_timm()
    with _without_compiler():
        return importlib.import_module("timm.layers")


def _file_of(name: str) -> str | None:
    """Return the module of timm.models that defines a network, None where none does by name."""
    function = re.compile(rf"^def {re.escape(name.partition('.')[0])}\(", re.MULTILINE)
    [folder] = sys.modules["timm.models"].__path__
    for path in sorted(Path(folder).glob("[!_]*.py")):
        if function.search(path.read_text(encoding="utf-8")):
            return path.stem
    return None


def _prepare_timm() -> None:
    """Make timm's packages known without running them, but for the names that its files need."""
    timm: Any  # a stand-in takes what the package has
    timm, _, data = (_lazy_package(name) for name in ("timm", "timm.models", "timm.data"))
    timm.__version__ = importlib.import_module("timm.version").__version__
    constants = importlib.import_module("timm.data.constants")
    vars(data).update({key: value for key, value in vars(constants).items() if key.isupper()})


def _lazy_package(name: str) -> ModuleType:
    """Import a package that runs its own file when it is first asked for a name it lacks."""
    specification = find_spec(name)
    package: Any = module_from_spec(specification)

    def run(attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        vars(package).pop("__getattr__", None)
        specification.loader.exec_module(package)
        return getattr(package, attribute)

    package.__getattr__ = run
    sys.modules[name] = package
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, package)
    return package


@contextmanager
def _without_compiler() -> Iterator[None]:
    """Let torchvision import its check for the compiler, which then imports it when called."""
    if COMPILER in sys.modules:
        yield
        return
    package: Any = ModuleType(COMPILER)
    utilities: Any = ModuleType(f"{COMPILER}.utils")
    package.__path__ = []
    utilities.is_compile_supported = lambda device: importlib.import_module(
        f"{COMPILER}.utils"
    ).is_compile_supported(device)
    stand_ins = {module.__name__: module for module in (package, utilities)}

    def real(attribute: str) -> Any:
        """What asks for more of the compiler than the check gets the compiler itself."""
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        for name, module in stand_ins.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]
        return getattr(importlib.import_module(COMPILER), attribute)

    package.__getattr__ = real
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name, module in stand_ins.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]
