"""From the ids in a source's label files to the ids of the dataset's label space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sgenet.errors import DataError
from sgenet.label_space import IGNORE_ID

RawLabel = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
"""A label map as its file holds it: (H, W) ids of the source."""

_MEANINGLESS = -1


@dataclass(frozen=True)
class LabelMap:
    """Raw ids → the source's own ids → ids of the label space.

    Args:
        source: the source's name, for messages.
        num_classes: of the label space.
        own_ids: raw id → the source's own class id, where the files use others; the rest stay.
        class_map: own id → id of the label space, ids not named become 255 = ignore; None keeps
            the own ids, which then must be below ``num_classes``, or 255.
    """

    source: str
    num_classes: int
    own_ids: Mapping[int, int] | None = None
    class_map: Mapping[int, int] | None = None
    _table: npt.NDArray[np.int16] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        own = np.arange(2**16)
        for raw, own_id in (self.own_ids or {}).items():
            own[raw] = own_id
        if self.class_map is None:
            table = np.where(own < self.num_classes, own, _MEANINGLESS)
        else:
            table = np.full_like(own, IGNORE_ID)
            for own_id, target in self.class_map.items():
                table[own == own_id] = target
        table[own == IGNORE_ID] = IGNORE_ID
        object.__setattr__(self, "_table", table.astype(np.int16))

    def __call__(self, raw: RawLabel) -> npt.NDArray[np.uint8]:
        """Map raw ids (H, W) of 8 or 16 bits to ids of the label space (H, W), 255 = ignore.

        Raises:
            DataError: where the map is not one channel of whole numbers, or naming the ids out of range.
        """
        if raw.ndim != 2 or raw.dtype not in (np.uint8, np.uint16):
            raise DataError(
                f"a label map of {self.source} has the shape {raw.shape} of {raw.dtype}; "
                "save one channel of 8- or 16-bit class ids"
            )
        mapped = self._table[raw]
        if mapped.min(initial=0) == _MEANINGLESS:
            ids = ", ".join(map(str, np.unique(raw[mapped == _MEANINGLESS])[:8]))
            raise DataError(
                f"label ids {ids} are out of range (source {self.source}): ids are 0 … {self.num_classes - 1}, or "
                f"{IGNORE_ID} = ignore; name the others in label_space, or say in class_map what they are"
            )
        return mapped.astype(np.uint8)
