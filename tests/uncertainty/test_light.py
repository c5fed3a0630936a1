import subprocess
import sys


def test_what_applies_a_calibrator_loads_neither_torch_nor_what_fits_it() -> None:
    code = (
        "import sys, gliascope.uncertainty.calibrator; "
        "print(sorted({'torch', 'scipy', 'sklearn', 'onnxruntime', 'polars'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
