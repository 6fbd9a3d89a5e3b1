"""The layout of the page, and which action each of its controls starts."""

from __future__ import annotations

from collections.abc import Callable
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
        controls = _Controls(shelf, limits)
        controls.connect(page, Actions(shelf, limits), shelf)
    return page


class _Controls:
    """The components of the page, laid out as they are made."""

    def __init__(self, shelf: ModelShelf, limits: PageLimits) -> None:
        self.session = gr.State(Session(), time_to_live=_KEPT_SECONDS)
        self.layer = gr.JSON(visible=False)  # what is painted: read_script puts it there
        gr.HTML(_INTRODUCTION, **_FLAT)
        with gr.Row(equal_height=False, elem_id="sge-halves"):
            with gr.Column(min_width=320):
                self._lay_out_steps(shelf, limits)
            with gr.Column(min_width=320, elem_id="sge-results"):
                self._lay_out_results()

    def _lay_out_steps(self, shelf: ModelShelf, limits: PageLimits) -> None:
        _step("1", "Choose an image", "an example, or one of your own")
        self.examples = gr.HTML(_examples(), js_on_load=_PICK + _DROP, **_FLAT, elem_id="sge-examples")
        self.upload = gr.UploadButton(
            f"Upload an image (up to {limits.file_bytes >> 20} MiB, {limits.pixels / 1e6:.1f} million pixels), "
            "or drop or paste one anywhere",
            file_types=["image"],
            size="sm",
            elem_id="sge-upload",
        )
        _step("2", "Mark what should be filled", "brush over it, or drag a box")
        self.hole = hole_painter()
        _step("3", "Fill it", "with one model, or two side by side")
        self.fill = gr.Button("Fill", variant="primary", size="lg", elem_id="sge-fill")
        with gr.Row():
            titles = shelf.titles
            look: dict[str, Any] = {"filterable": False, "min_width": 240}
            self.model = gr.Dropdown(titles, value=titles[0], label="Model", elem_id="sge-model", **look)
            self.second_model = gr.Dropdown(
                [_NO_SECOND, *titles], value=_NO_SECOND, label="Compare with", elem_id="sge-second", **look
            )
        self.texture = gr.Radio(_TEXTURES, value="exemplar", label="Texture", elem_id="sge-texture")
        self.take_back = gr.Button("Take back the last fill", visible=False, size="sm", elem_id="sge-take-back")

    def _lay_out_results(self) -> None:
        """Four views of what was filled, the canvas to correct it, and what can be done with it."""
        self.notice = gr.HTML(views.notice(OPENED), **_FLAT, elem_id="sge-notice")
        self.results: list[gr.HTML] = []
        self.tabs: gr.Tabs
        with gr.Tabs(elem_id="sge-tabs") as self.tabs:
            for name in ("Result", "Segmentation", "Confidence", "Scales"):
                with gr.Tab(name, id=name.lower(), render_children=True):
                    script = _SLIDE if not self.results else None
                    elem_id = f"sge-{name.lower()}"
                    view = gr.HTML(views.absent(RESULT_HERE), js_on_load=script, **_FLAT, elem_id=elem_id)
                    self.results.append(view)
            with gr.Tab("Edit", render_children=True):
                gr.HTML(
                    '<p class="sge-explanation">Choose a class, paint it where it should appear, and fill again. '
                    "Where you paint nothing, the network decides as before.</p>",
                    **_FLAT,
                )
                self.classes = class_painter()
                self.refill = gr.Button("Fill again with these classes", variant="primary", elem_id="sge-refill")
        with gr.Row():
            self.downloads = [
                gr.DownloadButton(visible=False, size="sm", elem_id=f"sge-download-{number}")
                for number in range(_MOST_DOWNLOADS)
            ]
        with gr.Row():
            self.keep = [
                gr.Button(visible=False, size="sm", elem_id=f"sge-keep-{number}") for number in range(_MOST_RESULTS)
            ]

    def connect(self, page: gr.Blocks, actions: Actions, shelf: ModelShelf) -> None:
        """Let each control start its action."""
        parts = [self.session, self.hole, *self.results, self.classes, *self.downloads, *self.keep]
        # In the order of _updates.
        changed: list[Any] = [*parts, self.take_back, self.tabs, self.notice]

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
            return trigger(act, inputs, changed, api_visibility="private", **how)

        def said_first(button: gr.Button) -> Callable[..., Any]:
            said, opened = button.click(meanwhile, self.session, self.notice, **at_once), views.notice(OPENED)
            return lambda *act, **how: said.then(*act, **how).failure(lambda: opened, None, self.notice, **at_once)

        at_once: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
        # One at a time: all run in one thread, and the network uses every core.
        network = {"concurrency_id": "network", "concurrency_limit": 1, "show_progress_on": self.results}
        # What takes no time does not wait in line behind what does.
        listen(self.examples.click, pick, [], queue=False, show_progress="hidden")
        listen(self.upload.upload, open_file, [self.upload], show_progress_on=self.hole)
        self.fill.click(None, js=_SHOW_RESULTS)
        listen(
            said_first(self.fill),
            fill,
            [self.session, self.layer, self.model, self.second_model, self.texture],
            js=read_script("hole", position=1, num_inputs=5),
            **network,
        )
        listen(
            said_first(self.refill),
            refill,
            [self.session, self.layer],
            js=read_script("classes", position=1, num_inputs=2),
            **network,
        )
        for number, button in enumerate(self.keep):

            def keep(session: Session, number: int = number) -> list[Any]:
                return _updates(actions.keep(session, number))

            listen(button.click, keep, [self.session], show_progress="hidden").then(None, js=_SHOW_CANVAS)
        listen(self.take_back.click, take_back, [self.session], show_progress="hidden")
        choosers = [self.model, self.second_model]
        outputs = [*choosers, *changed]
        page.load(welcome, choosers, outputs, api_visibility="private", queue=False, show_progress="hidden")


def _refreshed(shelf: ModelShelf, model: str, second: str) -> list[Any]:
    """Both choosers with the models there are now; what was chosen stays where it is still there."""
    titles = shelf.refresh()
    return [
        gr.update(choices=titles, value=model if model in titles else titles[0]),
        gr.update(choices=[_NO_SECOND, *titles], value=second if second in titles else _NO_SECOND),
    ]


def _updates(shown: Shown) -> list[Any]:
    """What an action shows, in the order of the components that it changes."""
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
