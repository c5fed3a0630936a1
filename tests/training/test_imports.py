import json
import subprocess
import sys

HEAVY = (
    "lightning",
    "timm",
    "torchvision",
    "torch._dynamo",
    "torch.utils.tensorboard",
    "torch.onnx",
    "onnx",
    "scipy",
    "matplotlib",
)


def test_training_is_imported_without_what_only_a_training_needs() -> None:
    """Timm brings torchvision, which brings torch's compiler; Lightning brings torchmetrics: 10 s of a core."""
    code = "import gliascope.training.run, json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = json.loads(done.stdout)
    assert "torch" in loaded
    assert [name for name in HEAVY if name in loaded] == []
