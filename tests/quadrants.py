"""A bundle that can be told what to say: the class is the quarter of the slice that is brightest.

`tiny.slice_image(label, seed)` is of class `label`, surely; two discs make it uncertain, and a white slice is
out of scope. Its maps point at the brightest places of that quarter.
"""

import hashlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from outs import TYPES

from gliascope.evaluation.estimate import Estimate
from gliascope.inference.bundle import Bundle, BundleInfo, HeadlineMetrics
from gliascope.preprocessing.preprocess import Preprocessing
from gliascope.uncertainty.calibrator import Calibrator
from gliascope.uncertainty.features import OOD_FEATURES
from gliascope.uncertainty.ood import OodScorer, Subspace

SIDE, CELLS = 16, 4

RIGHT = Estimate(value=0.9763, low=0.951, high=0.9906)
METRICS = HeadlineMetrics(
    leaky=False,
    n=295,
    accuracy=RIGHT,
    balanced_accuracy=RIGHT,
    macro_auroc=RIGHT,
    ece=Estimate(value=0.01, low=0.0, high=0.03),
    brier=Estimate(value=0.05, low=0.02, high=0.08),
)


def quadrant_bundle(slope: float = 0.15, turned: bool = False, plain: bool = False) -> Bundle:
    """turned: the quarters mean the classes in reverse. plain: without maps and Calibrator."""
    content = _graph(slope, turned, not plain)
    info = BundleInfo(
        recipe="quadrants",
        classes=TYPES,
        preprocessing=Preprocessing(size=SIDE),
        tta={},
        activation_maps=not plain,
        parameters=4,
        model_sha256=hashlib.sha256(content).hexdigest(),
        versions={"onnx": onnx.__version__},
        licences={"weights": "none"},
        metrics={"official": METRICS},
    )
    bundle = Bundle(info, content)
    return bundle if plain else bundle.with_calibrator(_calibrator())


def _graph(slope: float, turned: bool, maps: bool) -> bytes:
    order = np.eye(4, dtype=np.float32)[:, ::-1] if turned else np.eye(4, dtype=np.float32)
    quarters = np.kron(np.eye(4).reshape(4, 2, 2), np.ones((2, 2))).astype(np.float32)
    constants = {
        "channel": np.array([1]),
        "weights": np.ascontiguousarray(slope * order),
        "quarters": np.ascontiguousarray(quarters[::-1] if turned else quarters)[None],
    }
    pool, cell = SIDE // 2, SIDE // CELLS
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["floats", "channel"], ["image"]),
        helper.make_node(
            "AveragePool", ["image"], ["means"], kernel_shape=[pool, pool], strides=[pool, pool]
        ),
        helper.make_node("Flatten", ["means"], ["features"]),
        helper.make_node("MatMul", ["features", "weights"], ["logits"]),
    ]
    outputs = [("logits", ["n", 4]), ("features", ["n", 4])]
    if maps:
        nodes += [
            helper.make_node(
                "AveragePool", ["image"], ["cells"], kernel_shape=[cell, cell], strides=[cell, cell]
            ),
            helper.make_node("Mul", ["cells", "quarters"], ["maps"]),
        ]
        outputs.append(("maps", ["n", 4, CELLS, CELLS]))
    graph = helper.make_graph(
        nodes,
        "quadrants",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", SIDE, SIDE])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9
    ).SerializeToString()


def _calibrator() -> Calibrator:
    subspaces = {
        name: Subspace(
            mean=np.full(width, mean, dtype=np.float32),
            components=np.eye(1, width, dtype=np.float32),
            variances=np.ones(1, dtype=np.float32),
            noise=1.0,
        )
        for name, width, mean in zip(OOD_FEATURES, (4, 8, 256), (60.0, 0.0, 0.0), strict=True)
    }
    # The root mean square over three features, two of which are near to everything.
    scales = dict(zip(OOD_FEATURES, (150 / 3**0.5, 1e6, 1e6), strict=True))
    return Calibrator(
        temperature=1.0,
        level=0.95,
        nonconformity=np.arange(1, 40) / 40,
        ood=OodScorer(subspaces, scales),
        training_slices=2,
    )
