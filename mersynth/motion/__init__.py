"""Motion between frames: optical flow, apex spotting, magnification, timing."""
