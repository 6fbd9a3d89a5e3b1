"""Texture copied from known pixels of the same class, under the colours and the layout that a network drew.

A network knows what belongs into a hole, its colours and its classes, better than how that looks from close by; the
rest of the image shows just that. So patches over the hole are matched with known patches (PatchMatch, Barnes et al.
2009) that look the same, have the colours that the network drew, the class that it sees and the contrast of what
surrounds the hole; each pixel becomes the mean of what the patches over it copy, and both are repeated from coarse to
fine (Wexler et al. 2007; Darabi et al. 2012). Last, part of the low frequencies is taken from the network.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from sgenet.inpainter.patches import RADIUS, SIDE, Patches, Scene, Search, mirrored
from sgenet.inpainter.pyramid import Bools, Floats, Ids

_LARGEST = 1_200_000
"""Pixels of the largest size at which patches are compared; larger ones copy what was found there."""

_MARGIN = 256
_ITERATIONS, _MORE_ITERATIONS = 4, 3
"""At full size, and how many more at each half of it: layout is found where an image is small, and cheap."""

_FEWEST_SOURCES = 64
_ENOUGH_KNOWN = 0.3
_SOFT, _SHARP = 10.0, 30.0
"""How much more the patches that fit best count in a pixel's colour: while the layout is found, and in the last vote,
which else would blur."""

_COLOUR_WEIGHT = 1.0
_CONTRAST_WEIGHT = 9.0
"""A network that is not sure draws the mean of what may be there. Patches of that colour are flat: without the
contrast as a guide, the hole becomes so too."""

_CONTRAST_SCALE = 0.5
"""How wide contrast is measured, beside the width of the colours' blur."""

_CLASS_WEIGHT = 0.3
_SHARE, _MOST = 0.7, 0.08
"""How much of the low frequencies is taken from the network, and from what difference on no more: a shade is mended,
but where something else was copied than the network drew, its colours would lie over that like haze."""

_LOW = 3 / 32
"""Low frequencies are what a Gaussian with this share of the hole's depth keeps: sigma 3 for a hole of 64×64."""


