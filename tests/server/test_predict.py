import asyncio
import base64
import io
import json
import socket
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import uvicorn
from fastapi.testclient import TestClient
from PIL import Image
from served import png, send, serving, until, volume

from gliascope.inference.bundle import Bundle
from gliascope.inference.overlay import enlarge_map
from gliascope.inference.predict import Predictor, prepare
from gliascope.inference.predict_files import predict_files
from gliascope.preprocessing.preprocess import Preprocessing
from gliascope.server.batching import Batcher
from gliascope.server.decoding import Decoder
from gliascope.server.models import ModelSource

Serve = Callable[..., TestClient]
SAID = ("label", "probabilities", "prediction_set", "outlier_score", "verdict")


def test_it_says_what_the_command_line_says(client: TestClient, bundle_path: Path, tmp_path: Path) -> None:
    """Of slices, and of a study."""
    content = {"a.png": png(0), "b.png": png(3, 1), "v.nii.gz": volume(tmp_path)}
    for name, data in content.items():
        (tmp_path / name).write_bytes(data)
    findings = predict_files(Bundle.load(bundle_path), [tmp_path / name for name in content]).findings
    expected = [json.loads(finding.to_json()) for finding in findings]
    answer = client.post("/v1/predict", files=send(*content.items()))
    assert answer.status_code == 200
    told = answer.json()
    assert [{key: one[key] for key in SAID} for one in told["slices"] + told["studies"]] == [
        {key: one[key] for key in SAID} for one in expected
    ]
    assert [(one["file"], one["slice"]) for one in told["slices"]] == [
        ("a.png", 0),
        ("b.png", 0),
        *(("v.nii.gz", number) for number in range(5)),
    ]
    assert [one["label"] for one in told["slices"][:2]] == ["glioma", "pituitary"]
    assert told["slices"][0]["width"] == told["slices"][0]["height"] == 48
    (study,) = told["studies"]
    assert (study["file"], study["slices"]) == ("v.nii.gz", 5)
    assert {one["study"] for one in told["slices"][2:]} == {study["study"]}
    assert told["slices"][0]["study"] is None


def test_batches_across_requests_change_nothing(client: TestClient) -> None:
    files = [png(n % 4, n) for n in range(12)]
    together = client.post("/v1/predict", files=send(*(("x.png", data) for data in files))).json()["slices"]
    answers: list[dict] = [{}] * len(files)

    def ask(number: int) -> None:
        asked = client.post("/v1/predict", files=send(("x.png", files[number])))
        answers[number] = asked.json()["slices"][0]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(files))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == together


def test_files_that_cannot_be_read_are_set_aside(client: TestClient) -> None:
    told = client.post("/v1/predict", files=send(("a.png", png()), ("notes.txt", b"text"), ("b.png", png(1))))
    assert told.status_code == 200
    assert [one["file"] for one in told.json()["slices"]] == ["a.png", "b.png"]
    (reject,) = told.json()["rejects"]
    assert (reject["file"], reject["reason"]) == ("notes.txt", "format not recognised")


def test_nothing_that_can_be_read_is_an_error(client: TestClient) -> None:
    answer = client.post("/v1/predict", files=send(("notes.txt", b"text")))
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "unreadable"
    answer = client.post("/v1/predict", files=send(("a.txt", b"text"), ("b.txt", b"more")))
    assert "any of 2 files; the first: format not recognised" in answer.json()["error"]["message"]


def test_saliency_is_where_the_command_line_draws_it(
    client: TestClient, bundle_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(png(2))
    predictor = Predictor.load(Bundle.load(bundle_path))
    (finding,) = predictor.findings(prepare(tmp_path / "a.png", predictor.info.preprocessing))
    assert finding.map is not None
    strength = enlarge_map(np.maximum(finding.map, 0), (48, 48), (0, 48, 0, 48))
    (told,) = client.post("/v1/predict?saliency=true", files=send(("a.png", png(2)))).json()["slices"]
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(told["saliency"]))))
    assert picture.shape == (48, 48, 4)
    assert np.abs(picture[:, :, 3] - 255 * strength / strength.max()).max() <= 0.5
    assert (picture[:, :, :3] == picture[0, 0, :3]).all()


