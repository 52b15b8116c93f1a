"""Explanations of finished runs: where models looked, and maps of their features."""

from recognizers.explain.attention import attention_maps
from recognizers.explain.au_cam import au_cam
from recognizers.explain.clip_maps import ExplainedClips, Target, explain_clips
from recognizers.explain.explaining import Method, explain
from recognizers.explain.grad_cam import grad_cam
from recognizers.explain.layer_maps import CamLayer, cam_layers
from recognizers.explain.opening import OpenedRun
from recognizers.explain.truth import apex_flow, mass_inside, moving_region

__all__ = [
    "CamLayer",
    "ExplainedClips",
    "Method",
    "OpenedRun",
    "Target",
    "apex_flow",
    "attention_maps",
    "au_cam",
    "cam_layers",
    "explain",
    "explain_clips",
    "grad_cam",
    "mass_inside",
    "moving_region",
]
