import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from gliascope.export.onnx import to_onnx
from gliascope.export.tta import apply_tta_view
from gliascope.recipes.schema import TtaView

PUBLISHED = (  # the views that `efficientnetv2s-three-stage` averages are of this kind
    TtaView(),
    TtaView(flip=True),
    TtaView(rotate=10, translate=(0.05, -0.05), scale=1.05),
    TtaView(flip=True, rotate=-10, translate=(-0.05, 0.02), scale=0.95),
)


def pictures(n: int = 2, size: int = 32) -> Tensor:
    return torch.rand(n, 1, size, size, generator=torch.Generator().manual_seed(0))


def test_the_plain_view_is_the_picture_itself() -> None:
    images = pictures()
    assert apply_tta_view(images, TtaView()) is images


def test_a_flip_is_exact() -> None:
    assert torch.equal(apply_tta_view(pictures(), TtaView(flip=True)), pictures().flip(-1))


def test_a_quarter_turn_is_counter_clockwise() -> None:
    assert torch.allclose(
        apply_tta_view(pictures(), TtaView(rotate=90)), torch.rot90(pictures(), 1, (2, 3)), atol=1e-5
    )


def test_shifts_go_right_and_down_and_black_comes_in() -> None:
    shifted = apply_tta_view(pictures(), TtaView(translate=(0.25, 0.125)))
    assert torch.allclose(shifted[..., 4:, 8:], pictures()[..., :-4, :-8], atol=1e-5)
    assert (shifted[..., :4, :] == 0).all() and (shifted[..., :8] == 0).all()


def test_scale_enlarges_from_the_middle() -> None:
    enlarged = apply_tta_view(pictures(), TtaView(scale=2))
    expected = nn.functional.interpolate(pictures()[..., 8:-8, 8:-8], scale_factor=2.0, mode="bilinear")
    assert torch.allclose(enlarged[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1], atol=1e-5)


@pytest.mark.parametrize("flip", [False, True])
def test_the_steps_follow_one_another(flip: bool) -> None:
    at_once = apply_tta_view(pictures(), TtaView(flip=flip, rotate=90, translate=(0.25, -0.125), scale=2))
    steps = (TtaView(flip=flip), TtaView(rotate=90), TtaView(translate=(0.25, -0.125)), TtaView(scale=2))
    images = pictures()
    for step in steps:
        images = apply_tta_view(images, step)
    assert torch.allclose(at_once, images, atol=1e-4)


def test_views_export_to_onnx() -> None:
    class Views(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.cat([apply_tta_view(images, one) for one in PUBLISHED])

    model = to_onnx(Views().eval(), pictures(2), "images", ["views"])
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    for n in (1, 3):
        seen = session.run(None, {"images": pictures(n).numpy()})[0]
        assert np.abs(seen - Views()(pictures(n)).numpy()).max() < 1e-5
