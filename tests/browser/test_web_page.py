"""The web page as a person uses it, in Chromium: mouse, keyboard, a phone, several visitors, and what is refused."""

from __future__ import annotations

import http.client
import io

import numpy as np
import pytest
from PIL import Image

from pipelines.inference.page.examples import HEIGHT, WIDTH, example_image

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def canvas(page, name: str):
    return page.locator(f"[data-name={name}]")


def drag(page, name: str, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag the mouse over a canvas, from and to shares of its width and height."""
    canvas(page, name).scroll_into_view_if_needed()
    box = canvas(page, name).bounding_box()
    (x, y), (to_x, to_y) = ((box["x"] + a * box["width"], box["y"] + b * box["height"]) for a, b in (start, end))
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(to_x, to_y, steps=6)
    page.mouse.up()


def painted(page, name: str) -> np.ndarray:
    """What is painted on a canvas, as it would be sent."""
    layer = canvas(page, name).evaluate("canvas => canvas.readLayer()")
    return np.repeat(layer["runs"][0::2], layer["runs"][1::2]).reshape(layer["height"], layer["width"])


def pick(page, number: int) -> None:
    """Choose an example and wait until it is shown."""
    before = canvas(page, "hole").get_attribute("data-shown")
    page.locator(f"[data-example='{number}']").click()
    page.wait_for_function("before => document.querySelector('[data-name=hole]').dataset.shown !== before", arg=before)


def fill(page) -> str:
    page.get_by_role("button", name="Fill", exact=True).click()
    page.wait_for_selector(".sge-done")
    return page.locator(".sge-notice").inner_text()


def download(page, number: int = 0) -> np.ndarray:
    with page.expect_download() as waiting:
        page.locator(f"#sge-download-{number}").click()
    return np.asarray(Image.open(io.BytesIO(waiting.value.path().read_bytes())))


def choose(page, chooser: str, option: str) -> None:
    page.locator(f"#{chooser} input").click()
    page.get_by_role("option").filter(has_text=option).first.click()


def alternatives(page) -> list[str]:
    """What the visible images of the results say they are."""
    return page.eval_on_selector_all("#sge-tabs img", "all => all.filter(i => i.checkVisibility()).map(i => i.alt)")


def test_brush_with_the_mouse_fill_and_download(open_page):
    page = open_page()
    pick(page, 1)
    drag(page, "hole", (0.3, 0.5), (0.5, 0.55))
    hole = painted(page, "hole") == 1
    assert hole[round(0.525 * HEIGHT), round(0.4 * WIDTH)], "the middle of the stroke is marked"
    assert 0.01 < hole.mean() < 0.1
    assert "of the image by" not in fill(page)
    assert alternatives(page) == ["The filled image", "The image with its hole"]
    original, filled = example_image(1), download(page)
    np.testing.assert_array_equal(filled[~hole], original[~hole])
    assert (filled[hole] != original[hole]).any()


def test_a_box_by_keyboard_alone(open_page):
    """Tab to the sliders, set a box, Tab on to Fill, Enter."""
    page = open_page()

    def tab_to(found: str) -> None:
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate(f"() => Boolean(document.activeElement.closest({found!r}))"):
                return
        pytest.fail(f"{found} cannot be reached with Tab")

    tab_to("[data-role=box-fields] summary")
    page.keyboard.press("Enter")
    for role, key in (("left", "Home"), ("top", "End"), ("width", "End"), ("height", "ArrowLeft")):
        tab_to(f"[data-role=box-{role}]")
        page.keyboard.press(key)
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Home")
    for _ in range(25):
        page.keyboard.press("ArrowRight")
    tab_to("[data-act=add-box]")
    page.keyboard.press("Enter")
    expected = np.zeros((HEIGHT, WIDTH), int)
    expected[round(0.25 * HEIGHT) : round(0.54 * HEIGHT)] = 1
    np.testing.assert_array_equal(painted(page, "hole"), expected)
    tab_to("#sge-fill")
    page.keyboard.press("Enter")
    page.wait_for_selector(".sge-done")
    assert alternatives(page)[0] == "The filled image"


def test_the_canvas_itself_is_painted_by_keyboard_and_undone(open_page):
    page = open_page()
    canvas(page, "hole").focus()
    page.keyboard.press("Space")
    dab = painted(page, "hole")
    assert dab[HEIGHT // 2, WIDTH // 2] == 1
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Enter")
    assert painted(page, "hole").sum() > dab.sum()
    page.keyboard.press("Control+z")
    np.testing.assert_array_equal(painted(page, "hole"), dab)


def test_a_box_with_the_mouse_and_the_eraser(open_page):
    page = open_page()
    page.locator("#sge-hole [data-tool=box]").click()
    drag(page, "hole", (0.25, 0.25), (0.75, 0.5))
    hole = painted(page, "hole")
    rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
    edges = [rows[0] / HEIGHT, rows[-1] / HEIGHT, columns[0] / WIDTH, columns[-1] / WIDTH]
    np.testing.assert_allclose(edges, [0.25, 0.5, 0.25, 0.75], atol=1.5 / HEIGHT)
    assert hole.sum() == rows.size * columns.size
    page.locator("#sge-hole [data-tool=eraser]").click()
    drag(page, "hole", (0.5, 0.4), (0.6, 0.4))
    assert painted(page, "hole")[round(0.4 * HEIGHT), round(0.55 * WIDTH)] == 0
    assert page.locator("#sge-hole [role=status]").inner_text().endswith("of the image is marked.")


def test_painting_a_class_on_the_segmentation_changes_the_filling(open_page):
    page = open_page()
    drag(page, "hole", (0.3, 0.5), (0.5, 0.55))
    hole = painted(page, "hole") == 1
    fill(page)
    first = download(page)
    page.get_by_role("tab", name="Edit").click()
    page.wait_for_selector("[data-name=classes][data-shown]")
    page.locator(".sge-classes label", has_text="water").click()
    drag(page, "classes", (0.3, 0.5), (0.5, 0.55))
    guide = painted(page, "classes")
    assert set(np.unique(guide)) == {2, 255}
    page.locator("#sge-refill").click()
    page.get_by_text("Filled again with your classes").wait_for()
    second, label = download(page, 1), download(page, 2)
    np.testing.assert_array_equal(second[~hole], first[~hole])
    assert (second[hole] != first[hole]).any()
    assert (label[hole & (guide == 2)] == 2).all()
    page.get_by_role("tab", name="Edit").click()
    np.testing.assert_array_equal(painted(page, "classes"), guide)


def test_two_models_side_by_side_and_what_each_can_show(open_page):
    page = open_page()
    choose(page, "sge-second", "GatedConv")
    drag(page, "hole", (0.3, 0.5), (0.5, 0.55))
    assert "by 2 models" in fill(page)
    assert len(alternatives(page)) == 4
    left, right = (page.locator("#sge-result section").nth(number).bounding_box() for number in (0, 1))
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] <= right["x"]
    assert (download(page, 0) != download(page, 1)).any()
    page.get_by_role("tab", name="Segmentation").click()
    page.get_by_text("GatedConv predicts no segmentation").wait_for()
    assert len(alternatives(page)) == 1
    page.get_by_role("tab", name="Confidence").click()
    page.get_by_text("How sure the network is").wait_for()
    page.get_by_role("tab", name="Scales").click()
    page.get_by_text("GatedConv does not work from coarse to fine").wait_for()
    assert len(alternatives(page)) == 20


def test_the_whole_canvas_is_in_reach_and_what_is_announced_is_words(open_page):
    page = open_page()
    page.evaluate(
        """() => {
          window.announced = [];
          const region = document.querySelector(".sr-only[role=status]");
          const heard = () => window.announced.push(region.textContent.trim());
          new MutationObserver(heard).observe(region, { subtree: true, childList: true, characterData: true });
        }"""
    )
    canvas(page, "hole").scroll_into_view_if_needed()
    box = canvas(page, "hole").bounding_box()
    covering = "([x, y]) => document.elementFromPoint(x, y).dataset.name"
    assert page.evaluate(covering, [box["x"] + box["width"] / 2, box["y"] + box["height"] - 2]) == "hole"
    drag(page, "hole", (0.3, 0.5), (0.5, 0.55))
    fill(page)
    page.wait_for_function("() => window.announced.includes('Done')")
    assert not any(words.startswith("common.") for words in page.evaluate("() => window.announced"))


def test_the_slider_moves_by_keyboard_and_both_move_together(open_page):
    page = open_page()
    choose(page, "sge-second", "GatedConv")
    drag(page, "hole", (0.3, 0.5), (0.5, 0.55))
    fill(page)
    page.locator(".sge-slider input").first.focus()
    page.keyboard.press("End")
    positions = page.eval_on_selector_all(".sge-slider", "all => all.map(s => s.style.getPropertyValue('--at'))")
    assert positions == ["100%", "100%"]


def test_a_method_that_cannot_be_guided_says_so(open_page):
    page = open_page()
    choose(page, "sge-model", "GatedConv")
    drag(page, "hole", (0.3, 0.5), (0.5, 0.55))
    fill(page)
    page.get_by_role("tab", name="Edit").click()
    page.get_by_text("GatedConv cannot be guided by classes").wait_for()
    page.locator("#sge-refill").click()
    page.locator(".sge-problem", has_text="GatedConv cannot be guided by classes").wait_for()


def png(width: int, height: int) -> dict[str, object]:
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return {"name": "mine.png", "mimeType": "image/png", "buffer": file.getvalue()}


def put(page, file: dict[str, object]) -> None:
    with page.expect_file_chooser() as waiting:
        page.locator("#sge-upload").click()
    waiting.value.set_files(file)


def test_an_uploaded_image_is_filled_at_its_own_size(open_page):
    page = open_page()
    file = png(90, 61)
    put(page, file)
    page.wait_for_function("() => document.querySelector('[data-name=hole]').width === 90")
    drag(page, "hole", (0.3, 0.3), (0.6, 0.6))
    hole = painted(page, "hole") == 1
    fill(page)
    original = np.asarray(Image.open(io.BytesIO(file["buffer"])))
    np.testing.assert_array_equal(download(page)[~hole], original[~hole])


def test_uploads_over_the_limits_are_refused_in_a_sentence(open_page):
    page = open_page()
    before = canvas(page, "hole").get_attribute("data-shown")
    blank = io.BytesIO()
    Image.new("RGB", (1000, 600)).save(blank, "PNG")
    put(page, {"name": "wide.png", "mimeType": "image/png", "buffer": blank.getvalue()})
    sentence = "The image has 1000×600 = 0.6 million pixels, and at most 0.5 million are accepted; scale it down"
    page.locator(".sge-problem", has_text=sentence).wait_for()
    put(page, {"name": "text.png", "mimeType": "image/png", "buffer": b"no image at all"})
    page.locator(".sge-problem", has_text="not in a known image format").wait_for()
    put(page, png(700, 600))
    page.get_by_text("exceed the maximum allowed size of 1.0 Mb").wait_for()
    assert canvas(page, "hole").get_attribute("data-shown") == before


def test_the_shipped_model_draws_better_than_one_colour(open_page):
    page = open_page()
    page.locator("#sge-model input").click()
    shipped = page.get_by_role("option").filter(has_text="shipped")
    if not shipped.count():
        pytest.skip("this copy of the code comes without a shipped model")
    shipped.click()
    pick(page, 4)
    drag(page, "hole", (0.3, 0.5), (0.5, 0.55))
    hole = painted(page, "hole") == 1
    fill(page)
    original, filled = example_image(4).astype(float), download(page).astype(float)
    mean_colour = original[~hole].mean(axis=0)
    assert np.abs(filled - original)[hole].mean() < 0.7 * np.abs(mean_colour - original)[hole].mean()


def test_on_a_phone_nothing_is_wider_than_the_screen_and_everything_works(open_page):
    page = open_page(viewport={"width": 390, "height": 844}, device_scale_factor=2, has_touch=True, is_mobile=True)

    def fits() -> bool:
        return page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")

    assert fits()
    canvas(page, "hole").tap()
    assert painted(page, "hole")[HEIGHT // 2, WIDTH // 2] == 1
    fill(page)
    for name in ("Segmentation", "Confidence", "Scales", "Edit", "Result"):
        page.get_by_role("tab", name=name).tap()
        page.wait_for_function(
            "name => document.querySelector('[role=tab][aria-selected=true]').textContent.trim() === name", arg=name
        )
        assert fits(), name
    assert alternatives(page)[0] == "The filled image"


def test_visitors_at_once_have_images_of_their_own(open_page):
    pages = [open_page() for _ in range(3)]
    for number, page in enumerate(pages):
        pick(page, number)
        drag(page, "hole", (0.3, 0.5), (0.5, 0.55))
    for page in pages:
        page.get_by_role("button", name="Fill", exact=True).click()
    for number, page in enumerate(pages):
        page.wait_for_selector(".sge-done")
        hole = painted(page, "hole") == 1
        np.testing.assert_array_equal(download(page)[~hole], example_image(number)[~hole])


def test_a_page_made_elsewhere_cannot_reach_this_one_by_another_name(address):
    """A foreign name that leads to loopback is how a web site would read what is served here."""
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=30)
    connection.request("GET", "/", headers={"Host": "example.org"})
    assert connection.getresponse().status == 400
    connection.close()
    connection.request("GET", "/")
    assert connection.getresponse().status == 200
