"""Run a Bundle's graph on batches of preprocessed slices."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gliascope.data.parallel import cores
from gliascope.data.preprocess import to_grey
from gliascope.errors import BundleError
from gliascope.inference.bundle import Bundle
from gliascope.inference.judge import PARTS, Looks, softmax

GREYS = 8
LAYOUT = 16


@dataclass(frozen=True, slots=True)
class Outputs:
    """logits (n, classes), maps (n, classes, height, width) or None, float32; and what a Judge wants to know.

    looks: features (n, channels) of the graph; `grey_levels` and `layout` of what it was given.
    """

    logits: NDArray[np.float32]
    looks: Looks
    maps: NDArray[np.float32] | None

    @classmethod
    def join(cls, batches: Sequence["Outputs"]) -> "Outputs":
        """Put batches one after the other."""
        maps = [batch.maps for batch in batches if batch.maps is not None]
        return cls(
            np.concatenate([batch.logits for batch in batches]),
            {name: np.concatenate([batch.looks[name] for batch in batches]) for name in batches[0].looks},
            np.concatenate(maps) if maps else None,
        )

    def at(self, rows: NDArray[np.int64]) -> "Outputs":
        """These rows, in this order."""
        maps = None if self.maps is None else self.maps[rows]
        return Outputs(self.logits[rows], {name: look[rows] for name, look in self.looks.items()}, maps)

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Softmax of the logits, (n, classes): what the graph says, not calibrated (see `judge`)."""
        return softmax(self.logits)


def grey_levels(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Square roots of the shares of pixels in GREYS equal ranges of grey, (n, GREYS).

    Of slices, uint8 (n, height, width) or (n, height, width, 3). Between square roots, Euclidean distance is
    that of Hellinger between histograms.
    """
    shares = [np.bincount(to_grey(one).ravel() // (256 // GREYS), minlength=GREYS) for one in pixels]
    _, height, width = pixels.shape[:3]
    roots: NDArray[np.float32] = np.sqrt(np.stack(shares) / (height * width)).astype(np.float32)
    return roots


def layout(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Where slices are bright and dark, (n, LAYOUT²): mean grey of LAYOUT × LAYOUT equal boxes, in [0, 1].

    Of slices, uint8 (n, height, width) or (n, height, width, 3).
    """
    side = (LAYOUT, LAYOUT)
    small = [Image.fromarray(to_grey(one)).resize(side, Image.Resampling.BOX) for one in pixels]
    return np.stack([np.asarray(one, dtype=np.float32).ravel() / 255 for one in small])


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
    """ONNX Runtime on the CPU.

    Raises BundleError where the graph cannot be loaded, or is not the one that the rest of the bundle is of.
    """

    def __init__(self, bundle: Bundle) -> None:
        try:
            self.session = open_session(bundle.model)
        except Exception as error:  # the runtime's own exceptions share no base class
            raise BundleError(
                f"model.onnx cannot be loaded: {str(error).splitlines()[0]}; make the bundle again, or "
                "upgrade onnxruntime if this one is older than the model"
            ) from None
        self.outputs = [output.name for output in self.session.get_outputs()]
        _check_fit(bundle, self.session)

    def __call__(self, pixels: NDArray[np.uint8]) -> Outputs:
        """Preprocessed slices, uint8 (n, size, size) or (n, size, size, 3), to Outputs."""
        values = dict(zip(self.outputs, self.session.run(None, {"pixels": pixels}), strict=True))
        looks = {"features": values["features"], "greys": grey_levels(pixels), "layout": layout(pixels)}
        return Outputs(values["logits"], looks, values.get("maps"))


def _check_fit(bundle: Bundle, session: Any) -> None:
    """Hold the graph's input, logits and features against bundle.json and the Judge. Raises BundleError."""
    graph = {one.name: one.shape[1:] for one in (*session.get_inputs(), *session.get_outputs())}
    pairs = [
        ("pixels of model.onnx", graph.get("pixels", ()), bundle.info.preprocessing.shape),
        ("logits of model.onnx", graph.get("logits", ()), (len(bundle.info.classes),)),
    ]
    if judge := bundle.judge:
        widths = {"features": graph.get("features", ()), "greys": (GREYS,), "layout": (LAYOUT**2,)}
        for space, width in widths.items():
            mean, components, variances = (judge.arrays[f"{space}.{part}"].shape for part in PARTS)
            pairs += [
                (f"{space}.mean of judge.npz", mean, width),
                (f"{space}.components of judge.npz", components, (*variances, *mean)),
            ]
    for name, shape, expected in pairs:
        if not _alike(shape, expected):
            shown, wanted = (" × ".join(map(str, one)) or "none" for one in (shape, expected))
            raise BundleError(f"{name}: expected shape {wanted} but got {shown}; make the bundle again")


def _alike(one: Sequence[Any], two: Sequence[Any]) -> bool:
    """Whether shapes are equal, as far as a graph states them: a dimension may have a name instead."""
    stated = [(a, b) for a, b in zip(one, two, strict=False) if isinstance(a, int) and isinstance(b, int)]
    return len(one) == len(two) and all(a == b for a, b in stated)
