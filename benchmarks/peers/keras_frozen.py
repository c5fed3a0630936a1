"""FOLDER EPOCHS WEIGHTS: a frozen ResNet50 and one dense layer, as the Keras project trained it.

FOLDER holds train/ and test/, a folder a class. WEIGHTS: timm's names, as safetensors, or "none".
"""

import json
import os
import sys
import time

BEGAN = time.perf_counter()
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from safetensors.numpy import load_file  # noqa: E402

BATCH = 128


def backbone(weights: str) -> keras.Model:
    network = keras.applications.ResNet50(include_top=False, weights=None, pooling="avg")
    if weights != "none":
        fill(network, load_file(weights))
    network.trainable = False
    return network


def fill(network: keras.Model, tensors: dict[str, np.ndarray]) -> None:
    for layer in network.layers:
        if not layer.weights:
            continue
        name = timm_name(layer.name)
        if isinstance(layer, keras.layers.Conv2D):
            kernel = tensors[f"{name}.weight"].astype(np.float32).transpose(2, 3, 1, 0)
            layer.set_weights([kernel, np.zeros(kernel.shape[-1], np.float32)])
        else:
            parts = ("weight", "bias", "running_mean", "running_var")
            layer.set_weights([tensors[f"{name}.{part}"] for part in parts])


def timm_name(name: str) -> str:
    """conv3_block2_1_conv is layer2.1.conv1, its _bn bn1; block and number 0 is the shortcut."""
    if name in ("conv1_conv", "conv1_bn"):
        return name.split("_")[1] + "1"
    stage, block, number, kind = name.split("_")
    place = f"layer{int(stage[4:]) - 1}.{int(block[5:]) - 1}"
    return f"{place}.downsample.{0 if kind == 'conv' else 1}" if number == "0" else f"{place}.{kind}{number}"


def main() -> None:
    folder, epochs, weights = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    keras.utils.set_random_seed(0)
    read = {"image_size": (224, 224), "batch_size": BATCH, "label_mode": "int"}
    train = keras.utils.image_dataset_from_directory(f"{folder}/train", shuffle=True, seed=0, **read)
    test = keras.utils.image_dataset_from_directory(f"{folder}/test", shuffle=False, **read)
    inputs = keras.Input((224, 224, 3))
    images = keras.layers.RandomFlip("horizontal")(inputs)
    images = keras.layers.RandomBrightness(0.1)(images)
    # The weights were converted to RGB and ImageNet's mean and std.
    images = keras.layers.Rescaling(1 / 255)(images)
    images = keras.layers.Normalization(mean=[0.485, 0.456, 0.406], variance=[0.229**2, 0.224**2, 0.225**2])(
        images
    )
    features = backbone(weights)(images, training=False)
    outputs = keras.layers.Dense(4, activation="softmax")(keras.layers.Dropout(0.5)(features))
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(1e-4), "sparse_categorical_crossentropy", metrics=["accuracy"])
    began = time.perf_counter()
    history = model.fit(train.prefetch(2), epochs=epochs, verbose=0)
    fit = time.perf_counter() - began
    accuracy = model.evaluate(test.prefetch(2), verbose=0)[1]
    versions = f"Keras {keras.__version__}, TensorFlow {tf.__version__}"
    told = {"train_accuracy": history.history["accuracy"], "accuracy": accuracy, "versions": versions}
    print(json.dumps({"seconds": time.perf_counter() - BEGAN, "fit": fit, **told}))


main()
