"""Features of a store that recognizers read, computed once and kept in the store."""

from mersynth.features.cache import FeatureError, compute_features, load_feature

__all__ = ["FeatureError", "compute_features", "load_feature"]
