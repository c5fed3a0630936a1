"""A recipe small enough for tests."""

# Overrides of `quick`.
TINY = (
    "preprocessing.size=64",
    "views=2",
    "stages.0.epochs=2",
    "stages.0.batch_size=8",
)
