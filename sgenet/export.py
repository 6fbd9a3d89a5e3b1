"""A trained generator as one module fit for export: 8-bit images and holes in, 8-bit filled images out."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from sgenet.batch import Prediction, composite, to_uint8
from sgenet.layers.dft import MatrixSpectralTransform
from sgenet.layers.fourier import SpectralTransform
from sgenet.methods.edge_connect.network import EdgeConnectGenerator
from sgenet.methods.sge_net.network import SGEGenerator
from sgenet.methods.spg_net.network import SPGNetGenerator

MULTIPLE = 16
"""Images are reflected up to a multiple of this inside the graph, and cut back."""

_TRACED = (("batch", 1), ("height", MULTIPLE + 1), ("width", MULTIPLE + 1))


class InpaintingGraph(nn.Module):
    """The whole of :class:`~sgenet.inpainter.Inpainter` for a batch, as tensor operations of any size.

    Nothing is left in it that a runtime without PyTorch could not do: spectral normalisation is
    computed once, and Fourier transforms become matrix products. EdgeConnect's edges are not
    drawn inside: Canny's hysteresis has no tensor operation, so they are an input.

    Args:
        generator: of any method; it is copied, not changed.
    """

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = exportable(generator)

    @property
    def takes_edges(self) -> bool:
        """Whether ``known_edges`` is an input."""
        return isinstance(self.generator, EdgeConnectGenerator)

    @property
    def input_names(self) -> tuple[str, ...]:
        """The arguments of :meth:`forward` that are given."""
        return ("image", "hole_mask", "known_edges")[: 3 if self.takes_edges else 2]

    @property
    def output_names(self) -> tuple[str, ...]:
        """What :meth:`forward` returns."""
        segments = isinstance(self.generator, SGEGenerator | SPGNetGenerator)
        return ("inpainted", "label", "confidence") if segments else ("inpainted",)

    def forward(self, image: Tensor, hole_mask: Tensor, known_edges: Tensor | None = None) -> tuple[Tensor, ...]:
        """Fill the holes.

        Args:
            image: (B, H, W, 3) uint8 RGB, any H and W from 1 on.
            hole_mask: (B, H, W) uint8: missing from 128 on; a mask that holds nothing but 0 and 1: 1 = missing.
            known_edges: only for EdgeConnect: (B, H, W) uint8, 0 = no edge, anything else = an edge; those
                of :func:`sgenet.methods.edge_connect.edges.canny_edges`, none of them in the hole.

        Returns:
            The filled images (B, H, W, 3) uint8, known pixels as they were given; and of a method
            that predicts a segmentation the label (B, H, W) uint8 and its confidence (B, H, W) float32.
        """
        height, width = image.shape[1], image.shape[2]
        hole = _is_missing(hole_mask)
        pixels = image.permute(0, 3, 1, 2)
        known = None if known_edges is None else _reflect_up((known_edges > 0)[:, None]).float()
        prediction = self._predict(_reflect_up(pixels), _reflect_up(hole[:, None]), known)
        drawn = _cut(to_uint8(prediction.image), height, width)
        inpainted = composite(drawn, pixels, hole[:, None].float()).permute(0, 2, 3, 1)
        if not prediction.label_logits:
            return (inpainted,)
        probabilities = _cut(prediction.label_logits[0], height, width).softmax(dim=1)
        confidence, label = probabilities.max(dim=1)
        return inpainted, label.to(torch.uint8), confidence

    def _predict(self, pixels: Tensor, hole: Tensor, known_edges: Tensor | None) -> Prediction:
        image, hole_mask = pixels.float().div(127.5).sub(1.0), hole.float()
        if isinstance(self.generator, EdgeConnectGenerator):
            assert known_edges is not None
            return self.generator.fill(image, hole_mask, known_edges)
        return self.generator(image, hole_mask)


def trace(graph: InpaintingGraph) -> torch.export.ExportedProgram:
    """The graph's operations for every batch, height and width, as PyTorch's export sees them.

    The program itself refuses images of less than 17 pixels a side: up to 16, the features at 1/16 are one
    pixel, and PyTorch traces sizes of 1 apart. What is converted from it has no such limit.
    """
    batch, height, width = (torch.export.Dim(name, min=low, max=2**20) for name, low in _TRACED)
    # Of two images and of sides that are no multiple of 16, so that no size of the example is a special one.
    image = torch.zeros(2, 37, 50, 3, dtype=torch.uint8)
    example = (image, *(image[..., 0].clone() for _ in graph.input_names[1:]))
    with torch.no_grad():
        return torch.export.export(
            graph.eval(),
            example,
            dynamic_shapes=[{0: batch, 1: height, 2: width} for _ in graph.input_names],
            strict=False,
            # Size questions that PyTorch cannot decide for all sizes are asked when the program runs.
            prefer_deferred_runtime_asserts_over_guards=True,
        )


def exportable(generator: nn.Module) -> nn.Module:
    """A copy in evaluation mode that computes the same without parametrisations and without an FFT."""
    generator = copy.deepcopy(generator).cpu().eval().requires_grad_(False)
    for module in list(generator.modules()):
        _bake_parametrizations(module)
        for name, child in list(module.named_children()):
            if isinstance(child, SpectralTransform):
                setattr(module, name, MatrixSpectralTransform(child))
    return generator


def _bake_parametrizations(module: nn.Module) -> None:
    """Keep the weights that spectral normalisation makes, and nothing of how."""
    if not parametrize.is_parametrized(module):
        return
    # A copy shares with its original the class that PyTorch made for it, and removing works on the class.
    shared = type(module)
    module.__class__ = type(shared.__name__, shared.__bases__, dict(vars(shared)))
    assert isinstance(module.parametrizations, nn.ModuleDict)
    for name in list(module.parametrizations):
        parametrize.remove_parametrizations(module, name)


def _is_missing(hole_mask: Tensor) -> Tensor:
    """(B, H, W) uint8 → bool; each mask of a batch may count to 1 or to 255."""
    value = hole_mask.int()
    counts_to_one = value.amax(dim=(1, 2), keepdim=True) <= 1
    # Logic rather than ``where``: runtimes have no choice between booleans.
    return (value >= 128) | ((value > 0) & counts_to_one)


def _reflect_up(x: Tensor) -> Tensor:
    """(B, C, H, W) reflected at the bottom and the right up to multiples of 16, however small the image."""
    rows, columns = _reflected_places(x.shape[2], x), _reflected_places(x.shape[3], x)
    return x.index_select(2, rows).index_select(3, columns)


def _cut(x: Tensor, height: int, width: int) -> Tensor:
    """The upper left part of (B, C, H, W), copied: a view would tie an exported graph to sizes that were padded."""
    rows, columns = torch.arange(height, device=x.device), torch.arange(width, device=x.device)
    return x.index_select(2, rows).index_select(3, columns)


def _reflected_places(side: int, like: Tensor) -> Tensor:
    """Which place of 0 … side - 1 each place of the padded side shows: 0 1 2 3 2 1 0 1 …"""
    padded = MULTIPLE * ((side + MULTIPLE - 1) // MULTIPLE)
    last = torch.ones(side, dtype=torch.int64, device=like.device).sum() - 1
    places = torch.arange(padded, device=like.device) % (2 * last).clamp(min=1)
    return torch.where(places <= last, places, 2 * last - places)