def test_a_zip_is_its_files(client: TestClient) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as content:
        content.writestr("series/1.png", png(0))
        content.writestr("series/2.png", png(1))
    told = client.post("/v1/predict", files=send(("head.zip", archive.getvalue()))).json()
    assert [one["file"] for one in told["slices"]] == ["head.zip/series/1.png", "head.zip/series/2.png"]


def test_studies_are_known_to_who_has_the_salt(serve: Serve, tmp_path: Path) -> None:
    """The same study has one name as long as the salt is the same."""
    from pydicom.data import get_testdata_file

    dicom = Path(get_testdata_file("MR_small.dcm")).read_bytes()
    names = [
        serve(salt=salt).post("/v1/predict", files=send(("a.dcm", dicom))).json()["slices"][0]["study"]
        for salt in ("a salt of sixteen letters", "a salt of sixteen letters", "another salt of as many")
    ]
    assert len(names[0]) == 32
    assert names[0] == names[1] != names[2]


def test_a_level_moves_the_prediction_sets(client: TestClient) -> None:
    half = png(0)
    sizes = []
    for level in (0.5, 0.97):
        answer = client.post(f"/v1/predict?level={level}", files=send(("a.png", half)))
        sizes.append(len(answer.json()["slices"][0]["prediction_set"]))
    assert sizes == sorted(sizes)
    answer = client.post("/v1/predict?level=0.999", files=send(("a.png", half)))
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "bad_level")


def test_a_full_server_says_so_before_it_reads_a_file(serve: Serve) -> None:
    client = serve(queue_slices=4)
    places = client.app.state.context.admission
    with places.new_request() as hold:
        hold.reserve(4)
        answer = client.post("/v1/predict", files=send(("a.png", png())))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "busy")
    assert int(answer.headers["Retry-After"]) >= 1
    answer = client.post("/v1/predict", files=send(*(("a.png", png(0, n)) for n in range(5))))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_many_slices")
    assert client.post("/v1/predict", files=send(("a.png", png()))).status_code == 200
    assert places.admitted_slices == 0


def test_a_volume_takes_a_place_for_each_slice(serve: Serve, tmp_path: Path) -> None:
    client = serve(queue_slices=4)
    answer = client.post("/v1/predict", files=send(("v.nii.gz", volume(tmp_path, 5))))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_many_slices")
    assert client.app.state.context.admission.admitted_slices == 0


def test_files_leave_the_disk_once_they_are_decoded(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small files may hold large slices, and a request may hold many files."""
    left: list[Path] = []
    run = Batcher.run

    async def look(self: Batcher, pixels):
        left.extend(tmp_path.glob("*/*"))
        return await run(self, pixels)

    monkeypatch.setattr(Batcher, "run", look)
    answer = serve(temporary=tmp_path).post("/v1/predict", files=send(("a.png", png()), ("a.txt", b"text")))
    assert answer.json()["slices"][0]["label"] == "glioma"
    assert left == []


async def _never(self: Decoder, path: Path, preprocessing: Preprocessing) -> None:
    await asyncio.sleep(60)


def test_it_ends_in_time(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Decoder, "decode", _never)
    client = serve(request_seconds=0.2)
    answer = client.post("/v1/predict", files=send(("a.png", png())))
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "timeout")
    assert client.app.state.context.admission.admitted_slices == 0


def test_a_client_that_goes_away_frees_its_place(
    bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Decoder, "decode", _never)
    with serving([ModelSource("quadrants", bundle_path)], temporary=tmp_path) as client:
        context = client.app.state.context
        listening = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(client.app, lifespan="off", log_level="warning"))
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        until(lambda: server.started)
        request = client.build_request("POST", "http://localhost/v1/predict", files=send(("a.png", png())))
        head = (
            f"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: {request.headers['content-type']}"
        )
        body = request.read()
        with socket.create_connection(listening.getsockname()) as connection:
            connection.sendall(f"{head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            until(lambda: context.admission.admitted_slices == 1 and list(tmp_path.glob("*/*")) != [])
        until(lambda: context.admission.admitted_slices == 0)
        until(lambda: list(tmp_path.iterdir()) == [])
        server.should_exit = True
        thread.join(10)


def test_nothing_is_left_on_the_disk(client: TestClient, tmp_path: Path) -> None:
    client.post("/v1/predict", files=send(("a.png", png()), ("v.nii.gz", volume(tmp_path))))
    client.post("/v1/predict", files=send(("a.txt", b"text")))
    assert list(client.app.state.context.temporary.iterdir()) == []
