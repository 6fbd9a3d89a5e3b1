"""MSRC v2: photographs of Microsoft Research Cambridge, labelled in the classes of Outdoor Scenes.

Layout: ``{images,labels}/{train,val}/<name>.{jpg,png}``.
"""

from __future__ import annotations

from pipelines.data.adapters.paired import paired_adapter
from pipelines.data.adapters.samples import Adapter
from pipelines.settings.sources import MSRCv2Source


def msrc_v2(settings: MSRCv2Source, num_classes: int) -> Adapter:
    """The adapter of MSRC v2; its own ids are as in ``label_space.OUTDOOR_SCENES``."""
    return paired_adapter(settings, num_classes)
