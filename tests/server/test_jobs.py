import asyncio
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from PIL import Image
from quadrants import quadrant_bundle
from served import png, send, serving, until, volume

from gliascope.server.decoding import Decoder
from gliascope.server.keys import KeyRing
from gliascope.server.models import ModelSource

Serve = Callable[..., TestClient]


def submit(client: TestClient, *files: tuple[str, bytes], **options) -> str:
    answer = client.post("/v1/jobs", files=send(*files), **options)
    assert answer.status_code == 202, answer.text
    told = answer.json()
    assert answer.headers["Location"] == f"/v1/jobs/{told['id']}"
    assert told["state"] in ("queued", "running")
    return answer.headers["Location"]


def wait(client: TestClient, job: str, **options) -> dict:
    answers: list[Response] = []

    def over() -> bool:
        answers.append(client.get(job, **options))
        return answers[-1].json().get("state") not in ("queued", "running")

    until(over)
    return answers[-1].json()


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """A list; no file is decoded before something is appended to it."""
    gate: list[bool] = []
    decode = Decoder.decode

    async def slowly(self: Decoder, *arguments):
        while not gate:
            await asyncio.sleep(0.01)
        return await decode(self, *arguments)

    monkeypatch.setattr(Decoder, "decode", slowly)
    yield gate
    gate.append(True)


def test_a_job_ends_with_what_predict_says(client: TestClient, tmp_path: Path) -> None:
    files = [("a.png", png(1)), ("v.nii.gz", volume(tmp_path, 40)), ("notes.txt", b"text")]
    told = wait(client, submit(client, *files))
    assert (told["state"], told["error"]) == ("done", None)
    assert told["progress"] == {"slices_done": 41, "files_done": 3, "files": 3}
    expected = client.post("/v1/predict", files=send(*files)).json()
    for prediction in (told["result"], expected):
        for one in prediction["slices"] + prediction["studies"]:
            del one["study"]  # a volume without identifiers is another study each time
    assert told["result"] == expected


def test_slices_and_maps_can_be_fetched_as_pictures(client: TestClient) -> None:
    job = submit(client, ("a.png", png(0)), ("b.png", png(2)))
    (_, second) = wait(client, job)["result"]["slices"]
    for number, label in enumerate((0, 2)):
        picture = client.get(f"{job}/slices/{number}/image")
        assert picture.headers["Content-Type"] == "image/png"
        expected = np.asarray(Image.open(io.BytesIO(png(label))))
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(picture.content))), expected)
    answer = client.get(f"{job}/slices/1/saliency")
    map_ = np.asarray(Image.open(io.BytesIO(answer.content)))
    assert map_.shape == (second["height"], second["width"], 4)
    bright = map_[:, :, 3] > 128
    assert bright.any()
    assert np.argwhere(bright).mean(axis=0) == pytest.approx([0.7 * 48, 0.3 * 48], abs=4)  # where its disc is
    assert client.get(f"{job}/slices/2/image").json()["error"]["code"] == "unknown_slice"


def test_a_model_without_maps_says_so(tmp_path: Path) -> None:
    quadrant_bundle(plain=True).write(tmp_path / "plain")
    with serving([ModelSource("plain", tmp_path / "plain")]) as client:
        job = submit(client, ("a.png", png()))
        wait(client, job)
        answer = client.get(f"{job}/slices/0/saliency")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_saliency")
        assert client.get(f"{job}/slices/0/image").status_code == 200


def test_progress_is_told_and_pictures_only_when_it_is_done(client: TestClient, held: list[bool]) -> None:
    job = submit(client, ("a.png", png()), ("b.png", png()))
    until(lambda: client.get(job).json()["state"] == "running")
    assert client.get(job).json()["progress"] == {"slices_done": 0, "files_done": 0, "files": 2}
    assert client.get(f"{job}/slices/0/image").status_code == 404
    held.append(True)
    assert wait(client, job)["state"] == "done"


def test_a_job_that_fails_says_why(client: TestClient) -> None:
    job = submit(client, ("a.txt", b"text"))
    told = wait(client, job)
    assert (told["state"], told["result"]) == ("failed", None)
    assert told["error"]["code"] == "unreadable"
    assert client.get(job).status_code == 200


