"""See `benchmarks.__main__`."""

import sys
from pathlib import Path

# What tests share is imported as pytest has it.
sys.path.append(str(Path(__file__).parents[1] / "tests"))
