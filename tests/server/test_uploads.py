import asyncio
import errno
import io
import os
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from mutations import case
from starlette.requests import Request

from gliascope.server import uploads
from gliascope.server.api_error import UploadError
from gliascope.server.multipart import printable_name
from gliascope.server.uploads import Upload, UploadLimits, receive_files, remove_stale_folders, upload_folder

LIMITS = UploadLimits(
    total_bytes=400_000, file_bytes=100_000, files=5, unpacked_bytes=300_000, ratio=50, seconds=5
)


def multipart(files: list[tuple[str, tuple[str, bytes]]]) -> tuple[bytes, dict[str, str]]:
    kind = {"content-type": "multipart/form-data; boundary=limit"}
    request = httpx2.Request("POST", "http://server/", files=files, headers=kind)
    return request.read(), dict(request.headers)


def named(*files: tuple[str, bytes]) -> list[tuple[str, tuple[str, bytes]]]:
    return [("files", file) for file in files]


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def receive(
    folder: Path,
    body: bytes,
    headers: dict[str, str],
    limits: UploadLimits = LIMITS,
    chunk: int = 65_536,
    stops: bool = False,
    pause: float = 0,
) -> list[Upload]:
    """The body in chunks; with `stops`, the client goes away before its end."""
    chunks = [body[start : start + chunk] for start in range(0, len(body), chunk)]
    messages: Iterator[dict[str, object]] = iter(
        [{"type": "http.request", "body": part, "more_body": True} for part in chunks]
        + [{"type": "http.disconnect"} if stops else {"type": "http.request", "body": b""}]
    )

    async def next_message() -> dict[str, object]:
        await asyncio.sleep(pause)
        return next(messages)

    scope = {
        "type": "http",
        "method": "POST",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }
    return asyncio.run(receive_files(Request(scope, next_message), folder, limits))


def refused(status: int, code: str):
    return pytest.raises(UploadError, check=lambda error: (error.status, error.code) == (status, code))


@pytest.mark.parametrize("chunk", [1, 7, 1000, 10**6])
def test_files_come_in_order_under_numbers_with_every_byte(tmp_path: Path, chunk: int) -> None:
    contents = [bytes(range(256)) * 3, b"", b"\r\n--not the boundary\r\n" * 20]
    names = ["a.png", "folder/b.dcm", "a.png"]
    body, headers = multipart(named(*zip(names, contents, strict=True)))
    found = receive(tmp_path, body, headers, chunk=chunk)
    assert [upload.name for upload in found] == names
    assert [upload.path.read_bytes() for upload in found] == contents
    assert {upload.path.parent for upload in found} == {tmp_path}
    assert {stat.S_IMODE(upload.path.stat().st_mode) for upload in found} == {0o600}


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "C:\\windows\\a", "..", "files", "a" * 5000]
)
def test_a_clients_name_is_never_a_path(tmp_path: Path, name: str) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    body, headers = multipart(named((name, b"content")))
    if len(name) > 4000:
        with refused(400, "bad_multipart"):
            receive(inside, body, headers)
    else:
        (upload,) = receive(inside, body, headers)
        assert upload.path == inside / "file-0"
    assert list(tmp_path.iterdir()) == [inside]


def test_names_are_shown_in_one_line_whatever_they_hold() -> None:
    assert printable_name("Kopf März 头部.png") == "Kopf März 头部.png"
    assert printable_name("a\nb\x1b[2J\u202egnp.exe\0\ud800") == "a�b�[2J�gnp.exe��"
    assert len(printable_name("x" * 1000)) == 255


def test_an_empty_zip_is_refused_also_beside_other_files(tmp_path: Path) -> None:
    for number, files in enumerate(((("a.zip", zipped({})),), (("a.png", b"x"), ("a.zip", zipped({}))))):
        (tmp_path / f"{number}").mkdir()
        with refused(422, "empty_zip"):
            receive(tmp_path / f"{number}", *multipart(named(*files)))


def test_zips_are_told_by_content_and_unpacked(tmp_path: Path) -> None:
    series = zipped({"IM1": b"one", "more/IM2": b"two"})
    body, headers = multipart(named(("a.png", b"plain"), ("series", series), ("not.zip", b"no zip at all")))
    found = receive(tmp_path, body, headers)
    assert [upload.name for upload in found] == ["a.png", "series/IM1", "series/more/IM2", "not.zip"]
    assert [upload.path.read_bytes() for upload in found] == [b"plain", b"one", b"two", b"no zip at all"]
    assert not (tmp_path / "file-1").exists()


