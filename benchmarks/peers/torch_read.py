"""FOLDER WORKERS: ImageFolder with PIL's resize to 224, read once."""

import json
import sys
import time

import torch
import torchvision
from torchvision import transforms


def main() -> None:
    transform = transforms.Compose([transforms.Resize((224, 224)), transforms.ToTensor()])
    data = torchvision.datasets.ImageFolder(sys.argv[1], transform)
    loader = torch.utils.data.DataLoader(data, 32, num_workers=int(sys.argv[2]))
    began = time.perf_counter()
    count = sum(len(images) for images, _ in loader)
    print(json.dumps({"rate": count / (time.perf_counter() - began)}))


main()
