"""MXNet's `.params` files: the form in which Wide ResNet-38's ImageNet weights are published."""

import math
import struct
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wood.runtime.errors import InputError

LIST_MAGIC = 0x112
ARRAY_WITH_64_BIT_SHAPE = 0xF993FAC8
ARRAY_WITH_STORAGE_TYPE = 0xF993FAC9
DENSE = 0
# Of numpy. A product of 50,000 huge dimensions would take a core for seconds.
MAX_DIMENSIONS = 64
TYPES = ("<f4", "<f8", "<f2", "u1", "<i4", "i1", "<i8")


class _Reader:
    """Little-endian numbers and arrays, one after another."""

    def __init__(self, content: bytes):
        self.content = content
        self.position = 0

    def number(self, form: str) -> int:
        (value,) = struct.unpack_from(f"<{form}", self.content, self.position)
        self.position += struct.calcsize(f"<{form}")
        return value

    def take(self, size: int) -> bytes:
        if size > len(self.content) - self.position:
            raise ValueError("the file is truncated")
        self.position += size
        return self.content[self.position - size : self.position]

    def array(self) -> Tensor:
        magic = self.number("I")
        if magic == ARRAY_WITH_STORAGE_TYPE and self.number("i") != DENSE:
            raise ValueError("it holds a sparse array")
        if magic in (ARRAY_WITH_STORAGE_TYPE, ARRAY_WITH_64_BIT_SHAPE):
            dimensions, form = self.number("I"), "q"
        else:
            # The oldest form has no magic number, but the number of dimensions in its place.
            dimensions, form = magic, "I"
        if dimensions > MAX_DIMENSIONS:
            raise ValueError(f"it holds an array of {dimensions} dimensions")
        shape = [self.number(form) for _ in range(dimensions)]
        if any(side < 0 for side in shape):
            raise ValueError("it holds an array of negative size")
        for _ in ("device type", "device number"):
            self.number("i")
        number = self.number("i")
        if not 0 <= number < len(TYPES):
            raise ValueError(f"it holds numbers of an unknown kind, {number}")
        kind = np.dtype(TYPES[number])
        values = np.frombuffer(self.take(math.prod(shape) * kind.itemsize), dtype=kind)
        return torch.from_numpy(values.reshape(shape).copy())


def read_mxnet_params(path: str | Path) -> dict[str, Tensor]:
    """Read the named dense arrays of an MXNet `.params` file.

    Raises:
        InputError: the file is truncated, or not of this kind.
    """
    reader = _Reader(Path(path).read_bytes())
    try:
        if reader.number("Q") != LIST_MAGIC:
            raise ValueError("it does not begin as one")
        reader.number("Q")
        arrays = [reader.array() for _ in range(reader.number("Q"))]
        names = [reader.take(reader.number("Q")).decode() for _ in range(reader.number("Q"))]
        if len(set(names)) < len(names):
            raise ValueError("it names an array twice")
        return dict(zip(names, arrays, strict=True))
    except (struct.error, ValueError, IndexError) as error:
        raise InputError(f"{path}: not a readable MXNet parameter file ({error}).") from None