def test_limits_hold_for_what_is_sent(tmp_path: Path) -> None:
    with refused(413, "too_large"):
        receive(tmp_path, *multipart(named(("a", bytes(100_001)))))
    with refused(413, "too_large"):
        receive(tmp_path, *multipart(named(*[("a", b"")] * 6)))
    body, headers = multipart(named(*[("a", bytes(90_000))] * 5))
    with refused(413, "too_large"):
        receive(tmp_path, body, headers)
    with refused(413, "too_large"):  # sent in chunks, without a length
        receive(tmp_path, body, {"content-type": headers["content-type"]})
    with refused(413, "too_large"):  # the length lies
        receive(tmp_path, body, headers | {"content-length": "10"})


def test_files_of_several_zips_count_together(tmp_path: Path) -> None:
    three = zipped({f"{number}": b"x" for number in range(3)})
    with refused(413, "too_large"):
        receive(tmp_path, *multipart(named(("a.zip", three), ("b.zip", three))))
    noise = {f"{number}": os.urandom(90_000) for number in range(2)}
    limits = UploadLimits(10**6, 10**5, 5, 300_000, 50, 5)
    with refused(413, "too_large"):
        receive(tmp_path, *multipart(named(("a.zip", zipped(noise)), ("b.zip", zipped(noise)))), limits)


@pytest.mark.parametrize("content_type", ["", "application/json", "application/x-www-form-urlencoded"])
def test_other_bodies_are_no_media_type_of_ours(tmp_path: Path, content_type: str) -> None:
    with refused(415, "unsupported_media_type"):
        receive(tmp_path, b"{}", {"content-type": content_type})


def test_malformed_bodies_are_told(tmp_path: Path) -> None:
    body, headers = multipart(named(("a.png", b"content")))
    for broken in (body[:-10], body[:40], b"", b"--", b"\0" * 100, body.replace(b"files", b"other")):
        with pytest.raises(UploadError, check=lambda error: error.status == 400):
            receive(tmp_path, broken, headers)
    with refused(400, "bad_multipart"):
        receive(tmp_path, body, {"content-type": "multipart/form-data"})
    with refused(400, "bad_multipart"):
        receive(tmp_path, body, {"content-type": f"multipart/form-data; boundary={'x' * 1000}"})


def test_parts_that_are_no_files_are_refused_and_so_are_floods_of_headers(tmp_path: Path) -> None:
    def part(*headers: str) -> bytes:
        return ("--x\r\n" + "".join(f"{line}\r\n" for line in headers) + "\r\ncontent\r\n--x--\r\n").encode()

    kind = {"content-type": "multipart/form-data; boundary=x"}
    file = 'Content-Disposition: form-data; name="files"; filename="a"'
    assert len(receive(tmp_path, part(file), kind)) == 1
    with refused(400, "unexpected_field"):
        receive(tmp_path, part('Content-Disposition: form-data; name="files"'), kind)
    with refused(400, "unexpected_field"):
        receive(tmp_path, part("Content-Type: text/plain"), kind)
    with refused(400, "bad_multipart"):
        receive(tmp_path, part(file, *[f"X-{n}: y" for n in range(100)]), kind)
    with refused(400, "bad_multipart"):
        receive(tmp_path, part(file, "X: " + "y" * 10_000), kind)


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ("filename*=UTF-8''%E2%82%AC%20rates.dcm", "€ rates.dcm"),
        ("filename*=utf-8'en'M%C3%A4rz.dcm", "März.dcm"),
        ("filename*=iso-8859-1''M%E4rz.dcm", "März.dcm"),
        ("filename=\"fallback.dcm\"; filename*=UTF-8''%E8%83%B6.dcm", "胶.dcm"),
        ("filename*=UTF-8''%E8%83%B6.dcm; filename=fallback.dcm", "胶.dcm"),
        ("filename=\"a; filename*=UTF-8''b\"", "a; filename*=UTF-8''b"),
        ("filename*=UTF-8''a%00b%0D%0Ac%2F..%2F%E2%80%AEgnp", "a\ufffdb\ufffd\ufffdc/../\ufffdgnp"),
        ("filename*=UTF-8''", "file 1"),
        ("filename*=UTF-8''" + "%C3%A4" * 300, "ä" * 255),
    ],
)
def test_a_name_may_be_extended_as_rfc_6266_has_it(tmp_path: Path, parameters: str, name: str) -> None:
    head = f'--x\r\nContent-Disposition: form-data; name="files"; {parameters}\r\n\r\n'
    (upload,) = receive(
        tmp_path,
        head.encode() + b"content\r\n--x--\r\n",
        {"content-type": "multipart/form-data; boundary=x"},
    )
    assert (upload.name, upload.path) == (name, tmp_path / "file-0")
    assert upload.path.read_bytes() == b"content"


