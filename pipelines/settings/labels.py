"""Where labels come from, as ``params.yaml`` says it: from people, or from a segmenter."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from pipelines.settings.strict import Strict
from sgenet.methods.recipe import Recipe
from sgenet.segmenters.settings import SegmenterName, SegmenterRecipe
from sgenet.settings import Precision

LabelSource = Literal["human", "auto", "fill"]


class LabelSettings(Strict):
    """The labels that inpainting is trained with on one dataset. Evaluation uses what people labelled, always.

    Attributes:
        source: ``human``: as the dataset has them; an image without is trained on without the segmentation terms.
            ``auto``: a segmenter's, for all training images (Table 5). ``fill``: a segmenter's where there is no
            human one.
        score_filled: have a segmenter also where people labelled. Where there is one, it segments the images that
            each method filled (segmentation after inpainting, Table 4), and SPG-Net fills from its labels of what is
            known, as published, and not from those of its own small segmenter, which changes all of its scores.
        segmenter: which one.
        checkpoint: a fitted one (a folder, ``s3://…``, ``models:/NAME/VERSION`` or another name that
            :func:`pipelines.tracking.model_source.find_model` takes); None fits one. For ``transformers``: the folder
            of its checkpoint.
        class_map: for ``transformers``: class of the checkpoint → class of the dataset; classes not named are *ignore*.
            None maps classes of the same name.
        threshold: pixels whose most probable class has a lower probability are *ignore*.
        window: side in pixels of what the segmenter sees at once; larger images are covered by windows.
        overlap: share of a window that lies in the next one, at least.
        batch_size: images of one size that are labelled together.
        precision: of labelling: ``float32`` or ``bfloat16`` (autocast).
        recipe: how a segmenter is fitted.
    """

    source: LabelSource = "human"
    score_filled: bool = False
    segmenter: SegmenterName = "deeplab_v3_plus"
    checkpoint: str | None = None
    class_map: dict[int, int] | None = None
    threshold: float = Field(default=0.5, ge=0, le=1)
    window: int = Field(default=1024, ge=32)
    overlap: float = Field(default=0.25, ge=0, lt=1)
    batch_size: int = Field(default=4, gt=0)
    precision: Precision = "float32"
    recipe: SegmenterRecipe = SegmenterRecipe()

    @property
    def needs_segmenter(self) -> bool:
        """Whether there is anything for a segmenter to do."""
        return self.source != "human" or self.score_filled

    @property
    def use_on_filled(self) -> dict[str, Any]:
        """The settings that decide how the segmenter sees filled images; empty where it does not."""
        names = {"score_filled", "segmenter", "class_map", "window", "overlap", "batch_size", "precision"}
        return self.model_dump(mode="json", include=names) if self.needs_segmenter else {}

    def automatic(self, folder: Path) -> Path | None:
        """The folder of the stage ``label`` where training reads it; None where people labelled."""
        return None if self.source == "human" else folder


def training_recipe(recipe: SegmenterRecipe) -> Recipe:
    """What the training loop takes: its optimizer, augmentation and length; networks and losses are none of its own."""
    return Recipe(optimizer=recipe.optimizer, augmentation=recipe.augmentation, training=recipe.training)
