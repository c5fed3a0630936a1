"""What torchrun starts in test_pieces: `gliascope` with small pieces, which says how it cut.

Exporting takes ten seconds and has tests of its own: the last argument is a bundle, which is the model.
"""

import sys
from pathlib import Path
from unittest import mock

import typer
from torch import nn
from torch.distributed.device_mesh import DeviceMesh

from gliascope.cli import app
from gliascope.inference.bundle import Bundle
from gliascope.training import pieces, run

model = Bundle.load(Path(sys.argv.pop()))
cut = pieces._cut


def telling(network: nn.Module, mesh: DeviceMesh) -> nn.Module:
    before = sum(parameter.numel() for parameter in network.parameters())
    with mock.patch.object(pieces, "fully_shard", wraps=pieces.fully_shard) as made:
        cut(network, mesh)
    here = sum(pieces.own_piece(parameter).numel() for parameter in network.parameters())
    typer.echo(f"cut into {made.call_count}, of which {here / before:.2f} is here")
    return network


with (
    mock.patch.multiple(pieces, LEAST=10_000, _cut=telling),
    mock.patch.object(run, "export", lambda *_: model),
):
    app()