@pytest.mark.parametrize("value", ["UTF-8''%FF", "koi8-r''%C1"])
def test_an_extended_name_in_another_encoding_is_refused(tmp_path: Path, value: str) -> None:
    body = f'--x\r\nContent-Disposition: form-data; name="files"; filename*={value}\r\n\r\nc\r\n--x--\r\n'
    with refused(400, "bad_file_name"):
        receive(tmp_path, body.encode(), {"content-type": "multipart/form-data; boundary=x"})


def test_no_files_are_no_request(tmp_path: Path) -> None:
    with refused(422, "no_files"):
        receive(tmp_path, b"--x--\r\n", {"content-type": "multipart/form-data; boundary=x"})


def test_a_client_that_goes_away_or_dawdles_is_done_with(tmp_path: Path) -> None:
    body, headers = multipart(named(("a.png", bytes(50_000))))
    with refused(400, "client_gone"):
        receive(tmp_path, body[:20_000], headers, stops=True)
    limits = UploadLimits(10**6, 10**6, 5, 0, 1, 0.1)
    with refused(408, "upload_too_slow"):
        receive(tmp_path, body, headers, limits, chunk=1000, pause=0.05)


def test_folders_are_private_and_removed_whatever_happens(tmp_path: Path) -> None:
    with upload_folder(tmp_path) as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "file").write_bytes(b"patient")
    with pytest.raises(RuntimeError), upload_folder(tmp_path) as folder:
        (folder / "deeper").mkdir()
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_server_left_is_swept_but_not_what_is_in_use(tmp_path: Path) -> None:
    (tmp_path / f"{uploads.FOLDER_PREFIX}dead").mkdir()
    (tmp_path / f"{uploads.FOLDER_PREFIX}dead" / "file").write_bytes(b"patient")
    (tmp_path / "another").mkdir()
    (tmp_path / f"{uploads.FOLDER_PREFIX}link").symlink_to(tmp_path / "another")
    with upload_folder(tmp_path) as folder:
        assert remove_stale_folders(tmp_path) == 1
        assert {path.name for path in tmp_path.iterdir()} == {
            folder.name,
            "another",
            f"{uploads.FOLDER_PREFIX}link",
        }


def test_a_full_disk_is_507(small_disk: Path) -> None:
    limits = UploadLimits(10**8, 10**8, 5, 10**8, 50, 5)
    with upload_folder(small_disk) as folder, refused(507, "disk_full"):
        receive(folder, *multipart(named(("a", bytes(3 * 2**20)))), limits)
    packed = zipped({"a": os.urandom(700_000)})
    with upload_folder(small_disk) as folder, refused(507, "disk_full"):
        receive(folder, *multipart(named(("a.zip", packed))), limits)
    assert list(small_disk.iterdir()) == []


def test_other_errors_of_the_disk_are_not_the_clients(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("gliascope.server.multipart.FilePartWriter.flush", fail)
    with pytest.raises(OSError, match="Input/output"):
        receive(tmp_path, *multipart(named(("a", b"x"))))


def test_mutated_bodies_raise_upload_errors_only(tmp_path: Path) -> None:
    series = zipped({"IM1": b"one", "IM2": bytes(range(200))})
    whole, headers = multipart(named(("a.png", b"plain"), ("series", series), ("c", b"\r\n--" * 9)))
    files, outcomes = {"body": whole, "archive": series}, []
    for number in range(400):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        kind, body = case(files, 0, number)
        sent = multipart(named(("series", body))) if kind == "archive" else (body, headers)
        try:
            outcomes.append(len(receive(folder, *sent, chunk=50)))
        except UploadError as error:
            outcomes.append(error.code)
    assert {"bad_multipart", "bad_zip", 4, 2} <= set(outcomes)
    assert {path.name for path in tmp_path.iterdir()} == {f"{number}" for number in range(400)}
