import hashlib
import io
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from tiny import slice_image
from typer.testing import CliRunner

from gliascope.cli import app
from gliascope.dataset.scan import scan
from gliascope.download import fetch, figshare, find_public_set, http, read_origin
from gliascope.errors import DownloadError

FIGSHARE, KAGGLE = "figshare-cheng", "br35h"  # a set of each kind
ARTICLE = f"/articles/{find_public_set(FIGSHARE).figshare}"
SERVICE = "/api/v1/datasets.DatasetApiService"


def png(label: int, seed: int) -> bytes:
    stream = io.BytesIO()
    slice_image(label, seed).save(stream, "png")
    return stream.getvalue()


def packed(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


SLICES = {f"{folder}/{n}.png": png(label, n) for label, folder in enumerate(("no", "yes")) for n in range(3)}
SLICES |= {"pred/a.png": png(0, 99), "Br35H-Mask-RCNN/TRAIN/b.png": png(1, 98)}


@pytest.fixture
def article(stand_in: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """figshare with one article of two archives and a text."""
    monkeypatch.setattr(figshare, "API", stand_in.url)
    files = {"part 1.zip": packed({"glioma/1.png": png(0, 1), "glioma/2.png": png(0, 2)})}
    files["part 2.zip"] = packed({"pituitary/3.png": png(1, 3)})
    files["README.txt"] = b"about"
    rows = []
    for number, (name, content) in enumerate(files.items()):
        stand_in.redirects[f"/files/{number}"] = f"{stand_in.url}/storage/{number}"
        stand_in.answers[f"/storage/{number}"] = content
        md5 = hashlib.md5(content).hexdigest()
        row = {"name": name, "size": len(content), "computed_md5": md5, "id": number}
        rows.append(row | {"download_url": f"{stand_in.url}/files/{number}"})
    stand_in.answers |= {ARTICLE: {"version": 8, "license": {"name": "CC BY 4.0"}}, f"{ARTICLE}/files": rows}
    return stand_in


@pytest.fixture
def kaggle(stand_in: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Kaggle with one set. kagglehub calls it by way of a proxy: it knows a few addresses only, with no port."""
    pytest.importorskip("kagglehub", reason="the extra [fetch] is not installed")
    for name in ("NO_PROXY", "no_proxy", "KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "home"))
    monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "LOCALHOST")
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, stand_in.url)
    stand_in.answers[f"{SERVICE}/GetDataset"] = {"currentVersionNumber": 12}
    stand_in.redirects[f"{SERVICE}/DownloadDataset"] = "http://localhost/storage/archive.zip"
    stand_in.answers["/storage/archive.zip"] = packed(SLICES)
    return stand_in


def leftovers(folder: Path) -> set[str]:
    """What lies in a folder beside the home that kagglehub is given."""
    return {path.name for path in folder.iterdir()} - {"home"}


def test_figshare_comes_whole(article: Any, tmp_path: Path) -> None:
    out = fetch(FIGSHARE, tmp_path / "new" / "cheng")
    found = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    slices = {"part 1/glioma/1.png", "part 1/glioma/2.png", "part 2/pituitary/3.png"}
    assert found == slices | {"README.txt", ".source.json"}
    assert (out / "part 1/glioma/2.png").read_bytes() == png(0, 2)
    record = json.loads((out / ".source.json").read_text())
    assert (record["name"], record["version"], record["licence"]) == (FIGSHARE, "8", "CC-BY-4.0")
    assert record["home"] == str(find_public_set(FIGSHARE).home)
    known = read_origin(out)
    assert known is not None
    assert (known.name, known.version, known.overlaps) == (FIGSHARE, "8", find_public_set(FIGSHARE).overlaps)
    assert leftovers(tmp_path / "new") == {"cheng"}
    assert scan([out]).frame["label"].to_list() == ["glioma", "glioma", "pituitary"]


def test_the_origin_of_a_folder_that_fetch_did_not_bring_is_not_known(tmp_path: Path) -> None:
    folder = tmp_path / FIGSHARE  # a name proves nothing
    folder.mkdir()
    assert read_origin(folder) is None
    for text in ("", "[]", json.dumps({"name": FIGSHARE, "licence": "CC0-1.0"})):
        (folder / ".source.json").write_text(text)
        assert read_origin(folder) is None


def test_a_cut_connection_goes_on_by_itself(article: Any, tmp_path: Path) -> None:
    article.cuts["/storage/0"] = [100, 50, 0]
    out = fetch(FIGSHARE, tmp_path / "out")
    assert (out / "part 1/glioma/1.png").read_bytes() == png(0, 1)
    asked = [span for path, span in article.seen if path == "/storage/0"]
    assert asked == [None, "bytes=100-", "bytes=150-", "bytes=150-"]


def test_a_broken_download_goes_on_with_the_next_command(article: Any, tmp_path: Path) -> None:
    article.cuts["/storage/1"] = [70] + [0] * (http.ATTEMPTS - 1)
    with pytest.raises(
        DownloadError, match=r"/files/1: no connection, or it broke .*it goes on where it stopped"
    ):
        fetch(FIGSHARE, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    article.seen.clear()
    out = fetch(FIGSHARE, tmp_path / "out")
    assert (out / "part 2/pituitary/3.png").exists()
    spans = {path: span for path, span in article.seen if path.startswith("/storage")}
    # The first archive is there already, of the second only the rest is asked for.
    assert spans == {"/storage/1": "bytes=70-", "/storage/2": None}
    assert leftovers(tmp_path) == {"out"}


def test_a_server_without_ranges_starts_anew(article: Any, tmp_path: Path) -> None:
    article.ranges = False
    article.cuts["/storage/0"] = [100]
    out = fetch(FIGSHARE, tmp_path / "out")
    assert (out / "part 1/glioma/1.png").read_bytes() == png(0, 1)


def test_what_was_changed_between_two_tries_is_found_out(article: Any, tmp_path: Path) -> None:
    article.cuts["/storage/1"] = [70] + [0] * (http.ATTEMPTS - 1)
    with pytest.raises(DownloadError):
        fetch(FIGSHARE, tmp_path / "out")
    part = next(tmp_path.rglob("part 2.zip.part"))
    part.write_bytes(bytes(70))
    with pytest.raises(DownloadError, match="expected MD5"):
        fetch(FIGSHARE, tmp_path / "out")
    assert fetch(FIGSHARE, tmp_path / "out").exists()


@pytest.mark.parametrize(("length", "ranges"), [(10**6, True), (3, None), (3, False)])
def test_a_part_that_does_not_fit_is_begun_anew(
    article: Any, tmp_path: Path, length: int, ranges: bool | None
) -> None:
    """It is longer than the file, or the server refuses the range, or knows none."""
    article.cuts["/storage/0"] = [10] + [0] * (http.ATTEMPTS - 1)
    with pytest.raises(DownloadError):
        fetch(FIGSHARE, tmp_path / "out")
    next(tmp_path.rglob("part 1.zip.part")).write_bytes(bytes(length))
    article.ranges = ranges
    assert fetch(FIGSHARE, tmp_path / "out").exists()


def test_a_wrong_checksum_is_refused(article: Any, tmp_path: Path) -> None:
    content = bytearray(article.answers["/storage/0"])
    content[50] ^= 1
    article.answers["/storage/0"] = bytes(content)
    with pytest.raises(DownloadError, match=r"expected MD5 \w{32} but got \w{32}; what came is removed"):
        fetch(FIGSHARE, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.rglob("part 1.zip*"))


@pytest.mark.parametrize("gone", [ARTICLE, f"{ARTICLE}/files", "/storage/1"])
def test_what_is_gone_is_said_with_the_page_to_look_at(article: Any, tmp_path: Path, gone: str) -> None:
    article.answers[gone] = 404
    with pytest.raises(
        DownloadError, match=rf"HTTP 404; the article .* gone, look at {find_public_set(FIGSHARE).home}"
    ):
        fetch(FIGSHARE, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert sum(path == gone for path, _ in article.seen) == 1  # trying again is no use


def test_a_busy_server_is_asked_again(article: Any, tmp_path: Path) -> None:
    answer = article.answers["/storage/0"]
    article.answers["/storage/0"] = 503
    with pytest.raises(DownloadError, match=r"no connection, or it broke \(HTTP 503\)"):
        fetch(FIGSHARE, tmp_path / "out")
    assert sum(path == "/storage/0" for path, _ in article.seen) == http.ATTEMPTS
    article.answers["/storage/0"] = answer
    assert fetch(FIGSHARE, tmp_path / "out").exists()


def test_a_busy_server_costs_nothing_of_what_came(article: Any, tmp_path: Path) -> None:
    answer, breaks = article.answers["/storage/0"], [0] * (http.ATTEMPTS - 1)
    article.cuts["/storage/0"] = [100, *breaks]
    for busy in (answer, 503):
        article.answers["/storage/0"] = busy
        with pytest.raises(DownloadError):
            fetch(FIGSHARE, tmp_path / "out")
    article.answers["/storage/0"] = answer
    article.seen.clear()
    assert fetch(FIGSHARE, tmp_path / "out").exists()
    assert ("/storage/0", "bytes=100-") in article.seen


def test_an_empty_file_comes_too(article: Any, tmp_path: Path) -> None:
    article.answers[f"{ARTICLE}/files"][2] |= {"size": 0, "computed_md5": hashlib.md5(b"").hexdigest()}
    assert (fetch(FIGSHARE, tmp_path / "out") / "README.txt").read_bytes() == b""


def test_an_archive_that_leads_outside_is_refused(article: Any, tmp_path: Path) -> None:
    rows = article.answers[f"{ARTICLE}/files"]
    evil = packed({"../../../evil.png": b"evil"})
    rows[0] |= {"size": len(evil), "computed_md5": hashlib.md5(evil).hexdigest()}
    article.answers["/storage/0"] = evil
    with pytest.raises(DownloadError, match=r"'../../../evil.png' leads out"):
        fetch(FIGSHARE, tmp_path / "deep" / "out")
    assert not list(tmp_path.rglob("evil.png"))
    assert not (tmp_path / "deep" / "out").exists()


@pytest.mark.parametrize("name", ["../evil.zip", "a/b.zip", "part 2.zip", "", ".."])
def test_file_names_that_cannot_be_used_are_refused(article: Any, tmp_path: Path, name: str) -> None:
    article.answers[f"{ARTICLE}/files"][0]["name"] = name
    with pytest.raises(DownloadError, match="names that cannot be used"):
        fetch(FIGSHARE, tmp_path / "out")


def test_odd_answers_are_one_line(article: Any, tmp_path: Path) -> None:
    del article.answers[f"{ARTICLE}/files"][0]["computed_md5"]
    with pytest.raises(DownloadError, match=r"its list of files is odd \(computed_md5: Field required\)"):
        fetch(FIGSHARE, tmp_path / "out")
    article.answers[ARTICLE] = b"<html>"
    with pytest.raises(DownloadError, match="the answer is no JSON"):
        fetch(FIGSHARE, tmp_path / "out")


def test_no_network_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(http, "PAUSE", 0)
    monkeypatch.setattr(figshare, "API", "http://127.0.0.1:9")
    result = CliRunner().invoke(app, ["fetch", FIGSHARE, "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert "check the network" in result.stderr
    assert leftovers(tmp_path) <= {f".out.{FIGSHARE}.part"}


def test_a_folder_that_holds_something_is_left_alone(article: Any, tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text("mine")
    for out in (tmp_path, tmp_path / "file.txt"):
        with pytest.raises(DownloadError, match="already there; remove it"):
            fetch(FIGSHARE, out)
    assert not article.seen
    (tmp_path / "empty").mkdir()
    assert (fetch(FIGSHARE, tmp_path / "empty") / "README.txt").exists()


def test_kaggle_comes_whole_by_its_own_library(kaggle: Any, tmp_path: Path) -> None:
    out = fetch(KAGGLE, tmp_path / "br35h")
    found = {path.relative_to(out).as_posix(): path for path in out.rglob("*") if path.is_file()}
    assert set(found) == set(SLICES) | {".source.json", ".labels.yaml"}
    assert all(found[name].read_bytes() == content for name, content in SLICES.items())
    assert json.loads((out / ".source.json").read_text())["version"] == "12"
    assert leftovers(tmp_path) == {"br35h"}
    assert kaggle.seen[0][0] == f"{SERVICE}/GetDataset"
    frame = scan([out], out / ".labels.yaml").frame
    assert sorted(frame["label"]) == ["no_tumor"] * 3 + ["tumor"] * 3  # pred and the masks are left out


def test_kaggle_a_version_is_asked_for_where_the_handle_names_one(kaggle: Any, tmp_path: Path) -> None:
    del kaggle.answers[f"{SERVICE}/GetDataset"]
    out = fetch("masoudnickparvar-7023", tmp_path / "out")
    assert json.loads((out / ".source.json").read_text())["version"] == "1"


def test_kaggle_goes_on_where_it_stopped(kaggle: Any, tmp_path: Path) -> None:
    # kagglehub keeps what came in whole mebibytes.
    kaggle.answers["/storage/archive.zip"] = packed(SLICES | {"yes/large": bytes(3 * 2**20)})
    kaggle.cuts["/storage/archive.zip"] = [5 * 2**19] + [0] * (2 * http.ATTEMPTS)
    with pytest.raises(DownloadError, match="it goes on where it stopped"):
        fetch(KAGGLE, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    kaggle.cuts.clear()
    kaggle.seen.clear()
    out = fetch(KAGGLE, tmp_path / "out")
    assert (out / "yes/0.png").read_bytes() == SLICES["yes/0.png"]
    assert ("/storage/archive.zip", f"bytes={2**21}-") in kaggle.seen
    assert leftovers(tmp_path) == {"out"}


def test_kaggle_a_wrong_checksum_is_refused(kaggle: Any, tmp_path: Path) -> None:
    kaggle.hashes["/storage/archive.zip"] = "md5=AAAAAAAAAAAAAAAAAAAAAA=="
    with pytest.raises(DownloadError, match="MD5 checksum"):
        fetch(KAGGLE, tmp_path / "out")
    assert leftovers(tmp_path) == set()


def test_kaggle_what_is_no_archive_is_refused(kaggle: Any, tmp_path: Path) -> None:
    kaggle.answers["/storage/archive.zip"] = b"<html>sorry</html>"
    with pytest.raises(DownloadError, match="Unsupported archive type"):
        fetch(KAGGLE, tmp_path / "out")
    assert leftovers(tmp_path) == set()


@pytest.mark.parametrize(
    ("status", "message"),
    [(401, "KAGGLE_API_TOKEN"), (403, "consent to the terms on https://"), (404, "look at https://")],
)
def test_kaggle_refusals_name_the_remedy(kaggle: Any, tmp_path: Path, status: int, message: str) -> None:
    kaggle.answers[f"{SERVICE}/GetDataset"] = status
    result = CliRunner().invoke(app, ["fetch", KAGGLE, "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert f"HTTP {status}" in result.stderr
    assert message in result.stderr
    assert leftovers(tmp_path) == set()


def test_an_archive_of_kaggle_cannot_lead_outside(kaggle: Any, tmp_path: Path) -> None:
    kaggle.answers["/storage/archive.zip"] = packed({"../../../../../evil.png": b"evil", "yes/1.png": b"x"})
    out = fetch(KAGGLE, tmp_path / "a" / "b" / "out")
    assert {path.relative_to(out).as_posix() for path in tmp_path.rglob("evil.png")} == {"evil.png"}


@pytest.mark.parametrize(("name", "module"), [(KAGGLE, "kagglehub"), (FIGSHARE, "requests")])
def test_a_missing_library_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, module: str
) -> None:
    for loaded in [key for key in sys.modules if key.startswith("gliascope.download.")]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, module, None)
    result = CliRunner().invoke(app, ["fetch", name, "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert result.stderr == f"error: {module} is missing: pip install 'gliascope[fetch]'\n"


def test_the_command_says_licence_and_how_to_go_on(kaggle: Any, tmp_path: Path) -> None:
    out = tmp_path / "my set"
    result = CliRunner().invoke(app, ["fetch", KAGGLE, "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "licence: to be checked" in result.output
    assert f"gliascope scan '{out}' --labels '{out}/.labels.yaml'" in result.output
    assert "gliascope audit catalog.parquet" in result.output


def test_the_list_shows_every_set() -> None:
    result = CliRunner().invoke(app, ["fetch", "--list"], env={"COLUMNS": "120"})
    assert result.exit_code == 0
    assert "3,064" in result.output
    assert "masoudnickparvar-7023" in result.output
    one = CliRunner().invoke(app, ["fetch", "sartajbhuvaji", "--list"]).output
    assert "licence: MIT" in one
    assert "shares slices with masoudnickparvar-7023: 2,488" in one


def test_a_name_is_needed() -> None:
    result = CliRunner().invoke(app, ["fetch"])
    assert result.exit_code == 2
    assert "`gliascope fetch --list` shows the names" in result.stderr
