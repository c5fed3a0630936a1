"""Reading files, and the findings that the page shows."""

import base64
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from playwright.sync_api import expect
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid
from tiny import slice_image

DROP = """(items) => {
    const transfer = new DataTransfer();
    for (const [name, content] of items) {
        const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
        transfer.items.add(new File([bytes], name));
    }
    const where = document.getElementById("drop");
    for (const type of ["dragenter", "dragover", "drop"]) {
        where.dispatchEvent(new DragEvent(type, { dataTransfer: transfer, bubbles: true, cancelable: true }));
    }
}"""


def read(page, *paths: Path) -> None:
    page.set_input_files("#files", list(map(str, paths)))
    page.wait_for_selector("#results:not([hidden])")


def counts(page) -> list[str]:
    return [" ".join(text.split()) for text in page.locator(".count").all_inner_texts()]


def position(page) -> str:
    return page.inner_text("#slice-text")


def test_a_dropped_file_is_answered_as_the_api_answers(page, server, files):
    content = (files / "sure.png").read_bytes()
    page.evaluate(DROP, [["sure.png", base64.b64encode(content).decode()]])
    page.wait_for_selector("#results:not([hidden])")
    answer = page.request.post(
        f"{server}v1/predict",
        multipart={"files": {"name": "sure.png", "mimeType": "image/png", "buffer": content}},
    ).json()["slices"][0]
    assert answer["label"] == "glioma"
    assert page.inner_text("#findings .answer").split() == ["glioma", "accepted"]
    for row, share in zip(
        page.locator("#findings tbody tr").all(), answer["probabilities"].values(), strict=True
    ):
        text = row.inner_text()
        assert f"{100 * share:.1f}\u00a0%" in text or (share < 0.001 and "< 0.1" in text)
    bar = page.locator("#findings .chosen .bar")
    assert float(bar.evaluate("bar => bar.style.getPropertyValue('--share')")) == pytest.approx(
        answer["probabilities"]["glioma"]
    )
    said = page.inner_text("#findings")
    assert "Prediction set: glioma." in said
    assert "In 95\u00a0% of patients like those the model was validated on, the truth is in the set." in said
    assert f"Outlier score: {answer['outlier_score']:.2f}." in said
    page.click("#findings summary")
    assert "supporting cells of the brain" in page.inner_text("#findings")


def test_each_verdict_is_explained_and_a_file_that_cannot_be_read_is_named(page, files):
    read(page, *(files / name for name in ("sure.png", "unsure.png", "white.png", "notes.txt")))
    assert counts(page) == [
        "3 slices of 3 files",
        "1 accepted",
        "1 uncertain",
        "1 out of scope",
        "1 file not read",
    ]
    assert "notes.txt format not recognised" in page.inner_text("#rejects")
    for name, words in (
        ("sure", "It may still be wrong"),
        ("unsure", "cannot tell 2 classes apart"),
        ("white", "unlike the training data"),
    ):
        page.click(f"#list li:has-text('{name}.png')")
        assert words in page.inner_text("#findings .why")


def test_a_model_without_a_calibrator_says_that_nothing_is_checked(page, files):
    page.select_option("#model", "plain")
    read(page, files / "sure.png")
    assert "comes without a calibrator" in page.inner_text("#findings .why")
    assert "Prediction set" not in page.inner_text("#findings")
    assert page.is_hidden("#saliency-row")


def test_a_volume_is_scrolled_by_wheel_keys_slider_and_list(page, files):
    read(page, files / "volume.nii.gz")
    assert page.inner_text("#studies-title") == "The study"
    study = page.inner_text("#study-list")
    assert "volume.nii.gz" in study
    assert "6\u00a0slices" in study
    assert "the mean of the tenth of its slices in scope that look most like a tumour" in study
    assert "unchecked" in study
    assert "No calibration for whole studies exists" in study
    assert "Prediction set" not in study
    assert position(page) == "1 of 6"
    page.hover("#canvases canvas")
    page.mouse.wheel(0, 100)
    expect(page.locator("#slice-text")).to_have_text("2 of 6")
    page.focus("#canvases")
    for key, expected in (("ArrowDown", 3), ("ArrowUp", 2), ("End", 6), ("Home", 1), ("PageDown", 6)):
        page.keyboard.press(key)
        assert position(page) == f"{expected} of 6"
    page.locator("#slice").fill("3")
    assert position(page) == "4 of 6"
    assert page.get_attribute("#slice", "aria-valuetext").startswith("4 of 6, volume.nii.gz, slice 3: ")
    page.click("#list li >> nth=4")
    assert position(page) == "5 of 6"
    assert page.get_attribute("#list", "aria-activedescendant") == "slice-4"
    assert "volume.nii.gz, slice 4" in page.inner_text("#caption")


