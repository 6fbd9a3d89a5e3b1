"""The layout of the page, and which action each of its controls starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder

from pipelines.inference.page import views
from pipelines.inference.page.actions import OPENED, RESULT_HERE, Actions, Shown, meanwhile
from pipelines.inference.page.examples import CREDIT, EXAMPLES, example_thumbnail
from pipelines.inference.page.images import data_address
from pipelines.inference.page.limits import PageLimits
from pipelines.inference.page.models import ModelShelf
from pipelines.inference.page.painter import STATIC, class_painter, hole_painter, read_script
from pipelines.inference.page.session import Session
from sgenet.inpainter import Texture

TITLE = "SGE-Net: fill a hole in an image"

_NO_SECOND = "No second model"
_TEXTURES: list[tuple[str, Texture]] = [
    ("from the rest of the image", "exemplar"),
    ("as the network draws it", "network"),
]
_MOST_DOWNLOADS = 3
_MOST_RESULTS = 2
_SWEEP_SECONDS, _KEPT_SECONDS = 600, 3600
"""Every ten minutes, files that are an hour old are deleted; a session idle for an hour is forgotten."""

_INTRODUCTION = """<div id="sge-title"><h1>Fill a hole in an image</h1>
<p>Mark what should go. The network fills it from coarse to fine, says what it thinks is there, and where it is
unsure. If it is mistaken, paint the right class and fill again.</p></div>"""

_PICK = """element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-example]");
  if (button) trigger("click", { number: Number(button.dataset.example) });
});"""

_SLIDE = """element.addEventListener("input", (event) => {
  for (const slider of element.querySelectorAll(".sge-slider")) {
    slider.style.setProperty("--at", event.target.value + "%");
    slider.querySelector("input").value = event.target.value;
  }
});"""
"""Two results are compared at the same place: their sliders move together."""

_FLAT: dict[str, Any] = {"apply_default_css": False, "elem_classes": "sge-flat"}
"""For pieces whose look is all ours."""

_SHOW_RESULTS = """() => {
  if (window.matchMedia("(max-width: 640px)").matches) document.querySelector("#sge-results").scrollIntoView();
}"""
"""On a phone the results, and what happens until they are there, are below what is visible."""

_SHOW_CANVAS = """() => {
  if (window.matchMedia("(max-width: 640px)").matches) document.querySelector("#sge-hole").scrollIntoView();
}"""

_DROP = """
const give = (event, files) => {
  const image = [...(files || [])].find((file) => file.type.startsWith("image/"));
  const input = document.querySelector('input[type="file"]');
  if (!image || !input) return;
  event.preventDefault();
  const chosen = new DataTransfer();
  chosen.items.add(image);
  input.files = chosen.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
};
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => give(event, event.dataTransfer.files));
document.addEventListener("paste", (event) => give(event, event.clipboardData.files));"""
"""An image dropped or pasted anywhere is taken as if it were uploaded."""


@dataclass(frozen=True, kw_only=True)
class Controls:
    """The components of the page that take part in an action."""

    session: gr.State
    layer: gr.JSON
    examples: gr.HTML
    upload: gr.UploadButton
    hole: gr.HTML
    model: gr.Dropdown
    second_model: gr.Dropdown
    texture: gr.Radio
    fill: gr.Button
    notice: gr.HTML
    results: list[gr.HTML]
    classes: gr.HTML
    refill: gr.Button
    downloads: list[gr.DownloadButton]
    keep: list[gr.Button]
    take_back: gr.Button
    tabs: gr.Tabs

    @property
    def outputs(self) -> list[Any]:
        """What an action changes, in the order of :func:`_updates`."""
        parts = [self.session, self.hole, *self.results, self.classes]
        return [*parts, *self.downloads, *self.keep, self.take_back, self.tabs, self.notice]


def build_page(shelf: ModelShelf, limits: PageLimits) -> gr.Blocks:
    """The whole page.

    Args:
        shelf: the models to choose from; looked through again whenever the page is loaded.
        limits: what is accepted.

    Raises:
        UserError: models cannot be listed.
    """
    shelf.refresh()
    page: gr.Blocks
    with gr.Blocks(
        title=TITLE, analytics_enabled=False, fill_width=True, delete_cache=(_SWEEP_SECONDS, _KEPT_SECONDS)
    ) as page:
        controls = _lay_out(shelf, limits)
        _connect(page, controls, Actions(shelf, limits), shelf)
    return page


def _lay_out(shelf: ModelShelf, limits: PageLimits) -> Controls:
    session = gr.State(Session(), time_to_live=_KEPT_SECONDS)
    layer = gr.JSON(visible=False)  # what is painted: read_script puts it there
    gr.HTML(_INTRODUCTION, **_FLAT)
    with gr.Row(equal_height=False, elem_id="sge-halves"):
        with gr.Column(min_width=320):
            _step("1", "Choose an image", "an example, or one of your own")
            examples = gr.HTML(_examples(), js_on_load=_PICK + _DROP, **_FLAT, elem_id="sge-examples")
            upload = gr.UploadButton(
                f"Upload an image (up to {limits.file_bytes >> 20} MiB, {limits.pixels / 1e6:.1f} million pixels), "
                "or drop or paste one anywhere",
                file_types=["image"],
                size="sm",
                elem_id="sge-upload",
            )
            _step("2", "Mark what should be filled", "brush over it, or drag a box")
            hole = hole_painter()
            _step("3", "Fill it", "with one model, or two side by side")
            fill = gr.Button("Fill", variant="primary", size="lg", elem_id="sge-fill")
            with gr.Row():
                model, second_model = _choosers(shelf)
            texture = gr.Radio(_TEXTURES, value="exemplar", label="Texture", elem_id="sge-texture")
            take_back = gr.Button("Take back the last fill", visible=False, size="sm", elem_id="sge-take-back")
        with gr.Column(min_width=320, elem_id="sge-results"):
            notice = gr.HTML(views.notice(OPENED), **_FLAT, elem_id="sge-notice")
            tabs, results, classes, refill = _result_tabs()
            with gr.Row():
                downloads = [
                    gr.DownloadButton(visible=False, size="sm", elem_id=f"sge-download-{number}")
                    for number in range(_MOST_DOWNLOADS)
                ]
            with gr.Row():
                keep = [
                    gr.Button(visible=False, size="sm", elem_id=f"sge-keep-{number}") for number in range(_MOST_RESULTS)
                ]
    return Controls(
        session=session,
        layer=layer,
        examples=examples,
        upload=upload,
        hole=hole,
        model=model,
        second_model=second_model,
        texture=texture,
        fill=fill,
        notice=notice,
        results=results,
        classes=classes,
        refill=refill,
        downloads=downloads,
        keep=keep,
        take_back=take_back,
        tabs=tabs,
    )


def _result_tabs() -> tuple[gr.Tabs, list[gr.HTML], gr.HTML, gr.Button]:
    """Four views of what was filled, and the canvas to correct it."""
    results: list[gr.HTML] = []
    tabs: gr.Tabs
    with gr.Tabs(elem_id="sge-tabs") as tabs:
        for name in ("Result", "Segmentation", "Confidence", "Scales"):
            with gr.Tab(name, id=name.lower(), render_children=True):
                script = _SLIDE if not results else None
                view = gr.HTML(
                    views.absent(RESULT_HERE),
                    js_on_load=script,
                    **_FLAT,
                    elem_id=f"sge-{name.lower()}",
                )
                results.append(view)
        with gr.Tab("Edit", render_children=True):
            gr.HTML(
                '<p class="sge-explanation">Choose a class, paint it where it should appear, and fill again. '
                "Where you paint nothing, the network decides as before.</p>",
                **_FLAT,
            )
            classes = class_painter()
            refill = gr.Button("Fill again with these classes", variant="primary", elem_id="sge-refill")
    return tabs, results, classes, refill


def _choosers(shelf: ModelShelf) -> tuple[gr.Dropdown, gr.Dropdown]:
    titles = shelf.titles
    model = gr.Dropdown(titles, value=titles[0], label="Model", elem_id="sge-model", filterable=False, min_width=240)
    second = gr.Dropdown(
        [_NO_SECOND, *titles],
        value=_NO_SECOND,
        label="Compare with",
        elem_id="sge-second",
        filterable=False,
        min_width=240,
    )
    return model, second


def _connect(page: gr.Blocks, controls: Controls, actions: Actions, shelf: ModelShelf) -> None:
    def pick(event: gr.EventData) -> list[Any]:
        return _updates(actions.open_example(event._data.get("number")))

    def open_file(path: str) -> list[Any]:
        return _updates(actions.open_file(Path(path)))

    def fill(session: Session, layer: object, model: str, second: str, texture: Texture) -> list[Any]:
        models = [title for title in (model, second) if title and title != _NO_SECOND]
        return _updates(actions.fill(session, layer, models, texture))

    def refill(session: Session, layer: object) -> list[Any]:
        return _updates(actions.refill(session, layer))

    def take_back(session: Session) -> list[Any]:
        return _updates(actions.take_back(session))

    def welcome(model: str, second: str) -> list[Any]:
        return [*_refreshed(shelf, model, second), *_updates(actions.open_example(0))]

    def listen(trigger: Callable[..., Any], act: Callable[..., Any], inputs: list[Any], **how: Any) -> Any:
        return trigger(act, inputs, controls.outputs, api_visibility="private", **how)

    def said_first(button: gr.Button) -> Callable[..., Any]:
        said, opened = button.click(meanwhile, controls.session, controls.notice, **at_once), views.notice(OPENED)
        return lambda *act, **how: said.then(*act, **how).failure(lambda: opened, None, controls.notice, **at_once)

    at_once: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    # One at a time: all run in one thread, and the network uses every core.
    network = {"concurrency_id": "network", "concurrency_limit": 1, "show_progress_on": controls.results}
    # What takes no time does not wait in line behind what does.
    listen(controls.examples.click, pick, [], queue=False, show_progress="hidden")
    listen(controls.upload.upload, open_file, [controls.upload], show_progress_on=controls.hole)
    controls.fill.click(None, js=_SHOW_RESULTS)
    listen(
        said_first(controls.fill),
        fill,
        [controls.session, controls.layer, controls.model, controls.second_model, controls.texture],
        js=read_script("hole", position=1, num_inputs=5),
        **network,
    )
    listen(
        said_first(controls.refill),
        refill,
        [controls.session, controls.layer],
        js=read_script("classes", position=1, num_inputs=2),
        **network,
    )
    for number, button in enumerate(controls.keep):

        def keep(session: Session, number: int = number) -> list[Any]:
            return _updates(actions.keep(session, number))

        listen(button.click, keep, [controls.session], show_progress="hidden").then(None, js=_SHOW_CANVAS)
    listen(controls.take_back.click, take_back, [controls.session], show_progress="hidden")
    choosers = [controls.model, controls.second_model]
    outputs = [*choosers, *controls.outputs]
    page.load(welcome, choosers, outputs, api_visibility="private", queue=False, show_progress="hidden")


def _refreshed(shelf: ModelShelf, model: str, second: str) -> list[Any]:
    """Both choosers with the models there are now; what was chosen stays where it is still there."""
    titles = shelf.refresh()
    return [
        gr.update(choices=titles, value=model if model in titles else titles[0]),
        gr.update(choices=[_NO_SECOND, *titles], value=second if second in titles else _NO_SECOND),
    ]


def _updates(shown: Shown) -> list[Any]:
    """What an action shows, in the order of :attr:`Controls.outputs`."""
    results = shown.results or (None,) * 4
    parts = (shown.session, shown.hole, *results, shown.classes)
    updates = [gr.skip() if part is None else part for part in parts]
    take_back = gr.skip() if shown.can_take_back is None else gr.update(visible=shown.can_take_back)
    tabs = gr.skip() if shown.tab is None else gr.update(selected=shown.tab)
    return [*updates, *_download_updates(shown), *_keep_updates(shown), take_back, tabs, shown.notice]


def _keep_updates(shown: Shown) -> list[Any]:
    if shown.keep is None:
        return [gr.skip()] * _MOST_RESULTS
    titles = [*shown.keep, *[""] * (_MOST_RESULTS - len(shown.keep))]
    return [gr.update(value=title, visible=bool(title)) for title in titles]


def _download_updates(shown: Shown) -> list[Any]:
    if shown.downloads is None:
        return [gr.skip()] * _MOST_DOWNLOADS
    updates = []
    for number in range(_MOST_DOWNLOADS):
        if number >= len(shown.downloads):
            updates.append(gr.update(value=None, visible=False))
            continue
        name, title, content = shown.downloads[number]
        path = save_bytes_to_cache(content, name, get_upload_folder())
        updates.append(gr.update(value=path, label=title, visible=True))
    return updates


def _step(number: str, title: str, hint: str) -> None:
    gr.HTML(
        f'<h2 class="sge-step"><span aria-hidden="true">{number}</span> {escape(title)} '
        f"<small>{escape(hint)}</small></h2>",
        **_FLAT,
    )


def _examples() -> str:
    buttons = "".join(
        f'<button type="button" data-example="{number}">'
        f'<img src="{data_address(example_thumbnail(number))}" alt=""><span>{escape(example.title)}</span></button>'
        for number, example in enumerate(EXAMPLES)
    )
    credit = f'<p class="sge-credit">{escape(CREDIT)}</p>'
    return f'<div class="sge-examples" role="group" aria-label="Examples">{buttons}</div>{credit}'


def style() -> str:
    """The page's style sheet."""
    return (STATIC / "page.css").read_text(encoding="utf-8")
