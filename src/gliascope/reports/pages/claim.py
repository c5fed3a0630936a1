"""The items of CLAIM 2024: which parts of a report meet each, and what is left for the author of a paper.

The Checklist for Artificial Intelligence in Medical Imaging (Tejani et al., Radiol. Artif. Intell. 6:e240300,
2024). Numbers and sections are those of the checklist; names and questions are in our words, so cite and read
the original.
"""

from collections.abc import Callable
from dataclasses import dataclass

from gliascope.reports.model import OnnxModel, TrainedModel
from gliascope.reports.report import Report

Condition = Callable[[Report], object]
"""Whether a report has something: whatever is true."""


def _always(report: Report) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Item:
    """One item of the checklist.

    Attributes
    ----------
    number, section, name
        As in the checklist; the name in our words.
    to_add
        What the user has to write where the report does not meet the item.
    sections
        Ids in SECTIONS of the sections that meet it, where these exist and `condition` holds.
    content
        What those sections contain.
    remaining
        What is left to the user even then; empty for nothing.
    condition
        Whether the report meets the item; always true by default.
    not_applicable
        Whether the item does not apply; None for an item that always applies.
    """

    number: int
    section: str
    name: str
    to_add: str
    sections: tuple[str, ...] = ()
    content: str = ""
    remaining: str = ""
    condition: Condition = _always
    not_applicable: Condition | None = None


def _own(report: Report) -> bool:
    return not report.external


def _preprocessing(report: Report) -> bool:
    return bool(report.recipe) or isinstance(report.model, OnnxModel)


def _ensemble(report: Report) -> object:
    return report.run and report.run.ensemble


def _folds(report: Report) -> bool:
    return any(result.folds for result in report.protocols.values())


def _maps(report: Report) -> object:
    return isinstance(report.model, TrainedModel) and report.model.activation_maps and report.mistakes


def _internal(report: Report) -> bool:
    sound = (name for name, result in report.protocols.items() if not result.leaky)
    return _own(report) and any(name != "leave-source-out" for name in sound)


def _external(report: Report) -> bool:
    return _own(report) and "leave-source-out" in report.protocols


# Sections of report.html by id: the title, and whether it is there. A test holds them against the page.
SECTIONS: dict[str, tuple[str, Condition]] = {
    "results": ("Results", _always),
    "believe": ("What to believe", lambda report: report.audit or report.decisions),
    "operating": (
        "Tumour or none",
        lambda report: any(result.operating for result in report.protocols.values()),
    ),
    "confusion": ("Confusion matrix", _always),
    "classes": ("Class by class", _always),
    "curves": ("Ranking", lambda report: report.headline.curves),
    "subgroups": ("Subgroups", lambda report: report.headline.subgroups),
    "training": ("Training", lambda report: report.curves),
    "mistakes": ("Most confident mistakes", _always),
    "data": ("Data", lambda report: report.sources or report.subsets or report.unreadable),
    "card": ("Model card", _always),
    "details": ("Details", _always),
}

