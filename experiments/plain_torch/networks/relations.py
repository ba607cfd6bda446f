"""Sets, graphs, and users with the things that they rate."""

import math

import torch
from torch import Generator, Tensor, nn

from lrpilot.experiments.plain_torch import network
from lrpilot.experiments.plain_torch.data import Batch, Stream
from lrpilot.experiments.plain_torch.network import Network
from lrpilot.experiments.plain_torch.networks.tables import fixed, hidden, with_head

POINTS, SETS = 16, 4  # in a set, and kinds of sets
NODES, EDGE_SHARE = 10, 0.25
USERS, THINGS, TASTES = 200, 100, 4


def sets(generator: Generator, count: int) -> Batch:
    """Sixteen points in the plane: around a ring, on a line, in two heaps or in one; shape (N, 16, 2)."""
    chosen = torch.randint(SETS, (count,), generator=generator)
    angle = 2 * math.pi * torch.rand(count, POINTS, generator=generator)
    turn = math.pi * torch.rand(count, 1, generator=generator)
    along = 1.4 * torch.randn(count, POINTS, generator=generator)
    side = torch.randint(2, (count, POINTS), generator=generator) * 2.0 - 1
    kinds = torch.stack([
        torch.stack([1.4 * angle.cos(), 1.4 * angle.sin()], -1),
        torch.stack([along * turn.cos(), along * turn.sin()], -1),
        torch.stack([1.4 * side * turn.cos(), 1.4 * side * turn.sin()], -1),
        torch.zeros(count, POINTS, 2),
    ])
    points = kinds[chosen, torch.arange(count)]
    spread = torch.where(chosen == SETS - 1, 1.0, 0.4)[:, None, None]
    return points + spread * torch.randn(points.shape, generator=generator), chosen


def graphs(generator: Generator, count: int) -> Batch:
    """Random graphs of ten nodes, as adjacency matrices, and for each node log(1 + paths of two steps from it).

    Shapes (N, 10, 10) and (N, 10, 1).
    """
    upper = (torch.rand(count, NODES, NODES, generator=generator) < EDGE_SHARE).float().triu(1)
    edges = upper + upper.mT
    paths = (edges @ edges @ torch.ones(NODES, 1)) - edges.sum(2, keepdim=True)
    return edges, torch.log1p(paths) - 1.5


def ratings(generator: Generator, count: int) -> Batch:
    """Numbers of a user and of a thing, shape (N, 2), and the rating, shape (N, 1); popular things come often."""
    users = torch.randint(USERS, (count,), generator=generator)
    things = (torch.rand(count, generator=generator) ** 2 * THINGS).long()
    taste = (fixed(9, USERS, TASTES)[users] * fixed(10, THINGS, TASTES)[things]).sum(1) / TASTES**0.5
    rating = taste + 0.5 * fixed(11, THINGS)[things] + 0.3 * torch.randn(count, generator=generator)
    return torch.stack([users, things], 1), rating[:, None]


class DeepSet(nn.Module):
    """A perceptron on each point, the mean over points, a perceptron on that (arXiv 1703.06114)."""

    def __init__(self, width: int = 40) -> None:
        super().__init__()
        self.each = hidden([2, width, width], nn.ReLU)
        self.together = with_head(hidden([width, width], nn.ReLU), width, SETS)

    def forward(self, points: Tensor) -> Tensor:
        """Return logits, shape (N, 4)."""
        return self.together(self.each(points).mean(1))


class MessagePassing(nn.Module):
    """Two rounds in which each node adds up what its neighbours send."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.randn(width))
        self.rounds = nn.ModuleList(nn.Linear(2 * width, width) for _ in range(2))
        self.head = nn.Linear(width, 1)

    def forward(self, edges: Tensor) -> Tensor:
        """Return a number for each node, shape (N, nodes, 1)."""
        states = self.start.expand(*edges.shape[:2], -1)
        for layer in self.rounds:
            states = layer(torch.cat([states, edges @ states], -1)).relu()
        return self.head(states)


class Recommender(nn.Module):
    """Matrix factorisation with biases, by embeddings."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.users, self.things = nn.Embedding(USERS, width), nn.Embedding(THINGS, width)
        self.bias = nn.Embedding(THINGS, 1)
        for embedding in (self.users, self.things, self.bias):
            nn.init.normal_(embedding.weight, std=0.3)

    def forward(self, pairs: Tensor) -> Tensor:
        """Return ratings, shape (N, 1), for users and things, shape (N, 2)."""
        users, things = pairs.unbind(1)
        return (self.users(users) * self.things(things)).sum(1, keepdim=True) + self.bias(things)


NETWORKS = (
    Network(
        "deep sets",
        "validation",
        DeepSet,
        lambda: Stream(sets),
        "point sets",
        network.classification,
        "NAdam",
        32,
        long=True,
    ),
    Network(
        "recommender",
        "validation",
        Recommender,
        lambda: Stream(ratings),
        "ratings",
        network.squared_error,
        "Adam",
        128,
    ),
    Network(
        "graph network",
        "test",
        MessagePassing,
        lambda: Stream(graphs),
        "graphs",
        network.squared_error,
        "Adam",
        16,
    ),
)
