"""Small random weights in py-feat's file formats: the integration runs, its numbers are random."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from mersynth.face import weights
from mersynth.face.feat_models import import_feat
from mersynth.face.template import TEMPLATE
from mersynth.face.weights import Weights

# py-feat's real design with its smallest backbone and narrow heads.
SMALL_MULTITASK: dict[str, Any] = {
    "backbone": "convnextv2_atto",
    "n_au": 20,
    "n_emotion": 7,
    "n_blendshape": 52,
    "mesh_normalized": True,
    "afg_channels": 16,
    "mefl_channels": 16,
    "unified_lmk_dim": 8,
    "use_head_v3": True,
    "drop_mefl": True,
    "emotion_use_au_prob": True,
}


MEAN = (123.0, 117.0, 104.0)  # RGB; RetinaFace's input is what exceeds it


def place(weights_of: Weights, folder: Path, revision: str = "0123abc") -> Path:
    """Where the Hugging Face cache in a folder holds a file of weights; makes its folders."""
    repository = folder / f"models--{weights_of.repository.replace('/', '--')}"
    path = repository / "snapshots" / revision / weights_of.file
    path.parent.mkdir(parents=True, exist_ok=True)
    (repository / "refs").mkdir(exist_ok=True)
    (repository / "refs" / "main").write_text(revision)
    return path


def write_multitask(folder: Path, **changes: Any) -> Path:
    """Weights of the v2 backend's network."""
    import_feat()
    from feat.multitask.model_v2 import MEGraphAUv2, ModelV2Config

    torch.manual_seed(5)
    config = ModelV2Config(**SMALL_MULTITASK | changes, pretrained=False)
    network = MEGraphAUv2(config)
    path = place(weights.MULTITASK, folder)
    metadata = {"config": json.dumps(dataclasses.asdict(config))}
    save_file(network.state_dict(), path, metadata)
    return path


def write_retinaface(folder: Path, seen: Tensor, unseen: Tensor) -> Path:
    """Weights that find faces in one image, (1, 3, H, W) uint8, and none in the other."""
    import_feat()
    from feat.face_detectors.Retinaface.Retinaface_model import RetinaFace

    torch.manual_seed(6)
    network = RetinaFace()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # one batch gives it all of their statistics
    with torch.no_grad():
        images = torch.cat([seen, unseen]).float() - torch.tensor(MEAN)[:, None, None]
        network.train()(images)
        network.eval()
        for head in (network.ClassHead, network.BboxHead, network.LandmarkHead):
            for name, parameter in head.named_parameters():
                parameter *= 0.0 if name.endswith("bias") else 0.1
        strongest = network(images)[1][..., 1].logit().amax(1)
        assert strongest[0] > strongest[1] + 0.01, "swap the images"
        for name, parameter in network.ClassHead.named_parameters():
            if name.endswith("bias"):  # pairs: no face, face
                parameter[1::2] -= 0.1 * strongest[0] + 0.9 * strongest[1]
    path = place(weights.RETINAFACE, folder)
    save_file(network.state_dict(), path)
    return path


def write_mobilefacenet(folder: Path) -> Path:
    """Weights whose landmarks lie near those of a mean face."""
    import_feat()
    from feat.landmark_detectors.mobilefacenet_test import MobileFaceNet

    torch.manual_seed(7)
    network = MobileFaceNet([112, 112], 136)
    last = network.output_layer.bn
    with torch.no_grad():
        last.weight.fill_(0.01)
        last.bias.copy_(torch.tensor(TEMPLATE.flatten()))
    path = place(weights.MOBILEFACENET, folder)
    torch.save({"state_dict": network.state_dict()}, path)
    return path


def write_trees(folder: Path) -> Path:
    """Classifiers of the v1 backend, fitted to noise."""
    import_feat()
    import xgboost
    from feat.au_detectors.StatLearning.SL_test import XGBClassifier
    from feat.utils.image_operations import HOGLayer
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler
    from skops.io import dump

    rng = np.random.default_rng(8)
    hog = HOGLayer(8, 8, 2, block_normalization="L2-Hys", feature_vector=True)
    features = hog(torch.rand(24, 3, 112, 112)).numpy()
    model, parts = XGBClassifier(), {}
    for region in ("upper", "lower", "full"):
        scaler = StandardScaler().fit(features)
        parts[f"scaler_{region}"] = scaler
        parts[f"pca_model_{region}"] = PCA(4, random_state=0).fit(scaler.transform(features))
    inputs = np.hstack([rng.normal(0, 9, (24, 4)), 112 * rng.random((24, 136))])
    labels = np.arange(24) % 2
    classifiers = {
        name: xgboost.XGBClassifier(n_estimators=4, max_depth=2).fit(
            inputs, rng.permutation(labels)
        )
        for name in model.au_keys
    }
    model.load_weights(**parts, classifiers=classifiers)
    path = place(weights.XGB_AU, folder)
    dump(model, path)
    return path