ITEMS = (
    Item(1, "Title", "A title that says it is AI, and of which kind", "the title of your paper"),
    Item(2, "Abstract", "The whole study in short", "the abstract of your paper"),
    Item(3, "Introduction", "Background, and the part the model would play", "the question behind the study"),
    Item(4, "Introduction", "Aims and hypotheses", "what you wanted to know, stated beforehand"),
    Item(5, "Study design", "Prospective or retrospective", "whether slices were collected for it"),
    Item(6, "Study design", "Goal of the study", "what the study is for, not the model alone"),
    Item(
        7, "Data", "Where the data come from", "the sources, with licences and links",
        ("data",), "slices by source and class",
        "origin, licence and link where the card has none; how well they fit the patients you have in mind",
    ),
    Item(
        8, "Data", "Inclusion and exclusion criteria", "criteria for patients and slices",
        ("data",), "files that could not be used, by reason",
        "who chose the patients and slices, by what criteria, where and when",
    ),
    Item(
        9, "Data", "Preprocessing", "what was done to the slices",
        ("details",), "crop, size, resize filter and normalisation",
        "what was done before the files came here: windowing, export, removal of the skull", _preprocessing,
    ),
    Item(10, "Data", "What was taken of the scans", "which slices of a scan were taken, how, and by whom"),
    Item(11, "Data", "De-identification", "how identifiers were removed, and by which rules"),
    Item(
        12, "Data", "What is missing, and what was done about it", "how gaps were handled",
        ("data",), "unreadable files are excluded and counted; what a file does not say is unknown",
        "what your sources lack, and whether that biases them",
    ),
    Item(13, "Data", "How the images were made", "scanner, sequence, contrast agent, slice thickness"),
    Item(
        14, "Reference standard", "What the labels rest on (reference standard)",
        "tissue, follow-up, reports or reading: here, labels are what the sources call them",
    ),
    Item(15, "Reference standard", "Why that reference standard", "why this and nothing else"),
    Item(16, "Reference standard", "Who labelled", "who, with what training, and how many"),
    Item(17, "Reference standard", "How the test set was labelled", "steps, instructions, software"),
    Item(18, "Reference standard", "Agreement of those who labelled", "how far they agree, how they settled"),
    Item(
        19, "Data partitions", "How slices were assigned to subsets",
        "how training and test data were divided",
        ("results", "data", "details"), "the protocol, slices and groups by subset and class, the seed",
        condition=lambda report: report.subsets and _own(report),
    ),
    Item(
        20, "Data partitions", "Whether subsets share patients or copies",
        "an audit (`gliascope audit`), and the patients: without them, copies may be on both sides",
        ("believe", "results"),
        "the audit's search for copies between the subsets; what each protocol does not divide",
        "patients that no file names (`--groups`)",
        lambda report: report.audit and _own(report),
    ),
    Item(21, "Testing data", "Planned size of the test set", "how many patients you meant to test, and why"),
    Item(
        22, "Model", "The model in full", "the architecture, from input to output",
        ("details",), "the recipe; the graph itself is model.onnx", condition=lambda report: report.recipe,
    ),
    Item(
        23, "Model", "Software and versions", "libraries with their versions",
        ("details",), "the run's environment", condition=lambda report: report.run,
    ),
    Item(
        24, "Model", "Where the weights start from", "random weights, or whose",
        ("details",), "backbone, weights and seed, in the recipe", condition=lambda report: report.recipe,
    ),
    Item(
        25, "Training", "How it was trained", "augmentation, optimiser, schedule, and when training ended",
        ("training", "details"), "the recipe in full; loss, accuracy and learning rate by epoch",
        condition=lambda report: report.recipe,
    ),
    Item(
        26, "Training", "How the final model was chosen", "by what measure, on which slices",
        ("training",), "the epoch that was kept, and by which slices",
        "how the recipe was found, where several were tried",
        lambda report: report.chosen_epoch is not None,
    ),
    Item(
        27, "Training", "Ensembles", "the members, and how they are joined",
        ("details",), "the members and what of them is averaged", condition=_ensemble, not_applicable=_own,
    ),
    Item(
        28, "Evaluation", "Measures of performance", "the measures, and why these",
        ("results", "details"), "the measures, and how they are made",
    ),
    Item(
        29, "Evaluation", "Uncertainty of the numbers", "intervals, and tests of differences",
        ("results", "details"), "95 % intervals over groups, and how they are made",
    ),
    Item(
        30, "Evaluation", "Robustness", "what noise, blur, movement and other scanners do to the numbers",
        ("results",), "the spread over folds of training and testing",
        "what noise, blur, movement and other scanners do to the numbers", _folds,
    ),
    Item(
        31, "Evaluation", "Explanations of its answers", "how its answers were explained, if they were",
        ("mistakes",), "class activation maps",
        "how well maps find the lesion: `gliascope explain` measures it",
        _maps,
    ),
    Item(
        32, "Evaluation", "Internal testing", "a test on slices like those it was trained on, kept apart",
        ("results",), "the protocols side by side; leaky ones are called so", condition=_internal,
    ),
    Item(
        33, "Evaluation", "External testing",
        "a test on a source unseen in training (`--protocol leave-source-out`), or why there is none",
        ("results",), "every source, tested by a model of this recipe that was trained on the others",
        "a test of the deployed model itself, on slices from elsewhere", _external,
    ),
    Item(34, "Evaluation", "Registration as a trial", "the registry and number, if it was a clinical trial"),
    Item(
        35, "Results: data", "How many were included and excluded", "patients, examinations and slices",
        ("data",), "slices and groups by subset; files that could not be used",
        "patients and examinations, and a flow chart",
    ),
    Item(36, "Results: data", "Patients of each subset", "age, sex, disease and its stage, by subset"),
    Item(
        37, "Results: performance", "Performance, and its uncertainty", "the measures, with intervals",
        ("results", "subgroups"), "every measure with its interval, by protocol and known subgroup",
    ),
    Item(
        38, "Results: performance", "Diagnostic accuracy, and its uncertainty",
        "sensitivity and specificity, with intervals",
        ("classes", "operating", "curves"), "recall, specificity and AUROC by class, with intervals",
    ),
    Item(
        39, "Results: performance", "Mistakes", "a confusion matrix, and examples",
        ("confusion", "mistakes"), "which class is taken for which, and the most confident mistakes",
        "what such mistakes would mean for a patient",
    ),
    Item(
        40, "Discussion", "Limits", "the limits of your study",
        ("believe", "card"), "what limits these data and this model", "the limits of your study",
    ),
    Item(41, "Discussion", "Meaning for practice", "what would have to come before anyone may use it"),
    Item(
        42, "Other information", "Protocol and further details", "your protocol, or more of the details",
        ("details",), "recipe and run; all numbers are in report.json", "where your protocol can be read",
    ),
    Item(
        43, "Other information", "Availability of software, model and data",
        "where each can be had, on what terms",
        ("details",), "version and SHA-256 of the model", "where each can be had, on what terms",
        lambda report: report.model.sha256,
    ),
    Item(44, "Other information", "Funding", "who paid, and what say they had"),
)  # fmt: skip
