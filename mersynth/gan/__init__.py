"""AU-ICGAN (Xie et al., MM 2020): a generator conditioned on AU intensities, and its training."""
