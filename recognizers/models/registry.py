"""The registry: recognition systems by name, fresh or with their authors' weights."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from recognizers.models.base import InputSpec, Recognizer
from recognizers.models.published import PublishedError, read_state_dict

__all__ = [
    "Description",
    "PublishedError",
    "create_model",
    "describe",
    "list_models",
    "load_published",
    "outline",
    "register_model",
    "register_published",
]

Loader = Callable[[Mapping[str, Tensor], int], Recognizer]
_Model = TypeVar("_Model", bound=type[Recognizer])
_Loader = TypeVar("_Loader", bound=Loader)

_MODELS: dict[str, type[Recognizer]] = {}
_LOADERS: dict[str, Loader] = {}


@dataclass(frozen=True, slots=True)
class Description:
    """What a system reads, and its size.

    Attributes:
        name: its registered name.
        paper: its reference.
        published: whether its authors' weights can be loaded.
        inputs: the tensors that it reads, by name.
        options: what ``create_model`` takes besides ``num_classes``, with the defaults.
        parameters: number of trainable parameters.
        multiply_adds: of one sample's forward pass, in matrix products and convolutions.
    """

    name: str
    paper: str
    published: bool
    inputs: dict[str, InputSpec]
    options: dict[str, Any]
    parameters: int
    multiply_adds: int


def register_model(name: str) -> Callable[[_Model], _Model]:
    """Class decorator: register a system under a name.

    Raises:
        ValueError: if the name is taken.
        TypeError: if the class is not a ``Recognizer`` or names no paper.
    """

    def register(model: _Model) -> _Model:
        if name in _MODELS:
            raise ValueError(f"model {name!r} is registered already, as {_MODELS[name].__name__}")
        if not (isinstance(model, type) and issubclass(model, Recognizer)):
            raise TypeError(f"model {name!r} must be a class derived from Recognizer, got {model}")
        if not getattr(model, "paper", ""):
            raise TypeError(f"model {name!r}: class {model.__name__} must name its paper")
        _MODELS[name] = model
        return model

    return register


def register_published(name: str) -> Callable[[_Loader], _Loader]:
    """Decorator for the function that builds a registered system from its authors' state dict.

    The function takes the tensors by the authors' names (without the ``module.`` that DataParallel
    adds) and the number of classes, and raises ``PublishedError`` for tensors that are not theirs;
    ``published.load_renamed`` does most of it.

    Raises:
        ValueError: if no such model is registered, or it has a loader already.
    """

    def register(loader: _Loader) -> _Loader:
        model = _registered(name)
        if name in _LOADERS:
            raise ValueError(f"model {name!r} has a loader of published weights already")
        _LOADERS[name] = loader
        model.published = True
        return loader

    return register


def list_models(*, published: bool | None = None) -> list[str]:
    """Names of the systems, sorted.

    Args:
        published: True for those whose authors' weights can be loaded, False for the others.
    """
    _import_all()
    return sorted(n for n, m in _MODELS.items() if published is None or m.published == published)


def create_model(name: str, num_classes: int, **options: Any) -> Recognizer:
    """A system with fresh weights, drawn from torch's generator.

    Args:
        name: one of ``list_models()``.
        num_classes: number of classes C.
        options: of the system's constructor.

    Returns:
        A module in training mode; ``model(**tensors)`` takes the tensors that ``model.inputs``
        names and returns an ``Output`` with ``logits`` (B, C) and ``features`` (B, D).

    Raises:
        ValueError: if there is no such system, it takes no such option, or an option's value does
            not fit.

    Example:
        >>> create_model("au_gacn", 3, image_size=32, width=16).num_classes
        3
    """
    model = _registered(name)
    allowed = _options(model)
    unknown = [option for option in options if option not in allowed]
    if unknown:
        raise ValueError(
            f"model {name!r} has no option {', '.join(unknown)}; allowed are {', '.join(allowed)}"
        )
    return model(num_classes, **options)


def outline(name: str, num_classes: int, **options: Any) -> Recognizer:
    """The system that ``create_model`` makes, without values: cheap, and enough to know all shapes.

    Weights are on torch's device "meta": nothing is drawn, and nothing can be computed. A system
    that is fitted directly is complete, since its operations may not support the meta device.

    Raises:
        ValueError: as ``create_model``.
    """
    device = "cpu" if _registered(name).fits_directly else "meta"
    with torch.random.fork_rng(devices=[]), torch.device(device), warnings.catch_warnings():
        # Initial weights are read, so that missing ones are reported, and then dropped.
        warnings.filterwarnings("ignore", ".* copying from a non-meta parameter")
        return create_model(name, num_classes, **options)


def load_published(
    name: str, state_dict_or_path: Mapping[str, Any] | str | Path, num_classes: int
) -> Recognizer:
    """A system with weights in the layout that its authors' own code writes.

    Args:
        name: one of ``list_models(published=True)``.
        state_dict_or_path: the tensors by the authors' names, or a file of them (.safetensors, or
            what ``torch.save`` wrote; no code in it is run). They may be nested under
            ``state_dict`` or ``model``, and names may begin with ``module.``.
        num_classes: number of classes C of those weights.

    Raises:
        ValueError: if there is no such system, or its authors published no weights.
        PublishedError: if the file cannot be read, or tensors are missing, unknown or of another
            shape; it names the first ones.
    """
    _import_all()
    _registered(name)
    if name not in _LOADERS:
        have = ", ".join(list_models(published=True)) or "none"
        raise ValueError(
            f"model {name!r} has no published weights that can be loaded; models that have: {have}"
        )
    return _LOADERS[name](read_state_dict(state_dict_or_path), num_classes)


def describe(name: str, num_classes: int = 3, **options: Any) -> Description:
    """A system's inputs and size, counted on a forward pass of one sample.

    Raises:
        ValueError: as ``create_model``.
    """
    _import_all()
    model = outline(name, num_classes, **options).eval()
    device = "cpu" if model.fits_directly else "meta"
    sample = {k: torch.zeros(1, *s.shape, device=device) for k, s in model.inputs.items()}
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(**sample)
    return Description(
        name=name,
        paper=model.paper,
        published=model.published,
        inputs=dict(model.inputs),
        options=_options(type(model)),
        parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
        multiply_adds=counter.get_total_flops() // 2,  # it counts a multiply-add as two
    )


def _registered(name: str) -> type[Recognizer]:
    if not isinstance(name, str):
        raise ValueError(f"a model is named by a text, got {name!r}")
    if name not in _MODELS and name in _modules():
        importlib.import_module(f"{__package__}.{name}")
    if name not in _MODELS:
        raise ValueError(f"no model {name!r}; known: {', '.join(list_models())}")
    return _MODELS[name]


# A process that trains one system does not import the others: torchvision takes seconds.
@cache
def _modules() -> tuple[str, ...]:
    """Names of the files and packages beside this one; a system's has its name."""
    package = importlib.import_module(str(__package__))
    return tuple(module.name for module in pkgutil.iter_modules(package.__path__))


@cache
def _import_all() -> None:
    for name in _modules():
        importlib.import_module(f"{__package__}.{name}")


def _options(model: type[Recognizer]) -> dict[str, Any]:
    parameters = inspect.signature(model).parameters
    return {key: p.default for key, p in parameters.items() if key != "num_classes"}
