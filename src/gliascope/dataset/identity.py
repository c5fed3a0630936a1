"""Whose slices these are: what files state and what names tell, joined; identifiers that stand for nobody."""

from collections.abc import Mapping

import polars as pl
from pydantic import BaseModel, ConfigDict

from gliascope.io.facts import pseudonym
from gliascope.io.patient_names import PatientNames
from gliascope.runtime.progress import note

_NOBODY = (
    "anon", "anonym", "anonymous", "anonymized", "anonymised", "anonymize", "anonymise", "anonymouspatient",
    "anonymizedpatient", "patient", "patientid", "deidentified", "de-identified", "unknown", "none", "null",
    "na", "n/a", "nan", "noid", "noname", "removed", "default", "undefined", "x", "xx", "xxx", "xxxx", "-",
)  # fmt: skip
_SPELLINGS = {way(word) for word in _NOBODY for way in (str, str.upper, str.title, str.capitalize)}
_PLACEHOLDERS = [pseudonym(spelling) for spelling in _SPELLINGS]
_NEARLY_ALL, _STUDIES = 0.9, 5  # share of a source's slices, studies: an identifier of both is a placeholder
_ZEROS = [pseudonym("0" * digits) for digits in range(1, 17)]  # may be a patient, too, with fewer studies
FILE, STUDY = "file", "study"


class PatientCount(BaseModel):
    """How many patients there are, and how many slices of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    patients: int
    slices: int


PatientFacts = Mapping[str, Mapping[str, PatientCount]]  # by source, then by what identified the patients


def identify_patients(frame: pl.DataFrame, mapping: Mapping[str, str | None] | None) -> pl.DataFrame:
    """Complete `patient` and `patient_from` of a catalogue frame, and say on screen how patients were told.

    An identifier that stands for nobody (ANON, or one for nearly all slices of a source over several studies)
    is replaced by the studies. What `PatientNames` tells is joined with what files state: slices that share
    either are of one patient. mapping: of `--labels`; None where names shall not tell patients.
    """
    frame = _without_placeholders(frame)
    if mapping is not None:
        frame = _with_names(frame, mapping)
    told = frame["patient"].is_null() & frame["patient_from"].eq_missing(STUDY)
    study = pl.when(pl.Series(told)).then(pl.concat_str("source", "study", separator=":"))
    frame = frame.with_columns(patient=pl.coalesce("patient", study))
    for sentence in patient_sentences(patient_counts(frame)):
        note(sentence)
    _name_the_cause(frame)
    return frame


def patient_counts(frame: pl.DataFrame) -> dict[str, dict[str, PatientCount]]:
    """By source and by what told them: how many patients, and slices of known patients."""
    counts = (
        frame.filter(pl.col("patient").is_not_null())
        .group_by("source", "patient_from", maintain_order=True)
        .agg(patients=pl.col("patient").n_unique(), slices=pl.len())
    )
    facts: dict[str, dict[str, PatientCount]] = {}
    for source, by, patients, slices in counts.iter_rows():
        facts.setdefault(source, {})[by] = PatientCount(patients=patients, slices=slices)
    return facts


def patient_sentences(facts: PatientFacts) -> list[str]:
    """What `patient_facts` says of patients that no file states, in a sentence a source."""
    sentences = []
    for source, by in facts.items():
        for how, count in by.items():
            n = f"{count.patients:,} {'patient' if count.patients == 1 else 'patients'}"
            slices = f"{count.slices:,} slices"
            if how == STUDY:
                sentences.append(
                    f"{source}: {slices} carry one PatientID for many studies, a placeholder; "
                    f"StudyInstanceUID tells {count.patients:,} studies apart, each taken for a patient."
                )
            elif how != FILE:
                sentences.append(
                    f"{source}: {n} of {slices} told by {how} names, equal names being one patient; "
                    "--no-patient-folders refuses this."
                )
    return sentences


def _without_placeholders(frame: pl.DataFrame) -> pl.DataFrame:
    """Null patients, told by "study", where an identifier stands for nobody and studies tell more."""
    ids = (
        frame.filter(pl.col("patient").is_not_null())
        .with_columns(of_source=pl.len().over("source"))
        .group_by("source", "patient")
        .agg(
            slices=pl.len(), studies=pl.col("study").drop_nulls().n_unique(), of_source=pl.first("of_source")
        )
    )
    digits = pl.col("patient").str.tail(16)
    everybody = (pl.col("slices") >= _NEARLY_ALL * pl.col("of_source")) | digits.is_in(_ZEROS)
    everybody &= pl.col("studies") >= _STUDIES
    word = digits.is_in(_PLACEHOLDERS) & (pl.col("studies") > 1)
    nobody = ids.filter(everybody | word)["patient"]
    replaced = pl.col("patient").is_in(nobody.implode()) & pl.col("study").is_not_null()
    return frame.with_columns(
        patient=pl.when(~replaced.fill_null(value=False)).then("patient"),
        patient_from=pl.when(replaced).then(pl.lit(STUDY)).otherwise("patient_from"),
    )


def _with_names(frame: pl.DataFrame, mapping: Mapping[str, str | None]) -> pl.DataFrame:
    """What names tell, joined with what files state.

    Beside a patient that its file states, a folder's name means that folder alone, and a file's prefix
    nothing.
    """
    files = frame.select("source", "path", stated=pl.col("patient").is_not_null()).unique(maintain_order=True)
    names = PatientNames(files["path"], mapping)
    for source, folders in names.uncertain_folders.items():
        note(f"{source}: folders like {', '.join(folders)} may be patients; if they are, say so by --groups.")
    rows = []
    for source, path, stated in files.unique("path", keep="first", maintain_order=True).iter_rows():
        found = names.patient_of(path)
        if found and not (stated and found.folder == path):
            name = found.folder if stated and found.folder else found.name
            rows.append((path, f"{source}:{pseudonym(name)}", found.source))
    if not rows:
        return frame
    schema = dict.fromkeys(("path", "named", "how"), pl.String)
    frame = frame.join(
        pl.DataFrame(rows, schema=schema, orient="row"), on="path", how="left", maintain_order="left"
    )
    one = connect(frame.select("patient", "named").unique(maintain_order=True).rows())
    both = pl.concat_str("patient_from", "how", separator=" and ")
    stated = pl.col("patient").is_not_null()
    how = (
        pl.when(stated & pl.col("named").is_not_null())
        .then(both)
        .when(pl.col("named").is_not_null())
        .then("how")
        .otherwise("patient_from")
    )
    return frame.with_columns(patient=pl.coalesce("patient", "named").replace(one), patient_from=how).drop(
        "named", "how"
    )


def connect(pairs: list[tuple[str | None, str | None]]) -> dict[str, str]:
    """One identifier for each of those that pairs of them join, directly or by others."""
    above: dict[str, str] = {}

    def top(name: str) -> str:
        while above.setdefault(name, name) != name:
            above[name] = name = above[above[name]]
        return name

    for first, second in pairs:
        if first is not None and second is not None:
            above[top(second)] = top(first)
    return {name: top(name) for name in list(above)}


def _name_the_cause(frame: pl.DataFrame) -> None:
    """Say why no split will be possible: everything is of one patient."""
    if frame.height > 1 and frame["patient"].null_count() == 0 and frame["patient"].n_unique() == 1:
        studies = frame["study"].drop_nulls().n_unique()
        but = f"over {studies} studies" if studies > 1 else "and no study tells them apart"
        note(
            f"all {frame.height} slices carry one patient identifier, {but}: no protocol can divide them. "
            "If they are of several patients, name those by --groups."
        )
