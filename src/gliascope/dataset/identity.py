"""Patients: from identifiers in files, from names of folders and files, or from studies."""

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
    """How many patients there are, and how many slices they have."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    patients: int
    slices: int


PatientFacts = Mapping[str, Mapping[str, PatientCount]]  # by source, then by what identified the patients


def identify_patients(frame: pl.DataFrame, mapping: Mapping[str, str | None] | None) -> pl.DataFrame:
    """Complete the columns `patient` and `patient_from`, and print how patients were identified.

    An identifier is a placeholder if it is a word such as ANON, or stands for nearly all slices of a source
    over several studies. Each study then counts as a patient. Patients of names (`PatientNames`) are joined
    with those that files state: slices that share either are of one patient.

    Parameters
    ----------
    frame
        Catalogue rows.
    mapping
        The user's mapping of folder names to classes (`--labels`), because such names are no patients. None
        if names must not identify patients.

    Returns
    -------
    polars.DataFrame
        The same rows and columns.
    """
    frame = _without_placeholders(frame)
    if mapping is not None:
        frame = _with_names(frame, mapping)
    by_study = frame["patient"].is_null() & frame["patient_from"].eq_missing(STUDY)
    study = pl.when(pl.Series(by_study)).then(pl.concat_str("source", "study", separator=":"))
    frame = frame.with_columns(patient=pl.coalesce("patient", study))
    for sentence in patient_sentences(patient_counts(frame)):
        note(sentence)
    _name_the_cause(frame)
    return frame


def patient_counts(frame: pl.DataFrame) -> dict[str, dict[str, PatientCount]]:
    """Count patients and their slices, by source and by what identified the patients."""
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
    """Describe patients that no file states, in one sentence for each source and way of identifying them.

    Parameters
    ----------
    facts
        The result of `patient_counts`.
    """
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
                    f"{source}: {n} of {slices} identified by {how} names, equal names being one patient; "
                    "--no-patient-folders refuses this."
                )
    return sentences


def _without_placeholders(frame: pl.DataFrame) -> pl.DataFrame:
    """Remove placeholder identifiers, and set `patient_from` to "study" where studies replace them."""
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
    """Join the patients that names tell with the patients that files state.

    If a file states its patient, the name of its folder stands for that folder alone, and the prefix of its
    own name is ignored.
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
    """Give one identifier to all identifiers that pairs connect, directly or through others.

    Parameters
    ----------
    pairs
        Two identifiers of one patient each; pairs with None are ignored.

    Returns
    -------
    dict
        By identifier: the one that stands for its whole connected component.
    """
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
    """Print why no split will be possible if all slices have one patient identifier."""
    if frame.height > 1 and frame["patient"].null_count() == 0 and frame["patient"].n_unique() == 1:
        studies = frame["study"].drop_nulls().n_unique()
        but = f"over {studies} studies" if studies > 1 else "and no study tells them apart"
        note(
            f"all {frame.height} slices carry one patient identifier, {but}: no protocol can divide them. "
            "If they are of several patients, name those by --groups."
        )
