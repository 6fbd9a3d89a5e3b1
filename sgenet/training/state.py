"""Everything that decides the future of a training: save it, kill the process, load it, and nothing has changed."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import bf16_compress_hook
from torch.nn.parallel import DistributedDataParallel

from sgenet.methods.method import Method
from sgenet.methods.recipe import Recipe
from sgenet.precision import resolve_precision
from sgenet.training.ema import ExponentialMovingAverage
from sgenet.training.finite import FiniteWatch
from sgenet.training.schedule import lr_factor


class TrainingState:
    """Both networks, both optimizers, the moving average, the step and the random streams.

    The sampler's position is the step itself: which samples form a global batch follows from
    (seed, step) alone.

    Attributes:
        step: finished optimizer steps.
        seconds: used of a wall-clock budget, the same on all ranks; 0 for a budget of steps.
        precision: of the networks in a training step.
        finite: what was NaN or infinite; read from it by :meth:`check_finite`.
        looks_at_every_step: whether that is read before every optimizer step; a GPU would wait for it.
        generator, discriminator: as the training step calls them; wrapped after :meth:`distribute`.
    """

    def __init__(self, method: Method, recipe: Recipe, device: str = "cpu") -> None:
        self.method = method
        self.recipe = recipe
        self.device = torch.device(device)
        self.precision = resolve_precision(recipe.training.precision, self.device)
        for network in (method.generator, method.discriminator, method.objective):
            network.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        settings = method.optimizer
        fused = self.device.type == "cuda"
        self.generator_optimizer = adam(method.generator, settings.generator_lr, settings.betas, fused=fused)
        self.discriminator_optimizer = adam(
            method.discriminator, settings.discriminator_lr, settings.betas, fused=fused
        )
        self.finite = FiniteWatch()
        self.looks_at_every_step = self.device.type == "cpu"
        self.ema = ExponentialMovingAverage(method.generator, settings.ema_decay)
        self.step = 0
        self.seconds = 0.0
        # The streams belong to the state: they start from the seed, and are saved and restored with it.
        torch.manual_seed(recipe.training.seed)
        self._batch_statistics: list[Tensor] = []
        self.generator: nn.Module = method.generator
        self.discriminator: nn.Module = method.discriminator
        if recipe.training.compile and self.device.type == "cuda":
            self.generator = torch.compile(method.generator)  # type: ignore[assignment]

    def distribute(self) -> None:
        """Share gradients with the other workers; call once, where a process group exists."""
        if not (dist.is_available() and dist.is_initialized()):
            return
        if self.recipe.training.precision == "auto":
            # One precision for all: what the weakest of them has.
            everywhere = torch.tensor(self.precision == "bfloat16", dtype=torch.uint8, device=self.device)
            dist.all_reduce(everywhere, dist.ReduceOp.MIN)
            self.precision = "bfloat16" if everywhere else "float32"
        devices = [self.device.index or 0] if self.device.type == "cuda" else None
        # Spectral norm's vectors evolve alike on every rank, and batch statistics are shared after a step;
        # broadcasting them between two forwards of one step would break autograd.
        self.generator = self._shared(self.generator, devices)
        if any(weight.requires_grad for weight in self.method.discriminator.parameters()):
            self.discriminator = self._shared(self.method.discriminator, devices)
        self._batch_statistics = [
            statistic
            for network in (self.method.generator, self.method.discriminator)
            for module in network.modules()
            if isinstance(module, nn.BatchNorm2d)
            for statistic in (module.running_mean, module.running_var)
            if statistic is not None
        ]

    @torch.no_grad()
    def share_batch_statistics(self) -> None:
        """Give all workers the mean of their running statistics, which each keeps of its own images (LaMa has them)."""
        if not self._batch_statistics:
            return
        mean = torch.cat(self._batch_statistics) / dist.get_world_size()
        dist.all_reduce(mean)
        shares = mean.split_with_sizes([len(statistic) for statistic in self._batch_statistics])
        for statistic, share in zip(self._batch_statistics, shares, strict=True):
            statistic.copy_(share)

    def _shared(self, network: nn.Module, devices: list[int] | None) -> DistributedDataParallel:
        wrapped = DistributedDataParallel(
            network, device_ids=devices, broadcast_buffers=False, gradient_as_bucket_view=True
        )
        if self.recipe.training.gradient_exchange == "bfloat16":
            wrapped.register_comm_hook(None, bf16_compress_hook)
        return wrapped

    def set_learning_rates(self) -> None:
        """Set both learning rates for the next step."""
        settings = self.method.optimizer
        factor = lr_factor(self.step, *self._used_and_budget, settings)
        for optimizer, lr in (
            (self.generator_optimizer, settings.generator_lr),
            (self.discriminator_optimizer, settings.discriminator_lr),
        ):
            for group in optimizer.param_groups:
                group["lr"] = lr * factor

    def draw(self, num_samples: int) -> Tensor:
        """The random numbers that the method's ``prepare`` takes for this worker's samples, (B, N) in [0, 1).

        Of the state's stream, which is alike on all workers: a sample gets the same ones on any number of them.
        """
        if self.method.num_draws == 0:
            return torch.empty(num_samples, 0)
        rank, world = 0, 1
        if dist.is_available() and dist.is_initialized():
            rank, world = dist.get_rank(), dist.get_world_size()
        return torch.rand(world * num_samples, self.method.num_draws)[rank * num_samples :][:num_samples]

    def check_finite(self) -> None:
        """Read whether all steps until now were finite; before anything of them is shown or stored. On every rank.

        Raises:
            NonFiniteError: with the names of the terms.
        """
        self.finite.check(self.step)

    @property
    def progress(self) -> float:
        """The share of the budget that is used, in [0, 1]; the same on all workers."""
        used, budget = self._used_and_budget
        return min(1.0, used / budget)

    @property
    def finished(self) -> bool:
        """Whether the budget is used up."""
        used, budget = self._used_and_budget
        return used >= budget

    def spend(self, seconds: float) -> None:
        """Count the time of a step towards a wall-clock budget. Every rank calls this after every step.

        The longest time of all ranks counts, on each of them: they must stop after the same step, and use the
        same learning rates until then.
        """
        if not self._is_timed:
            return
        if dist.is_available() and dist.is_initialized():
            longest = torch.tensor(seconds, dtype=torch.float64, device=self.device)
            dist.all_reduce(longest, dist.ReduceOp.MAX)
            seconds = longest.item()
        self.seconds += seconds

    @property
    def _is_timed(self) -> bool:
        return self.recipe.training.budget == "wall_clock"

    @property
    def _used_and_budget(self) -> tuple[float, float]:
        """In seconds with a wall-clock budget, else in steps."""
        training = self.recipe.training
        return (self.seconds, training.seconds) if self._is_timed else (self.step, training.steps)

    def state_dict(self) -> dict[str, Any]:
        """All of it, as tensors and plain numbers (readable with ``weights_only=True``)."""
        state: dict[str, Any] = {
            "step": self.step,
            "precision": self.precision,
            "generator": self.method.generator.state_dict(),
            "discriminator": self.method.discriminator.state_dict(),
            "generator_optimizer": self.generator_optimizer.state_dict(),
            "discriminator_optimizer": self.discriminator_optimizer.state_dict(),
            "ema": self.ema.network.state_dict(),
            "random": torch.get_rng_state(),
        }
        if self._is_timed:
            # Only there: with a budget of steps the time decides nothing, and equal states have equal checkpoints.
            state["seconds"] = self.seconds
        if self.device.type == "cuda":
            state["random_cuda"] = torch.cuda.get_rng_state(self.device)
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take all of it back."""
        self.method.generator.load_state_dict(state["generator"])
        self.method.discriminator.load_state_dict(state["discriminator"])
        for name in ("generator_optimizer", "discriminator_optimizer"):
            optimizer: torch.optim.Optimizer = getattr(self, name)
            optimizer.load_state_dict(_as_here(optimizer, state[name]))
        self.ema.network.load_state_dict(state["ema"])
        self.step = int(state["step"])
        self.precision = state["precision"]
        self.seconds = float(state["seconds"]) if self._is_timed else 0.0
        torch.set_rng_state(state["random"].cpu())
        if self.device.type == "cuda" and "random_cuda" in state:
            torch.cuda.set_rng_state(state["random_cuda"].cpu(), self.device)


def adam(network: nn.Module, lr: float, betas: tuple[float, float], *, fused: bool) -> torch.optim.Adam:
    """Adam of a network.

    Args:
        fused: in one kernel, which leaves a step out where ``found_inf`` is 1 on the device, as PyTorch's gradient
            scaler has it.
    """
    # As a group, since a discriminator that is empty has no parameters, and a bare empty list is refused.
    groups = [{"params": list(network.parameters())}]
    optimizer = torch.optim.Adam(groups, lr=lr, betas=betas, eps=1e-8, fused=fused or None)
    if fused:
        optimizer.found_inf = None  # type: ignore[attr-defined]
    return optimizer


def _as_here(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> dict[str, Any]:
    """An optimizer's saved state with the kernel of this device, whatever the one that it was saved on had."""
    fused = optimizer.param_groups[0]["fused"]
    return saved | {"param_groups": [group | {"fused": fused} for group in saved["param_groups"]]}
