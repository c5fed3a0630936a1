"""What a DICOM file says it is: refused, marked, or a slice like any other."""

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    ParametricMapStorage,
    RTDoseStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
    UltrasoundImageStorage,
)

from gliascope.errors import DamagedFileError, NotAnImageError
from gliascope.io import read

pytestmark = pytest.mark.filterwarnings("ignore::Warning:pydicom", "ignore::Warning:PIL")

ORIGINAL, DERIVED = ["ORIGINAL", "PRIMARY"], ["DERIVED", "SECONDARY"]


def kind(make, ramp, **elements):
    (slice_,) = read(make.dicom(ramp, **elements))
    return slice_.kind


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"SOPClassUID": SegmentationStorage, "Modality": "SEG"}, "segmentation, not a slice"),
        ({"SOPClassUID": SegmentationStorage, "Modality": "MR"}, "segmentation, not a slice"),
        ({"Modality": "SEG"}, "segmentation, not a slice"),
        ({"SOPClassUID": RTDoseStorage, "Modality": "RTDOSE"}, "dose map, not a slice"),
        ({"SOPClassUID": ParametricMapStorage, "Modality": "MR"}, "parametric map, not a slice"),
        ({"SOPClassUID": UltrasoundImageStorage, "Modality": ""}, "ultrasound image, not a slice"),
        ({"SOPClassUID": DigitalXRayImageStorageForPresentation}, "X-ray image, not a slice"),
        ({"Modality": "PR"}, "presentation state, not a slice"),
        ({"Modality": "SR"}, "structured report, not a slice"),
        ({"Modality": "KO"}, "structured report, not a slice"),
        ({"Modality": "PT"}, "PET image, not a slice"),
        ({"Modality": "mg "}, "X-ray image, not a slice"),
        ({"ImageType": [*ORIGINAL, "M", "ND", "MOSAIC"]}, "mosaic of many slices"),
        ({"ImageType": [*DERIVED, "SCREEN SAVE"]}, "screenshot, not a slice"),
    ],
)
def test_what_is_no_slice_of_mr_or_ct_is_refused_by_its_kind(make, ramp, elements, reason):
    with pytest.raises(NotAnImageError) as caught:
        read(make.dicom(ramp, **elements))
    assert caught.value.reason == reason
    assert caught.value.detail


def test_the_class_in_the_file_meta_counts_where_the_data_set_states_none(make, ramp):
    dataset = make.dataset(ramp)
    dataset.file_meta.MediaStorageSOPClassUID = SegmentationStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    del dataset.SOPClassUID
    path = make.path()
    dataset.save_as(path)
    with pytest.raises(NotAnImageError, match="segmentation"):
        read(path)


def test_a_mosaic_is_known_by_siemens_own_element_too(make, ramp):
    dataset = make.dataset(ramp)
    block = dataset.private_block(0x0051, "SIEMENS MR HEADER", create=True)
    block.add_new(0x16, "LO", "M/ND/NORM/MOSAIC")
    with pytest.raises(NotAnImageError, match="mosaic"):
        read(make.save(dataset))


@pytest.mark.parametrize(
    "elements",
    [
        {"ImageType": [*ORIGINAL, "LOCALIZER"]},
        {"ImageType": [*ORIGINAL, "AXIAL"], "SeriesDescription": "Scout", "SOPClassUID": CTImageStorage},
        {"SeriesDescription": "AAHScout"},
        {"SeriesDescription": "localiser_3plane"},
        {"SeriesDescription": "3-pl T2* FGRE LOC"},
        {"SeriesDescription": "LOC 3 PLANS"},
        {"SeriesDescription": "Pilot"},
        {"SeriesDescription": "Lokalisator"},
        {"SeriesDescription": "Localizador"},
        {"ProtocolName": "Survey_SHC"},
        {"ProtocolName": "Topogram", "Modality": "CT"},
    ],
)
def test_localizers_are_marked(make, ramp, elements):
    assert kind(make, ramp, **elements) == "localizer"


@pytest.mark.parametrize(
    "elements",
    [
        {"ImageType": ["DERIVED", "PRIMARY", "DIFFUSION", "ADC", "ND", "NORM"]},
        {"ImageType": ["DERIVED", "PRIMARY", "DIFFUSION", "TRACEW", "ND", "NORM"]},
        {"ImageType": ["DERIVED", "PRIMARY", "PERFUSION", "NONE"]},
        {"ImageType": ["DERIVED", "PRIMARY", "MIP"]},
        {"ImageType": ["DERIVED", "SECONDARY", "PROJECTION IMAGE"]},
        {"ImageType": ["DERIVED", "PRIMARY", "SUBTRACTION"]},
        {"ImageType": ["ORIGINAL", "PRIMARY", "T2 MAP"]},
        {"ImageType": DERIVED, "SeriesDescription": "Apparent Diffusion Coefficient (mm2/s)"},
        {"SeriesDescription": "ep2d_diff_ADC"},
        {"ImageType": DERIVED, "SeriesDescription": "relCBV"},
    ],
)
def test_derived_maps_are_marked(make, ramp, elements):
    assert kind(make, ramp, **elements) == "derived map"


@pytest.mark.parametrize(
    "elements",
    [
        {},
        {"ImageType": ORIGINAL},
        {"ImageType": DERIVED},  # exported, anonymised
        {"ImageType": [*ORIGINAL, "MPR"]},
        {"ImageType": [*ORIGINAL, "M", "ND", "NORM"]},
        {"ImageType": [*DERIVED, "REFORMATTED", "AVERAGE"]},
        {"ImageType": [*ORIGINAL, "PERFUSION", "NONE"]},  # acquired, not computed
        {"ImageType": ORIGINAL, "SeriesDescription": "DWI for ADC"},
        {"ImageType": DERIVED, "SeriesDescription": "T1 FA 15 SPACE"},
        {"SeriesDescription": "t1_mprage stereotactic localization"},
        {"SOPClassUID": CTImageStorage, "Modality": "CT", "ImageType": [*ORIGINAL, "AXIAL"]},
        {"Modality": "OT"},
        {"Modality": ""},
        {"Modality": "MRI"},
    ],
)
def test_ordinary_slices_are_not(make, ramp, elements):
    assert kind(make, ramp, **elements) is None


def test_secondary_captures_are_told(make, ramp):
    assert kind(make, ramp, SOPClassUID=SecondaryCaptureImageStorage, Modality="OT") == "secondary capture"
    assert kind(make, ramp, SOPClassUID="1.2.840.10008.5.1.4.1.1.7.2") == "secondary capture"


def test_frames_of_an_enhanced_object_say_their_own(make, ramp):
    def group(*values):
        inner, item = Dataset(), Dataset()
        inner.FrameType = list(values)
        item.MRImageFrameTypeSequence = Sequence([inner])
        return item

    frames = Sequence([group(*ORIGINAL, "VOLUME", "NONE"), group(*ORIGINAL, "LOCALIZER", "NONE")])
    path = make.dicom(np.stack([ramp, ramp]), frames=2, PerFrameFunctionalGroupsSequence=frames)
    assert [slice_.kind for slice_ in read(path)] == [None, "localizer"]


def test_damage_is_still_damage(make, ramp):
    content = make.dicom(ramp, ImageType=[*ORIGINAL, "LOCALIZER"]).read_bytes()
    with pytest.raises(DamagedFileError):
        read(make.bytes(content[:-20]))
