"""The layers of a Deep Parsing Network after its unary part: one step of mean field inference in a Markov random field.

Liu et al., ICCV 2015 and TPAMI 2018. With q_i^u the unary probability that pixel i has label u, a step computes
(their Eq. 8, the mixture of label contexts decided by its cheapest component)::

    q_i^u ∝ exp( ln q_i^u  −  min_k Σ_v Σ_j μ_k(i, u, j, v) · q_j^v Σ_z d(j, z) q_z^v )
                              └ b14 ┘ └──────── b13 ───────┘  └──────── b12 ───────┘

    d(j, z) = ω₁ ‖I_j − I_z‖² + ω₂ ‖p_j − p_z‖²        (colour and place)

The inner sum is the *triple penalty*: a label v at j is dear where the pixels z around it that have the label too look
different or are far. Sums over z and j are means here, so that no weight depends on the size of a window.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_FIRST_PENALTIES = 0.01


def local_context(probability: Tensor, image: Tensor, window: int, colour: Tensor, place: Tensor) -> Tensor:
    """The local convolution (b12): how badly the pixels around each pixel support its label.

    A filter of its own for each pixel would take ``window``² products a pixel and label. But a squared distance is a
    polynomial, ‖I_j‖² − 2 I_j·I_z + ‖I_z‖², so the sum over a window is made of sums that do not know j: seven
    separable ones. They are taken as products with matrices of one band: H + W multiplications a sum, pixel and
    label whatever the window, and for windows of 25 pixels and more half the time of sliding sums, or less. Memory is
    some 15 times that of ``probability``.

    Args:
        probability: q, (B, C, H, W) in 0–1.
        image: I, (B, 3, H, W) in [0, 1].
        window: side of the neighbourhood in pixels, odd. At the border it is what lies in the image.
        colour, place: ω₁ and ω₂, scalars. Places are measured in half windows, so that both distances have the same
            order of magnitude.

    Returns:
        (B, C, H, W): q_j^v times the mean of d(j, z) q_z^v over the window around j.
    """
    colours = image - image.mean(dim=(2, 3), keepdim=True)  # distances are the same, and fewer digits cancel
    squares = colours.square().sum(dim=1, keepdim=True)
    height, width = probability.shape[-2:]
    (down, down_distance), (across, across_distance) = (
        _bands(length, window, probability) for length in (height, width)
    )
    # (B, 5, C, H, W): q, ‖I‖² q, and I q for each colour channel, all summed at once.
    summands = torch.cat((torch.ones_like(squares), squares, colours), dim=1)[:, :, None] * probability[:, None]
    of_one, of_squares, *of_channels = (down @ (summands @ across)).unbind(dim=1)
    of_colour = squares * of_one + of_squares
    for channel, of_channel in zip(colours.chunk(3, dim=1), of_channels, strict=True):
        of_colour = of_colour - 2 * channel * of_channel
    of_place = down_distance @ (probability @ across) + down @ (probability @ across_distance)
    count = down.sum(dim=0)[:, None] * across.sum(dim=0)
    return probability * (colour * of_colour + place * of_place) / count


class LabelContexts(nn.Module):
    """The mixture of label contexts (b13): μ_k(i, u, j, v) as a convolution, for it depends on where j lies from i.

    Args:
        num_classes: C, of u and v.
        num_contexts: K components of the mixture.
        window: side of the neighbourhood in pixels, odd.
    """

    def __init__(self, num_classes: int, num_contexts: int, window: int) -> None:
        super().__init__()
        self.penalty = nn.Conv2d(num_classes, num_classes * num_contexts, window, padding=window // 2, bias=False)
        # Small, so that training starts from the unary part; not 0, or all components would stay alike.
        nn.init.normal_(self.penalty.weight, std=_FIRST_PENALTIES)

    def forward(self, context: Tensor) -> Tensor:
        """From (B, C, H, W) to (B, C·K, H, W): the K components of label u are channels u·K … u·K + K − 1."""
        return self.penalty(context)


def block_minimum(penalties: Tensor, num_contexts: int) -> Tensor:
    """Block minimum pooling (b14): the cheapest of each label's K contexts.

    Args:
        penalties: (B, C·K, H, W), the contexts of a label together.

    Returns:
        (B, C, H, W).
    """
    images, _, height, width = penalties.shape
    return penalties.reshape(images, -1, num_contexts, height, width).amin(dim=2)


class MeanFieldStep(nn.Module):
    """All of it (b12 to b15): from unary logits to the logits of one mean field step.

    Args:
        num_classes: C.
        local_window: side of the window of z around j.
        context_window: side of the window of j around i.
        num_contexts: K.
    """

    def __init__(self, num_classes: int, local_window: int, context_window: int, num_contexts: int) -> None:
        super().__init__()
        self.local_window = local_window
        self.num_contexts = num_contexts
        self.colour = nn.Parameter(torch.ones(()))
        self.place = nn.Parameter(torch.ones(()))
        self.contexts = LabelContexts(num_classes, num_contexts, context_window)

    def forward(self, unary: Tensor, image: Tensor) -> Tensor:
        """The sum (b15) before its softmax.

        Args:
            unary: (B, C, H, W) logits.
            image: (B, 3, H, W) in [0, 1].

        Returns:
            (B, C, H, W) logits, not of fewer digits than float32 under autocast either: sums over windows need them.
        """
        with torch.autocast(unary.device.type, enabled=False):
            exact = torch.promote_types(unary.dtype, torch.float32)
            log_probability = F.log_softmax(unary.to(exact), dim=1)
            # Penalties grow with a distance: weights below 0 would turn them into rewards.
            colour, place = self.colour.clamp(min=0), self.place.clamp(min=0)
            context = local_context(log_probability.exp(), image.to(exact), self.local_window, colour, place)
            return log_probability - block_minimum(self.contexts(context), self.num_contexts)


def _bands(length: int, window: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Two symmetric (length, length) matrices that are 0 outside the window around each place of an axis.

    A product with the first is the sum over the window; with the second, each place counts by its squared distance in
    half windows.
    """
    half = window // 2
    places = torch.arange(length, dtype=like.dtype, device=like.device)
    distance = places[:, None] - places
    inside = (distance.abs() <= half).to(like.dtype)
    return inside, inside * (distance / max(half, 1)).square()
