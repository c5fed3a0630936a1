import pytest
import torch
from networks import classifier_of
from torchvision.transforms.functional import center_crop

from gliascope.errors import RecipeError
from gliascope.models.classifier import Normalise, build_classifier
from gliascope.preprocessing.preprocess import Preprocessing
from gliascope.recipes import load_recipe


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"])
def test_backbones_that_end_in_tokens_or_channels_last_are_refused(name: str) -> None:
    recipe = load_recipe("quick", [f"backbone={name}", "weights=random"])
    with pytest.raises(RecipeError, match=f"{name}: expected a feature map"):
        build_classifier(recipe, 4)


def test_the_seed_decides_random_weights() -> None:
    first, again, other = (
        classifier_of("residual18", overrides=(f"seed={seed}",)).state_dict() for seed in (1, 1, 2)
    )
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert not torch.equal(first["backbone.conv1.weight"], other["backbone.conv1.weight"])
    assert not torch.equal(first["head.linear.weight"], other["head.linear.weight"])


def test_momentum_of_batch_norm_is_the_backbones_alone() -> None:
    overrides = (
        "batch_norm_momentum=0.01",
        "head.batch_norm=true",
        "head.hidden=[8]",
        "head.dropout=[0, 0]",
    )
    classifier = classifier_of("residual18", overrides=overrides)
    classifier.train()(torch.full((2, 3, 96, 96), 0.5))
    assert classifier.backbone.bn1.running_var[0].item() == pytest.approx(0.99, abs=0.02)
    assert {m.momentum for m in classifier.backbone.modules() if hasattr(m, "momentum")} == {0.01}
    assert {m.momentum for m in classifier.head.modules() if hasattr(m, "momentum")} == {0.1}
    assert classifier_of("residual18").backbone.bn1.momentum == 0.1


def test_channels_are_those_of_the_map_whatever_the_backbone_says() -> None:
    """MobileNetV3 has one more convolution between what timm calls its features and the pooling."""
    assert classifier_of("mobilenetv3_small_050").head.linear.in_features == 1024


@pytest.mark.parametrize(("size", "centre"), [(20, 16), (21, 16), (23, 20), (17, None)])
@pytest.mark.parametrize("channels", ["grey", "rgb"])
def test_the_network_sees_torchvisions_centre_normalised(
    size: int, centre: int | None, channels: str
) -> None:
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    preprocessing = Preprocessing(channels=channels, size=size, centre=centre, mean=mean, std=std)
    pixels = torch.randint(0, 256, (2, *preprocessing.shape), dtype=torch.uint8)
    normalise = Normalise(preprocessing)
    assert normalise.scale_to_unit(pixels).shape[2:] == (size, size)
    colours = pixels[..., None].expand(-1, -1, -1, 3) if channels == "grey" else pixels
    expected = center_crop(colours.permute(0, 3, 1, 2), [preprocessing.input_size] * 2) / 255
    expected = (expected - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    assert torch.allclose(normalise(pixels), expected)


def test_what_is_not_filled_in_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a mean and a std"):
        Normalise(Preprocessing())
