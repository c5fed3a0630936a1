import asyncio
import hashlib
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from quadrants import quadrant_bundle
from served import png, send, serving, until

from gliascope.errors import BundleError, GliascopeError
from gliascope.inference.bundle import Bundle
from gliascope.server.batching import Batcher
from gliascope.server.keys import KeyRing
from gliascope.server.models import ModelRegistry, ModelSource, parse_sources


@pytest.fixture
def two(tmp_path: Path) -> Iterator[TestClient]:
    """`one`, whose quarters mean the classes, and `turned`, whose mean them in reverse."""
    quadrant_bundle().write(tmp_path / "one", "# One")
    quadrant_bundle(turned=True).write(tmp_path / "turned")
    with serving([ModelSource(name, tmp_path / name) for name in ("one", "turned")]) as client:
        yield client


def label(client: TestClient, query: str = "") -> str:
    answer = client.post(f"/v1/predict{query}", files=send(("a.png", png(0))))
    return answer.json()["slices"][0]["label"]


def reload(client: TestClient) -> dict[str, str]:
    answer = client.post("/v1/models/reload")
    assert answer.status_code == 200
    return answer.json()["models"]


def test_models_answer_side_by_side(two: TestClient) -> None:
    assert [label(two), label(two, "?model=one"), label(two, "?model=turned")] == [
        "glioma",
        "glioma",
        "pituitary",
    ]
    answer = two.post("/v1/predict?model=other", files=send(("a.png", png())))
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_model")
    assert "one, turned" in answer.json()["error"]["message"]
    assert [(one["name"], one["default"]) for one in two.get("/v1/models").json()] == [
        ("one", True),
        ("turned", False),
    ]


def test_what_is_known_of_a_model_is_told(two: TestClient, tmp_path: Path) -> None:
    info = Bundle.load(tmp_path / "one").info
    told = two.get("/v1/model").json()
    assert (told["name"], told["sha256"], told["recipe"]) == ("one", info.model_sha256, "quadrants")
    assert list(told["classes"]) == list(info.classes)
    assert "membranes" in told["classes"]["meningioma"]
    assert told["calibrator"] == {"level": 0.95, "method": "lac", "temperature": 1.0, "groups": 39}
    assert told["metrics"] == {name: one.model_dump() for name, one in info.metrics.items()}
    assert (told["saliency"], told["card"]) == (True, "# One")
    assert "never a diagnosis" in told["research_use"]
    assert two.get("/v1/model?model=turned").json()["card"] is None


def test_reloading_takes_what_lies_there_now(two: TestClient, tmp_path: Path) -> None:
    assert reload(two) == {"one": "unchanged", "turned": "unchanged"}
    quadrant_bundle(turned=True).write(tmp_path / "one", "# One, turned")
    assert label(two) == "glioma"
    assert reload(two) == {"one": "reloaded", "turned": "unchanged"}
    assert label(two) == "pituitary"
    assert two.get("/v1/model").json()["card"] == "# One, turned"


@pytest.mark.parametrize("damage", ["cut", "gone", "no graph", "other classes"])
def test_a_damaged_one_keeps_serving_what_it_was(two: TestClient, tmp_path: Path, damage: str) -> None:
    graph = tmp_path / "one" / "model.onnx"
    bundle = Bundle.load(tmp_path / "one")
    if damage == "cut":
        graph.write_bytes(graph.read_bytes()[:-1])
    elif damage == "gone":
        shutil.rmtree(tmp_path / "one")
    else:
        update = {"model_sha256": hashlib.sha256(b"junk").hexdigest()}
        content = b"junk"
        if damage == "other classes":
            update, content = {"classes": ("glioma", "no_tumor")}, bundle.model
        Bundle(bundle.info.model_copy(update=update), content, bundle.arrays).write(tmp_path / "one")
    quadrant_bundle().write(tmp_path / "turned")
    outcome = reload(two)
    assert re.match(
        r"failed: (the bundle: |model\.onnx cannot be loaded|logits of model\.onnx)", outcome["one"]
    )
    assert str(tmp_path) not in outcome["one"]
    assert outcome["turned"] == "reloaded"
    assert [one["reload_failed"] for one in two.get("/v1/models").json()] == [
        outcome["one"].removeprefix("failed: "),
        None,
    ]
    assert [label(two), label(two, "?model=turned")] == ["glioma", "glioma"]


