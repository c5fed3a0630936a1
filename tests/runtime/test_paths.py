import sys
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from typer.testing import CliRunner

from gliascope.cli import app
from gliascope.dataset.catalog import Catalog
from gliascope.dataset.scan import scan
from gliascope.errors import GliascopeError, LayoutError, ReadError
from gliascope.inference.bundle import Bundle
from gliascope.inference.predict_files import predict_files
from gliascope.io import read
from gliascope.preprocessing.preprocess import Preprocessing
from gliascope.runtime.paths import exists, to_path
from gliascope.store.store import clear_cache, store

Make = Callable[..., Path]
Put = Callable[[Path], str]


@pytest.fixture
def source(make_source: Make) -> Path:
    made = make_source({"Training/yes": 4, "Training/no": 4, "Testing/yes": 2, "Testing/no": 2})
    (made / "Training" / "yes" / "bad.png").write_bytes(b"bad")
    return made


def test_a_catalogue_and_a_store_of_a_bucket_are_those_of_a_folder(source: Path, s3: Put) -> None:
    here, there = scan([source]), scan([to_path(s3(source))])
    assert there.frame.drop("root").equals(here.frame.drop("root"))
    assert there.excluded.drop("detail").equals(here.excluded.drop("detail"))
    assert there.frame["root"][0].startswith("s3://bucket")
    expected = np.array(store(here.frame, Preprocessing(size=32)).pixels)
    clear_cache()  # it would be found there
    assert np.array_equal(store(there.frame, Preprocessing(size=32)).pixels, expected)


def test_findings_of_a_bucket_are_those_of_a_folder(
    source: Path, s3: Put, calibrated: Bundle, tmp_path: Path
) -> None:
    url = s3(source)
    here = predict_files(calibrated, [source], tmp_path / "here.jsonl", overlay_folder=tmp_path / "overlays")
    there = predict_files(
        calibrated, [to_path(url)], tmp_path / "there.jsonl", overlay_folder=tmp_path / "overlays-there"
    )
    lines = (tmp_path / "there.jsonl").read_text()
    assert lines.replace(url, str(source)) == (tmp_path / "here.jsonl").read_text()
    assert [str(error.path) for error in there.unreadable] == [f"{url}/Training/yes/bad.png"]
    assert len(here.unreadable) == 1


def test_the_command_scans_a_bucket(source: Path, s3: Put, tmp_path: Path) -> None:
    out = tmp_path / "catalog.parquet"
    result = CliRunner().invoke(app, ["scan", s3(source), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert Catalog.load(out).frame.height == 12


def test_a_file_over_http(source: Path, calibrated: Bundle) -> None:
    pytest.importorskip("aiohttp", reason="aiohttp is not installed: pip install 'gliascope[scale]'")
    handler = partial(SimpleHTTPRequestHandler, directory=source)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/Testing/yes/000.png"
        (there,) = predict_files(calibrated, [to_path(url)]).findings
        with pytest.raises(GliascopeError, match="not found"):
            predict_files(calibrated, [to_path(url + "x")])
        server.shutdown()
    (here,) = predict_files(calibrated, [source / "Testing" / "yes" / "000.png"]).findings
    assert str(there.file) == url
    assert there.probabilities == here.probabilities


def test_what_changed_in_a_bucket_is_another_block(source: Path, s3: Put) -> None:
    from gliascope.runtime.resumable_map import make_chunks

    url = s3(source)
    files = [to_path(f"{url}/Testing/no/000.png")]
    (before,) = make_chunks(files, lambda file: file, "")
    assert next(make_chunks(files, lambda file: file, "")).key == before.key
    files[0].write_bytes(b"another length")
    assert next(make_chunks(files, lambda file: file, "")).key != before.key


def test_what_cannot_be_reached_is_one_line(s3: Put, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = s3(source)
    with pytest.raises(GliascopeError, match="Unsupported filesystem"):
        to_path("nonsense://folder")
    with pytest.raises(LayoutError, match="not a folder"):
        scan([to_path(url + "-none")])
    with pytest.raises(LayoutError, match="has no name"):
        scan([to_path(url.rpartition("/")[0])])
    with pytest.raises(ReadError, match="not found"):
        read(url + "/none.png")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    to_path(url).fs.clear_instance_cache()  # type: ignore[attr-defined]
    with pytest.raises(GliascopeError, match="cannot be reached"):
        exists(to_path(url))


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "upath", None)
    result = CliRunner().invoke(app, ["scan", "s3://bucket/folder"])
    assert result.exit_code == 2
    assert result.output == "error: upath is missing: pip install 'gliascope[scale]'\n"
