"""NIfTI: orientation, scaling, Hounsfield units and what is refused."""

import warnings

import nibabel as nib
import numpy as np
import pytest

from gliascope.errors import DamagedFileError, NotAnImageError, TooLargeError
from gliascope.io import limits, read

# Corners of a body of 4 x 5 x 6 voxels in RAS+: each value names its place.
RIGHT_ANTERIOR_SUPERIOR = np.zeros((4, 5, 6), np.uint8)
RIGHT_ANTERIOR_SUPERIOR[-1, -1, 0] = 100  # right, anterior, inferior
RIGHT_ANTERIOR_SUPERIOR[0, 0, -1] = 255  # left, posterior, superior


def body(slices):
    return np.stack([slice_.pixels for slice_ in slices])


def test_axial_slices_from_inferior_to_superior_in_radiological_convention(make):
    slices = read(make.nifti(RIGHT_ANTERIOR_SUPERIOR, np.diag([2.0, 3.0, 4.0, 1.0])))
    assert [slice_.pixels.shape for slice_ in slices] == [(5, 4)] * 6
    assert slices[0].pixels[0, 0] > 0  # inferior: anterior is up, the patient's right on the left
    assert slices[-1].pixels[-1, -1] == 255  # superior: posterior is down, the patient's left on the right
    assert np.count_nonzero(body(slices)) == 2
    assert {slice_.spacing for slice_ in slices} == {(3.0, 2.0)}
    assert {slice_.modality for slice_ in slices} == {None}
    assert {(slice_.patient, slice_.study, slice_.series) for slice_ in slices} == {(None, None, None)}


@pytest.mark.parametrize("axes", ["RAS", "LAS", "LPS", "PIR", "SRP", "ASL", "IPL"])
def test_every_storage_order_gives_the_same_slices(make, axes):
    zooms = np.diag([2.0, 3.0, 4.0, 1.0])
    image = nib.Nifti1Image(RIGHT_ANTERIOR_SUPERIOR, zooms)
    turned = image.as_reoriented(
        nib.orientations.ornt_transform(
            nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(axes)
        )
    )
    path = make.path().with_suffix(".nii")
    nib.save(turned, path)
    slices = read(path)
    assert np.array_equal(body(slices), body(read(make.nifti(RIGHT_ANTERIOR_SUPERIOR, zooms))))
    assert slices[0].spacing == (3.0, 2.0)
    assert slices[0].plane == "axial"


def test_an_oblique_volume_is_not_resampled(make):
    volume = np.random.default_rng(0).integers(0, 255, (4, 5, 6), np.uint8)
    turn = nib.affines.from_matvec(nib.eulerangles.euler2mat(0.1, 0.2, 0.05))
    assert np.array_equal(body(read(make.nifti(volume, turn))), body(read(make.nifti(volume))))


@pytest.mark.parametrize(("shape", "axis"), [((7, 5, 1), 2), ((7, 1, 5), 1), ((1, 7, 5), 0)])
def test_a_volume_one_voxel_thick_is_one_slice_in_its_plane(make, shape, axis):
    volume = np.arange(35, dtype=np.uint8).reshape(shape)
    (slice_,) = read(make.nifti(volume, np.diag([2.0, 3.0, 4.0, 1.0])))
    assert slice_.pixels.shape == (5, 7)
    assert slice_.pixels[-1, -1] == 0  # the first voxel: left, posterior, inferior
    assert slice_.pixels[0, 0] == 255
    columns, rows = np.delete([2.0, 3.0, 4.0], axis)
    assert slice_.spacing == (rows, columns)
    assert slice_.plane == ("sagittal", "coronal", "axial")[axis]


def test_without_a_transform_the_plane_is_not_known(make):
    volume = np.zeros((3, 4, 5), np.uint8)
    assert {slice_.plane for slice_ in read(make.nifti(volume, sform_code=0))} == {None}
    assert {slice_.plane for slice_ in read(make.nifti(volume, sform_code=0, qform_code=1))} == {"axial"}


def test_two_axes_are_one_slice(make):
    flat = np.arange(35, dtype=np.uint8).reshape(7, 5)
    (slice_,) = read(make.nifti(flat))
    assert np.array_equal(slice_.pixels, read(make.nifti(flat[..., np.newaxis]))[0].pixels)


def test_values_are_spread_over_the_whole_volume(make):
    volume = np.random.default_rng(0).normal(500, 100, (20, 20, 20)).astype(np.float32)
    volume[..., :10] /= 2
    low, high = np.percentile(volume, (0.5, 99.5))
    expected = np.clip((volume - low) / (high - low), 0, 1) * 255
    result = body(read(make.nifti(volume)))
    assert np.abs(result - expected[::-1, ::-1].transpose(2, 1, 0)).max() <= 0.5 + 1e-3
    assert result[:10].mean() < result[10:].mean() / 2


