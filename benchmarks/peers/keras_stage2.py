"""FOLDER: an epoch of stage 2 of EfficientNetV2-S, top 30 % of the layers, as the Keras project had it."""

import json
import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf

BATCH = 16


def main() -> None:
    read = {"image_size": (224, 224), "batch_size": BATCH, "label_mode": "categorical"}
    train = keras.utils.image_dataset_from_directory(f"{sys.argv[1]}/train", shuffle=True, seed=0, **read)
    changes = keras.Sequential(
        [
            keras.layers.RandomFlip("horizontal"),
            keras.layers.RandomRotation(15 / 360, fill_mode="constant"),
            keras.layers.RandomTranslation(0.1, 0.1, fill_mode="constant"),
            keras.layers.RandomZoom(0.1, fill_mode="constant"),
            keras.layers.RandomShear(0.1, 0.1, fill_mode="constant"),
            keras.layers.RandomBrightness(0.15),
        ]
    )
    train = train.map(lambda images, labels: (changes(images, training=True), labels), tf.data.AUTOTUNE)
    network = keras.applications.EfficientNetV2S(include_top=False, weights=None)
    first = int(0.7 * len(network.layers))
    for number, layer in enumerate(network.layers):
        layer.trainable = number >= first and not isinstance(layer, keras.layers.BatchNormalization)
    inputs = keras.Input((224, 224, 3))
    maps = network(inputs, training=False)
    parts = (keras.layers.GlobalAveragePooling2D()(maps), keras.layers.GlobalMaxPooling2D()(maps))
    features = keras.layers.Concatenate()(parts)
    penalty = keras.regularizers.L2(1e-4)
    for width in (512, 256):
        features = keras.layers.Dropout(0.4)(keras.layers.BatchNormalization()(features))
        features = keras.layers.Dense(width, activation="swish", kernel_regularizer=penalty)(features)
    features = keras.layers.Dropout(0.3)(keras.layers.BatchNormalization()(features))
    model = keras.Model(inputs, keras.layers.Dense(4, activation="softmax")(features))
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=0.1)
    model.compile(keras.optimizers.Adam(1e-4), loss, metrics=["accuracy"])
    seconds = []
    for _ in range(2):  # the first one traces
        began = time.perf_counter()
        model.fit(train.prefetch(2), epochs=1, verbose=0)
        seconds.append(time.perf_counter() - began)
    print(json.dumps({"seconds": seconds[-1]}))


main()
