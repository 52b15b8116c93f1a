"""Where to compute."""

from __future__ import annotations

import torch


def choose_device(device: str | torch.device) -> torch.device:
    """``"auto"`` is the CUDA device where there is one, else the CPU.

    Raises:
        ValueError: if the name is that of no device, or a CUDA device is asked for and there is
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
