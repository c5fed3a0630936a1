"""The frozen layers of a network, run by whichever engine is fastest on the machine."""

from typing import Any

import onnxruntime
import torch
from torch import Tensor, nn

from gliascope.export.onnx import to_onnx
from gliascope.inference.engine import open_session
from gliascope.recipes import Precision
from gliascope.training.environment import autocast, engine_name

MIN_IMAGES_TO_EXPORT = 2000  # exporting takes ten seconds, which fewer images do not win back


class FrozenBackbone:
    """The frozen layers: network input (n, 3, size, size) to activations.

    On a CPU, ONNX Runtime fuses layers and takes half to four fifths of torch's time. It runs the layers
    there, in float32, unless the recipe asks for bf16 or the images are too few to win back the time of the
    export.

    Parameters
    ----------
    network
        The frozen layers.
    device
        Where they run.
    images
        How many images are expected in all.
    precision
        The recipe's.
    """

    def __init__(
        self, network: nn.Module, device: torch.device, images: int, precision: Precision = "auto"
    ) -> None:
        self.network, self.device, self.precision = network.eval(), device, precision
        self._session: Any = None
        self.uses_onnxruntime = (
            device.type == "cpu" and images >= MIN_IMAGES_TO_EXPORT and precision != "bf16"
        )

    @property
    def engine_name(self) -> str:
        """Name of what computes, and its precision, for the keys of caches."""
        if self.uses_onnxruntime:
            return f"onnxruntime {onnxruntime.__version__}, exported by torch {torch.__version__}"
        return engine_name(self.device, self.precision)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Compute activations of images (n, 3, size, size): float32, or bf16 where `autocast` chooses it."""
        if not self.uses_onnxruntime:
            with autocast(self.device, self.precision):
                return self.network(images)  # type: ignore[no-any-return]
        if self._session is None:
            example = images[:1].repeat(2, 1, 1, 1)  # the exporter takes a batch size of 1 for a constant
            self._session = open_session(to_onnx(self.network, example, "images", ["activations"]))
        (values,) = self._session.run(None, {"images": images.contiguous().numpy()})
        activations = torch.from_numpy(values)
        return (
            activations.contiguous(memory_format=torch.channels_last)
            if activations.ndim == 4
            else activations
        )
