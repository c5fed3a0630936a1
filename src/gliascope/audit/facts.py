"""The contents of audit.json: one typed model, `AuditFacts`, that writes and reads the file.

Programs of others read audit.json, so its keys stay the same. Where a key is no standard term, the field
here has the standard term as its name and the key as its alias.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from gliascope.dataset.identity import PatientCount


def _named(key: str, description: str) -> Any:
    """A field whose key in audit.json differs from its name."""
    return Field(validation_alias=key, serialization_alias=key, description=description)


class Facts(BaseModel):
    """Base of all models in this file: immutable, without unknown keys, without NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)


class Estimate(Facts):
    """A measured share with its 95 % confidence interval; None where it is undefined."""

    value: float | None
    low: float | None
    high: float | None


UNDEFINED = Estimate(value=None, low=None, high=None)


class SearchSettings(Facts):
    """How near copies were searched for."""

    threshold: float = Field(description="correlation from which two slices are near copies")
    doubtful_from: float = Field(description="correlation from which a person is asked about a pair")
    recall_of_search: float | None = Field(
        description="share of all pairs that the search found, estimated on a sample if an index was used; "
        "null where the sample has no pair"
    )


class ClassLeak(Facts):
    """Test slices of one class that have a copy in training."""

    test_slices: int
    twin: int = Field(description="test slices with a copy that needs no transform")
    twin_any_transform: int = Field(description="test slices with a copy, also mirrored, turned or cropped")


class SourceFacts(Facts):
    """Counts of one source. What concerns its test set is null if it has none."""

    files: int
    slices: int
    distinct_files: int = Field(description="files with different bytes")
    distinct_slices: int = Field(description="slices with different pixels")
    classes: dict[str, int] = Field(description="slices by class")
    mixed_label_groups: int = Field(description="groups of copies with more than one label")
    identical_groups_across_splits: int | None = Field(
        description="groups of identical files with a file in training and one in test"
    )
    test_slices: int | None
    test_slices_with_training_twin: int | None = Field(
        description="test slices with a copy in training that needs no transform"
    )
    test_slices_with_training_twin_any_transform: int | None = Field(
        description="test slices with a copy in training, also mirrored, turned or cropped"
    )
    test_twins_by_class: dict[str, ClassLeak] | None


class SourceOverlap(Facts):
    """What two sources share, counted in each of them: the keys of the maps are the two sources' names."""

    a: str
    b: str
    identical_files: dict[str, int] = Field(description="files that the other source holds, too")
    twins: dict[str, int] = Field(description="slices with a copy in the other source, untransformed")
    twins_any_transform: dict[str, int] = Field(
        description="slices with a copy in the other source, also mirrored, turned or cropped"
    )


class CopyCounts(Facts):
    """Copies in the whole catalogue."""

    identical_files: int = Field(description="files less distinct files")
    identical_pixels: int = Field(description="slices less distinct slices")
    pairs: dict[str, int] = Field(description="pairs of near copies by the transform that makes them alike")


class GroupFacts(Facts):
    """One group: slices that no split may separate."""

    slices: int
    labels: dict[str, int] = Field(description="slices by class")
    sources: dict[str, int] = Field(description="slices by source")
    paths: tuple[str, ...] = Field(description="the first paths, at most eight")


class GroupCounts(Facts):
    """All groups of the catalogue."""

    count: int
    mixed_labels: int = Field(description="groups of copies with more than one label")
    largest: tuple[GroupFacts, ...]
    cut: int = Field(description="links between look-alikes that join no group, to break up chains")


class FeatureScore(Facts):
    """How well one input feature of a shortcut probe predicts the label by itself."""

    name: str
    balanced_accuracy: float | None


class ShortcutProbe(Facts):
    """How well a classifier that sees no anatomy predicts the label."""

    task: str = Field(description="what is predicted, such as `tumour or no tumour`")
    classes: tuple[str, ...]
    chance: float = Field(description="balanced accuracy of guessing")
    balanced_accuracy: Estimate
    without_copies: Estimate | None = Field(
        description="the same with training slices left out whose group reaches into the test set; null "
        "under cross-validation, where no group does"
    )
    tested_on: str
    slices: int = Field(description="slices that were tested")
    features: tuple[FeatureScore, ...] = _named("facts", "best feature first")

    @property
    def score(self) -> Estimate:
        """Balanced accuracy that no copy in training helped with."""
        return self.without_copies or self.balanced_accuracy


class LabelCheck(Facts):
    """Whether labels were checked with a network, and if not, the reason."""

    done: bool
    reason: str


class FolderLabels(Facts):
    """Label check of one folder: the slices of one source, class and subset."""

    source: str
    slices: int
    issues: int = _named("suspects", "slices whose label is probably wrong")
    share: float = Field(description="label issues among the slices")
    recall: float = Field(description="share of the slices that the check assigns to the folder's class")
    flagged: bool = Field(description="whether the folder as a whole is in doubt")


class AuditVerdict(Facts):
    """What may be believed of a model that is trained and tested on the audited set."""

    level: Literal["unsound", "caution", "sound"] = Field(
        description="unsound: the usual test accuracy means little; caution: believe it within the limits "
        "named; sound: nothing speaks against it"
    )
    protocol: str = Field(description="the split protocol to use")
    sentences: tuple[str, ...] = Field(description="reasons and advice, the most serious first")


class AuditFacts(Facts):
    """All of audit.json."""

    title: str
    notice: str
    created: str = Field(description="ISO 8601, UTC")
    gliascope: str = Field(description="version that made the audit")
    slices: int
    distinct_slices: int
    settings: SearchSettings
    sources: dict[str, SourceFacts]
    between_sources: tuple[SourceOverlap, ...] = Field(description="an entry for each two sources")
    copies: CopyCounts
    groups: GroupCounts
    patients: dict[str, dict[str, PatientCount]] = Field(
        description="by source, then by what identified the patients: file, folder, study …"
    )
    shortcuts: dict[str, ShortcutProbe]
    label_check: LabelCheck
    label_issues: dict[str, FolderLabels] = _named("suspect_labels", "by folder, as `source: class/subset`")
    quality_issues: dict[str, int] = _named("oddities", "slices by kind of quality issue")
    decisions: dict[str, int] = Field(description="rows of decisions.csv by kind")
    verdict: AuditVerdict

    def to_json(self) -> str:
        """The text of audit.json; `AuditFacts.model_validate_json` reads it."""
        return self.model_dump_json(by_alias=True, indent=2) + "\n"
