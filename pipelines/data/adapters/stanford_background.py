"""Stanford Background: outdoor photographs in 8 classes (Gould et al., ICCV 2009).

Layout: ``{images,labels}/{train,val}/<name>.{jpg,png}``.
"""

from __future__ import annotations

from pipelines.data.adapters.paired import paired_adapter
from pipelines.data.adapters.samples import Adapter
from pipelines.settings.sources import StanfordBackgroundSource


def stanford_background(settings: StanfordBackgroundSource, num_classes: int) -> Adapter:
    """The adapter of Stanford Background; its own ids are as in ``label_space.STANFORD_BACKGROUND``."""
    return paired_adapter(settings, num_classes)
