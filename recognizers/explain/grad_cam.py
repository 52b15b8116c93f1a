"""Grad-CAM (Selvaraju et al., ICCV 2017), by captum: where the evidence for a class is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from recognizers.explain.layer_maps import CamLayer, resize
from recognizers.models.base import Recognizer


def grad_cam(
    model: Recognizer,
    inputs: Mapping[str, Tensor],
    classes: Tensor,
    layers: Sequence[CamLayer],
) -> Tensor:
    """ReLU of activations, each channel weighted by the mean gradient of a class's logit.

    Layers that see the same part of the image (the streams of a model) are added before the ReLU,
    as if their channels were of one layer. Layers of the halves fill their half. For clips, the map
    is the mean over the layer's remaining time steps.

    Args:
        model: in evaluation mode.
        inputs: the model's inputs, (B, ...) each.
        classes: (B,) int64, the class to explain of each sample.
        layers: of :func:`recognizers.explain.layer_maps.cam_layers`.

    Returns:
        (B, H, W), 0 or more, H and W those of the first input; without a unit.

    Raises:
        ValueError: if the model is in training mode.
    """
    from captum.attr import LayerGradCam

    if model.training:
        raise ValueError("grad_cam: the model is in training mode; call model.eval() first")
    names = list(inputs)

    def logits(*tensors: Tensor) -> Tensor:
        # The inputs require a gradient, so that there is one even if all parameters are frozen.
        return model(**dict(zip(names, tensors, strict=True))).logits

    count = len(classes)
    height, width = next(iter(model.inputs.values())).size
    given = tuple(inputs[name].detach().requires_grad_() for name in names)
    result = torch.zeros(count, height, width, device=given[0].device)
    for layer in layers:
        method = LayerGradCam(logits, model.get_submodule(layer.name))
        with torch.enable_grad():
            found = method.attribute(given, target=classes).detach()  # (B, 1, [T,] h, w)
        # A model of clips may have put its frames into the batch dimension.
        found = found.reshape(count, -1, *found.shape[-2:]).mean(1)
        rows = layer.rows(height)
        result[:, rows] += resize(found, (rows.stop - rows.start, width))
    return result.relu()
