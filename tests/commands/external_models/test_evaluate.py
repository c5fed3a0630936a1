"""Other people's models: the same report from a table of probabilities, or from a graph of any layout."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import onnx
import polars as pl
import pytest
from onnx import TensorProto, helper
from typer.testing import CliRunner

from gliascope.cli import app
from gliascope.commands.external_models.class_mapping import map_classes
from gliascope.commands.external_models.evaluate import evaluate_onnx, evaluate_predictions
from gliascope.commands.external_models.onnx_model import OnnxGraph, OnnxOptions
from gliascope.commands.external_models.prediction_table import EvaluatedTable, ProbabilityTable
from gliascope.commands.predictions import load_predictions, to_scores
from gliascope.dataset.catalog import Catalog
from gliascope.dataset.scan import scan
from gliascope.errors import ExternalModelError
from gliascope.evaluation.metrics import evaluate_scores
from gliascope.evaluation.scores import Scores
from gliascope.preprocessing.preprocess import Preprocessing
from gliascope.splits.split import Split, split, write_splits

CLASSES = ("glioma", "meningioma", "no_tumor", "pituitary")
FOLDERS = {"no_tumor": "notumor"}


@pytest.fixture
def catalog(official_source: Path) -> Catalog:
    return scan([official_source])


@pytest.fixture
def splits(catalog: Catalog) -> list[Split]:
    return split(catalog, ["official"])


def guesses(frame: pl.DataFrame, classes: tuple[str, ...] = CLASSES, seed: int = 0) -> np.ndarray:
    """Probabilities that are right more often than not, to three decimals."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(frame.height, len(classes)))
    for row, label in enumerate(frame["label"]):
        if label in classes:
            logits[row, classes.index(label)] += 2
    odds = np.exp(logits)
    return (odds / odds.sum(axis=1, keepdims=True)).round(3)


def table(frame: pl.DataFrame, classes: tuple[str, ...] = CLASSES) -> pl.DataFrame:
    told = guesses(frame, classes)
    columns = {FOLDERS.get(name, name): told[:, number] for number, name in enumerate(classes)}
    return pl.DataFrame({"path": frame["path"], "note": ["x"] * frame.height} | columns)


def report(folder: Path) -> dict:
    return json.loads((folder / "report.json").read_text())


def test_a_table_gets_the_report_of_its_probabilities(
    catalog: Catalog, splits: list[Split], tmp_path: Path
) -> None:
    frame = splits[0].subset("test")
    table(frame).sample(fraction=1, shuffle=True, seed=1).write_csv(tmp_path / "told.csv")
    evaluate_predictions(tmp_path / "told.csv", catalog, splits, tmp_path / "out")
    told = guesses(frame)
    scores = Scores(
        told / told.sum(axis=1, keepdims=True),
        splits[0].class_numbers("test"),
        frame["group"].to_numpy(),
        CLASSES,
    )
    found = report(tmp_path / "out")
    expected = evaluate_scores(scores).model_dump(mode="json")
    assert {key: found["protocols"]["official"][key] for key in expected} == expected
    assert found["external"] is True
    assert found["model"]["columns"]["no_tumor"] == "notumor"
    assert found["title"] == "told.csv on source"
    assert found["protocols"]["official"]["operating"]["specificity"]["chosen"] is None
    page = (tmp_path / "out" / "report.html").read_text()
    assert "This model was trained elsewhere" in page
    assert "Training and validation" not in page
    kept = load_predictions(tmp_path / "out")
    assert np.abs(to_scores(kept).probabilities - scores.probabilities).max() < 1e-12


def test_what_it_says_of_validation_slices_sets_thresholds(
    catalog: Catalog, splits: list[Split], tmp_path: Path
) -> None:
    told = table(splits[0].frame.filter(pl.col("subset") != "train"))
    told.write_csv(tmp_path / "told.csv")
    evaluate_predictions(tmp_path / "told.csv", catalog, splits, tmp_path / "out")
    chosen = report(tmp_path / "out")["protocols"]["official"]["operating"]["specificity"]["chosen"]
    assert chosen.keys() == {"threshold", "sensitivity", "specificity"}


