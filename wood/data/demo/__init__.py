"""The embedded demo: drawn scenes, as a VOC devkit and an Open Images mirror."""

from wood.data.demo.generate import generate_demo
from wood.data.demo.scenes import CLASSES

__all__ = ["CLASSES", "generate_demo"]
