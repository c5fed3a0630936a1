"""FOLDER STEPS WORKERS: ResNet50 fine-tuned by the loop of PyTorch's tutorial, batch 4."""

import json
import sys
import time

import torch
import torchvision
from torch import nn
from torchvision import transforms

BATCH = 4


def main() -> None:
    folder, steps, workers = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    transform = transforms.Compose(
        [
            transforms.RandomResizedCrop(224),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    data = torchvision.datasets.ImageFolder(f"{folder}/train", transform)
    loader = torch.utils.data.DataLoader(data, BATCH, shuffle=True, num_workers=workers)
    model = torchvision.models.resnet50()
    model.fc = nn.Linear(model.fc.in_features, len(data.classes))
    criterion, optimizer = nn.CrossEntropyLoss(), torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    model.train()
    running, began = 0.0, 0.0
    for step, (images, labels) in enumerate(loader):
        if step == 5:
            began = time.perf_counter()
        if step == steps + 5:
            break
        optimizer.zero_grad()
        outputs = model(images)
        loss = criterion(outputs, labels)
        loss.backward()
        optimizer.step()
        running += loss.item() * len(images) + int((outputs.argmax(1) == labels).sum())
    print(json.dumps({"rate": BATCH * steps / (time.perf_counter() - began)}))


main()
