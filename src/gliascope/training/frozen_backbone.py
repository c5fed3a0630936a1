"""The frozen part of a network, run as fast as the machine can."""

from typing import Any

import onnxruntime
import torch
from torch import Tensor, nn

from gliascope.export.onnx import to_onnx
from gliascope.inference.engine import open_session
from gliascope.recipes import Precision
from gliascope.training.environment import autocast, engine_name

MIN_IMAGES_TO_EXPORT = 2000  # images, from which exporting (ten seconds) pays


class FrozenBackbone:
    """Frozen layers: network input (n, 3, size, size) to their activations.

    images: how many it will be given. On a CPU ONNX Runtime runs it where that many pay for the export, in
    float32, all it has there: it fuses layers, which takes half to four fifths of torch's time.
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
        """What computes, and how, for the name of what is kept."""
        if self.uses_onnxruntime:
            return f"onnxruntime {onnxruntime.__version__}, exported by torch {torch.__version__}"
        return engine_name(self.device, self.precision)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Float32, or bf16 where `mixed` makes it so."""
        if not self.uses_onnxruntime:
            with autocast(self.device, self.precision):
                return self.network(images)  # type: ignore[no-any-return]
        if self._session is None:
            example = images[:1].repeat(2, 1, 1, 1)  # the exporter would take 1 for fixed
            self._session = open_session(to_onnx(self.network, example, "images", ["activations"]))
        made = torch.from_numpy(self._session.run(None, {"images": images.contiguous().numpy()})[0])
        return made.contiguous(memory_format=torch.channels_last) if made.ndim == 4 else made
