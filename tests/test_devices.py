"""The precision in which a machine trains."""

from __future__ import annotations

import pytest
import torch

from mersynth.devices import choose_precision, has_fast_bf16

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("able", "chosen"),
    [
        ({"avx2": True, "avx512_f": True}, "32-true"),
        ({"avx512_bf16": True, "amx_bf16": False}, "bf16-mixed"),
        ({"amx_bf16": True}, "bf16-mixed"),
        ({"architecture": "aarch64"}, "32-true"),
    ],
)
def test_auto_is_bf16_only_where_the_cpu_has_instructions_for_it(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    able: dict[str, object],
    chosen: str,
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)
    assert choose_precision("auto", CPU) == chosen
    assert f"precision=auto is {chosen}: this cpu has" in caplog.text


def test_float32_is_used_if_torch_does_not_know_bf16(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert choose_precision("auto", CPU) == "32-true"
    assert not has_fast_bf16(torch.device("mps"))


def test_the_requested_precision_is_kept_and_slow_bf16_is_reported(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict, raising=False)
    assert choose_precision("32-true", CPU) == "32-true"
    assert not caplog.records
    assert choose_precision("bf16-mixed", CPU) == "bf16-mixed"
    assert "this cpu has no fast bf16" in caplog.text
    with pytest.raises(ValueError, match=r"one of auto, 32-true, bf16-mixed, got '16'"):
        choose_precision("16", CPU)