def test_the_list_is_filtered_by_study_and_by_verdict(page, files):
    read(page, files / "volume.nii.gz", files / "white.png", files / "sure.png")
    assert page.locator("#list li").count() == 8
    page.select_option("#verdict", "out of scope")
    assert page.locator("#list li .name").all_inner_texts() == ["white.png"]
    page.select_option("#verdict", "")
    page.select_option("#group", label="Study 1: volume.nii.gz (6)")
    assert page.locator("#list li").count() == 6
    assert not page.locator("#verdict option", has_text="out of scope").count()


def test_a_folder_of_dicom_is_dropped(page, tmp_path: Path):
    folder = tmp_path / "head"
    (folder / "deeper").mkdir(parents=True)
    study = generate_uid()
    for number in range(3):
        _write_dicom(folder / "deeper" / f"IM{number}", np.asarray(slice_image(1, number)), study)
    (folder / ".hidden").write_text("left out")
    box = page.locator("#drop").bounding_box()
    # A drop as the browser gets it from the desktop: the only one that holds folders.
    session = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        data = {"items": [], "files": [str(folder)], "dragOperationsMask": 1}
        session.send(
            "Input.dispatchDragEvent", {"type": kind, "x": box["x"] + 20, "y": box["y"] + 20, "data": data}
        )
    page.wait_for_selector("#results:not([hidden])")
    assert page.locator("#list .name").all_inner_texts() == [f"head/deeper/IM{number}" for number in range(3)]
    assert "Study 1: head/deeper" in page.inner_text("#study-list")
    assert "3\u00a0slices · MR" in page.inner_text("#study-list")


def test_a_folder_is_chosen_and_a_zip_is_read(page, tmp_path: Path):
    folder = tmp_path / "slices"
    folder.mkdir()
    slice_image(0, 1).save(folder / "a.png")
    with zipfile.ZipFile(tmp_path / "series.zip", "w") as archive:
        archive.write(folder / "a.png", "inside/b.png")
    page.set_input_files("#folder", str(folder))
    page.wait_for_selector("#results:not([hidden])")
    assert page.locator("#list .name").all_inner_texts() == ["slices/a.png"]
    page.set_input_files("#files", str(tmp_path / "series.zip"))
    page.wait_for_selector("#list .name:has-text('b.png')")


def test_two_hundred_files_at_once(page, tmp_path: Path):
    for number in range(200):
        slice_image(number % 4, number).save(tmp_path / f"{number:03d}.png")
    page.evaluate(
        "new MutationObserver(() => (window.seen ??= []).push(document.getElementById('progress-rows').textContent))"
        ".observe(document.getElementById('progress-rows'), { subtree: true, childList: true, characterData: true })"
    )
    read(page, *sorted(tmp_path.glob("*.png")))
    assert counts(page)[0] == "200 slices of 200 files"
    assert page.locator("#list li").count() == 200
    assert any("of 200\u00a0files read" in text for text in page.evaluate("window.seen"))
    page.focus("#list")
    page.keyboard.press("End")
    assert position(page) == "200 of 200"
    last, listed = (page.locator(one).bounding_box() for one in ("#list [aria-selected=true]", "#list"))
    assert last["y"] + last["height"] <= listed["y"] + listed["height"] + 1
    page.keyboard.press("Home")
    first = page.locator("#list [aria-selected=true]").bounding_box()
    assert first["y"] >= listed["y"]


def test_names_are_never_markup(page, tmp_path: Path):
    name = "<img src=x onerror=alert(1)>.png"
    slice_image(2, 0).save(tmp_path / name)
    read(page, tmp_path / name)
    assert page.inner_text("#list .name") == name
    assert page.locator("#results img").count() == 0


