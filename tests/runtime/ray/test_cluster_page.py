"""What docs/cluster.md gives to copy: its syntax, the keys it needs, and that our commands have these options."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import typer
import yaml

from gliascope.cli import app

PAGE = Path(__file__).parents[3] / "docs" / "cluster.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_sbatch_file_is_a_script_that_starts_torchrun_on_every_host() -> None:
    (script,) = blocks("bash")
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash here")
    checked = subprocess.run([bash, "-n"], input=script, capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")
    options = dict(re.findall(r"^#SBATCH --([a-z-]+)(?:=(.*))?$", script, re.MULTILINE))
    assert {"nodes", "ntasks-per-node", "gpus-per-node", "time", "requeue"} <= set(options)
    assert options["ntasks-per-node"] == "1"  # torchrun starts the processes of a host
    for wanted in ("--nnodes", "--nproc-per-node", "--rdzv-id", "--rdzv-backend=c10d", "--rdzv-endpoint"):
        assert wanted in script


def test_the_job_of_kuberay_has_what_it_needs() -> None:
    job, _ = map(yaml.safe_load, blocks("yaml"))
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert job["metadata"]["name"]
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["headGroupSpec"]["rayStartParams"] == {"num-cpus": "0"}
    (workers,) = cluster["workerGroupSpecs"]
    # As many as it starts with: how many tasks are in flight is told by the cores of the start.
    assert workers["replicas"] == workers["minReplicas"] == workers["maxReplicas"]
    images = set()
    for group in (cluster["headGroupSpec"], workers):
        (container,) = group["template"]["spec"]["containers"]
        images.add(container["image"])
        assert container["envFrom"] == [{"secretRef": {"name": "slices-bucket"}}]
        assert set(container["resources"]) == {"requests", "limits"}
    assert len(images) == 1
    mounted = {
        mount["name"]
        for mount in cluster["headGroupSpec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    }
    assert mounted == {volume["name"] for volume in cluster["headGroupSpec"]["template"]["spec"]["volumes"]}


def test_every_command_on_the_page_has_the_options_it_is_given() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    text = PAGE.read_text(encoding="utf-8").replace("\\\n", " ").replace("\n    ", " ")
    found = re.findall(r"gliascope (scan|store|predict|train)\b([^\n'`]*)", "\n".join(text.split("&&")))
    assert {verb for verb, _ in found} == {"scan", "store", "predict", "train"}
    for verb, arguments in found:
        known = {name for parameter in commands[verb].params for name in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", arguments)) <= known, (verb, arguments)