def test_too_many_slices_and_too_long_a_time_fail(serve: Serve, tmp_path: Path, held: list[bool]) -> None:
    client = serve(job_seconds=0.2)
    assert wait(client, submit(client, ("a.png", png())))["error"]["code"] == "timeout"
    held.append(True)
    client = serve(job_slices=4)
    told = wait(client, submit(client, ("v.nii.gz", volume(tmp_path, 5))))
    assert told["error"]["code"] == "too_many_slices"


def test_a_job_belongs_to_the_key_that_made_it(bundle_path: Path, tmp_path: Path) -> None:
    ring, first = KeyRing().add("first", ("predict",))
    ring, second = ring.add("second", ("predict", "admin"))
    ring.save(tmp_path / "keys.json")
    mine, theirs = ({"headers": {"Authorization": f"Bearer {key}"}} for key in (first, second))
    with serving([ModelSource("quadrants", bundle_path)], keys=tmp_path / "keys.json") as client:
        job = submit(client, ("a.png", png()), **mine)
        assert wait(client, job, **mine)["state"] == "done"
        for path in ("", "/slices/0/image", "/slices/0/saliency"):
            assert client.get(job + path, **mine).status_code == 200
            assert client.get(job + path, **theirs).json()["error"]["code"] == "unknown_job"
            assert client.get(job + path).status_code == 401
        assert client.delete(job, **theirs).status_code == 404
        assert client.delete(job, **mine).status_code == 204
        assert client.get(job, **mine).status_code == 404


def test_deleting_cancels_and_removes(serve: Serve, tmp_path: Path, held: list[bool]) -> None:
    client = serve(temporary=tmp_path, jobs_running=1)
    running, queued = submit(client, ("a.png", png())), submit(client, ("b.png", png()))
    until(lambda: client.get(running).json()["state"] == "running")
    assert client.get(queued).json()["state"] == "queued"
    for job in (queued, running):
        assert client.delete(job).status_code == 204
        assert client.get(job).status_code == 404
    assert list(tmp_path.iterdir()) == []
    model = client.app.state.context.models.get(None)
    assert model.uses == 0
    held.append(True)
    assert wait(client, submit(client, ("a.png", png())))["state"] == "done"


def test_no_more_jobs_wait_than_may(serve: Serve, held: list[bool]) -> None:
    client = serve(jobs_waiting=2)
    for _ in range(2):
        job = submit(client, ("a.png", png()))
    answer = client.post("/v1/jobs", files=send(("a.png", png())))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "busy")
    assert int(answer.headers["Retry-After"]) >= 1
    held.append(True)
    wait(client, job)
    submit(client, ("a.png", png()))


def test_so_many_are_kept_for_a_key(serve: Serve, tmp_path: Path) -> None:
    client = serve(jobs_kept=2, temporary=tmp_path)
    jobs = []
    for _ in range(4):
        jobs.append(submit(client, ("a.png", png())))
        wait(client, jobs[-1])
    until(lambda: len(list(tmp_path.iterdir())) == 2)
    assert [client.get(job).status_code for job in jobs] == [404, 404, 200, 200]


def test_the_oldest_make_room_on_the_disk(serve: Serve) -> None:
    client = serve(jobs_mb=1)
    noise = np.random.default_rng(0).integers(0, 256, (900, 900), dtype=np.uint8)
    content = io.BytesIO()
    Image.fromarray(noise).save(content, format="png")
    jobs = []
    for _ in range(3):
        jobs.append(submit(client, ("noise.png", content.getvalue())))
        wait(client, jobs[-1])
    assert [client.get(job).status_code for job in jobs] == [404, 200, 200]


def test_they_are_forgotten_after_a_time(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gliascope.server.jobs._SWEEP", 0.1)
    client = serve(jobs_minutes=0.005, temporary=tmp_path)
    job = submit(client, ("a.png", png()))
    until(lambda: client.get(job).status_code == 404)
    until(lambda: list(tmp_path.iterdir()) == [])


def test_a_closed_server_leaves_nothing(bundle_path: Path, tmp_path: Path) -> None:
    with serving([ModelSource("quadrants", bundle_path)], temporary=tmp_path) as client:
        wait(client, submit(client, ("a.png", png())))
        submit(client, ("v.nii.gz", volume(tmp_path.parent, 50)))
    assert list(tmp_path.iterdir()) == []
