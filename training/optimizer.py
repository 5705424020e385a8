"""Muon (Jordan 2024, kellerjordan.github.io/posts/muon): momentum whose matrices are made orthogonal before they are applied."""

import torch
from torch import Tensor

import parallel


@torch.no_grad()
def orthogonal(matrices: Tensor, steps: int = 5) -> Tensor:
    """[n, rows, columns]: of each, the nearest matrix of singular values about 1, by a quintic Newton-Schulz iteration."""
    x = matrices.mT if matrices.shape[1] > matrices.shape[2] else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=-4.7750, alpha=2.0315), x, beta=3.4445)
    return x.mT if matrices.shape[1] > matrices.shape[2] else x


class Muon(torch.optim.Optimizer):
    """For matrices only; what else a model has belongs to AdamW."""

    def __init__(self, parameters: list[Tensor], lr: float, momentum: float = 0.95, decay: float = 0.01) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self) -> None:
        """Of the gradients of all processes, each makes its share of the matrices orthogonal."""
        for group in self.param_groups:
            shapes: dict[torch.Size, list[Tensor]] = {}
            for parameter in group["params"]:
                shapes.setdefault(parameter.shape, []).append(parameter)
            stacks = [torch.stack([self._direction(p, group["momentum"]) for p in same]) for same in shapes.values()]
            parallel.add_up([_share_of(stack) for stack in stacks])
            for (rows, columns), parameters, updates in zip(shapes, shapes.values(), stacks):
                for parameter, update in zip(parameters, updates):
                    parameter.mul_(1 - group["lr"] * group["decay"])
                    parameter.add_(update, alpha=-group["lr"] * max(1.0, rows / columns) ** 0.5)

    def _direction(self, parameter: Tensor, momentum: float) -> Tensor:
        """Nesterov's."""
        velocity = self.state[parameter].setdefault("velocity", torch.zeros_like(parameter))
        velocity.lerp_(parameter.grad, 1 - momentum)
        return parameter.grad.lerp(velocity, momentum)


def _share_of(stack: Tensor) -> Tensor:
    """Replaces this process's part of the stack by what is orthogonal, and the others' by zero."""
    mine = slice(parallel.rank(), None, parallel.processes())
    part = orthogonal(stack[mine])
    stack.zero_()
    stack[mine] = part
    return stack
