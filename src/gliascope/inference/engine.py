"""Run a Bundle's graph on batches of preprocessed slices."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gliascope.data.parallel import cores
from gliascope.data.preprocess import to_grey
from gliascope.errors import BundleError
from gliascope.inference.bundle import Bundle
from gliascope.inference.judge import Looks, softmax

GREYS = 8


@dataclass(frozen=True, slots=True)
class Outputs:
    """logits (n, classes), features (n, channels), maps (n, classes, height, width) or None; all float32.

    greys (n, GREYS), of what the graph was given, are none of its outputs; see `grey_levels`.
    """

    logits: NDArray[np.float32]
    features: NDArray[np.float32]
    greys: NDArray[np.float32]
    maps: NDArray[np.float32] | None

    @classmethod
    def join(cls, batches: Sequence["Outputs"]) -> "Outputs":
        """Put batches one after the other."""
        maps = [batch.maps for batch in batches if batch.maps is not None]
        return cls(
            np.concatenate([batch.logits for batch in batches]),
            np.concatenate([batch.features for batch in batches]),
            np.concatenate([batch.greys for batch in batches]),
            np.concatenate(maps) if maps else None,
        )

    def at(self, rows: NDArray[np.int64]) -> "Outputs":
        """These rows, in this order."""
        maps = None if self.maps is None else self.maps[rows]
        return Outputs(self.logits[rows], self.features[rows], self.greys[rows], maps)

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Softmax of the logits, (n, classes): what the graph says, not calibrated (see `judge`)."""
        return softmax(self.logits)

    @property
    def looks(self) -> Looks:
        """What a Judge wants to know of the slices beside the logits."""
        return {"features": self.features, "greys": self.greys}


def grey_levels(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Square roots of the shares of pixels in GREYS equal ranges of grey, (n, GREYS).

    Of slices, uint8 (n, height, width) or (n, height, width, 3). Between square roots, Euclidean distance is
    that of Hellinger between histograms.
    """
    shares = [np.bincount(to_grey(one).ravel() // (256 // GREYS), minlength=GREYS) for one in pixels]
    _, height, width = pixels.shape[:3]
    roots: NDArray[np.float32] = np.sqrt(np.stack(shares) / (height * width)).astype(np.float32)
    return roots


def open_session(model: bytes | str) -> Any:
    """An ONNX Runtime session on all cores, of a graph or the path of one.

    Raises onnxruntime's own errors for what is no graph.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cores()
    # Its threads would wait for each other at full speed: all waste wherever something else runs too.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class Engine:
    """ONNX Runtime on the CPU. Raises BundleError where the graph cannot be loaded."""

    def __init__(self, bundle: Bundle) -> None:
        try:
            self.session = open_session(bundle.model)
        except Exception as error:  # the runtime's own exceptions share no base class
            raise BundleError(
                f"model.onnx cannot be loaded: {str(error).splitlines()[0]}; export it again"
            ) from None
        self.outputs = [output.name for output in self.session.get_outputs()]

    def __call__(self, pixels: NDArray[np.uint8]) -> Outputs:
        """Preprocessed slices, uint8 (n, size, size) or (n, size, size, 3), to Outputs."""
        values = dict(zip(self.outputs, self.session.run(None, {"pixels": pixels}), strict=True))
        return Outputs(values["logits"], values["features"], grey_levels(pixels), values.get("maps"))
