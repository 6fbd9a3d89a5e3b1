"""CamVid: frames from a car, in the split and the 11 classes of SegNet (Badrinarayanan et al., 2017).

Layout: ``{images,labels}/{train,val}/<frame>.{jpg,png}``.
"""

from __future__ import annotations

from pipelines.data.adapters.paired import paired_adapter
from pipelines.data.adapters.samples import Adapter
from pipelines.settings.sources import CamvidSource
from sgenet.label_space import IGNORE_ID

UNLABELLED_ID = 11
"""The id of pixels that SegNet's label maps leave unlabelled."""


def camvid(settings: CamvidSource, num_classes: int) -> Adapter:
    """The adapter of CamVid; its own ids are 0 … 10 as in ``label_space.CAMVID``."""
    return paired_adapter(settings, num_classes, own_ids={UNLABELLED_ID: IGNORE_ID})
