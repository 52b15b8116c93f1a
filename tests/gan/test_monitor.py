"""What a training reports of itself: masks and faces that do not move."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mersynth.gan.monitor import Monitor
from mersynth.gan.trainer import TrainingError


@pytest.mark.parametrize(("mean", "warned"), [(0.5, False), (0.999, True), (0.01, True)])
def test_saturated_mask_is_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mean: float, warned: bool
) -> None:
    monitor = Monitor(tmp_path, first_step=0)
    monitor.log({"mask/mean": torch.tensor(mean)}, step=1)
    monitor.flush()
    monitor.close()
    assert ("has saturated" in caplog.text) == warned


@pytest.mark.parametrize(("mean", "warned"), [(0.999, False), (0.01, True)])
def test_with_a_motion_head_the_mask_may_keep_everything(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mean: float, warned: bool
) -> None:
    monitor = Monitor(tmp_path, first_step=0)
    monitor.log({"mask/mean": torch.tensor(mean), "L_mo": torch.tensor(0.0)}, step=1)
    monitor.flush()
    monitor.close()
    assert ("has saturated" in caplog.text) == warned


def test_a_generator_that_stops_moving_faces_is_stopped(tmp_path: Path) -> None:
    monitor = Monitor(tmp_path, first_step=0)

    def log(moved: float, steps: range) -> None:
        for step in steps:
            monitor.log({"moved": torch.tensor(moved)}, step)
        monitor.flush()

    log(0.6, range(250))
    log(0.3, range(250, 500))
    with pytest.raises(TrainingError, match=r"change by 0.0\d\d of .* after 0.60 earlier"):
        log(0.001, range(500, 800))
    monitor.close()
