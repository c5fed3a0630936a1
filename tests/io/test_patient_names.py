import pytest

from gliascope.io.patient_names import PatientNames


def told(paths: list[str]) -> list[str | None]:
    names = PatientNames(paths, {})
    return [found and found.name for found in map(names.patient_of, paths)]


def tree(*folders: str, files: int = 3) -> list[str]:
    return [f"set/{folder}/{n}.png" for folder in folders for n in range(files)]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("lgg/TCGA_DU_6404_19850629/TCGA_DU_6404_19850629_12.tif", "tcga-du-6404"),
        ("set/glioma/TCGA-DU-6404.png", "tcga-du-6404"),
        ("set/glioma/BraTS-GLI-00003-001/BraTS-GLI-00003-001-t1c.nii.gz", "brats-gli-00003"),
        ("set/glioma/BraTS-GLI-00003-000-t1c_slice_7.png", "brats-gli-00003"),
        ("set/HGG/Brats17_TCIA_105_1/Brats17_TCIA_105_1_flair.nii.gz", "brats17-tcia-105"),
        ("set/BraTS19_CBICA_AAB_1/x.nii", "brats19-cbica-aab"),
        ("set/BraTS20_Training_001/x.nii", "brats20-training-001"),
        ("set/BraTS2021_00012/x.nii", "brats2021-00012"),
        ("brats_2013_pat0006_1/VSD.Brain.mha", "brats-2013-pat0006"),
        ("bids/sub-04/ses-1/anat/sub-04_ses-1_T1w.nii.gz", "sub-04"),
        ("set/yes/sub-04_T1w.nii.gz", "sub-04"),
        ("set/glioma/patient01_slice03.png", "patient-01"),
        ("set/glioma/Patient 7/3.png", "patient-7"),
    ],
)
def test_identifiers_mean_a_patient_wherever_they_stand(path: str, name: str) -> None:
    (found,) = told([path])
    assert found is not None and found.replace("-", "") == name.replace("-", "")


def test_the_same_patient_in_any_class_part_and_visit() -> None:
    several = [
        "set/Training/glioma/BraTS-GLI-00003-000/t1c.nii.gz",
        "set/Testing/no_tumor/brats-gli-00003-100/t1c.nii.gz",
    ]
    assert len(set(told(several))) == 1


@pytest.mark.parametrize(
    "paths",
    [
        tree("glioma/P001", "glioma/P002", "meningioma/P003"),
        tree("P001/yes", "P001/no", "P002/yes", "P003/no"),
        tree(
            "Training/glioma/17", "Training/glioma/18", "Training/glioma/19", "Testing/no/20", "Testing/no/21"
        ),
        tree(
            "Data/Brain Set/glioma/A1/T1/axial",
            "Data/Brain Set/glioma/A2/T1/axial",
            "Data/Brain Set/no/A3/T2",
        ),
        [
            f"set/glioma/{patient}_flair_slice_{n}.png"
            for patient in ("00012", "00013", "00014")
            for n in (1, 2)
        ],
        [f"set/glioma/volume_{patient}_slice_{n}.png" for patient in range(3) for n in (1, 2)],
        [f"set/glioma/P{patient:02d}_{n}.png" for patient in range(6) for n in (1, 2)],
        [f"set/glioma/{patient:02d}-{n:03d}.png" for patient in range(6) for n in range(20)],
    ],
)
def test_folders_and_prefixes_that_hold_some_slices_each_are_patients(paths: list[str]) -> None:
    found = told(paths)
    assert None not in found
    assert 3 <= len(set(found)) < len(paths)


def test_equal_names_below_several_classes_are_one_patient() -> None:
    paths = tree(*(f"{label}/patient{n:02d}" for label in ("glioma", "no_tumor") for n in range(4)))
    found = told(paths)
    assert len(set(found)) == 4
    assert found[:12] == found[12:]


@pytest.mark.parametrize(
    "paths",
    [
        [f"masoud/Training/glioma/Tr-gl_{n:04d}.jpg" for n in range(30)],
        [f"masoud/Testing/pituitary/Te-pi_{n:04d}.jpg" for n in range(30)],
        [f"sartaj/Testing/glioma_tumor/image({n}).jpg" for n in range(30)],
        [f"sartaj/Training/no_tumor/{n}.jpg" for n in range(30)],
        [f"sartaj/Training/glioma_tumor/gg ({n}).jpg" for n in range(30)],
        [f"navoneel/yes/Y{n}.jpg" for n in range(30)],
        tree("glioma/T1", "glioma/T2", "glioma/FLAIR", "no/T1"),
        tree("glioma/axial", "glioma/coronal", "glioma/sagittal"),
        tree("glioma/original", "glioma/augmented", "glioma/rotated 90", "glioma/256x256"),
        tree("glioma/fold1", "glioma/fold2", "glioma/fold3", "no/fold1"),
        tree("glioma/batch_1", "glioma/batch_2", "glioma/batch_3"),
        tree("glioma/grade 2", "glioma/grade 3", "glioma/grade 4"),
        tree("glioma/1.5T", "glioma/3T", "glioma/7T"),
        tree("glioma/astrocytoma", "glioma/oligodendroglioma", "glioma/ependymoma"),
        tree("2019/yes", "2020/yes", "2021/yes", "2022/no", "2023/no"),
        tree("glioma/a1", "glioma/a2", "glioma/a3", files=800),
        [f"set/glioma/glioma_slice_{n}.png" for n in range(30)],
        [f"set/glioma/T1_slice_{n}.png" for n in range(30)],
        [f"set/glioma/{label}_{n}.png" for label in range(4) for n in range(30)],
        [f"set/glioma/IMG_2020_{n}.png" for n in range(30)],
        [f"set/glioma/glioma_{n}.png" for n in range(30)],
        [f"set/glioma/smith/IM-{series:04d}-{n:04d}.dcm" for series in range(8) for n in range(4)],
        [f"case-2024-data/glioma/{n}.png" for n in range(30)],
    ],
)
def test_other_names_are_no_patients(paths: list[str]) -> None:
    assert set(told(paths)) == {None}


def test_folders_that_might_be_patients_are_named() -> None:
    assert PatientNames(tree("glioma/adam", "glioma/berta", "no/cyril"), {}).uncertain_folders == {
        "set": ["adam", "berta", "cyril"]
    }
    assert not PatientNames(tree("glioma/T1", "glioma/T2", "glioma/FLAIR"), {}).uncertain_folders
