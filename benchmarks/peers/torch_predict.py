"""FOLDER NETWORK TUNED: slices through a timm network in eager PyTorch, as users run it: throughput, latency.

Batches of 32 of an ImageFolder with two workers, then each file alone. TUNED "yes": channels last and an
allocator that keeps what is freed.
"""

import ctypes
import json
import sys
import time

import timm
import torch
import torchvision
from PIL import Image
from torchvision import transforms

BATCH = 32


def main() -> None:
    folder, name, tuned = sys.argv[1], sys.argv[2], sys.argv[3] == "yes"
    if tuned:
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in ((-3, 1 << 30), (-1, (1 << 31) - 1), (-2, 64 << 20)):
            mallopt(option, ctypes.c_int(value))
    transform = transforms.Compose(
        [
            transforms.Resize((224, 224)),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    data = torchvision.datasets.ImageFolder(f"{folder}/test", transform)
    loader = torch.utils.data.DataLoader(data, BATCH, num_workers=2)
    network = timm.create_model(name, num_classes=4).eval()
    layout = torch.channels_last if tuned else torch.contiguous_format
    network = network.to(memory_format=layout)
    with torch.inference_mode():
        network(torch.zeros(BATCH, 3, 224, 224).contiguous(memory_format=layout))
        count, began = 0, time.perf_counter()
        for images, _ in loader:
            network(images.contiguous(memory_format=layout)).softmax(1)
            count += len(images)
        rate = count / (time.perf_counter() - began)
        alone = []
        for path, _ in data.samples[:100]:
            began = time.perf_counter()
            with Image.open(path) as image:
                one = transform(image.convert("RGB"))[None].contiguous(memory_format=layout)
            network(one).softmax(1)
            alone.append(time.perf_counter() - began)
    alone = sorted(alone[5:])
    print(json.dumps({"rate": rate, "p50": alone[len(alone) // 2], "p99": alone[int(0.99 * len(alone))]}))


main()
