"""The module that is exported: the same as the front door, for batches, at any size."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from small import NUM_CLASSES, small_recipe
from torch import nn

from sgenet.export import InpaintingGraph, exportable
from sgenet.inpainter import Inpainter
from sgenet.label_space import LabelSpace
from sgenet.layers.fourier import SpectralTransform
from sgenet.methods.build import build_generator
from sgenet.methods.edge_connect.edges import canny_edges, to_gray
from sgenet.methods.registry import METHODS as REGISTERED

LABELS = LabelSpace(("a", "b", "c"))


def _generator(name: str, start: str = "grey") -> nn.Module:
    return build_generator(name, small_recipe(network={"context": "fourier", "start": start}), NUM_CLASSES)


def _drawn(height: int, width: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    rng = np.random.default_rng(height * width)
    hole = np.zeros((height, width), np.bool_)
    hole[height // 4 : height // 4 + height // 2 + 1, : width // 2 + 1] = True
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8), hole


def _run(graph: InpaintingGraph, image: npt.NDArray, hole_mask: npt.NDArray, *more: npt.NDArray) -> list[npt.NDArray]:
    inputs = [torch.from_numpy(np.ascontiguousarray(values))[None] for values in (image, hole_mask, *more)]
    with torch.inference_mode():
        return [output[0].numpy() for output in graph(*inputs)]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:100% of the image")
@pytest.mark.parametrize(
    ("name", "start"),
    [*((name, "grey") for name in ("base_net", "sg_net", "sge_net", "gated_conv", "spg_net")), ("sge_net", "membrane")],
)
@pytest.mark.parametrize("size", [(1, 1), (2, 17), (16, 32), (37, 50)])
def test_the_graph_fills_what_the_front_door_fills(name: str, start: str, size: tuple[int, int]) -> None:
    generator = _generator(name, start)
    image, hole = _drawn(*size)
    expected = Inpainter(generator, LABELS)(image, hole)
    inpainted, *segmentation = _run(InpaintingGraph(generator), image, hole.astype(np.uint8) * 255)
    # The memory layout differs, and with it the order of sums: one level of 255, seldom.
    assert np.abs(inpainted.astype(int) - expected.image).max() <= 1
    assert (inpainted != expected.image).mean() < 0.01
    np.testing.assert_array_equal(inpainted[~hole], image[~hole])
    if expected.label is not None and expected.confidence is not None:
        np.testing.assert_array_equal(segmentation[0], expected.label)
        np.testing.assert_allclose(segmentation[1], expected.confidence, atol=1e-4)


def test_edge_connect_takes_the_edges_it_would_draw_itself() -> None:
    generator = _generator("edge_connect")
    image, hole = _drawn(32, 48)  # multiples of 16: the front door draws its edges on the padded image
    image[:, 24:] = 20
    hole[:, :4] = False
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 127.5 - 1
    hole_mask = torch.from_numpy(hole)[None, None].float()
    edges = canny_edges(to_gray(torch.where(hole_mask > 0.5, 0.0, pixels)), generator.sigma, hole_mask)
    assert bool(edges.any())
    known_edges = edges[0, 0].numpy().astype(np.uint8)
    graph = InpaintingGraph(generator)
    assert graph.input_names == ("image", "hole_mask", "known_edges")
    expected = Inpainter(generator, LABELS)(image, hole).image
    (found,) = _run(graph, image, hole.astype(np.uint8), known_edges)
    (without,) = _run(graph, image, hole.astype(np.uint8), np.zeros_like(known_edges))
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert (without != found).any()


def test_masks_count_to_1_or_to_255_each_for_itself() -> None:
    graph = InpaintingGraph(_generator("base_net"))
    image, hole = _drawn(16, 16)
    batch = torch.from_numpy(np.stack((image,) * 3))
    to_one = torch.from_numpy(hole.astype(np.uint8))
    gray = torch.where(to_one == 1, 128, 127).to(torch.uint8)
    with torch.inference_mode():
        inpainted = graph(batch, torch.stack((to_one, to_one * 255, gray)))[0]
    assert bool((inpainted[0] != batch[0]).any())
    assert torch.equal(inpainted[1], inpainted[0])
    assert torch.equal(inpainted[2], inpainted[0])


@pytest.mark.parametrize("name", list(REGISTERED))
def test_what_is_exported_has_no_fft_and_no_parametrisation_and_the_original_keeps_them(name: str) -> None:
    original = _generator(name)
    before = [type(module) for module in original.modules()]
    kinds = {type(module) for module in exportable(original).modules()}
    assert SpectralTransform not in kinds
    assert not any("Parametrized" in kind.__name__ for kind in kinds)
    assert [type(module) for module in original.modules()] == before
