"""The commands of ``mersynth``, one file each: a few lines around one function of a room."""
