import os
import subprocess
import sys
from pathlib import Path

import pytest
from quadrants import quadrant_bundle


@pytest.mark.parametrize("wanted", [True, False], ids=["wanted", "by default"])
def test_no_library_keeps_or_sends_anything_unless_told_to(tmp_path: Path, wanted: bool) -> None:
    """ONNX Runtime's telemetry leaves an id of the machine, and a queue of what it will send."""
    quadrant_bundle().write(tmp_path / "bundle")
    home = tmp_path / "home"
    home.mkdir()
    program = (
        "import sys; from pathlib import Path; from gliascope.inference.bundle import Bundle; "
        "from gliascope.inference.predict import Predictor; Predictor.of(Bundle.load(Path(sys.argv[1])))"
    )
    without = ("CI", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "XDG_CACHE_HOME")
    environment = {name: value for name, value in os.environ.items() if name not in without}
    environment |= {"HOME": str(home)} | ({"ORT_DISABLE_TELEMETRY": "0"} if wanted else {})
    subprocess.run(
        [sys.executable, "-c", program, tmp_path / "bundle"], env=environment, check=True, timeout=60
    )
    left = [path for path in home.rglob("*") if path.is_file()]
    if not wanted:
        assert left == []
    elif not left:
        pytest.skip("this ONNX Runtime has no telemetry")