def test_models_are_compared_slice_by_slice(page, files):
    page.select_option("#model", label="compare all models")
    read(page, files / "sure.png", files / "volume.nii.gz")
    assert page.locator("#canvases canvas").count() == 3
    assert page.locator("#canvases figcaption").all_inner_texts() == ["quadrants", "turned", "plain"]
    assert page.locator("#findings .answer strong").all_inner_texts() == ["glioma", "pituitary", "glioma"]
    assert "different classes on 7 of 7\u00a0slices" in page.inner_text("#counts")
    page.select_option("#verdict", "disagree")
    assert position(page) == "1 of 7"
    page.select_option("#model", "turned")
    page.click("#again")
    expect(page.locator("#canvases canvas")).to_have_count(1)
    assert page.inner_text("#findings .answer strong") == "pituitary"


def test_the_model_is_told_with_its_card(page):
    about = page.inner_text("#models")
    assert "LAC prediction sets at 95\u00a0%, calibrated on 39\u00a0patients" in about
    assert "97.6\u00a0%" in about
    page.click("#models summary >> nth=0")
    assert page.inner_text("#models .prose h3") == "Model card: quadrants"
    assert page.inner_text("#models .prose strong") == "means"
    assert page.locator("#models .prose li").all_inner_texts() == ["one", "<b>two</b>"]


def test_starting_over_forgets_the_files_here_and_there(page, server, files):
    with page.expect_response(lambda response: response.url.endswith("/v1/jobs?model=quadrants")) as sent:
        read(page, files / "sure.png")
    address = f"{server}v1/jobs/{sent.value.json()['id']}"
    assert page.request.get(address).status == 200
    with page.expect_response(lambda response: response.request.method == "DELETE"):
        page.click("#start-over")
    assert page.is_hidden("#results")
    assert "sure.png" not in page.content()
    assert page.request.get(address).status == 404


@pytest.mark.parametrize("when", ["done", "running"])
def test_leaving_the_page_makes_the_server_forget(page, server, files, when):
    if when == "running":
        page.route(
            "**/v1/jobs/*", lambda route: route.continue_() if route.request.method == "DELETE" else None
        )
    with page.expect_response(lambda response: response.url.endswith("/v1/jobs?model=quadrants")) as sent:
        page.set_input_files("#files", str(files / "sure.png"))
    page.wait_for_selector("#results:not([hidden])" if when == "done" else "#progress:not([hidden])")
    address = f"{server}v1/jobs/{sent.value.json()['id']}"
    page.wait_for_timeout(100)
    page.goto("about:blank")
    for _ in range(100):
        if page.request.get(address).status == 404:
            return
        page.wait_for_timeout(100)
    raise AssertionError("the server still knows the job")


def test_of_a_study_out_of_scope_the_verdict_is_the_headline_and_no_class(page, tmp_path: Path):
    study = generate_uid()
    shown = [
        np.asarray(slice_image(1, 0)),
        *[np.full((48, 48), level, dtype=np.uint8) for level in (253, 254)],
    ]
    for number, pixels in enumerate(shown):
        _write_dicom(tmp_path / f"IM{number}", pixels, study)
    page.set_input_files("#files", [str(tmp_path / f"IM{number}") for number in range(3)])
    page.wait_for_selector("#results:not([hidden])")
    assert page.inner_text("#study-list .answer") == "out of scope"
    assert "Fewer than half of its slices" in page.inner_text("#study-list .why")
    assert page.inner_text("#findings .answer").split() == ["meningioma", "accepted"]
    page.click("#list li >> nth=1")
    assert page.inner_text("#findings .answer") == "out of scope"


def _write_dicom(path: Path, pixels: np.ndarray, study: str) -> None:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, MRImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    data = pydicom.Dataset()
    data.file_meta = meta
    data.SOPClassUID, data.SOPInstanceUID = MRImageStorage, meta.MediaStorageSOPInstanceUID
    data.StudyInstanceUID, data.SeriesInstanceUID, data.Modality = study, generate_uid(), "MR"
    data.Rows, data.Columns = pixels.shape
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PixelRepresentation = 1, "MONOCHROME2", 0
    data.BitsAllocated, data.BitsStored, data.HighBit = 8, 8, 7
    data.PixelData = pixels.tobytes()
    data.save_as(path, enforce_file_format=True)
