import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from outs import TYPES, make_bundle

from gliascope.errors import BundleError
from gliascope.inference.bundle import Bundle
from gliascope.inference.engine import Engine, Outputs
from gliascope.training import join as module
from gliascope.training.join import join, mean_logits


def softmax(logits: np.ndarray) -> np.ndarray:
    exponent = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return exponent / exponent.sum(axis=-1, keepdims=True)


def pixels(n: int = 3, size: int = 16) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (n, size, size), dtype=np.uint8)


def changed(bundle: Bundle, **facts: object) -> Bundle:
    return Bundle(bundle.info.model_copy(update=facts), bundle.model)


@pytest.fixture
def members() -> list[Bundle]:
    return [make_bundle(name, TYPES, slope) for name, slope in (("a", 0.01), ("b", -0.02), ("c", 0.005))]


def test_probabilities_are_the_mean_of_the_members(members: list[Bundle]) -> None:
    answers = [Engine(member)(pixels()) for member in members]
    joined = Engine(join("three", members))(pixels())
    expected = np.mean([softmax(answer.logits) for answer in answers], axis=0)
    assert np.abs(joined.probabilities - expected).max() < 1e-6
    assert np.abs(softmax(joined.logits) - expected).max() < 1e-6
    assert np.array_equal(
        joined.ood_features["network"],
        np.concatenate([answer.ood_features["network"] for answer in answers], axis=1),
    )
    assert joined.maps is None


def test_logits_are_the_mean_of_the_members(members: list[Bundle]) -> None:
    answers = [Engine(member)(pixels()) for member in members]
    joined = Engine(join("three", members, "logits"))(pixels())
    assert np.abs(joined.logits - np.mean([answer.logits for answer in answers], axis=0)).max() < 1e-5


def test_what_a_member_rules_out_by_rounding_is_not_impossible() -> None:
    sure, unsure = make_bundle("sure", TYPES, 10.0), make_bundle("unsure", TYPES, -10.0)
    white = np.full((1, 16, 16), 255, dtype=np.uint8)
    joined = Engine(join("both", [sure, unsure]))(white)
    assert np.isfinite(joined.logits).all()
    assert joined.probabilities[0] == pytest.approx([0.5, 0, 0, 0.5], abs=1e-6)


def test_the_facts_are_of_all_members(members: list[Bundle]) -> None:
    other_mean = members[1].info.preprocessing.model_copy(update={"mean": (0.1, 0.1, 0.1)})
    one = changed(members[0], licences={"weights": "mit", "gliascope": "x"}, versions={"torch": "2"})
    two = changed(members[1], licences={"weights": "bsd", "gliascope": "x"}, preprocessing=other_mean)
    info = join("one + two", [one, two]).info
    assert info.recipe == "one + two"
    assert info.licences == {"weights": "mit, bsd", "gliascope": "x"}
    assert info.versions == {"torch": "2"}
    assert info.parameters == 24
    assert info.preprocessing.mean is None
    assert info.preprocessing.size == 16
    assert not info.metrics


def test_what_cannot_share_a_picture_or_a_task_is_refused_naming_both(members: list[Bundle]) -> None:
    larger = changed(members[1], preprocessing=members[1].info.preprocessing.model_copy(update={"size": 32}))
    with pytest.raises(BundleError, match=r"a and b are given different pictures: size \(16, 32\)"):
        join("x", [members[0], larger])
    with pytest.raises(BundleError, match=r"a and b name different classes: glioma, .* but no_tumor, tumor"):
        join("x", [members[0], make_bundle("b", ("no_tumor", "tumor"))])
    model = onnx.load_from_string(members[1].model)
    model.opset_import[0].version = 19
    newer = Bundle(members[1].info, model.SerializeToString())
    with pytest.raises(BundleError, match="different versions of torch or ONNX"):
        join("x", [members[0], newer])


def test_a_joint_graph_that_says_something_else_is_refused(
    members: list[Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "mean_logits", lambda *_: np.ones((3, 4)))
    with pytest.raises(BundleError, match="differs from the mean of its members"):
        join("x", members)


def test_what_members_share_is_stored_and_computed_once(bundle: Bundle) -> None:
    """Two networks that differ in the last layer alone, as two seeds with a frozen backbone do."""
    model = onnx.load_from_string(bundle.model)
    head = next(node for node in model.graph.node if node.op_type == "Gemm").input[1]
    weight = next(tensor for tensor in model.graph.initializer if tensor.name == head)
    values = numpy_helper.to_array(weight)
    weight.CopyFrom(
        numpy_helper.from_array(values[:, ::-1].copy() if values.shape[1] == 4 else values[::-1].copy(), head)
    )
    other = Bundle(bundle.info, model.SerializeToString())
    joined = join("both", [bundle, other])
    assert len(joined.model) < 1.1 * len(bundle.model)
    convolutions = [
        sum(node.op_type == "Conv" for node in onnx.load_from_string(one.model).graph.node)
        for one in (joined, bundle)
    ]
    assert convolutions[0] == convolutions[1]
    slices = pixels(5, 64)
    answers = [Engine(one)(slices) for one in (bundle, other)]
    assert np.abs(answers[0].logits - answers[1].logits).max() > 1e-3
    found = Engine(joined)(slices)
    assert np.abs(found.logits - mean_logits(answers, "probabilities")).max() < 1e-5
    assert found.maps is not None and joined.info.activation_maps
    assert np.abs(found.maps - (answers[0].maps + answers[1].maps) / 2).max() < 1e-5


def test_maps_of_different_shapes_are_left_out(members: list[Bundle]) -> None:
    joined = join("both", [with_maps(members[0], 2), with_maps(members[1], 4)])
    assert not joined.info.activation_maps
    assert Engine(joined)(pixels()).maps is None
    joined = join("both", [with_maps(members[0], 2), with_maps(members[1], 2)])
    assert Engine(joined)(pixels()).maps.shape == (3, 4, 2, 2)


def with_maps(bundle: Bundle, side: int) -> Bundle:
    """Maps that are the logits everywhere."""
    model = onnx.load_from_string(bundle.model)
    shape = numpy_helper.from_array(np.array([1, 1, side, side]), "shape")
    model.graph.initializer.extend([shape, numpy_helper.from_array(np.array([2, 3]), "behind")])
    model.graph.node.extend(
        [
            helper.make_node("Unsqueeze", ["logits", "behind"], ["wide"]),
            helper.make_node("Expand", ["wide", "shape"], ["maps"]),
        ]
    )
    model.graph.output.append(helper.make_tensor_value_info("maps", TensorProto.FLOAT, ["n", 4, side, side]))
    return Bundle(bundle.info.model_copy(update={"activation_maps": True}), model.SerializeToString())


def test_the_mean_is_of_what_was_asked_for() -> None:
    outputs = [Outputs(np.array([[a, b]], np.float32), {}, None) for a, b in ((0, 2), (0, -4))]
    assert mean_logits(outputs, "logits").tolist() == [[0, -1]]
    assert np.exp(mean_logits(outputs, "probabilities"))[0] == pytest.approx(
        np.mean([softmax(np.array([0, 2])), softmax(np.array([0, -4]))], axis=0)
    )
