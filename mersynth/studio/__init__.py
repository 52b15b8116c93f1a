"""``mersynth studio``: a page on this machine, where a face moves as its sliders say."""