@pytest.mark.parametrize("dtype", ["<i2", ">i2", "<u2", "<i4", "<f4", ">f8", "<u1", "<i8"])
def test_types_and_byte_orders(make, dtype):
    volume = np.arange(120).reshape(4, 5, 6)
    path = make.path().with_suffix(".nii")
    header = nib.Nifti1Header(endianness=">" if dtype[0] == ">" else "<")
    header.set_data_dtype(dtype)
    nib.save(nib.Nifti1Image(volume.astype(dtype), np.eye(4), header, dtype=np.dtype(dtype)), path)
    assert np.array_equal(body(read(path)), body(read(make.nifti(volume.astype(np.int32)))))


@pytest.mark.parametrize("slope", [1, 2, -2])
def test_scaling_in_the_header_is_applied(make, slope):
    stored = np.arange(8 * 9 * 10, dtype=np.int16).reshape(8, 9, 10)
    scaled = make.nifti(stored, scl_slope=slope, scl_inter=7)
    direct = make.nifti(stored.astype(np.float32) * slope + 7)
    assert np.array_equal(body(read(scaled)), body(read(direct)))


def test_hounsfield_units_get_the_brain_window(make):
    volume = np.full((10, 10, 4), -1000, np.int16)
    volume[4:6, 4:6] = 40
    volume[4, 4, 0] = 3000
    for path in (make.nifti(volume), make.nifti(volume + 1000, scl_slope=1, scl_inter=-1000)):
        slices = read(path)
        assert {slice_.modality for slice_ in slices} == {"CT"}
        assert sorted(np.unique(body(slices))) == [0, 128 + 1, 255]  # (40 - 39.5) / 79 + 0.5, of 255


def test_a_few_low_voxels_are_no_hounsfield_units(make):
    volume = np.random.default_rng(0).integers(500, 9000, (20, 20, 20), np.int16)
    volume[3, 3, 3] = -600  # as resampling leaves them
    slices = read(make.nifti(volume))
    assert slices[0].modality is None
    assert 100 < body(slices).mean() < 155


def test_not_a_number_is_black(make):
    volume = np.linspace(-5, 5, 1000, dtype=np.float32).reshape(10, 10, 10)
    volume[2, 3, 4], volume[5, 5, 5] = np.nan, np.inf
    result = body(read(make.nifti(volume)))[:, ::-1, ::-1].transpose(2, 1, 0)
    assert (result[2, 3, 4], result[5, 5, 5], result[-1, -1, -1]) == (0, 0, 255)


def test_nothing_but_nan_is_damaged(make):
    with pytest.raises(DamagedFileError, match="no finite value"):
        read(make.nifti(np.full((4, 4, 4), np.nan, np.float32)))


def test_a_blank_volume_is_black(make):
    assert body(read(make.nifti(np.full((4, 4, 4), 9, np.int16)))).max() == 0


@pytest.mark.parametrize("channels", ["RGB", "RGBA"])
def test_colour_voxels_are_kept(make, channels):
    volume = np.zeros((4, 5, 6), [(name, "u1") for name in channels])
    volume["R"], volume["G"], volume["B"] = 10, 20, 30
    slices = read(make.nifti(volume))
    assert slices[0].pixels.shape == (5, 4, 3)
    assert slices[0].pixels[0, 0].tolist() == [10, 20, 30]


def test_complex_values_are_refused(make):
    with pytest.raises(NotAnImageError, match="neither grey nor RGB"):
        read(make.nifti(np.zeros((4, 4, 4), np.complex64)))


def test_a_fourth_axis_must_be_of_length_one(make):
    volume = np.arange(240, dtype=np.uint8).reshape(4, 5, 6, 2)
    with pytest.raises(NotAnImageError, match=r"4-D volume .*give one 3-D volume.*fslsplit"):
        read(make.nifti(volume))
    assert np.array_equal(body(read(make.nifti(volume[..., :1]))), body(read(make.nifti(volume[..., 0]))))


def test_the_header_of_a_pair_is_refused(make):
    header = make.nifti(np.zeros((4, 4, 4), np.uint8), magic=b"ni1")
    with pytest.raises(NotAnImageError, match=r"convert the pair to one \.nii"):
        read(header)


