"""``mersynth studio``: a local page on which faces move by sliders."""
