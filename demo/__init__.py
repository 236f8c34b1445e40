"""The embedded demo: drawn scenes, as a VOC devkit and an Open Images mirror."""

from demo.generate import generate_demo
from demo.scenes import CLASSES

__all__ = ["CLASSES", "generate_demo"]