def test_each_protocol_has_thresholds_of_its_own_validation_slices(catalog: Catalog, tmp_path: Path) -> None:
    """Those of another protocol may be among its test slices."""
    both = split(catalog, ["official", "grouped"], validation_share=0.5)
    frame = pl.concat([one.frame for one in both]).unique("path")
    table(frame).write_csv(tmp_path / "told.csv")
    chosen = []
    for number, splits in enumerate((both, both[1:])):
        evaluate_predictions(tmp_path / "told.csv", catalog, splits, tmp_path / str(number))
        found = report(tmp_path / str(number))["protocols"]["grouped"]
        chosen.append([found["operating"][aim]["chosen"]["threshold"] for aim in found["operating"]])
    assert chosen[0] == chosen[1]


def test_without_the_files_the_catalogue_is_enough(
    catalog: Catalog, splits: list[Split], official_source: Path, tmp_path: Path
) -> None:
    frame = splits[0].subset("test")
    table(frame).write_csv(tmp_path / "told.csv")
    found = ProbabilityTable.read(tmp_path / "told.csv", catalog)
    model = EvaluatedTable(found, map_classes(list(found.columns), splits, found.file)[1])
    whole = model.pictures(frame.head(2))
    assert [picture.shape for picture in whole] == [(48, 48)] * 2
    shutil.rmtree(official_source)
    small = model.pictures(frame.head(2))
    assert [picture.shape for picture in small] == [(64, 64)] * 2
    for one, other in zip(whole, small, strict=True):
        assert abs(one.mean() - other.mean()) < 2


@pytest.mark.parametrize("form", ["absolute", "from below the source", "windows", "beside the table"])
def test_a_path_is_as_long_as_it_takes(
    catalog: Catalog, splits: list[Split], tmp_path: Path, form: str
) -> None:
    told = table(splits[0].subset("test"))
    change = {
        "absolute": lambda path: str(tmp_path / path),
        "from below the source": lambda path: path.removeprefix("source/"),
        "windows": lambda path: path.replace("/", "\\"),
        "beside the table": lambda path: f"../{path}",
    }[form]
    told = told.with_columns(filename=pl.Series([change(path) for path in told["path"]])).drop("path")
    (tmp_path / "beside").mkdir()
    told.write_csv(tmp_path / "beside" / "told.csv")
    found = ProbabilityTable.read(tmp_path / "beside" / "told.csv", catalog)
    assert found.rows["path"].sort().to_list() == splits[0].subset("test")["path"].sort().to_list()


Change = Callable[[pl.DataFrame], pl.DataFrame]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.head(-1), "has no row for 1 of 16 test slices, like source/Testing/"),
        (lambda t: t.drop("pituitary"), "and a column for every class of the model"),
        (
            lambda t: t.with_columns(glioma=pl.sum_horizontal("glioma", "pituitary")).drop("pituitary"),
            "knows glioma, meningioma, no_tumor but the split has pituitary",
        ),
        (lambda t: t.select("path", "note"), "expected a column for each of glioma, meningioma, no_tumor"),
        (lambda t: t.drop("path"), "expected a column path or file or filename or image"),
        (lambda t: pl.concat([t, t.head(1)]), "has several rows for source/Testing/"),
        (lambda t: t.with_columns(pl.col("glioma") * 100), "expected probabilities that add up to 1"),
        (
            lambda t: t.with_columns(glioma=pl.lit("high")),
            "line 2: expected a probability of glioma, .*'high'",
        ),
        (lambda t: t.with_columns(glioma=pl.lit("12.5%")), "line 2: expected a probability .* '12.5%'"),
        (lambda t: t.with_columns(pl.col("glioma") - 0.5, pl.col("notumor") + 0.5), "that add up to 1"),
        (lambda t: t.with_columns(p_glioma=pl.lit(0.1)), "both name glioma; keep one"),
        (lambda t: t.with_columns(path=pl.lit("other/") + pl.col("note")), "names no file of the catalogue"),
        (lambda t: t.with_columns(pl.col("path").str.split("/").list.last()), "may be any of several files"),
    ],
)
def test_tables_that_do_not_fit_are_refused(
    catalog: Catalog, splits: list[Split], tmp_path: Path, change: Change, message: str
) -> None:
    change(table(splits[0].subset("test"))).write_csv(tmp_path / "told.csv")
    with pytest.raises(ExternalModelError, match=message):
        evaluate_predictions(tmp_path / "told.csv", catalog, splits, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_no_table_is_named(catalog: Catalog, splits: list[Split], tmp_path: Path) -> None:
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)))
    (tmp_path / "empty.csv").write_text("")
    for file in ("binary.csv", "empty.csv", "nowhere.csv"):
        with pytest.raises(ExternalModelError, match=f"{file}: (cannot be read as CSV|expected a column)"):
            evaluate_predictions(tmp_path / file, catalog, splits, tmp_path / "out")


