"""A CUDA device in name only: CPU tensors that are marked, and CUDA's rules about mixing them.

Values and gradients are real, so that whole stages run from files to files. What would fail on a
GPU fails here: operations over both devices, `.numpy()` of a CUDA tensor, a CPU generator for CUDA
numbers, CUDA indices of a CPU tensor. It does not see NCCL, streams, pinned memory or kernels.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten

CUDA, CPU = torch.device("cuda", 0), torch.device("cpu")
# May take tensors of both devices.
MIXING = {"_has_compatible_shallow_copy_type", "copy_", "__setitem__", "set_", "swap_tensors"}
NEEDS_HOST = {"numpy", "__array__"}
# Run by autograd, whose own tensors are marked afterwards.
BACKWARD = {"backward", "grad", "_engine_run_backward"}
# No scalar of the CPU may stand beside CUDA tensors here.
NO_SCALARS = {"cat", "stack", "matmul", "conv2d", "mm", "bmm", "__matmul__", "index_put_", "gather",
              "scatter_add_", "topk"}  # fmt: skip


def _is_cuda(device: object) -> bool:
    if device is None or isinstance(device, bool | int):
        return False
    return torch.device(device).type == "cuda"


def _tensors(value: object) -> list[Tensor]:
    return [leaf for leaf in tree_flatten(value)[0] if isinstance(leaf, Tensor)]


class PretendCuda(TorchFunctionMode):
    """Marks what is moved to `cuda`, and all that is computed from it.

    Attributes:
        transfers: how often values came back to the CPU, by the method.
    """

    def __init__(self) -> None:
        super().__init__()
        self.marks: dict[int, StorageWeakRef] = {}
        self.in_backward = 0
        self.transfers: Counter[str] = Counter()

    def on(self, tensor: Tensor) -> bool:
        """Return whether a tensor is marked as being on the device."""
        mark = self.marks.get(tensor.untyped_storage()._cdata)
        return mark is not None and not mark.expired()

    def mark(self, value: object) -> None:
        """Mark every tensor of a value."""
        for tensor in _tensors(value):
            storage = tensor.untyped_storage()
            self.marks[storage._cdata] = StorageWeakRef(storage)

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        name = getattr(function, "__name__", str(function))
        if name == "__get__":
            return self._attribute(function, args, kwargs)
        if name == "__set__":
            return function(*args, **kwargs)
        asked = None
        if kwargs.get("device") is not None:
            asked = _is_cuda(kwargs["device"])
            kwargs["device"] = CPU
        if name in ("to", "cuda", "cpu"):
            return self._moved(function, name, args, kwargs, asked)
        if name in NEEDS_HOST and self.on(args[0]):
            raise TypeError("can't convert a cuda:0 tensor to numpy; use Tensor.cpu() first")
        if name == "pin_memory":
            return args[0].clone()
        if name == "is_pinned":
            return False
        return self._computed(function, name, args, kwargs, asked)

    def _attribute(self, function, args, kwargs):
        tensor, name = args[0], function.__self__.__name__
        if name == "device":
            return CUDA if self.on(tensor) else function(*args, **kwargs)
        if name in ("is_cuda", "is_cpu"):
            return self.on(tensor) == (name == "is_cuda")
        value = function(*args, **kwargs)
        if name in ("grad", "data") and value is not None and self.on(tensor):
            self.mark(value)
        return value

    def _computed(self, function, name, args, kwargs, asked):
        marks = [self.on(tensor) for tensor in _tensors((args, kwargs))]
        if not self.in_backward:
            self._check(name, args, kwargs, marks)
        self.in_backward += name in BACKWARD
        try:
            value = function(*args, **kwargs)
        finally:
            self.in_backward -= name in BACKWARD
        of_cuda = any(marks) and name not in MIXING and name != "state_dict"
        if asked or (asked is None and of_cuda):
            self.mark(value)
        return value

    def _check(self, name, args, kwargs, marks) -> None:
        if kwargs.get("generator") is not None and any(marks):
            raise RuntimeError(f"{name}: a CPU generator for CUDA numbers")
        if name == "__setitem__":
            self._check_assignment(*args)
        if name in MIXING or not any(marks) or all(marks):
            return
        if name == "__getitem__":
            if not marks[0]:
                raise RuntimeError("CUDA indices of a CPU tensor")
            return
        tensors = _tensors((args, kwargs))
        strangers = [
            tensor
            for tensor, marked in zip(tensors, marks, strict=True)
            if not marked and (tensor.dim() > 0 or name in NO_SCALARS)
        ]
        if strangers:
            shapes = ", ".join(str(tuple(tensor.shape)) for tensor in strangers)
            raise RuntimeError(f"{name}: tensors on cuda:0 and on the CPU ({shapes})")

    def _check_assignment(self, target, index, value) -> None:
        indices = _tensors(index)
        if not self.on(target) and any(self.on(some) for some in indices):
            raise RuntimeError("CUDA indices of a CPU tensor")
        several = isinstance(value, Tensor) and value.dim() > 0
        if indices and several and self.on(value) != self.on(target):
            raise RuntimeError("index_put_: tensors on cuda:0 and on the CPU")

    def _moved(self, function, name, args, kwargs, asked):
        tensor, rest = args[0], list(args[1:])
        to_cuda = {"cuda": True, "cpu": False}.get(name, asked)
        if name == "cuda":
            function, rest = torch.Tensor.to, []
        for number, value in enumerate(rest):
            if isinstance(value, torch.device | str):
                to_cuda, rest[number] = _is_cuda(value), CPU
            elif isinstance(value, Tensor):
                to_cuda = self.on(value)
        before = self.on(tensor)
        after = before if to_cuda is None else to_cuda
        value = function(tensor, *rest, **kwargs)
        if before != after:
            self.transfers[name] += before
            if value.untyped_storage()._cdata == tensor.untyped_storage()._cdata:
                value = value.clone()
        if after:
            self.mark(value)
        return value


@contextmanager
def pretend_cuda() -> Iterator[PretendCuda]:
    """Let this process find one CUDA device, with bfloat16 autocast on the CPU in its place."""
    real_autocast = torch.autocast
    real_enabled = torch.is_autocast_enabled
    found, current = torch.cuda.is_available, torch.cuda.current_device
    supported = torch.cuda.is_bf16_supported

    class Autocast(real_autocast):
        def __init__(self, device_type, *args, **kwargs):
            super().__init__("cpu" if device_type == "cuda" else device_type, *args, **kwargs)

    torch.autocast = Autocast
    torch.is_autocast_enabled = lambda kind: real_enabled("cpu" if kind == "cuda" else kind)
    torch.cuda.is_bf16_supported = lambda including_emulation=True: True
    torch.cuda.is_available, torch.cuda.current_device = (lambda: True), (lambda: 0)
    try:
        with PretendCuda() as mode:
            yield mode
    finally:
        torch.autocast, torch.is_autocast_enabled = real_autocast, real_enabled
        torch.cuda.is_bf16_supported = supported
        torch.cuda.is_available, torch.cuda.current_device = found, current