@pytest.mark.parametrize("kind", ["text", "encrypted", "damaged", "method", "edited", "unforeseen"])
def test_one_bad_zip_lets_the_others_reload(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sources = []
    for name in ("one", "two"):
        quadrant_bundle().write(tmp_path / name / "bundle", "# Card")
        archive = shutil.make_archive(str(tmp_path / name), "zip", tmp_path / name)
        sources.append(ModelSource(name, Path(archive)))
    with serving(sources) as client:
        archive = tmp_path / "one.zip"
        content = bytearray(archive.read_bytes())
        first, central = content.index(b"PK\x03\x04"), content.index(b"PK\x01\x02")
        if kind == "edited":
            card = (tmp_path / "one/bundle/bundle.json").read_text().replace('"meningioma"', '"healthy"')
            (tmp_path / "one/bundle/bundle.json").write_text(card)
            shutil.make_archive(str(tmp_path / "one"), "zip", tmp_path / "one")
        elif kind == "unforeseen":
            load = Bundle.load.__func__

            def fail(cls: type[Bundle], path: Path) -> Bundle:
                if path == archive:
                    raise MemoryError
                return load(cls, path)

            monkeypatch.setattr(Bundle, "load", classmethod(fail))
        else:
            while central >= 0:  # every member
                content[central + 8] |= kind == "encrypted"
                content[central + 10] = 97 if kind == "method" else content[central + 10]
                central = content.find(b"PK\x01\x02", central + 4)
            if kind == "damaged":
                content[first + 60 : first + 400] = bytes(340)
            archive.write_bytes(b"text" if kind == "text" else content)
        quadrant_bundle(turned=True).write(tmp_path / "two" / "bundle")
        shutil.make_archive(str(tmp_path / "two"), "zip", tmp_path / "two")
        outcome = reload(client)
        assert outcome["two"] == "reloaded"
        assert outcome["one"].startswith("failed: ") and "\n" not in outcome["one"]
        assert str(tmp_path) not in outcome["one"]
        assert "model one: failed" in caplog.text
        assert client.get("/v1/models").json()[0]["reload_failed"] == outcome["one"].removeprefix("failed: ")
        assert [label(client, "?model=one"), label(client, "?model=two")] == ["glioma", "pituitary"]
        monkeypatch.undo()
        quadrant_bundle().write(tmp_path / "one" / "bundle", "# Card")
        shutil.make_archive(str(tmp_path / "one"), "zip", tmp_path / "one")
        assert reload(client)["one"] == "unchanged"
        assert client.get("/v1/models").json()[0]["reload_failed"] is None


def test_who_began_with_the_old_model_ends_with_it(
    two: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = two.app.state.context.models.get(None)
    asked, gate, run = threading.Event(), threading.Event(), Batcher.run

    async def slowly(self: Batcher, pixels):
        asked.set()
        while not gate.is_set():
            await asyncio.sleep(0.01)
        return await run(self, pixels)

    monkeypatch.setattr(Batcher, "run", slowly)
    labels: list[str] = []
    thread = threading.Thread(target=lambda: labels.append(label(two)))
    thread.start()
    assert asked.wait(20)
    quadrant_bundle(turned=True).write(tmp_path / "one")
    assert reload(two)["one"] == "reloaded"
    assert old.batcher._thread.is_alive()
    gate.set()
    thread.join()
    assert labels == ["glioma"]
    assert label(two) == "pituitary"
    until(lambda: not old.batcher._thread.is_alive())


def test_keys_are_reloaded_too(bundle_path: Path, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    ring, boss = KeyRing().add("boss", ("admin",))
    ring.save(file)
    with serving([ModelSource("quadrants", bundle_path)], keys=file) as client:
        client.headers["Authorization"] = f"Bearer {boss}"
        ring, reader = ring.add("reader", ("predict",))
        ring.save(file)
        theirs = {"Authorization": f"Bearer {reader}"}
        assert client.get("/v1/models", headers=theirs).status_code == 401
        assert client.post("/v1/models/reload").json()["keys"] == "reloaded"
        assert client.get("/v1/models", headers=theirs).status_code == 200
        answer = client.post("/v1/models/reload", headers=theirs)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
        file.write_text("damaged")
        assert client.post("/v1/models/reload").json()["keys"].startswith("failed: ")
        assert client.get("/v1/models", headers=theirs).status_code == 200


def test_names(tmp_path: Path) -> None:
    odd = tmp_path / "a=b"
    odd.mkdir()
    arguments = ["results/bundle", "new=models/v2.zip", "models/old.zip", str(odd), "elsewhere/lite0"]
    assert [(one.name, str(one.path)) for one in parse_sources(arguments)] == [
        ("results", "results/bundle"),
        ("new", "models/v2.zip"),
        ("old", "models/old.zip"),
        ("a=b", str(odd)),
        ("lite0", "elsewhere/lite0"),
    ]
    with pytest.raises(GliascopeError, match="two bundles are called a; give them names: NAME=BUNDLE"):
        parse_sources(["a/bundle", "a=b/bundle"])


def test_a_zip_is_served_with_its_card(bundle_path: Path, tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "one"), "zip", bundle_path.parent, bundle_path.name)
    (model,) = ModelRegistry([ModelSource("one", Path(archive))], 4, lambda *_: None)
    assert model.card == "# Card"
    model.retire()


def test_what_cannot_be_loaded_is_not_served(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="nowhere: not a bundle"):
        ModelRegistry([ModelSource("nowhere", tmp_path / "nowhere")], 4, lambda *_: None)