@torch.inference_mode()
def copy_texture(
    image: Floats,
    hole: Bools,
    unknown: Bools,
    drawn: Floats,
    label: Ids | None = None,
    confidence: Floats | None = None,
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Floats:
    """Fill a hole with texture from the rest of the image.

    Args:
        image: (H, W, 3) in [-1, 1]; what lies in the hole is not seen.
        hole: (H, W), the pixels that are asked for.
        unknown: (H, W), the pixels that must not be copied; includes the hole.
        drawn: (H, W, 3) in [-1, 1], what the network drew; read in the hole alone.
        label, confidence: (H, W) class ids and how sure they are, in [0, 1]; None where there are none.
        seed: of the random search. The result is a function of the arguments alone.
        device: where to compute.

    Returns:
        (H, W, 3) in [-1, 1]: the filling in the hole, the image elsewhere. It is ``drawn`` where too little is known
        to copy from.
    """
    joined = np.where(hole[..., None], drawn, image)
    if not hole.any():
        return joined
    window = _window(hole)
    scene = _scene(joined[window], hole[window], unknown[window], device)
    if label is not None and confidence is not None:
        scene = replace(scene, label=_on(device, label[window]), confidence=_on(device, confidence[window]))
    depth = float(distance_transform_edt(np.pad(hole[window], 1, mode="edge")).max())
    levels = _pyramid(scene, depth)
    if not levels:
        return joined
    filled = _from_coarse_to_fine(levels, depth * _LOW, torch.Generator().manual_seed(seed))
    difference = torch.where(scene.hole[..., None], scene.image - filled, 0.0)
    filled += _SHARE * _blur(difference, depth * _LOW).clamp(-_MOST, _MOST)
    joined[window][hole[window]] = filled[scene.hole].clamp(-1, 1).cpu().numpy()
    return joined


def _scene(image: Floats, hole: Bools, unknown: Bools, device: torch.device | str) -> Scene:
    """The part of an image that is searched. What is transparent looks like the nearest pixel that is not."""
    transparent = unknown & ~hole
    if transparent.any():
        nearest = distance_transform_edt(transparent, return_distances=False, return_indices=True)
        image = image[tuple(nearest)]
    return Scene(_on(device, image), _on(device, unknown), _on(device, hole))


def _on(device: torch.device | str, array: npt.NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(device)


def _window(hole: Bools) -> tuple[slice, slice]:
    """The part of the image that is searched: the hole and as much around it as it is large, at least a margin."""
    spans = []
    for axis in (1, 0):
        marked = np.flatnonzero(hole.any(axis=axis))
        first, last = int(marked[0]), int(marked[-1]) + 1
        margin = max(_MARGIN, last - first)
        spans.append(slice(max(0, first - margin), min(hole.shape[1 - axis], last + margin)))
    return spans[0], spans[1]


def _pyramid(scene: Scene, depth: float) -> list[tuple[Scene, Patches]]:
    """The image with a margin at its size, a half, a quarter …, until the hole is as deep as a patch, and the patches
    of each; empty where nothing can be copied."""
    levels: list[tuple[Scene, Patches]] = []
    while min(scene.hole.shape) >= SIDE:
        level = mirrored(scene)
        patches = Patches(level)
        if len(patches.sources) < _FEWEST_SOURCES:
            break
        levels.append((level, patches))
        if depth / 2 ** len(levels) * 2 <= 1.5 * RADIUS and level.hole.numel() <= _LARGEST:
            break
        scene = _halve(scene)
    # Where too little is left before the image is small enough, nothing smaller is there to begin from.
    return levels if levels and levels[-1][0].hole.numel() <= _LARGEST else []


def _halve(scene: Scene) -> Scene:
    """Means of 2×2 blocks; a block is unknown, or of the hole, when any of its pixels is."""

    def any_of(mask: Tensor) -> Tensor:
        return _means_of_blocks(mask[..., None].float())[..., 0] > 0

    label, confidence = (None if plane is None else plane[::2, ::2] for plane in (scene.label, scene.confidence))
    pixels = _means_of_blocks(scene.image)
    return Scene(pixels, any_of(scene.unknown), any_of(scene.hole), label, confidence)


def _from_coarse_to_fine(levels: list[tuple[Scene, Patches]], sigma: float, generator: torch.Generator) -> Tensor:
    """Fill the smallest scene, then each larger one from what was found there; returns (H, W, 3)."""
    coarser: Patches | None = None
    for number, (scene, patches) in reversed([*enumerate(levels)]):
        current = scene.image.reshape(-1, 3)
        depths = _depths(scene.hole)
        if coarser is None:
            patches.match_at_random(generator)
        else:
            patches.match_as(coarser, generator)
            current = patches.vote(current, depths, torch.ones_like(depths[patches.targets]))
        if scene.hole.numel() <= _LARGEST:
            search = Search(patches, scene, _guide(scene, sigma / 2**number), _CLASS_WEIGHT)
            last = _ITERATIONS + _MORE_ITERATIONS * number - 1
            for iteration in range(last + 1):
                search.run(current, generator, by_texture=coarser is not None or iteration > 0)
                sharpness = _SHARP if number == 0 and iteration == last else _SOFT
                current = patches.vote(current, depths, search.weights(sharpness))
        coarser = patches
    return current.reshape(patches.height, patches.width, 3)[RADIUS:-RADIUS, RADIUS:-RADIUS]


def _guide(scene: Scene, sigma: float) -> Tensor:
    """(h, w, 4): what is drawn and known, blurred, and the contrast, both weighted."""
    colours = _blur(scene.image, sigma) * (_COLOUR_WEIGHT / 3) ** 0.5
    contrast = _contrast(scene, sigma * _CONTRAST_SCALE) * _CONTRAST_WEIGHT**0.5
    return torch.cat((colours, contrast), dim=2)


def _contrast(scene: Scene, sigma: float) -> Tensor:
    """(h, w, 1): the standard deviation of known colours around each pixel, and where few are known the nearest one."""
    known = (~scene.unknown[..., None]).float()
    share = _blur(known, sigma).clamp(min=1e-6)
    mean = _blur(scene.image * known, sigma) / share
    variance = (scene.image - mean).square().mean(dim=2, keepdim=True)
    contrast = (_blur(variance * known, sigma) / share).sqrt()
    measured = ~scene.unknown & (share[..., 0] > _ENOUGH_KNOWN)
    if not measured.any():
        measured = ~scene.unknown
    nearest = distance_transform_edt(~measured.cpu().numpy(), return_distances=False, return_indices=True)
    rows, columns = (torch.from_numpy(places).long().to(contrast.device) for places in nearest)
    return torch.where(measured[..., None], contrast, _blur(contrast[rows, columns], 2 * sigma))


def _depths(hole: Tensor) -> Tensor:
    """(h·w,): how far each pixel of a hole (h, w) is from what is known, 0 outside."""
    depths = distance_transform_edt(hole.cpu().numpy())
    return torch.from_numpy(depths).float().flatten().to(hole.device)


def _means_of_blocks(planes: Tensor) -> Tensor:
    """(h, w, C) → (⌈h/2⌉, ⌈w/2⌉, C); edge pixels are repeated."""
    height, width = planes.shape[:2]
    padded = F.pad(planes.permute(2, 0, 1)[None], (0, width % 2, 0, height % 2), mode="replicate")
    return F.avg_pool2d(padded, 2)[0].permute(1, 2, 0).contiguous()


def _blur(planes: Tensor, sigma: float) -> Tensor:
    """A Gaussian over (h, w, C), edge pixels repeated; a wide one at a smaller size."""
    if sigma > 6 and min(planes.shape[:2]) > 1:
        small = _blur(_means_of_blocks(planes), sigma / 2).permute(2, 0, 1)[None]
        large = F.interpolate(small, scale_factor=2, mode="bilinear", align_corners=False)[0]
        return large.permute(1, 2, 0)[: planes.shape[0], : planes.shape[1]].contiguous()
    reach = max(1, round(3 * sigma))
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=planes.device) / max(sigma, 0.1)) ** 2)
    kernel /= kernel.sum()
    blurred = planes.permute(2, 0, 1)[:, None]
    for shape, padding in (((1, 1, 1, -1), (reach, reach, 0, 0)), ((1, 1, -1, 1), (0, 0, reach, reach))):
        blurred = F.conv2d(F.pad(blurred, padding, mode="replicate"), kernel.view(shape))
    return blurred[:, 0].permute(1, 2, 0).contiguous()
