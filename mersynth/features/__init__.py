"""What recognizers read of a store, computed once and kept beside it."""

from mersynth.features.cache import FeatureError, compute_features, load_feature

__all__ = ["FeatureError", "compute_features", "load_feature"]
