"""A device without hardware, to find tensors that are left on the wrong one.

Its name is torch's ``meta``, which has no kernels of its own; while :func:`pretend_device` is open,
a tensor on it has its values in main memory, where everything is computed. So code runs to its end
as on a GPU, also where it looks at values, but a tensor of the device meets one of the CPU only
where CUDA allows it. ``FakeTensorMode`` checks the same without values, and its tensors of a CUDA
device cannot be differentiated on a machine without a driver.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

DEVICE = torch.device("meta")

# A copy is how a tensor comes to another device; an index may lie in main memory.
_COPIES = ("aten._to_copy", "aten.copy_", "aten.copy")
_INDEXING = ("aten.index", "aten.index_put", "aten.index_put_", "aten._index_put_impl_")
_JOINING = ("aten.cat", "aten.stack")
# Operations whose result has a size, or is a number, that the host must wait for.
_WAITING = (
    "aten._local_scalar_dense",
    "aten.equal",
    "aten.nonzero",
    "aten.masked_select",
    "aten._unique2",
    "aten.unique_dim",
)
_MAKERS = (torch.tensor, torch.as_tensor, torch.asarray, Tensor.new_tensor)


class There(Tensor):
    """A tensor on the device; ``values`` are its own."""

    values: Tensor

    @staticmethod
    def __new__(cls, values: Tensor) -> There:
        there = Tensor._make_wrapper_subclass(
            cls,
            values.shape,
            strides=values.stride(),
            storage_offset=values.storage_offset(),
            dtype=values.dtype,
            device=DEVICE,
        )
        there.values = values
        return there

    __torch_function__ = torch._C._disabled_torch_function_impl
    is_meta = False  # it has values

    def __repr__(self) -> str:
        return f"There({self.values})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise AssertionError(f"{func} outside of pretend_device()")


class Device(TorchDispatchMode):
    """Computes the operations on the device.

    Attributes:
        waits: names of the operations for whose result the host waited, in order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"):
            with self:  # in inference mode, operations that consist of others come whole
                whole = func.decompose(*args, **kwargs)
            if whole is not NotImplemented:
                return whole
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        here = any(isinstance(each, There) for each in tensors)
        asked = kwargs.get("device")
        goes_there = here if asked is None else torch.device(asked).type == DEVICE.type
        if not (here or goes_there):
            return func(*args, **kwargs)
        name = str(func._overloadpacket)
        self._check(name, args, kwargs, tensors, goes_there)
        if here and (name in _WAITING or self._comes_back(name, args, goes_there)):
            self.waits.append(name)
        if asked is not None:
            kwargs["device"] = torch.device("cpu")
        plain_args, plain_kwargs = tree_map_only(There, lambda each: each.values, (args, kwargs))
        # What an operation wrote into is given back as it came.
        given = {id(each.values if isinstance(each, There) else each): each for each in tensors}
        result = func(*plain_args, **plain_kwargs)

        def taken(made: Tensor) -> Tensor:
            return given[id(made)] if id(made) in given else There(made) if goes_there else made

        return tree_map_only(Tensor, taken, result)

    @staticmethod
    def _comes_back(name: str, args: Any, goes_there: bool) -> bool:
        if name == "aten._to_copy":
            return not goes_there
        if name == "aten.copy_":
            return not isinstance(args[0], There)
        # An index of truth values is one of as many places as are true.
        masks = tree_leaves(args[1]) if name in _INDEXING else []
        return any(isinstance(mask, There) and mask.dtype == torch.bool for mask in masks)

    @staticmethod
    def _check(name: str, args: Any, kwargs: Any, tensors: list[Tensor], goes_there: bool) -> None:
        if kwargs.get("generator") is not None:
            raise RuntimeError(f"{name} on the device draws from a generator of the CPU")
        if name in _COPIES:
            return
        if name in _INDEXING and isinstance(args[0], There):
            tensors = [args[0], *(leaf for leaf in args[2:] if isinstance(leaf, Tensor))]
        left = [each for each in tensors if not isinstance(each, There)]
        if name not in _JOINING:  # CUDA takes numbers, as tensors without dimensions, from the CPU
            left = [each for each in left if each.dim()]
        if left and any(isinstance(each, There) for each in tensors):
            shapes = ", ".join(str(tuple(each.shape)) for each in left)
            raise RuntimeError(f"{name}: not on the device: tensors of shape {shapes}")


class _FromAndToNumbers(TorchFunctionMode):
    """What torch does not let a device do: of numbers it makes empty tensors on ``meta``."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is Tensor.tolist:
            return func(args[0].cpu())
        if func not in _MAKERS:
            return func(*args, **kwargs)
        if func is Tensor.new_tensor:
            kwargs.setdefault("device", args[0].device)
            kwargs.setdefault("dtype", args[0].dtype)
            func, args = torch.tensor, args[1:]
        device = kwargs.pop("device", None)
        if args and isinstance(args[0], There):
            made = args[0] if func is not torch.tensor else args[0].clone()
            device = made.device if device is None else device
            return made.to(device, kwargs.get("dtype"))
        made = func(*args, **kwargs)
        return made if device is None else made.to(device)


@contextmanager
def pretend_device() -> Iterator[Device]:
    """Open the device; it records the waiting for its results."""
    autocast = torch.autocast

    def on_device(kind: str, *args: Any, **kwargs: Any) -> Any:
        return nullcontext() if kind == DEVICE.type else autocast(kind, *args, **kwargs)

    with mock.patch.object(torch, "autocast", on_device), _FromAndToNumbers(), Device() as device:
        yield device
