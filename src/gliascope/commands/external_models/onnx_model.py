"""Run an ONNX model that was trained elsewhere.

Its input and output are described by the file itself as far as possible, and otherwise by the user.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml
from numpy.typing import NDArray
from pydantic import ValidationError

from gliascope.classes import canonical_class
from gliascope.commands.evaluated_model import CachedOutputs, ModelPredictions, ModelReport
from gliascope.commands.external_models.class_mapping import ClassMapping
from gliascope.errors import ExternalModelError
from gliascope.inference.engine import Outputs, open_session
from gliascope.preprocessing.preprocess import Preprocessing
from gliascope.recipes.ranges import describe_errors
from gliascope.reports.model import OnnxModel
from gliascope.store.store import Store

KINDS = ("logits", "probabilities")
_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
}
_SUM_TOLERANCE = 1e-3  # of probabilities in half precision


@dataclass(frozen=True, slots=True)
class OnnxOptions:
    """What an ONNX file does not state about its model.

    Parameters
    ----------
    classes
        Names of the classes, in the order of the outputs.
    preprocessing
        Values by key of Preprocessing; other keys follow from the input of the model.
    outputs
        One of KINDS; None to find out from the first batch of outputs.
    """

    classes: tuple[str, ...]
    preprocessing: Mapping[str, Any] = field(default_factory=dict)
    outputs: str | None = None

    @classmethod
    def parse(cls, classes: str | None, preprocessing: Sequence[str], outputs: str | None) -> "OnnxOptions":
        """Parse the options of the command line.

        Parameters
        ----------
        classes
            Names separated by commas.
        preprocessing
            KEY=VALUE texts.
        outputs
            One of KINDS, or None.

        Raises
        ------
        ExternalModelError
            If one of them cannot be parsed.
        """
        if not classes:
            raise ExternalModelError(
                "expected --classes with the classes of the model, in the order of its outputs"
            )
        if outputs not in (None, *KINDS):
            raise ExternalModelError(f"expected --outputs {' or '.join(KINDS)} but got {outputs!r}")
        stated = {}
        for text in preprocessing:
            key, equals, value = text.partition("=")
            try:
                stated[key.strip()] = yaml.safe_load(value)
            except yaml.YAMLError:
                equals = ""
            if not equals:
                raise ExternalModelError(f"{text!r}: expected KEY=VALUE, like mean=[0.485,0.456,0.406]")
        return cls(tuple(canonical_class(name) for name in classes.split(",")), stated, outputs)


@dataclass(frozen=True, slots=True)
class OnnxInput:
    """The input of an ONNX model.

    Parameters
    ----------
    name
        Name of the input.
    dtype
        NumPy type; uint8 means unscaled pixels.
    channels
        1 or 3; None for an input without a channel axis.
    last
        Whether the channel axis is the last one.
    size
        Side in pixels; None for any.
    batch
        Number of slices; None for any.
    """

    name: str
    dtype: Any
    channels: int | None
    last: bool
    size: int | None
    batch: int | None

    @classmethod
    def of(cls, file: Path, session: Any) -> "OnnxInput":
        """Read the input of a session. Raises ExternalModelError if it is not a batch of slices."""
        inputs = session.get_inputs()
        shapes = "; ".join(f"{one.name} {one.type} {one.shape}" for one in inputs)
        if len(inputs) != 1 or inputs[0].type not in _TYPES or len(inputs[0].shape) not in (3, 4):
            raise ExternalModelError(f"{file}: expected one input, a batch of slices, but got {shapes}")
        one = inputs[0]
        batch, *rest = (length if isinstance(length, int) else None for length in one.shape)
        last, channels = False, None
        if len(rest) == 3:
            # Axes of unknown length are taken to be in PyTorch's order.
            last = rest[0] not in (1, 3) and rest[2] in (1, 3)
            channels = rest.pop(2 if last else 0) or 3
        if channels not in (None, 1, 3) or rest[0] != rest[1]:
            raise ExternalModelError(
                f"{file}: expected square slices of one or three channels but got {shapes}"
            )
        return cls(one.name, _TYPES[one.type], channels, last, rest[0], batch)

    def preprocessing(self, file: Path, stated: Mapping[str, object]) -> Preprocessing:
        """Return the stated preprocessing, completed by what the input needs.

        By default, size is that of the input or 224, channels are rgb for three channels, and values are
        scaled to 0…1 (mean 0 and std 1).

        Raises
        ------
        ExternalModelError
            If the stated values contradict the input, or are not valid for Preprocessing.
        """
        channels = "rgb" if self.channels == 3 else "grey"
        plain = {} if self.dtype is np.uint8 else {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
        size = {} if self.size is None or "centre" in stated else {"size": self.size}
        try:
            preprocessing = Preprocessing.model_validate({"channels": channels} | size | plain | dict(stated))
        except ValidationError as error:
            raise ExternalModelError(
                f"{file}: preprocessing {describe_errors(error, Preprocessing)}"
            ) from None
        if self.size not in (None, preprocessing.input_size):
            raise ExternalModelError(
                f"{file}: takes {self.size} pixels to a side but the preprocessing gives "
                f"{preprocessing.input_size}"
            )
        if preprocessing.channels == "rgb" and self.channels != 3:
            raise ExternalModelError(f"{file}: takes one channel; leave out channels=rgb")
        if self.dtype is np.uint8 and (preprocessing.mean or preprocessing.std):
            raise ExternalModelError(f"{file}: takes bytes and so scales them itself; leave out mean and std")
        return preprocessing

    def __call__(self, pixels: NDArray[np.uint8], preprocessing: Preprocessing) -> NDArray[Any]:
        """Convert stored slices, uint8 (n, size, size[, 3]), to the input array of the model."""
        start, side = preprocessing.margin, preprocessing.input_size
        values: NDArray[Any] = pixels[:, start : start + side, start : start + side]
        values = values.reshape(len(values), side, side, -1)
        channels = self.channels or 1
        values = np.repeat(values, channels // values.shape[3], axis=3)
        if preprocessing.mean and preprocessing.std:
            mean, std = np.array(preprocessing.mean), np.array(preprocessing.std)
            values = (values / 255 - mean[:channels]) / std[:channels]
        if self.channels is None:
            values = values[..., 0]
        elif not self.last:
            values = values.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(values, dtype=self.dtype)


class OnnxGraph:
    """An opened ONNX model with its preprocessing and the meaning of its outputs.

    Raises ExternalModelError if the model cannot be opened or run, or does not fit the options.
    """

    def __init__(self, file: Path, options: OnnxOptions) -> None:
        self.file, self.classes = file, options.classes
        self.kind, self.output = options.outputs, ""  # both known after the first batch
        try:
            self.session = open_session(str(file))
        except Exception as error:  # the runtime's own exceptions share no base class
            reason = str(error).splitlines()[0]
            raise ExternalModelError(f"{file}: cannot be opened as an ONNX graph ({reason})") from None
        self.input = OnnxInput.of(file, self.session)
        self.preprocessing = self.input.preprocessing(file, options.preprocessing)

    def __call__(self, pixels: NDArray[np.uint8]) -> Outputs:
        """Run the model on preprocessed slices, uint8 (n, size, size[, 3])."""
        values = self.input(pixels, self.preprocessing)
        logits = self._logits(self._run(values)).astype(np.float32)
        if np.isnan(logits).any():
            raise ExternalModelError(
                f"{self.file}: gives values that are not numbers (NaN); check --preprocessing"
            )
        return Outputs(logits, {}, None)

    def _run(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return the output that has a column for each class, (n, columns)."""
        step = self.input.batch or len(values)
        batches = []
        for start in range(0, len(values), step):
            batch = values[start : start + step]
            # A model with a fixed batch size needs a full batch.
            filled = np.concatenate([batch, np.repeat(batch[-1:], step - len(batch), axis=0)])
            try:
                outputs = self.session.run(None, {self.input.name: filled})
            except Exception as error:  # as above
                reason = str(error).splitlines()[0]
                raise ExternalModelError(f"{self.file}: cannot be run on slices ({reason})") from None
            batches.append(self._choose_output(outputs, step)[: len(batch)])
        return np.concatenate(batches)

    def _choose_output(self, outputs: Sequence[Any], n: int) -> NDArray[np.float64]:
        """Return the first output with a column for each class or, for two classes, with a single column."""
        shapes = [np.shape(one) for one in outputs]
        sizes = [shape[1] if len(shape) == 2 else 1 if shape == (n,) else 0 for shape in shapes]
        for columns in (len(self.classes), 1)[: 2 if len(self.classes) == 2 else 1]:
            if columns in sizes:
                number = sizes.index(columns)
                self.output = self.session.get_outputs()[number].name
                return np.asarray(outputs[number], dtype=np.float64).reshape(n, columns)
        raise ExternalModelError(
            f"{self.file}: gives outputs of shape {', '.join(map(str, shapes))}, none with a column for each "
            f"of {', '.join(self.classes)}"
        )

    def _logits(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Convert outputs to logits, whose softmax are the probabilities: (n, classes)."""
        within = (values >= 0).all() and (values <= 1 + _SUM_TOLERANCE).all()
        single = values.shape[1] == 1
        total = 1.0 if single else values.sum(axis=1, keepdims=True)
        fits = within and bool((np.abs(total - 1) <= _SUM_TOLERANCE).all())
        if self.kind != "logits" and within and not fits:
            raise ExternalModelError(
                f"{self.file}: gives values from 0 to 1 that do not add up to 1, as sigmoids do; these are "
                "not probabilities of exclusive classes: export the model with a softmax at its end, or "
                "without the sigmoids, so that it gives logits"
                + ("; if these are logits already, give --outputs logits" if self.kind is None else "")
            )
        if self.kind == "logits" and fits and not single:
            raise ExternalModelError(
                f"{self.file}: gives probabilities, which add up to 1, and not logits; leave out --outputs"
            )
        if self.kind is None:
            self.kind = "probabilities" if fits else "logits"
        if self.kind == "logits":
            return np.hstack([np.zeros_like(values), values]) if single else values
        if not fits:
            raise ExternalModelError(f"{self.file}: gives values outside 0 to 1; give --outputs logits")
        values = values.clip(0, 1)
        with np.errstate(divide="ignore"):
            return np.log(np.hstack([1 - values, values]) if single else values / total)


class EvaluatedOnnxModel:
    """An OnnxGraph as a model that `evaluate_models` scores."""

    external = True
    is_validation_chosen = False

    def __init__(self, graph: OnnxGraph, class_mapping: ClassMapping, images: Store) -> None:
        self.graph, self.class_mapping = graph, class_mapping
        self.name, self.classes = graph.file.name, class_mapping.classes
        self.cached_outputs = CachedOutputs(images, graph)

    def predict(self, frame: pl.DataFrame, subset: str) -> ModelPredictions:
        """Predict rows of a split."""
        return ModelPredictions(self.class_mapping(self.cached_outputs(frame, subset).probabilities))

    def pictures(self, frame: pl.DataFrame) -> list[NDArray[np.uint8]]:
        """Return the slices as the store holds them."""
        return self.cached_outputs.pictures(frame)

    def facts(self) -> ModelReport:
        """Return name, size and hash of the ONNX file, how its output was understood, and preprocessing."""
        graph = self.graph
        content = graph.file.read_bytes()
        return ModelReport(
            OnnxModel(
                onnx=self.name,
                onnx_bytes=len(content),
                sha256=hashlib.sha256(content).hexdigest(),
                outputs=f"{graph.output}: {graph.kind} of {', '.join(graph.classes)}",
                preprocessing=graph.preprocessing,
            )
        )
