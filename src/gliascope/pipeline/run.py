"""Folders of slices to a report and a Bundle."""

from collections.abc import Sequence
from pathlib import Path

from gliascope.data.phantom import SOURCE, write_phantoms
from gliascope.data.scan import scan
from gliascope.data.split import split
from gliascope.pipeline.bundle import bundle
from gliascope.pipeline.evaluate import evaluate
from gliascope.pipeline.train import train
from gliascope.progress import note
from gliascope.recipes import Recipe, load_recipe
from gliascope.recipes.run import Run

DEMO_PER_CLASS = 200


def run(
    sources: Sequence[Path],
    folder: Path,
    recipe: Recipe,
    protocol: str = "official",
    labels: Path | None = None,
    groups: Path | None = None,
    seed: int = 0,
) -> None:
    """Scan, split, store, train, evaluate and bundle into `folder`.

    After an interruption the same call goes on: stores, activations and epochs that are done are found.
    Raises GliascopeError for whatever the verbs cannot do.
    """
    catalog = scan(sources, labels, groups)
    parts = split(catalog, protocol, seed)
    if (folder / "run" / "run.json").exists():
        Run.load(folder / "run").check_inputs(recipe, parts.fingerprint)
    catalog.write(folder / "catalog.parquet")
    parts.write(folder / "split.parquet")
    if catalog.rejects.height:
        note(f"{catalog.rejects.height} files set aside, see {folder / 'rejects.parquet'}")
    trained = train(recipe, catalog, parts, folder / "run", resume=True)
    evaluate(trained, catalog, parts, folder)
    bundle(trained, folder / "report.json", folder / "bundle")


def demo(folder: Path) -> None:
    """Run `quick` on phantoms made for the purpose."""
    phantoms = folder / "phantoms"
    if not phantoms.exists():
        write_phantoms(phantoms, DEMO_PER_CLASS)
    run([phantoms / SOURCE], folder, load_recipe("quick"), groups=phantoms / "groups.csv")
