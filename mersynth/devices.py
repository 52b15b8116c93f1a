"""The device and the precision to compute with."""

from __future__ import annotations

import logging

import torch

from mersynth.checks import check_choice

logger = logging.getLogger(__name__)

#: ``auto``, and what it chooses between: float32, or bf16 where autocast allows it.
PRECISIONS = ("auto", "32-true", "bf16-mixed")


def choose_device(device: str | torch.device) -> torch.device:
    """``"auto"`` is the CUDA device where there is one, else the CPU.

    Raises:
        ValueError: if there is no device of that name, or a CUDA device is asked for and there is
            none.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device must be auto, cpu or cuda, got {device!r}") from error
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device={device}, but there is no CUDA device; use device=cpu")
    return chosen


def choose_precision(precision: str, device: torch.device) -> str:
    """``"auto"`` is ``"bf16-mixed"`` where the device computes in bf16 fast, else ``"32-true"``.

    A CPU without instructions for bf16 emulates it: the small generator takes 70 times as long as
    in float32. The choice is logged.

    Args:
        precision: one of :data:`PRECISIONS`.
        device: where to compute.

    Raises:
        ValueError: if the precision is not one of them.
    """
    check_choice("precision", precision, PRECISIONS)
    fast = has_fast_bf16(device)
    if precision == "auto":
        chosen = "bf16-mixed" if fast else "32-true"
        what = "has" if fast else "has no"
        logger.info("precision=auto is %s: this %s %s fast bf16", chosen, device.type, what)
        return chosen
    if precision == "bf16-mixed" and not fast:
        logger.warning(
            "precision=bf16-mixed, but this %s has no fast bf16: a step can take many times as "
            "long as with precision=auto",
            device.type,
        )
    return precision


def has_fast_bf16(device: torch.device) -> bool:
    """Whether a device has instructions for bf16: CUDA since Ampere, CPUs by AMX or AVX512-BF16.

    False where torch cannot tell, as in versions without ``torch.cpu.get_capabilities``.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu" and hasattr(torch.cpu, "get_capabilities"):
        able = torch.cpu.get_capabilities()
        return bool(able.get("amx_bf16") or able.get("avx512_bf16"))
    return False
