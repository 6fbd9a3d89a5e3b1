"""The server of a page: bounded requests, nothing from elsewhere, loopback unless told otherwise."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse

from pipelines.inference.page.limits import PageLimits
from pipelines.inference.page.models import ModelShelf
from sgenet.errors import UserError

if TYPE_CHECKING:
    from gradio import Blocks, I18n
    from gradio.themes import Base
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
    # Gradio evaluates templates of its own in the browser.
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'; font-src 'self' data:; connect-src 'self'; "
    "worker-src 'self' blob:; object-src 'none'; form-action 'self'; frame-ancestors 'none'"
)
_FORM_BYTES = 64 * 1024
"""What an upload holds beside the file."""
_HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


@contextmanager
def running(shelf: ModelShelf, limits: PageLimits, host: str, port: int) -> Iterator[Blocks]:
    """Serve the page to fill holes on, as :func:`serving` does.

    Args:
        shelf: the models to choose from.
        limits: what is accepted.
        host: the address to listen on.
        port: to listen on.

    Raises:
        UserError: there is no model, or the port cannot be used.
    """

    def build() -> tuple[Blocks, str]:
        from pipelines.inference.page.page import build_page, style

        return build_page(shelf, limits), style()

    with serving(build, limits, host, port) as page:
        yield page


@contextmanager
def serving(build: Callable[[], tuple[Blocks, str]], limits: PageLimits, host: str, port: int) -> Iterator[Blocks]:
    """Serve a page of Gradio while the context is open; its ``local_url`` is the address.

    Args:
        build: makes the page and its style sheet. It alone imports Gradio, which reads its settings when imported.
        limits: what is accepted.
        host: the address to listen on.
        port: to listen on.

    Raises:
        UserError: the port cannot be used.
    """
    with TemporaryDirectory(prefix="sgenet-page-") as folder:
        # Read by Gradio while it is imported: no statistics, and what visitors upload goes with the server.
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        os.environ["GRADIO_TEMP_DIR"] = folder
        page, style = build()
        _launch(page, style, limits, host, port)
        try:
            yield page
        finally:
            page.close(verbose=False)


def warn_if_open(host: str) -> None:
    """Warn that others can reach the page, where they can."""
    if host not in _LOOPBACK:
        print("warning: others on this network can open the page; it asks for no password", flush=True)


def _launch(page: Blocks, style: str, limits: PageLimits, host: str, port: int) -> None:
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    page.queue(max_size=limits.waiting, api_open=False)
    middleware = [Middleware(Guard, limits=limits)]
    if host in _LOOPBACK:
        # A foreign page must not reach this one through a name of its own that leads here.
        middleware += [Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", "[::1]"])]
    try:
        page.launch(
            server_name=host,
            server_port=port,
            share=False,
            quiet=True,
            prevent_thread_lock=True,
            ssr_mode=False,
            pwa=False,
            run_history=False,
            enable_monitoring=False,
            footer_links=[],
            i18n=_sentences(),
            max_file_size=limits.file_bytes,
            state_session_capacity=limits.sessions,
            theme=_theme(),
            css=style,
            app_kwargs={"middleware": middleware},
        )
    except (OSError, OverflowError) as error:
        raise UserError(f"port {port} of {host} cannot be used ({error}); choose another with --port") from error


def _sentences() -> I18n:
    """What Gradio announces to screen readers, and has no word for itself: else they would hear its name."""
    import gradio as gr

    return gr.I18n(en={"common.complete": "Done"})


def _theme() -> Base:
    """Fonts of the visitor's own system, and buttons dark enough for white text."""
    import gradio as gr

    theme = gr.themes.Base(
        primary_hue="teal", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
    )
    dark_enough = {f"button_primary_background_fill{dark}": "*primary_700" for dark in ("", "_dark")}
    on_hover = {f"button_primary_background_fill_hover{dark}": "*primary_800" for dark in ("", "_dark")}
    return theme.set(**dark_enough, **on_hover, layout_gap="10px")


class Guard:
    """Refuses large requests before they are read, and tells browsers to load nothing from elsewhere.

    Args:
        app: what it guards.
        limits: ``file_bytes`` for uploads, ``request_bytes`` for everything else.
    """

    def __init__(self, app: ASGIApp, limits: PageLimits) -> None:
        self._app, self._limits = app, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 413."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit, received = self._limit(scope["path"]), 0
        too_large = HTTPException(413, f"The request is larger than {limit / 2**20:.0f} MiB; send a smaller image.")

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise too_large
            return message

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *_HEADERS]}
            await send(message)

        try:
            if _declared_length(scope) > limit:
                raise too_large
            await self._app(scope, counted, with_headers)
        except HTTPException as refused:
            await PlainTextResponse(refused.detail, refused.status_code)(scope, receive, with_headers)

    def _limit(self, path: str) -> int:
        if path.rstrip("/").endswith("/upload"):
            return self._limits.file_bytes + _FORM_BYTES
        return self._limits.request_bytes


def _declared_length(scope: Scope) -> int:
    lengths = [value for name, value in scope["headers"] if name == b"content-length"]
    return int(lengths[0]) if lengths and lengths[0].isdigit() else 0
