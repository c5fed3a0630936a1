"""FOLDER STEPS BATCH: a timm network fine-tuned by Lightning's Trainer, channels last, as its guides say."""

import json
import sys
import time

import lightning
import timm
import torch
import torchvision
from torchvision.transforms import v2


class Module(lightning.LightningModule):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.network = timm.create_model("resnet50", num_classes=classes)
        self.network.to(memory_format=torch.channels_last)
        self.stamps: list[float] = []

    def training_step(self, batch, number):
        images, labels = batch
        logits = self.network(images.contiguous(memory_format=torch.channels_last))
        return torch.nn.functional.cross_entropy(logits, labels)

    def on_train_batch_end(self, *_):
        self.stamps.append(time.perf_counter())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-3, momentum=0.9)


def main() -> None:
    folder, steps, batch = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    transform = v2.Compose(
        [
            v2.PILToTensor(),
            v2.RandomResizedCrop(224, antialias=True),
            v2.RandomHorizontalFlip(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    data = torchvision.datasets.ImageFolder(f"{folder}/train", transform)
    loader = torch.utils.data.DataLoader(
        data, batch, shuffle=True, num_workers=2, persistent_workers=True, drop_last=True
    )
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = lightning.Trainer(
        max_steps=steps + 3, accelerator="cpu", devices=1, enable_model_summary=False, **quiet
    )
    module = Module(len(data.classes))
    trainer.fit(module, loader)
    print(json.dumps({"rate": batch * steps / (module.stamps[-1] - module.stamps[2])}))


main()
