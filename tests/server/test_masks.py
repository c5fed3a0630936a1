from pathlib import Path

from gliascope.server.masks import MaskDetector
from gliascope.server.uploads import Upload


def order(*names: str) -> list[str]:
    uploads = [Upload(path=Path(f"/nowhere/{number}"), name=name) for number, name in enumerate(names)]
    return [upload.name for upload in MaskDetector(uploads).ordered_uploads]


def test_answers_keep_the_order_of_files_that_are_no_masks() -> None:
    names = [
        "b.png",
        "IM-0001-0002.dcm",
        "IM-0001-0010.dcm",
        "=1+1.png",
        "+1.png",
        "a long name.png",
        "z.png",
    ]
    assert order(*names) == names


def test_what_may_be_a_mask_comes_after_its_picture() -> None:
    assert order("7_m.png", "7.png", "a_mask.png", "a.png", "8.png") == [
        "7.png", "a.png", "8.png", "7_m.png", "a_mask.png"
    ]  # fmt: skip
