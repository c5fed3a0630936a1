"""Small sources that tests make themselves, and a cache of their own."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from tiny import LABELS, TINY, slice_image

from gliascope.inference.bundle import Bundle
from gliascope.recipes import load_recipe
from gliascope.uncertainty.calibrator import Calibrator
from gliascope.uncertainty.features import OOD_FEATURES
from gliascope.uncertainty.ood import OodScorer, Subspace

# Before torch is imported, here and in the processes that tests start: on tensors this small, threads
# only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

Tree = Mapping[str, int]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLIASCOPE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB."""
    disk = tmp_path / "small"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a small tmpfs needs root")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """URL of an S3 on this machine, in memory."""
    server = pytest.importorskip("moto.server", reason="moto is not installed: pip install 'moto[server]'")
    pytest.importorskip("s3fs", reason="s3fs is not installed: pip install 'gliascope[scale]'")
    made = server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    made.start()
    yield "http://{}:{}".format(*made.get_host_and_port())
    made.stop()


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], str]:
    """Copy a file or folder there: its URL."""
    import s3fs

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3fs.S3FileSystem.clear_instance_cache()
    bucket = f"bucket{time.monotonic_ns()}"
    s3fs.S3FileSystem().mkdir(bucket)

    def put(path: Path) -> str:
        s3fs.S3FileSystem().put(str(path), f"{bucket}/{path.name}", recursive=path.is_dir())
        return f"s3://{bucket}/{path.name}"

    return put


@pytest.fixture
def make_source(tmp_path: Path) -> Callable[..., Path]:
    """Write a source folder: `make_source({"Training/glioma": 6, …})` gives each class folder its slices."""

    def make(tree: Tree, name: str = "source", suffix: str = "png", seed: int = 0) -> Path:
        source = tmp_path / name
        names = sorted({folder.rpartition("/")[2] for folder in tree})
        for order, (folder, count) in enumerate(tree.items()):
            (source / folder).mkdir(parents=True)
            for number in range(count):
                label = names.index(folder.rpartition("/")[2])
                image = slice_image(label, 1000 * order + number + 100_000 * seed)
                image.save(source / folder / f"{number:03d}.{suffix}")
        return source

    return make


@pytest.fixture
def official_source(make_source: Callable[..., Path]) -> Path:
    """Four classes, 12 training and 4 test slices each."""
    parts = {"Training": 12, "Testing": 4}
    return make_source({f"{part}/{label}": n for part, n in parts.items() for label in LABELS})


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], None]], Path]:
    """Make a folder that all test processes of a run share: `once(name, make)`. To be read, not changed."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def folder(name: str, make: Callable[[Path], None]) -> Path:
        with FileLock(shared / f"{name}.lock"):
            if not (shared / name).exists():
                unfinished = shared / f"{name}.unfinished"
                shutil.rmtree(unfinished, ignore_errors=True)
                make(unfinished)
                unfinished.rename(shared / name)
        return shared / name

    return folder


@pytest.fixture(scope="session")
def bundle(once: Callable[[str, Callable[[Path], None]], Path]) -> Bundle:
    """A bundle of an untrained head: its answers mean nothing, its numbers can be checked."""

    def make(folder: Path) -> None:
        from gliascope.export.onnx import export_bundle
        from gliascope.models.classifier import build_classifier

        recipe = load_recipe("quick", TINY)
        classes = ("glioma", "meningioma", "no_tumor", "pituitary")
        export_bundle(build_classifier(recipe, 4), recipe, classes, {"weights": "apache-2.0"}).write(folder)

    return Bundle.load(once("bundle", make))


@pytest.fixture
def same_export(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exporting takes seven seconds and has tests of its own: every run in this process gets the same model."""
    monkeypatch.setattr("gliascope.training.run.export_bundle", lambda *_: bundle)


@pytest.fixture(scope="session")
def calibrated(bundle: Bundle) -> Bundle:
    """The same with a Calibrator for which all features are near, and which is sure of whatever it is told."""
    subspaces = {
        name: Subspace(
            mean=np.zeros(width, dtype=np.float32),
            components=np.eye(2, width, dtype=np.float32),
            variances=np.ones(2, dtype=np.float32),
            noise=1.0,
        )
        for name, width in zip(OOD_FEATURES, (1280, 8, 256), strict=True)
    }
    return bundle.with_calibrator(
        Calibrator(
            temperature=0.5,
            level=0.95,
            nonconformity=np.arange(1, 40) / 40,
            ood=OodScorer(subspaces, dict.fromkeys(OOD_FEATURES, 1e6)),
            training_slices=2,
        )
    )
