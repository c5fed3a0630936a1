"""Facts about the patient in a file appear in no response, log, metric or file name."""

import hashlib
import json
import logging
from pathlib import Path

import pytest
from making import Make
from mutations import DEEP
from served import send, serving, until

from gliascope.io.facts import pseudonym
from gliascope.server.models import ModelSource

STUDY = "1.2.840.99999.4711"
SECRETS = {
    "PatientName": "Mustermann^Erika",
    "PatientID": "MRN-0815-4711",
    "PatientBirthDate": "19640812",
    "StudyInstanceUID": STUDY,
    "SeriesInstanceUID": "1.2.840.99999.4712",
    "InstitutionName": "Klinikum Musterstadt",
    "StudyDescription": "Schaedel-MRT Verlauf",
}
FILE = "Mustermann_Erika_1964.dcm"


def uploads(folder: Path) -> list[tuple[str, bytes]]:
    """Whole, cut, with a value pydicom warns of, and with pixels that are not there."""
    make = Make(folder)
    whole = make.dicom(DEEP, BitsStored=12, HighBit=11, **SECRETS).read_bytes()
    odd = whole.replace(b"19640812", b"Erika\\64")
    no_pixels = make.dicom(DEEP, Rows=0, **SECRETS).read_bytes()
    return [(FILE, whole), ("cut" + FILE, whole[:-300]), ("odd" + FILE, odd), ("none" + FILE, no_pixels)]


def test_nothing_of_a_patient_is_told_or_logged(
    bundle_path: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    temporary, audit = tmp_path / "temporary", tmp_path / "audit.jsonl"
    temporary.mkdir()
    files = uploads(tmp_path)
    told: list[str] = []
    with serving([ModelSource("quadrants", bundle_path)], temporary=temporary, audit_log=audit) as client:
        for file in files:
            told.append(client.post("/v1/predict", files=send(file)).text)
        both = client.post("/v1/predict", files=send(*files))
        told.append(both.text)
        job = client.post("/v1/jobs", files=send(*files)).headers["Location"]
        until(lambda: client.get(job).json()["state"] == "done")
        lying = [str(path.relative_to(temporary)) for path in temporary.rglob("*")]
        told.append(client.get(job).text)
        client.delete(job)
        told += [client.get(path).text for path in ("/metrics", "/openapi.json", "/v1/model")]
    assert both.status_code == 200
    assert list(temporary.iterdir()) == []
    shown = "".join(told)
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("httpx")]
    logged = "".join((*capfd.readouterr(), *ours, audit.read_text(), *lying))
    for secret in (*SECRETS.values(), "Erika\\64", "Erika\\\\64"):
        assert secret not in shown
        assert secret not in logged
    for secret in ("Mustermann", "Erika", FILE, job.rpartition("/")[2]):
        assert secret not in logged
    assert str(temporary) not in shown


def test_studies_are_hashed_with_a_secret(bundle_path: Path, tmp_path: Path) -> None:
    file = uploads(tmp_path)[0]
    studies = []
    for settings in ({}, {}, {"salt": "s" * 32}, {"salt": "s" * 32}):
        with serving([ModelSource("quadrants", bundle_path)], **settings) as client:
            answer = client.post("/v1/predict", files=send(file))
            studies.append(answer.json()["slices"][0]["study"])
    assert len(set(studies)) == 3
    assert studies[2] == studies[3]
    unsalted = (STUDY, pseudonym(STUDY), hashlib.sha256(STUDY.encode()).hexdigest())
    for study in studies:
        assert study
        assert not any(known.startswith(study) or study.startswith(known) for known in unsalted if known)


def test_the_audit_log_names_routes_by_their_templates(bundle_path: Path, tmp_path: Path) -> None:
    audit = tmp_path / "audit.jsonl"
    with serving([ModelSource("quadrants", bundle_path)], audit_log=audit) as client:
        client.get("/v1/jobs/Mustermann")
        client.get("/v1/model?model=Mustermann")
        client.get("/Mustermann")
        client.post("/v1/predict", files=send((FILE, b"no picture")))
    lines = [json.loads(line) for line in audit.read_text().splitlines()]
    assert [(line["route"], line["status"]) for line in lines] == [
        ("/v1/jobs/{job}", 404),
        ("/v1/model", 404),
        ("/v1/predict", 422),
    ]
    assert "Mustermann" not in audit.read_text()
