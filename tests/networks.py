"""Networks that are tested beside our own, and classifiers of them with random weights."""

from gliascope.models.classifier import Classifier, build_classifier
from gliascope.recipes import load_recipe

# Those of the recipes, and one whose blocks have parameters of their own.
NETWORKS = (
    "tf_efficientnet_lite0",
    "tf_efficientnetv2_s.in1k",
    "vgg16.tv_in1k",
    "resnet50.tv_in1k",
    "inception_v3.tv_in1k",
    "convnext_atto.d2_in1k",
)


def classifier_of(name: str, classes: int = 4, overrides: tuple[str, ...] = ()) -> Classifier:
    """For 96×96 images: the smallest multiple of 32 that Inception takes."""
    recipe = load_recipe("quick", [f"backbone={name}", "weights=random", "preprocessing.size=96", *overrides])
    return build_classifier(recipe, classes).eval()
