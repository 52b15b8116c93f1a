"""Which Action Units each emotion shows, and how often.

Modelled on SAMM's annotations: few AUs, often one, often on one side, and the same AU under several
emotions.
"""

from __future__ import annotations

CELLS: dict[str, dict[str, float]] = {
    "anger": {"7": 22, "4": 12, "4+7": 14, "7+43": 4, "4+7+43": 2, "4+6+7+9": 2, "L4": 1,
              "A7": 2, "L7": 1, "17": 1, "T23": 1, "4+17": 2, "7+24": 1},
    "happiness": {"12": 9, "L12": 4, "R12": 3, "6+12": 6, "A12": 3, "R6+R12": 1, "7+12": 2,
                  "12+24": 1, "L12+25": 1, "10+12": 1, "12+25": 2},
    "contempt": {"L14": 4, "R14": 4, "14": 2, "A14": 1, "R14+17": 1, "L12+L14": 1, "14+25": 1,
                 "L14+24": 1},
    "surprise": {"5": 6, "1+2": 5, "1+2+5": 3, "25+26": 2, "26": 1, "5+24": 1, "1+2+L14": 1,
                 "5+25": 1},
    "other": {"L2": 5, "R2": 4, "24": 5, "17": 2, "20": 1, "2": 1, "25": 2, "4": 2, "7": 1,
              "14": 1, "28": 1, "11": 1, "12+17": 1, "23": 1, "1": 1},
    "disgust": {"9": 3, "10": 3, "4+9": 2, "L10": 1, "9+10": 2, "A9+12": 1, "R10+25+26": 1},
    "fear": {"20": 3, "L20": 1, "R20": 2, "7+20+26": 1, "5+20+25": 1, "1+2+4": 1},
    "sadness": {"1": 2, "A1": 2, "17": 1, "15+17": 2, "1+4": 2, "1+15": 1, "12+15": 1},
}  # fmt: skip
"""Emotion (labels of SAMM): AU cells, each with its weight."""
