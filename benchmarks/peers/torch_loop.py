"""FOLDER STEPS WORKERS BATCH: ResNet50 fine-tuned by the loop of PyTorch's tutorial, on a GPU if there is."""

import itertools
import json
import sys
import time

import torch
import torchvision
from torch import nn
from torchvision import transforms


def main() -> None:
    folder, (steps, workers, batch) = sys.argv[1], map(int, sys.argv[2:])
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    transform = transforms.Compose(
        [
            transforms.RandomResizedCrop(224),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    data = torchvision.datasets.ImageFolder(f"{folder}/train", transform)
    loader = torch.utils.data.DataLoader(
        data, batch, shuffle=True, num_workers=workers, persistent_workers=True
    )
    model = torchvision.models.resnet50()
    model.fc = nn.Linear(model.fc.in_features, len(data.classes))
    model = model.to(device).train()
    criterion, optimizer = nn.CrossEntropyLoss(), torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    running, began, before = 0.0, 0.0, 2 * workers  # steps that do not count: what workers fetch ahead
    endless = itertools.chain.from_iterable(itertools.repeat(loader))
    for step, (images, labels) in enumerate(itertools.islice(endless, before + steps)):
        if step == before:
            began = time.perf_counter()
        targets = labels.to(device)
        optimizer.zero_grad()
        outputs = model(images.to(device))
        loss = criterion(outputs, targets)
        loss.backward()
        optimizer.step()
        running += loss.item() * len(images) + int((outputs.argmax(1) == targets).sum())
    print(json.dumps({"rate": batch * steps / (time.perf_counter() - began)}))


main()
