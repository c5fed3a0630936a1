"""What torchrun starts in test_pieces: `gliascope` with small pieces, which says how it cut."""

from unittest import mock

import typer
from torch import nn
from torch.distributed.device_mesh import DeviceMesh

from gliascope.cli import app
from gliascope.training import pieces

cut = pieces._cut


def telling(network: nn.Module, mesh: DeviceMesh) -> nn.Module:
    before = sum(parameter.numel() for parameter in network.parameters())
    with mock.patch.object(pieces, "fully_shard", wraps=pieces.fully_shard) as made:
        cut(network, mesh)
    here = sum(pieces.own_piece(parameter).numel() for parameter in network.parameters())
    typer.echo(f"cut into {made.call_count}, of which {here / before:.2f} is here")
    return network


with mock.patch.multiple(pieces, LEAST=10_000, _cut=telling):
    app()
