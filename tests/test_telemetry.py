import os
import subprocess
import sys
from pathlib import Path

from quadrants import quadrant_bundle


def test_no_library_keeps_or_sends_anything(tmp_path: Path) -> None:
    """ONNX Runtime's telemetry would leave an id of the machine, and a queue of what it sends, below HOME."""
    quadrant_bundle().write(tmp_path / "bundle")
    home = tmp_path / "home"
    home.mkdir()
    program = (
        "import sys; from pathlib import Path; from gliascope.inference.bundle import Bundle; "
        "from gliascope.inference.predict import Predictor; Predictor.load(Bundle.load(Path(sys.argv[1])))"
    )
    # The first two would turn it off, too.
    without = ("CI", "ORT_RUNNING_UNIT_TESTS", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")
    environment = {name: value for name, value in os.environ.items() if name not in without}
    command = [sys.executable, "-c", program, str(tmp_path / "bundle")]
    subprocess.run(command, env=environment | {"HOME": str(home)}, check=True, timeout=60)
    assert [path for path in home.rglob("*") if path.is_file()] == []
