"""Augmentations for micro-expression recognition: importable modules over pure functions.

They need no generator, checkpoint or store: tensors go in and come out. The conventions they share,
and the mapping that keeps AUs, landmarks and indices consistent with the frames, are described in
:mod:`mersynth.augment.base`.
"""

from mersynth.augment.affine import RandomAffine
from mersynth.augment.au_sets import ORDER, au_sets
from mersynth.augment.au_warp import AUWarp
from mersynth.augment.bank import ClipBank
from mersynth.augment.base import Augmentation, Batch, Params
from mersynth.augment.colour import ColorJitter
from mersynth.augment.crop import RandomCrop
from mersynth.augment.emr import EMR, apex_motion
from mersynth.augment.erasing import RandomErasing
from mersynth.augment.flip import RandomHorizontalFlip
from mersynth.augment.mirror import HalfFaceMirror
from mersynth.augment.mixup import MixUp
from mersynth.augment.motion_histogram import motion_histogram
from mersynth.augment.noise import RandomJPEG, SensorNoise
from mersynth.augment.phases import PhasesApart
from mersynth.augment.region_replacing import RegionReplacing
from mersynth.augment.samplers import (
    ClassBalancedSampler,
    SubjectBalancedSampler,
    class_weights,
)
from mersynth.augment.temporal import OnsetApexPair, TemporalResample

__all__ = [
    "EMR",
    "ORDER",
    "AUWarp",
    "Augmentation",
    "Batch",
    "ClassBalancedSampler",
    "ClipBank",
    "ColorJitter",
    "HalfFaceMirror",
    "MixUp",
    "OnsetApexPair",
    "Params",
    "PhasesApart",
    "RandomAffine",
    "RandomCrop",
    "RandomErasing",
    "RandomHorizontalFlip",
    "RandomJPEG",
    "RegionReplacing",
    "SensorNoise",
    "SubjectBalancedSampler",
    "TemporalResample",
    "apex_motion",
    "au_sets",
    "class_weights",
    "motion_histogram",
]
