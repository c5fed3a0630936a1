"""`gliascope evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

from gliascope.cli.options import CatalogFile, SplitFile, comma_separated
from gliascope.errors import ExternalModelError


def evaluate(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Run folders that `train` wrote; none with --predictions or --onnx.",
            default_factory=list,
            show_default=False,
        ),
    ],
    catalog: CatalogFile,
    split: SplitFile,
    *,
    protocol: Annotated[
        str | None, typer.Option(help="Only these protocols of the split, separated by commas.")
    ] = None,
    audit: Annotated[
        Path | None, typer.Option(help="Folder that `audit` wrote, which the report summarises.")
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(help="CSV of any model's predictions: path, and a probability for each class."),
    ] = None,
    onnx: Annotated[Path | None, typer.Option(help="ONNX file of any model, which is run here.")] = None,
    classes: Annotated[
        str | None,
        typer.Option(help="For --onnx: the classes, separated by commas, in the order of the outputs."),
    ] = None,
    preprocessing: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="For --onnx: a key as in recipes, like mean=[0.485,0.456,0.406] or fit=pad. Repeatable.",
        ),
    ] = None,
    outputs: Annotated[
        str | None, typer.Option(help="For --onnx: logits or probabilities; by default inferred from them.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for report.json and report.html.")] = Path(),
) -> None:
    """Score models on the test slices of all protocols in the split and write the report.

    Models trained by Gliascope are named by their run folders. Other models are given by a table of their
    predictions, or as an ONNX file.
    """
    from gliascope.audit import Audit
    from gliascope.cli.tables import print_report
    from gliascope.commands.evaluate import evaluate as evaluate_runs
    from gliascope.commands.external_models.evaluate import evaluate_onnx, evaluate_predictions
    from gliascope.commands.external_models.onnx_model import OnnxOptions
    from gliascope.dataset.catalog import Catalog
    from gliascope.recipes.run import Run
    from gliascope.runtime.files import check_writable
    from gliascope.splits.split import load_splits
    from gliascope.store.store_splits import store_splits

    if sum(map(bool, (runs, predictions, onnx))) != 1:
        raise ExternalModelError("expected runs, --predictions FILE.csv or --onnx FILE, and only one of them")
    if not onnx and (classes or preprocessing or outputs):
        raise ExternalModelError(
            "--classes, --preprocessing and --outputs are for --onnx only; leave them out"
        )
    options = OnnxOptions.parse(classes, preprocessing or [], outputs) if onnx else None
    trained = [Run.load(run) for run in runs]
    for one in trained:
        one.check_finished()
    audited = Audit.load(audit) if audit else None
    splits = load_splits(split, comma_separated(protocol) if protocol else None)
    slices = Catalog.load(catalog)
    if predictions:
        evaluate_predictions(predictions, slices, splits, out, audit=audited)
    elif onnx and options:
        evaluate_onnx(onnx, options, slices, splits, folder=out, audit=audited)
    else:
        check_writable(out)
        recipe = trained[0].recipe
        splits = [one.for_task(recipe.task) for one in splits]
        images, splits = store_splits(slices.frame, splits, recipe.preprocessing)
        evaluate_runs(trained, slices, splits, images, folder=out, audit=audited)
    print_report(out)