@pytest.mark.parametrize("units", [(1, 0.002), (2, 2.0), (3, 2000.0), (0, 2.0)])
def test_spacing_is_in_millimetres(make, units):
    code, size = units
    volume = np.zeros((4, 4, 4), np.uint8)
    (slice_, *_) = read(make.nifti(volume, np.diag([size, size, size, 1]), xyzt_units=code))
    assert slice_.spacing == pytest.approx((2.0, 2.0))


def test_impossible_headers(make):
    volume = np.zeros((4, 4, 4), np.uint8)
    for fields in ({"dim": [3, 4, -4, 4, 1, 1, 1, 1]}, {"dim": [3, 4, 0, 4, 1, 1, 1, 1]}, {"datatype": 9999}):
        with pytest.raises(DamagedFileError):
            read(make.nifti(volume, **fields))
    with pytest.raises(DamagedFileError, match="orientation"):
        read(make.nifti(volume, np.diag([1.0, 0.0, 1.0, 1.0])))


def test_limits_are_checked_on_the_header(make):
    volume = np.zeros((4, 4, 4), np.uint8)
    for fields in (
        {"dim": [3, 30_000, 30_000, 1, 1, 1, 1, 1]},
        {"dim": [3, 2000, 2000, 200, 1, 1, 1, 1]},
        {"dim": [3, 2, 2, limits.MAX_SLICES + 1, 1, 1, 1, 1]},
        {"vox_offset": 1e12},
    ):
        with pytest.raises(TooLargeError):
            read(make.nifti(volume, packed=True, **fields))
    # Slices are counted along the axis that will be axial, which need not be the third.
    axial_first = np.eye(4)[[1, 2, 0, 3]]
    with pytest.raises(TooLargeError, match="slices"):
        read(make.nifti(volume, axial_first, dim=[3, limits.MAX_SLICES + 1, 2, 2, 1, 1, 1, 1]))


def test_a_wrong_checksum_is_damaged(make):
    content = bytearray(make.nifti(np.zeros((40, 40, 40), np.uint8), packed=True).read_bytes())
    content[-6] ^= 1
    with pytest.raises(DamagedFileError, match="CRC"):
        read(make.bytes(bytes(content)))


def test_a_slope_may_take_values_beyond_any_float(make):
    """Found by fuzzing: numpy warned, and the picture was black."""
    volume = np.arange(64, dtype=np.float64).reshape(4, 4, 4) + 1
    with pytest.raises(DamagedFileError, match="beyond any float"):
        read(make.nifti(volume, version=2, scl_slope=1e308))
    hot = np.full((16, 16, 4), 1e37, np.float32)
    hot[0, 0, 0] = 3e38
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        brightest = max(slice_.pixels.max() for slice_ in read(make.nifti(hot, scl_slope=1000)))
    assert brightest == 255


def test_a_signalling_nan_is_a_nan(make):
    """Found by fuzzing: numpy warned."""
    volume = np.arange(64, dtype=np.float32).reshape(4, 4, 4)
    volume.view(np.uint32)[-1, -1, 0] = 0x7FA00000
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for slope in (0, 2):
            (first, *_) = read(make.nifti(volume, scl_slope=slope))
            assert first.pixels[0, 0] == 0