def test_a_model_that_tells_tumour_from_none_is_asked_no_more(
    catalog: Catalog, splits: list[Split], tmp_path: Path
) -> None:
    told = table(splits[0].subset("test"))
    tumour = pl.sum_horizontal("glioma", "meningioma", "pituitary")
    told.select("path", "notumor", tumour.alias("tumor")).write_csv(tmp_path / "binary.csv")
    told.write_csv(tmp_path / "kinds.csv")
    evaluate_predictions(tmp_path / "binary.csv", catalog, splits, tmp_path / "binary")
    binary = report(tmp_path / "binary")["protocols"]["official"]
    assert binary["classes"] == ["no_tumor", "tumor"]
    # Where the labels tell no more, kinds are added up: the same numbers.
    merged = [one.for_task("binary") for one in splits]
    evaluate_predictions(tmp_path / "kinds.csv", catalog, merged, tmp_path / "kinds")
    kinds = report(tmp_path / "kinds")["protocols"]["official"]
    assert kinds["confusion"] == binary["confusion"]
    assert kinds["brier"]["value"] == pytest.approx(binary["brier"]["value"])


def test_slices_of_a_volume_are_told_apart_by_their_index(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for part, count in (("Training", 12), ("Testing", 2)):
        for label in ("glioma", "notumor"):
            (tmp_path / "source" / part / label).mkdir(parents=True)
            for number in range(count):
                volume = rng.normal(100, 20, (20, 22, 3)).astype(np.float32)
                image = nibabel.Nifti1Image(volume, np.eye(4))
                nibabel.save(image, tmp_path / "source" / part / label / f"{number}.nii.gz")
    catalog = scan([tmp_path / "source"])
    splits = split(catalog, ["official"])
    frame = splits[0].subset("test")
    told = table(frame, ("glioma", "no_tumor"))
    told.write_csv(tmp_path / "told.csv")
    with pytest.raises(ExternalModelError, match=r"holds 3 slices; add a column `index`"):
        evaluate_predictions(tmp_path / "told.csv", catalog, splits, tmp_path / "out")
    told.with_columns(index=frame["index"]).write_csv(tmp_path / "told.csv")
    evaluate_predictions(tmp_path / "told.csv", catalog, splits, tmp_path / "out")
    found = report(tmp_path / "out")["protocols"]["official"]
    assert found["studies"]["n"] == 4
    assert found["studies"]["median_slices"] == 3
    assert found["n"] == 12
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Whole studies" in page
    assert "volumes were labelled as one" in page


def graph_file(
    file: Path,
    shape: list[int | str],
    dtype: int = TensorProto.FLOAT,
    outputs: int = 4,
    ending: str | None = None,
    channel: int | None = None,
) -> Path:
    """Columns 0, 1 … times the mean of the (first channel of the) slice, perhaps through a last layer."""
    weights = np.linspace(1, 2, outputs, dtype=np.float32)[None]
    nodes = [helper.make_node("Cast", ["x"], ["floats"], to=TensorProto.FLOAT)]
    name = "floats"
    if channel is not None:
        nodes.append(helper.make_node("Gather", ["floats", "zero"], ["one"], axis=channel))
        name = "one"
    nodes += [
        helper.make_node("Flatten", [name], ["flat"]),
        helper.make_node("ReduceMean", ["flat", "axes"], ["mean"], keepdims=1),
        helper.make_node("MatMul", ["mean", "weights"], ["last" if ending else "y"]),
    ]
    if ending:
        nodes.append(helper.make_node(ending, ["last"], ["y"]))
    graph = helper.make_graph(
        nodes,
        "mean",
        [helper.make_tensor_value_info("x", dtype, shape)],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
            for name in (("mean", "y") if outputs > 1 else ("y",))
        ],
        [
            onnx.numpy_helper.from_array(weights, "weights"),
            onnx.numpy_helper.from_array(np.array([1]), "axes"),
            onnx.numpy_helper.from_array(np.array([0]), "zero"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    file.write_bytes(model.SerializeToString())
    return file


def softmax(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


STATED = {"size": 24, "mean": [0.5, 0.4, 0.3], "std": [0.25, 0.2, 0.2]}


@pytest.mark.parametrize(
    ("shape", "dtype", "channel"),
    [
        (["n", 3, 24, 24], TensorProto.FLOAT, 1),
        ([1, 3, "h", "w"], TensorProto.FLOAT, 1),
        ([4, 24, 24, 3], TensorProto.FLOAT16, 3),
        (["n", "c", "h", "w"], TensorProto.DOUBLE, 1),
        (["n", 1, 24, 24], TensorProto.FLOAT, None),
        (["n", 24, 24], TensorProto.FLOAT, None),
    ],
)
def test_a_graph_gets_slices_as_it_takes_them(
    tmp_path: Path, shape: list[int | str], dtype: int, channel: int | None
) -> None:
    graph = OnnxGraph(
        graph_file(tmp_path / "m.onnx", shape, dtype, channel=channel), OnnxOptions(CLASSES, STATED)
    )
    colours = channel is not None
    assert graph.preprocessing.channels == ("rgb" if colours else "grey")
    pixels = np.random.default_rng(0).integers(0, 256, (6, *graph.preprocessing.shape), dtype=np.uint8)
    grey = pixels[..., 0] if colours else pixels
    means = ((grey / 255 - 0.5) / 0.25).mean(axis=(1, 2))
    expected = softmax(means[:, None] * np.linspace(1, 2, 4))
    assert np.abs(graph(pixels).probabilities - expected).max() < (
        2e-3 if dtype == TensorProto.FLOAT16 else 1e-5
    )
    assert graph.kind == "logits"


def test_bytes_go_in_as_they_are_and_the_central_square_is_cut(tmp_path: Path) -> None:
    file = graph_file(tmp_path / "m.onnx", ["n", 24, 24], TensorProto.UINT8)
    graph = OnnxGraph(file, OnnxOptions(CLASSES, {"size": 32, "centre": 24}))
    pixels = np.zeros((2, 32, 32), np.uint8)
    pixels[:, 4:28, 4:28] = 1
    pixels[1] *= 2
    assert np.allclose(graph(pixels).probabilities, softmax(np.array([[1], [2]]) * np.linspace(1, 2, 4)))


@pytest.mark.parametrize(
    ("outputs", "ending", "kind"),
    [
        (4, None, "logits"),
        (4, "Softmax", "probabilities"),
        (1, None, "logits"),
        (1, "Sigmoid", "probabilities"),
    ],
)
def test_what_outputs_are_is_told_from_them(
    tmp_path: Path, outputs: int, ending: str | None, kind: str
) -> None:
    classes = CLASSES if outputs == 4 else ("no_tumor", "tumor")
    file = graph_file(tmp_path / "m.onnx", ["n", 1, 24, 24], outputs=outputs, ending=ending)
    graph = OnnxGraph(file, OnnxOptions(classes, {"mean": [0.5] * 3, "std": [0.1] * 3}))
    pixels = (
        np.random.default_rng(0).integers(0, 256, (5, 24, 24)).astype(np.uint8)
        // np.arange(1, 6, dtype=np.uint8)[:, None, None]
    )
    means = ((pixels / 255 - 0.5) / 0.1).mean(axis=(1, 2))[:, None]
    logits = means * np.linspace(1, 2, 4) if outputs == 4 else np.hstack([np.zeros_like(means), means])
    assert np.abs(graph(pixels).probabilities - softmax(logits)).max() < 1e-5
    assert graph.kind == kind


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        (["n", 3, 24, 30], {}, "expected square slices of one or three channels"),
        (["n", 5, 24, 24], {}, "expected square slices of one or three channels"),
        (["n", 24], {}, "expected one input, a batch of slices, but got x tensor"),
        (["n", 3, 24, 24], {"size": 32}, "takes 24 pixels to a side but the preprocessing gives 32"),
        (["n", 1, 24, 24], {"channels": "rgb"}, "takes one channel"),
        (["n", 3, 24, 24], {"fit": "squeeze"}, "preprocessing fit"),
        (["n", 3, 24, 24], {"scale": 2}, "preprocessing scale"),
    ],
)
def test_graphs_that_do_not_fit_the_options_are_refused(
    tmp_path: Path, shape: list[int | str], options: dict, message: str
) -> None:
    with pytest.raises(ExternalModelError, match=message):
        OnnxGraph(graph_file(tmp_path / "m.onnx", shape), OnnxOptions(CLASSES, options))


def test_graphs_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    (tmp_path / "junk.onnx").write_bytes(b"junk")
    with pytest.raises(ExternalModelError, match=r"junk\.onnx: cannot be opened"):
        OnnxGraph(tmp_path / "junk.onnx", OnnxOptions(CLASSES))
    file = graph_file(tmp_path / "m.onnx", ["n", 1, 24, 24], TensorProto.UINT8)
    with pytest.raises(ExternalModelError, match="takes bytes"):
        OnnxGraph(file, OnnxOptions(CLASSES, {"mean": [0, 0, 0], "std": [1, 1, 1]}))
    pixels = np.random.default_rng(0).integers(0, 256, (3, 24, 24), dtype=np.uint8)
    with pytest.raises(ExternalModelError, match="none with a column for each of a, b, c"):
        OnnxGraph(file, OnnxOptions(("a", "b", "c")))(pixels)
    with pytest.raises(ExternalModelError, match="give --outputs logits"):
        OnnxGraph(file, OnnxOptions(CLASSES, outputs="probabilities"))(pixels)
    sigmoids = graph_file(tmp_path / "s.onnx", ["n", 1, 24, 24], ending="Sigmoid")
    for outputs in (None, "probabilities"):  # to take them for logits would be no remedy
        with pytest.raises(
            ExternalModelError, match=r"as sigmoids do.*softmax at its end, or without the sigmoids"
        ) as caught:
            OnnxGraph(sigmoids, OnnxOptions(CLASSES, outputs=outputs))(pixels)
        assert ("give --outputs logits" in str(caught.value)) == (outputs is None)
    softmax = graph_file(tmp_path / "p.onnx", ["n", 1, 24, 24], ending="Softmax")
    OnnxGraph(softmax, OnnxOptions(CLASSES))(pixels)
    with pytest.raises(
        ExternalModelError, match=r"gives probabilities.* and not logits; leave out --outputs"
    ):
        OnnxGraph(softmax, OnnxOptions(CLASSES, outputs="logits"))(pixels)


def test_a_graph_is_run_under_the_protocol(catalog: Catalog, splits: list[Split], tmp_path: Path) -> None:
    file = graph_file(tmp_path / "m.onnx", ["n", 3, 24, 24], channel=1)
    stated = {"mean": [0.5] * 3, "std": [0.1] * 3}
    evaluate_onnx(file, OnnxOptions(CLASSES, stated), catalog, splits, folder=tmp_path / "out")
    found = report(tmp_path / "out")
    assert found["protocols"]["official"]["n"] == 16
    assert found["protocols"]["official"]["operating"]["sensitivity"]["chosen"] is not None
    used = Preprocessing.model_validate(found["model"]["preprocessing"])
    assert used == Preprocessing(channels="rgb", size=24, mean=(0.5, 0.5, 0.5), std=(0.1, 0.1, 0.1))
    assert found["model"]["outputs"] == "y: logits of glioma, meningioma, no_tumor, pituitary"
    # Its classes in another order are the same classes.
    turned = OnnxOptions(CLASSES[::-1], stated)
    evaluate_onnx(file, turned, catalog, splits, folder=tmp_path / "turned")
    confusion = np.array(report(tmp_path / "turned")["protocols"]["official"]["confusion"])
    assert (confusion[:, ::-1] == found["protocols"]["official"]["confusion"]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "expected runs, --predictions FILE.csv or --onnx FILE"),
        (["--predictions", "p.csv", "--onnx", "m.onnx"], "only one of them"),
        (["--predictions", "p.csv", "--classes", "a,b"], "are for --onnx only"),
        (["--onnx", "m.onnx"], "expected --classes"),
        (["--onnx", "m.onnx", "--classes", "yes,no", "--outputs", "odds"], "logits or probabilities"),
        (["--onnx", "m.onnx", "--classes", "yes,no", "--preprocessing", "size"], "expected KEY=VALUE"),
        (["--onnx", "m.onnx", "--classes", "yes,yes"], "two or more different classes"),
    ],
)
def test_the_command_says_what_it_needs(
    catalog: Catalog, splits: list[Split], tmp_path: Path, options: list[str], message: str
) -> None:
    catalog.write(tmp_path / "c.parquet")
    write_splits(splits, tmp_path / "s.parquet")
    done = CliRunner().invoke(
        app, ["evaluate", str(tmp_path / "c.parquet"), str(tmp_path / "s.parquet"), *options]
    )
    assert done.exit_code == 2
    assert message in done.output


