"""Motion magnification: linear Eulerian (Wu et al. 2012) and learnt (MagNet, Oh et al. 2018).

Both share one convention: **alpha is the ratio of the obtained motion to the true one**, so that
``alpha=1`` changes nothing and ``alpha=4`` turns a motion of half a pixel into two pixels. Wu
et al. write ``(1 + alpha_Wu) * delta``, hence ``alpha = 1 + alpha_Wu``; MagNet's manipulator
multiplies by ``alpha - 1``.
"""

from mersynth.motion.magnify.checkpoint import MagNetError, load_magnet
from mersynth.motion.magnify.convert import convert_published
from mersynth.motion.magnify.evm import eulerian, eulerian_pair
from mersynth.motion.magnify.magnet import MagNet, magnify_clip

__all__ = [
    "MagNet",
    "MagNetError",
    "convert_published",
    "eulerian",
    "eulerian_pair",
    "load_magnet",
    "magnify_clip",
]