SAGITTAL = np.array([[0, 0, 6.0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])


def test_thick_slices_are_cut_as_they_were_acquired(make):
    stored = np.zeros((8, 9, 5), np.uint8)  # anterior, superior, right
    stored[-1, -1, 0], stored[0, 0, -1] = 100, 255
    slices = read(make.nifti(stored, SAGITTAL))
    assert [slice_.pixels.shape for slice_ in slices] == [(9, 8)] * 5
    assert {(slice_.plane, slice_.spacing) for slice_ in slices} == {("sagittal", (1.0, 1.0))}
    assert slices[0].pixels[0, 0] > 0  # superior is up, anterior on the left
    assert slices[-1].pixels[-1, -1] == 255
    coronal = np.diag([1.0, 5.0, 0.75, 1.0])
    slices = read(make.nifti(RIGHT_ANTERIOR_SUPERIOR, coronal))
    assert [slice_.pixels.shape for slice_ in slices] == [(6, 4)] * 5
    assert {(slice_.plane, slice_.spacing) for slice_ in slices} == {("coronal", (0.75, 1.0))}
    assert slices[-1].pixels[-1, 0] > 0  # anterior; the patient's right on the left, superior up
    assert slices[0].pixels[0, -1] == 255


@pytest.mark.parametrize("sizes", [(1, 1, 1), (1, 1, 6), (3, 2, 2), (1.2, 0.5, 0.5), (2, 2, 3.5)])
def test_volumes_acquired_in_three_dimensions_or_axially_stay_axial(make, sizes):
    slices = read(make.nifti(RIGHT_ANTERIOR_SUPERIOR, np.diag([*sizes, 1.0])))
    assert {slice_.plane for slice_ in slices} == {"axial"}
    assert len(slices) == 6


def test_limits_are_of_the_plane_that_is_cut(make):
    volume = np.zeros((4, 4, 4), np.uint8)
    with pytest.raises(TooLargeError, match="slices"):
        read(make.nifti(volume, SAGITTAL, dim=[3, 2, 2, limits.MAX_SLICES + 1, 1, 1, 1, 1]))


ZEROS = {f"srow_{axis}": [0, 0, 0, 0] for axis in "xyz"}
TURNED = {"qform_code": 1, "quatern_d": 1.0}  # half a turn around the third axis


@pytest.mark.parametrize(
    "broken",
    [
        ZEROS,
        {"srow_x": [np.nan, 0, 0, 0]},
        {"srow_x": [0, 1, 0, 0]},  # as srow_y
        {"srow_z": [np.inf, 0, 1, 0]},
    ],
)
def test_an_sform_that_tells_nothing_gives_way_to_the_qform(make, broken):
    good = read(make.nifti(RIGHT_ANTERIOR_SUPERIOR, sform_code=0, **TURNED))
    found = read(make.nifti(RIGHT_ANTERIOR_SUPERIOR, sform_code=1, **TURNED, **broken))
    assert np.array_equal(body(found), body(good))
    assert {slice_.plane for slice_ in found} == {"axial"}
    assert not np.array_equal(body(good), body(read(make.nifti(RIGHT_ANTERIOR_SUPERIOR))))


def test_where_neither_tells_the_voxel_sizes_do_and_the_plane_is_not_known(make):
    plain = read(make.nifti(RIGHT_ANTERIOR_SUPERIOR, sform_code=0, pixdim=[1, 2, 3, 4, 1, 1, 1, 1]))
    for quaternion in (1.2, np.nan):
        fields = {"pixdim": [1, 2, 3, 4, 1, 1, 1, 1], "qform_code": 1, "quatern_b": quaternion} | ZEROS
        found = read(make.nifti(RIGHT_ANTERIOR_SUPERIOR, **fields))
        assert np.array_equal(body(found), body(plain))
        assert {(slice_.plane, slice_.spacing) for slice_ in found} == {(None, (3.0, 2.0))}


@pytest.mark.parametrize("size", [0, -4, np.nan, np.inf])
@pytest.mark.parametrize("codes", [(0, 0), (0, 1), (1, 0)])
def test_a_voxel_size_that_is_none(make, size, codes):
    fields = {"sform_code": codes[0], "qform_code": codes[1], "pixdim": [1, 2, 3, size, 1, 1, 1, 1]}
    affine = np.diag([2.0, 3.0, 4.0, 1.0])
    found = read(make.nifti(RIGHT_ANTERIOR_SUPERIOR, affine, **fields))
    assert {slice_.spacing for slice_ in found} == {(3.0, 2.0)}
    if codes != (0, 0) or size != -4:  # else the order of the voxels is all there is: see `geometry`
        assert np.array_equal(body(found), body(read(make.nifti(RIGHT_ANTERIOR_SUPERIOR, affine))))


def test_a_qfac_of_zero_is_one(make):
    fields = {"sform_code": 0, "qform_code": 1}
    found = read(make.nifti(RIGHT_ANTERIOR_SUPERIOR, pixdim=[0, 1, 1, 1, 1, 1, 1, 1], **fields))
    assert np.array_equal(body(found), body(read(make.nifti(RIGHT_ANTERIOR_SUPERIOR))))


def test_no_size_at_all_is_no_spacing(make):
    fields = {"sform_code": 0, "pixdim": [0] * 8} | ZEROS
    (first, *_) = read(make.nifti(RIGHT_ANTERIOR_SUPERIOR, **fields))
    assert (first.plane, first.spacing) == (None, None)


def test_an_orientation_that_cannot_be_told_has_a_remedy(make):
    with pytest.raises(DamagedFileError, match="sform map an axis to nothing; convert"):
        read(make.nifti(RIGHT_ANTERIOR_SUPERIOR, pixdim=[1, 0, 0, 0, 1, 1, 1, 1], **ZEROS))


def test_what_the_intent_says(make):
    assert read(make.nifti(RIGHT_ANTERIOR_SUPERIOR, intent_code=1002))[0].kind == "segmentation"
    assert read(make.nifti(RIGHT_ANTERIOR_SUPERIOR, intent_code=3))[0].kind == "derived map"
    assert read(make.nifti(RIGHT_ANTERIOR_SUPERIOR, intent_code=0))[0].kind is None
