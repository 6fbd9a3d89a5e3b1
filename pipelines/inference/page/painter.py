"""The canvas of the page, on which a hole or classes are painted: Python's side of ``static/painter.js``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import gradio as gr

STATIC = Path(__file__).with_name("static")

_TOOLS = """
<div class="sge-tools" role="toolbar" aria-label="Painting tools">
  <button type="button" data-tool="brush" aria-pressed="true">Brush</button>
  <button type="button" data-tool="box" aria-pressed="false">Box</button>
  <button type="button" data-tool="eraser" aria-pressed="false">Eraser</button>
  <label>Size <input type="range" data-role="size" min="1" max="30" value="9" aria-label="Brush size"></label>
  <span class="sge-history">
    <button type="button" data-act="undo">Undo</button>
    <button type="button" data-act="clear">Clear</button>
  </span>
</div>
"""


def hole_painter() -> gr.HTML:
    """The canvas for the hole; its value is made in :mod:`~pipelines.inference.page.actions`, like that of classes."""
    return _painter("hole", "Choose an example or upload an image.", _TOOLS, _box_fields())


def class_painter() -> gr.HTML:
    """The canvas for classes."""
    classes = '<div class="sge-classes" data-role="classes" role="radiogroup" aria-label="Class to paint"></div>'
    return _painter("classes", "Fill a hole first: its segmentation can then be edited here.", classes + _TOOLS, "")


def read_script(name: Literal["hole", "classes"], position: int, num_inputs: int) -> str:
    """JavaScript that puts what is painted in the place of one of an event's inputs."""
    read = f"document.querySelector('[data-name=\"{name}\"]')?.readLayer?.() ?? null"
    return f"(...inputs) => {{ inputs.length = {num_inputs}; inputs[{position}] = {read}; return inputs; }}"


def _painter(name: str, sentence: str, above: str, below: str) -> gr.HTML:
    words = "Image to paint on. Arrow keys move a crosshair, Space paints there, Control+Z takes back."
    return gr.HTML(
        value=None,
        html_template=f"""<div class="sge-painter" data-paints="{name}">
<p class="sge-empty" data-role="empty" data-sentence="{sentence}">{sentence}</p>
<div data-role="stage" hidden>{above}
<canvas data-role="canvas" data-name="{name}" tabindex="0" role="application" aria-label="{words}"></canvas>
<p class="sge-status" data-role="status" role="status"></p>{below}</div></div>""",
        js_on_load=(STATIC / "painter.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        elem_classes="sge-flat",
        elem_id=f"sge-{name}",
    )


def _box_fields() -> str:
    fields = "".join(
        f'<label>{label} <input type="range" data-role="box-{role}" min="0" max="100" step="1" value="{value}"></label>'
        for role, label, value in (
            ("left", "From the left", 35),
            ("top", "From the top", 35),
            ("width", "Width", 30),
            ("height", "Height", 30),
        )
    )
    return (
        '<details class="sge-fields" data-role="box-fields"><summary>Place a box with sliders</summary>'
        f'<div>{fields}<button type="button" data-act="add-box">Add this box</button></div></details>'
    )
