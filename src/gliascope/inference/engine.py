"""Run a Bundle's graph with ONNX Runtime on batches of preprocessed slices."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gliascope.errors import BundleError
from gliascope.inference.bundle import Bundle
from gliascope.runtime.executors import cores
from gliascope.uncertainty.features import GREY_LEVELS, LAYOUT_SIDE, OodFeatures, ood_features
from gliascope.uncertainty.temperature import softmax


@dataclass(frozen=True, slots=True)
class Outputs:
    """The graph's outputs for n slices.

    Attributes
    ----------
    logits : float32 (n, classes)
    ood_features : float32 (n, width) for each of OOD_FEATURES
        What outlier scores are computed from; empty for a model of another project, which has no Calibrator.
    maps : float32 (n, classes, height, width), or None
        Class activation maps.
    """

    logits: NDArray[np.float32]
    ood_features: OodFeatures
    maps: NDArray[np.float32] | None

    @classmethod
    def concatenate(cls, batches: Sequence["Outputs"]) -> "Outputs":
        """Concatenate the outputs of several batches."""
        maps = [batch.maps for batch in batches if batch.maps is not None]
        return cls(
            np.concatenate([batch.logits for batch in batches]),
            {
                name: np.concatenate([batch.ood_features[name] for batch in batches])
                for name in batches[0].ood_features
            },
            np.concatenate(maps) if maps else None,
        )

    def select(self, rows: NDArray[np.int64]) -> "Outputs":
        """Select slices: those of the given row numbers, int64 (k,), in this order."""
        maps = None if self.maps is None else self.maps[rows]
        features = {name: values[rows] for name, values in self.ood_features.items()}
        return Outputs(self.logits[rows], features, maps)

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Softmax of the logits, (n, classes), not calibrated."""
        return softmax(self.logits)


def open_session(model: bytes | str) -> Any:
    """Open an ONNX Runtime session on all cores, for a graph or the path of one.

    Raises onnxruntime's own errors where it is no graph.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cores()
    # Otherwise idle threads wait in a busy loop, and slow down everything else on the machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class Engine:
    """A Bundle's graph, loaded into ONNX Runtime on the CPU.

    Raises BundleError where the graph cannot be loaded, or does not fit the rest of the bundle.
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
        """Run the graph on preprocessed slices, uint8 (n, size, size) or (n, size, size, 3)."""
        values = dict(zip(self.outputs, self.session.run(None, {"pixels": pixels}), strict=True))
        return Outputs(values["logits"], ood_features(pixels, values["features"]), values.get("maps"))


def _check_fit(bundle: Bundle, session: Any) -> None:
    """Raise BundleError where shapes of the graph differ from those in bundle.json and the Calibrator."""
    graph = {one.name: one.shape[1:] for one in (*session.get_inputs(), *session.get_outputs())}
    pairs = [
        ("pixels of model.onnx", graph.get("pixels", ()), bundle.info.preprocessing.shape),
        ("logits of model.onnx", graph.get("logits", ()), (len(bundle.info.classes),)),
    ]
    if calibrator := bundle.calibrator:
        widths = {
            "network": graph.get("features", ()),
            "grey_levels": (GREY_LEVELS,),
            "layout": (LAYOUT_SIDE**2,),
        }
        for feature, space in calibrator.ood.subspaces.items():
            mean, components = space.mean.shape, space.components.shape
            pairs += [
                (f"{feature}.mean of calibrator.npz", mean, widths[feature]),
                (f"{feature}.components of calibrator.npz", components, (*space.variances.shape, *mean)),
            ]
    for name, shape, expected in pairs:
        if not _shapes_agree(shape, expected):
            shown, wanted = (" × ".join(map(str, one)) or "none" for one in (shape, expected))
            raise BundleError(f"{name}: expected shape {wanted} but got {shown}; make the bundle again")


def _shapes_agree(one: Sequence[Any], two: Sequence[Any]) -> bool:
    """Whether two shapes agree; a graph may give a dimension a name, which agrees with any length."""
    stated = [(a, b) for a, b in zip(one, two, strict=False) if isinstance(a, int) and isinstance(b, int)]
    return len(one) == len(two) and all(a == b for a, b in stated)
