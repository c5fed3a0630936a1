import subprocess
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import binary_dilation

from gliascope.errors import GliascopeError
from gliascope.synthetic import LABELS, phantom, phantom_volume
from gliascope.synthetic.atlas import atlas
from gliascope.synthetic.patient import Patient
from gliascope.synthetic.shapes import Waves
from gliascope.synthetic.space import Field, Grid

TUMORS = ("glioma", "meningioma", "pituitary")
SEEDS = range(20)


@pytest.fixture(scope="module")
def slices():
    """50 slices a class."""
    return [phantom(label, seed) for seed in range(50) for label in LABELS]


def lesion_points(label: str, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Atlas coordinates of a lesion's pixels, and their distances to skull and skin."""
    patient = Patient.draw(label, seed)
    points = patient.head.to_atlas(patient.slice_grids(1, 240)[0])[:, phantom(label, seed).mask]
    skull, skin = atlas().shells.interpolate(points)
    return points, skull, skin


@pytest.mark.parametrize("label", LABELS)
def test_same_arguments_same_slice(label):
    first, other = phantom(label, 3), phantom(label, 4)
    with ThreadPoolExecutor(2) as pool:
        again = list(pool.map(lambda seed: phantom(label, seed), (4, 3)))[1]
    assert first.pixels.tobytes() == again.pixels.tobytes()
    assert first.mask.tobytes() == again.mask.tobytes()
    assert (first.pixels != other.pixels).mean() > 0.2


def test_shape_and_type():
    small = phantom("glioma", 1, size=96)
    assert (small.label, small.seed) == ("glioma", 1)
    assert small.pixels.shape == small.mask.shape == (96, 96)
    assert (small.pixels.dtype, small.mask.dtype) == (np.uint8, np.bool_)


def test_size_changes_the_sampling_not_the_picture():
    large = Image.fromarray(phantom("glioma", 1).pixels).resize((96, 96), Image.Resampling.BOX)
    assert np.corrcoef(np.asarray(large).ravel(), phantom("glioma", 1, size=96).pixels.ravel())[0, 1] > 0.94


def test_unknown_label_lists_the_choices():
    with pytest.raises(ValueError, match=r"'tumor'.*glioma, meningioma, no_tumor, pituitary"):
        phantom("tumor", 0)


def test_lesion_areas(slices):
    areas = defaultdict(list)
    for one in slices:
        areas[one.label].append(one.mask.mean())
    assert max(areas["no_tumor"]) == 0
    for label in TUMORS:
        assert min(areas[label]) > 0.001, label
        assert max(areas[label]) < 0.15, label
    assert np.median(areas["pituitary"]) < np.median(areas["meningioma"])


def test_most_lesions_are_visible_and_some_are_faint(slices):
    contrasts = []
    for one in slices:
        if one.label != "no_tumor":
            around = binary_dilation(one.mask, iterations=8) & ~binary_dilation(one.mask, iterations=2)
            inside, outside = one.pixels[one.mask].astype(float), one.pixels[around].astype(float)
            contrasts.append(abs(inside.mean() - outside.mean()) / outside.std())
    assert np.median(contrasts) > 1
    assert np.quantile(contrasts, 0.1) < 0.5


@pytest.mark.parametrize("label", TUMORS)
def test_lesions_lie_inside_the_head(label):
    for seed in SEEDS:
        _, _, skin = lesion_points(label, seed)
        assert skin.max() < -5, seed


def test_glioma_lies_in_the_brain_and_reaches_white_matter():
    for seed in SEEDS:
        points, skull, _ = lesion_points("glioma", seed)
        assert skull.max() < 0, seed
        assert atlas().brain.interpolate(points)[1].max() > 128, seed


def test_meningioma_rests_on_the_dura():
    on_falx, touching = 0, 0
    for seed in SEEDS:
        _, skull, _ = lesion_points("meningioma", seed)
        lesion = Patient.draw("meningioma", seed).lesion
        falx = np.linalg.norm(atlas().falx - lesion.centre, axis=1).min() < lesion.radius
        assert skull.max() < 0, seed
        assert falx or -atlas().shells.interpolate(lesion.centre[:, None])[0, 0] < lesion.radius, seed
        on_falx += falx
        touching += bool(falx or skull.max() > -4)
    assert 0 < on_falx < len(SEEDS)
    # The rest are cut where they bulge into the brain.
    assert touching > 0.7 * len(SEEDS)


def test_pituitary_lesion_sits_in_the_sella():
    for seed in SEEDS:
        points, _, _ = lesion_points("pituitary", seed)
        x, y, z = points.mean(axis=1)
        assert abs(x) < 12, seed
        assert abs(y - 2) < 12, seed
        assert -42 < z < -5, seed


def test_pictures_as_a_whole_do_not_tell_the_class(slices):
    """Brightness, spread, borders and the head's extent are drawn without regard to the label."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import cross_val_score

    def summary(pixels):
        edges = (pixels[:8], pixels[-8:], pixels[:, :8], pixels[:, -8:])
        return [pixels.mean(), pixels.std(), (pixels > 40).mean(), (pixels > 250).mean()] + [
            edge.mean() for edge in edges
        ]

    features = np.array([summary(one.pixels) for one in slices])
    labels = [one.label for one in slices]
    forest = RandomForestClassifier(100, random_state=0)
    assert cross_val_score(forest, features, labels, cv=4).mean() < 0.4


def test_small_pictures_do_not_give_the_class_away(slices):
    from sklearn.linear_model import RidgeClassifier
    from sklearn.model_selection import cross_val_score

    thumbnails = [Image.fromarray(one.pixels).resize((32, 32), Image.Resampling.BOX) for one in slices]
    features = np.array([np.asarray(image, float).ravel() / 255 for image in thumbnails])
    labels = [one.label for one in slices]
    assert cross_val_score(RidgeClassifier(alpha=100), features, labels, cv=4).mean() < 0.75


def test_slices_of_one_patient_resemble_each_other_more_than_others_do():
    def thumbnail(one):
        values = np.asarray(Image.fromarray(one.pixels).resize((64, 64)), float).ravel()
        return (values - values.mean()) / np.linalg.norm(values - values.mean())

    patients = [[thumbnail(one) for one in Patient.draw("glioma", seed).slices(2, 240)] for seed in range(12)]
    within = [first @ second for first, second in patients]
    between = [a[0] @ b[0] for i, a in enumerate(patients) for b in patients[:i]]
    assert min(within) > np.median(between)
    # Else an audit would take different patients for copies.
    assert max(between) < 0.98


def test_every_slice_of_a_patient_shows_the_lesion():
    for label in TUMORS:
        for seed in range(40):
            assert all(one.mask.any() for one in Patient.draw(label, seed).slices(4, 48)), (label, seed)


def test_volume_is_in_standard_orientation_and_shows_the_lesion_in_some_slices():
    volume, mask, affine = phantom_volume("meningioma", 2)
    assert volume.shape == mask.shape
    assert (volume.dtype, mask.dtype, affine.shape) == (np.float32, np.bool_, (4, 4))
    assert 24 <= volume.shape[2] <= 60
    assert (np.diag(affine)[:3] > 0).all()
    shown = mask.any(axis=(0, 1))
    assert 2 <= shown.sum() <= volume.shape[2] / 2
    centre = Patient.draw("meningioma", 2)
    expected = centre.head.from_atlas(centre.lesion.centre)
    found = affine[:3, :3] @ np.argwhere(mask).mean(axis=0) + affine[:3, 3]
    assert np.linalg.norm(found - expected) < 12
    assert volume.tobytes() == phantom_volume("meningioma", 2)[0].tobytes()


def test_volume_without_tumor_has_no_mask():
    assert not phantom_volume("no_tumor", 0)[1].any()


def test_without_nilearn_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr("gliascope.synthetic.atlas.find_spec", lambda name: None)
    with pytest.raises(GliascopeError, match=r"pip install 'gliascope\[data\]'"):
        atlas.__wrapped__()


def test_field_reads_linear_functions_exactly():
    axes = np.meshgrid(np.arange(5), np.arange(6), np.arange(7), indexing="ij")
    values = np.stack([axes[0] + 2 * axes[1] - axes[2], axes[2]]).astype(np.float32)
    field = Field(values, (-2.0, 1.0, 0.0), step=2.0)
    points = np.array([[-1.0, 3.3], [4.0, 6.1], [5.0, 0.7]], np.float32)
    i, j, k = (points - np.array([[-2], [1], [0]])) / 2
    assert np.allclose(field.interpolate(points), [i + 2 * j - k, k], atol=1e-5)
    assert field.interpolate(np.float32([[99], [99], [99]]))[1, 0] == pytest.approx(6, abs=0.02)


def test_waves_are_the_same_function_on_a_slice_as_at_a_point():
    waves = Waves.draw(np.random.default_rng(0), (20, 60), deviation=2.0)
    grid = Grid(*np.float32([[-80, 20, 5], [0.3, -1, 0.2], [1, 0.1, 0]]), height=150, width=90)
    values = waves.on_grid(grid)
    point = grid.corner + 70 * grid.down + 31 * grid.across
    assert values[70, 31] == pytest.approx(waves.at_point(point), abs=1e-3)
    assert 1 < values.std() < 3


def test_nilearn_itself_is_not_imported():
    """Its import takes seconds; only the template's file is wanted."""
    code = "import sys, gliascope.synthetic as p; p.phantom('glioma', 0); print('nilearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
