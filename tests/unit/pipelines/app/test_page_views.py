"""What a filling shows: in words for those who cannot see it, and with nothing from outside unescaped."""

from __future__ import annotations

import dataclasses
from html.parser import HTMLParser

import numpy as np
import pytest

from pipelines.inference.images import Photo
from pipelines.inference.page import views
from pipelines.inference.page.layers import encode_layer
from pipelines.inference.page.session import Session, fill
from sgenet.label_space import LabelSpace

SGE, BASE, GATED = "SGE-Net · sge_net", "Base-Net · base_net", "GatedConv · gated_conv"


class Page(HTMLParser):
    """The tags and the text of some HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def filled(shelf):
    def of(*models: str):
        layer = np.zeros((48, 64), np.uint8)
        layer[10:20, 10:30] = 1
        pixels = np.random.default_rng(1).integers(0, 256, (48, 64, 3), dtype=np.uint8)
        return fill(Session(Photo(pixels), "noise"), encode_layer(layer), models, shelf)

    return of


def every_view(session) -> list[Page]:
    return [
        Page(views.before_and_after(session.image, session.fillings)),
        *(Page(view(session.fillings)) for view in (views.segmentation, views.confidence, views.scales)),
    ]


def test_every_image_says_what_it_is_and_comes_from_nowhere_else(filled):
    images = [image for page in every_view(filled(SGE, GATED)) for image in page.all("img")]
    assert len(images) == 4 + 1 + 1 + 20
    assert all(image["alt"] for image in images)
    assert all(image["src"].startswith("data:image/webp;base64,") for image in images)


def test_five_scales_of_image_segmentation_confidence_and_doubt(filled):
    page = Page(views.scales(filled(SGE).fillings))
    alternatives = [image["alt"] for image in page.all("img")]
    scales = ["1/16", "1/8", "1/4", "1/2", "full size"]
    kinds = ["Image", "Segmentation", "Confidence", "Doubted pixels"]
    assert alternatives == [f"{kind} at {scale}" for kind in kinds for scale in scales]
    assert [int(image["width"]) for image in page.all("img")[:5]] == [4, 8, 16, 32, 64]


def test_base_net_has_scales_but_doubts_nothing(filled):
    page = Page(views.scales(filled(BASE).fillings))
    assert len(page.all("img")) == 15
    assert "Doubted" not in page.text


def test_a_method_without_segmentation_says_so_in_every_view_that_needs_one(filled):
    _, segmentation, confidence, scales = every_view(filled(GATED))
    assert "GatedConv predicts no segmentation" in segmentation.text
    assert "GatedConv predicts no segmentation" in confidence.text
    assert "GatedConv does not work from coarse to fine" in scales.text


def test_the_legend_names_each_class_with_its_share_of_the_hole(filled):
    session = filled(SGE)
    label = np.zeros((48, 64), np.uint8)
    label[10:20, 10:15] = 6
    label[10:20, 15:30] = 2
    inpainted = dataclasses.replace(session.fillings[0].inpainted, label=label)
    text = Page(views.segmentation([dataclasses.replace(session.fillings[0], inpainted=inpainted)])).text
    order = [text.index(f"{name}{share} of the hole") for name, share in (("water", "75%"), ("plant", "25%"))]
    assert order == sorted(order)
    assert "background0% of the hole · 93% of all" in text
    assert "sky" not in text


def test_the_slider_can_be_moved_by_keyboard_and_hides_nothing(filled):
    page = Page(views.before_and_after(*(lambda s: (s.image, s.fillings))(filled(SGE))))
    (slider,) = page.all("input")
    assert slider["type"] == "range"
    assert slider["aria-label"]
    assert "6.5% of the image is filled" in page.text


def test_names_from_outside_are_escaped(filled):
    session = filled(SGE)
    hostile = "<script>alert(1)</script>\"'"
    names = (hostile, *session.fillings[0].label_space.names[1:])
    filling = dataclasses.replace(session.fillings[0], model=hostile, method=hostile, label_space=LabelSpace(names))
    session = dataclasses.replace(session, fillings=(filling,))
    assert all(page.all("script") == [] for page in every_view(session))
    assert all(hostile in page.text for page in every_view(session))
    assert Page(views.notice(hostile)).tags == [("p", {"class": "sge-notice sge-hint"})]