def test_the_command_reads_its_options(catalog: Catalog, splits: list[Split], tmp_path: Path) -> None:
    catalog.write(tmp_path / "c.parquet")
    write_splits(splits, tmp_path / "s.parquet")
    file = graph_file(tmp_path / "m.onnx", ["n", 3, "h", "w"], channel=1)
    done = CliRunner().invoke(
        app,
        ["evaluate", "--onnx", str(file), str(tmp_path / "c.parquet"), str(tmp_path / "s.parquet"), "--classes",
         "glioma_tumor,meningioma,notumor,pituitary", "--preprocessing", "size=24", "--preprocessing", "fit=pad",
         "--preprocessing", "mean=[0.5,0.5,0.5]", "--outputs", "logits", "--out", str(tmp_path / "out")],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    stated = report(tmp_path / "out")["model"]["preprocessing"]
    assert (stated["size"], stated["fit"], stated["mean"], stated["std"]) == (24, "pad", [0.5] * 3, [1.0] * 3)


def test_a_table_is_read_by_its_own_name_and_as_spreadsheets_write_it(
    catalog: Catalog, splits: list[Split], tmp_path: Path
) -> None:
    told = table(splits[0].subset("test"))
    swapped = told.rename({"glioma": "notumor", "notumor": "glioma"})
    swapped.write_csv(tmp_path / "told2.csv")
    text = told.write_csv(separator=";").replace(".png", "PNG").replace("0.", "0,").replace("PNG", ".png")
    (tmp_path / "told[2].csv").write_bytes(text.encode("utf-16"))
    found = ProbabilityTable.read(tmp_path / "told[2].csv", catalog)
    assert found.columns["glioma"] == "glioma"
    assert found.rows.height == 16
    kept = found.rows.join(told, on="path", suffix="_told")
    assert (kept["glioma"] - kept["glioma_told"]).abs().max() < 0.02
