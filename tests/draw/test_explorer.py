"""The explorer: its arithmetic against ours over thousands of settings, and driven in Chromium."""

from __future__ import annotations

import importlib.util
import json
import random
import re
import shutil
import subprocess
from typing import Any

import numpy as np
import pytest
from PIL import Image

import jtconv
from jtconv import conventions
from jtconv.draw import draw, explorer
from jtconv.draw.page import part
from jtconv.problem.call import Call
from jtconv.problem.geometry import Geometry
from jtconv.problem.output_size import legal_sizes
from tests.selection import exhaustive, rows

NAMES = ("rank", "input", "kernel", "stride", "padding", "output_padding", "dilation")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
TIMES = " \N{MULTIPLICATION SIGN} "
NODE = shutil.which("node")
# What the page answers for every one of many settings, as JSON.
ANSWERS = """(many) => many.map((settings) => {
  const trouble = law.trouble(settings);
  if (trouble) return { trouble };
  const solved = law.solve(settings), { axis, y, multiplyAdds, dense, overlap, reachable } = solved;
  const products = settings.rank === 1 ? solved.products : [];
  const calls = conventions.toText(settings)
    .map(({ framework, call, whyNot }) => [framework, call, whyNot]);
  const reached = law.reached(solved), size = law.size(settings).numbers;
  return { axis, y, reached, size, multiplyAdds, dense, overlap, reachable, products, calls };
})"""


def settings(count):
    """Random settings, beyond what the sliders offer too."""
    chance, found = random.Random(11), []
    for _ in range(count):
        rank = 1 if chance.random() < 0.85 else 2
        most = 8 if rank == 1 else 4
        drawn = (rank, chance.randint(1, most), chance.randint(1, most), chance.randint(1, 5))
        rest = chance.randint(0, 4), chance.choice((0, 0, 1, 2)), chance.choice((1, 1, 2, 3))
        layer: dict[str, Any] = dict(zip(NAMES, (*drawn, *rest), strict=True))
        texts = {"channels": chance.choice([(16, 32), (3, 8)]), "bias": chance.random() < 0.5}
        found.append({**layer, **texts, "flip_kernel": chance.random() < 0.5})
    return found


def ours(s):
    """The same answers by jtconv."""
    rank, layer = s["rank"], {k: s[k] for k in NAMES[3:]}
    x, w = (1, *[s["input"]] * rank, s["channels"][0]), (*[s["kernel"]] * rank, *s["channels"])
    try:
        call = Call.of_shapes("conv_transpose", x, w, layer)
    except ValueError:
        return None
    axis = call.geometry.axes[0]
    sizes = s["input"], s["kernel"], s["stride"], s["dilation"], axis.effective_kernel, axis.full
    names = ("input", "kernel", "stride", "dilation", "span", "full", "lo", "hi", "output")
    first = (
        legal_sizes(
            Call.of_shapes("conv_transpose", x, w, {**layer, "output_padding": 0}).geometry.axes[0]
        )
        if axis.y_size > s["output_padding"]
        else None
    )
    drawing = draw((s["input"],) * rank, (s["kernel"],) * rank, **layer)
    problem = drawing.problem
    texts = [
        [text.framework, None if text.why_not else text.call, text.why_not]
        for text in conventions.to_text(conventions.Layer(call, s["bias"], s["flip_kernel"]))
    ]
    return {
        "axis": dict(zip(names, (*sizes, *axis.crops, axis.y_size), strict=True)),
        "y": [problem.total(products) for products in problem.by_output.values()],
        "multiplyAdds": Geometry(call.geometry.axes).multiply_adds,
        "dense": (axis.y_size * axis.kernel) ** rank,
        "reached": [len(products) for products in problem.by_output.values()],
        "size": jtconv.explain(np.ones(x), np.ones(w), **layer).axes[0].size_law,
        "overlap": [count**rank for count in axis.overlap],
        "reachable": [first[0], first[-1]] if first else None,
        "products": [{"m": list(m), "i": list(i), "t": list(t)} for m, i, t in problem.products]
        if rank == 1
        else [],
        "calls": texts,
    }


def compare(answers, many):
    refused = 0
    for s, answer in zip(many, answers, strict=True):
        expected = ours(s)
        if expected is None:
            assert answer.get("trouble"), s
            refused += 1
            continue
        assert "trouble" not in answer, s
        if expected["reachable"] is None:
            del expected["reachable"], answer["reachable"]
        calls = [[*call, None][:3] for call in answer.pop("calls")]
        assert calls == expected.pop("calls"), s
        assert answer == expected, s
    assert 0.02 < refused / len(many) < 0.5


@pytest.mark.skipif(NODE is None, reason="node is not installed")
@pytest.mark.parametrize(("count",), rows({"300": (300,), "2400": (2400,)}, ["300"]))
def test_the_arithmetic_of_the_page_is_ours(count):
    many = settings(count)
    script = (
        f"{part('law.js')}\n{part('conventions.js')}\n"
        f"const many = JSON.parse(require('fs').readFileSync(0, 'utf8'));\n"
        f"process.stdout.write(JSON.stringify(({ANSWERS})(many)));"
    )
    command = [str(NODE), "-e", script]
    run = subprocess.run(
        command, input=json.dumps(many), capture_output=True, text=True, check=False, timeout=120
    )
    assert run.returncode == 0, run.stderr
    compare(json.loads(run.stdout), many)


def test_the_page_is_complete_in_itself():
    page = explorer(kernel=4, stride=3)
    addresses = set(re.findall(r"https?://[^\s\"']+", page))
    assert addresses == {"http://www.w3.org/2000/svg"}  # a name, never fetched
    assert not re.search(r"<link|<script [^>]*src|@import|url\(|fetch\(|XMLHttp|import\(", page)
    assert "/* scripts */" not in page
    assert "/* page.css */" not in page
    start = re.search(r"const START = (.*);", page)
    assert start is not None and json.loads(start[1])["kernel"] == 4


@pytest.mark.parametrize(
    ("start", "because"),
    [
        ({"colour": 3}, "unexpected keyword argument 'colour'"),
        ({"strides": 3}, "did you mean 'stride'"),
        ({"rank": 3}, "rank must be 1 or 2"),
        ({"kernel": 0}, "kernel must be an int >= 1"),
        ({"input": 2.5}, "input must be an int >= 1"),
        ({"padding": -1}, "padding must be an int >= 0"),
        ({"padding": 9}, "leaves no output"),
        ({"output_padding": 2}, "output_padding"),
        ({"input": 300}, "up to 60 cells a side where there are two"),
        ({"rank": 1, "input": 300}, "up to 128 cells a side where there is one axis"),
        ({"channels": 0}, "channels must be an int >= 1"),
        ({"bias": 1}, "bias must be True or False"),
        ({"flip_kernel": None}, "flip_kernel must be True or False"),
    ],
)
def test_where_the_page_cannot_start(start, because):
    with pytest.raises((TypeError, ValueError)) as caught:
        explorer(**start)
    assert because in str(caught.value)


@pytest.fixture(scope="module")
def browser():
    """A real Chromium; without one these tests are skipped by name."""
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("'playwright' is not installed in this environment")
    if CHROMIUM is None:
        pytest.skip("'chromium' is not installed on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser, tmp_path):
    """The explorer opened from a file; a script error or a request elsewhere fails the test."""
    yield from opened(browser, tmp_path)


def opened(browser, folder, width=1280, start=None, **look):
    file = folder / "explorer.html"
    start = start or {"input": 2, "kernel": 4, "stride": 3}
    file.write_text(explorer(**start), encoding="utf-8")
    context = browser.new_context(viewport={"width": width, "height": 900}, **look)
    page, troubles = context.new_page(), []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda sent: troubles.append(sent.url) if sent.url != file.as_uri() else 0)
    page.goto(file.as_uri())
    yield page
    context.close()
    assert [trouble for trouble in troubles if not trouble.startswith(file.as_uri())] == []


def move(page, **sliders):
    for name, to in sliders.items():
        slider = page.locator(f"#{name}")
        if slider.is_enabled():  # those with nothing to choose are not
            slider.fill(str(to))
        assert slider.input_value() == str(to)


def numbers(page, grid):
    """The numbers that can be read in a grid, in order."""
    texts = page.locator(f"#{grid} [data-key]").all_text_contents()
    return [int(text) if text else None for text in texts]


def lit(page, grid):
    keys = page.locator(f"#{grid} .lit").evaluate_all("all => all.map(e => e.dataset.key)")
    return {int(key) for key in keys}


MOVES = [
    {"input": 2, "kernel": 4, "stride": 3},
    {"input": 3, "kernel": 3, "stride": 2, "padding": 1},
    {"input": 3, "kernel": 3, "stride": 2, "padding": 1, "output_padding": 1},
    {"input": 4, "kernel": 2, "stride": 1, "padding": 0, "output_padding": 0, "dilation": 3},
    {"input": 1, "kernel": 1, "stride": 4, "dilation": 1},
]


@pytest.mark.parametrize("rank", [pytest.param(1, marks=exhaustive), 2])
def test_sliders_moved_and_numbers_read_back(page, rank):
    page.locator(f"#rank label:nth-of-type({rank})").click()
    now = {"padding": 0, "output_padding": 0, "dilation": 1}
    for sliders in MOVES:
        now |= sliders
        move(page, **sliders)
        x = (np.arange(now["input"] ** rank) % 9 + 1.0).reshape((now["input"],) * rank)
        w = (np.arange(now["kernel"] ** rank) % 9 + 1.0).reshape((now["kernel"],) * rank)
        layer: dict[str, Any] = {k: now[k] for k in NAMES[3:]}
        y = jtconv.conv_transpose(x[..., None], w[..., None, None], method="scatter", **layer)
        assert numbers(page, "y") == np.asarray(y).ravel().tolist()
        assert numbers(page, "x") == x.ravel().tolist()
        assert numbers(page, "w") == w.ravel().tolist()
        plan = jtconv.explain(x[..., None], w[..., None, None], **layer)
        fact = page.locator("#fact-multiply-adds").inner_text()
        assert fact == f"{plan.multiply_adds:,}"
        assert page.locator("#fact-with-zeros").inner_text() == f"{plan.dense_multiply_adds:,}"
        size = TIMES.join([str(y.shape[0])] * rank)
        assert page.locator("#fact-size").inner_text().endswith(f"→ {size}")
        torch = page.locator("#conventions li:nth-of-type(2) code").inner_text()
        assert torch.startswith(f"torch.nn.ConvTranspose{rank}d(16, 32, {now['kernel']}")


def test_pointing_at_an_output_cell_lights_its_taps_in_every_view(page):
    steps = draw((2, 2), (4, 4), stride=3, view="zeros")
    g = steps.problem.geometry
    for flat in (0, 3, 24, 31):
        m = tuple(map(int, np.unravel_index(flat, g.y_size)))
        page.locator(f"#y [data-key='{flat}']").hover()
        products = steps.problem.by_output[m]
        inputs = {int(np.ravel_multi_index(i, g.x_size)) for _, i, _ in products}
        kernel = {int(np.ravel_multi_index(t, g.kernel)) for _, _, t in products}
        assert lit(page, "y") == {flat}
        assert lit(page, "x") == lit(page, "z") == inputs
        assert lit(page, "w") == lit(page, "v") == kernel
        sentence = page.locator("#sentence").inner_text()
        assert sentence.startswith(f"y[{m[0]}, {m[1]}] = ")
        assert sentence.endswith(f"= {steps.problem.total(products):g}")
    page.locator("h1").hover()
    assert lit(page, "y") == set()


def test_pointing_at_the_matrix(page):
    page.locator("#matrix").scroll_into_view_if_needed()
    size = page.evaluate("matrix.cellSize")
    page.locator("#matrix").hover(position={"x": size * 0.5, "y": size * 24.5})
    assert lit(page, "y") == {24}
    assert lit(page, "x") == {0, 1, 2, 3}


def test_steps_add_up_by_themselves_and_by_hand(page):
    frames = draw((2, 2), (4, 4), stride=3).frames
    for step, frame in enumerate(frames):
        page.locator("#step").fill(str(step))
        cells = frame.grid("y").cells.values()
        assert numbers(page, "y") == [cell.value for cell in cells]
    page.clock.install()
    page.locator("#play").click()
    assert page.locator("#play").get_attribute("aria-label") == "Pause"
    page.clock.run_for(20_000)
    assert page.locator("#play").get_attribute("aria-label") == "Play"
    assert None not in numbers(page, "y")


def test_by_keyboard_alone(page):
    page.locator("#y").focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
    assert lit(page, "y") == {7 + 1}
    page.keyboard.press("Escape")
    assert lit(page, "y") == set()
    page.keyboard.press("Space")
    assert page.locator("#play").get_attribute("aria-label") == "Pause"
    page.keyboard.press("Space")
    page.locator("#stride").focus()
    page.keyboard.press("ArrowLeft")
    assert page.locator("#fact-size").inner_text() == f"2{TIMES}2 → 6{TIMES}6"
    assert "stride=2" in page.evaluate("location.hash")


@pytest.mark.parametrize(
    "start",
    [
        {"rank": 1, "input": 50, "kernel": 16, "stride": 2, "padding": 9, "dilation": 1},
        {"input": 3, "kernel": 12, "stride": 9, "channels": (3, 8), "bias": False},
        {"input": 2, "kernel": 4, "stride": 6, "output_padding": 5, "flip_kernel": True},
    ],
)
def test_sliders_reach_the_start_however_far(browser, tmp_path, start):
    for page in opened(browser, tmp_path, start=start):
        for name in {*start} - {"rank", "channels", "bias", "flip_kernel"}:
            assert page.locator(f"#{name}").input_value() == str(start[name])
        into, out = start.get("channels", (16, 32))
        assert page.locator("#channels").inner_text() == f"with {into} channels in and {out} out"
        torch = page.locator("#conventions li:nth-of-type(2) code").inner_text()
        assert f"({into}, {out}, {start['kernel']}, stride={start['stride']}" in torch
        assert ("bias=False" in torch) == (not start.get("bias", True))
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_the_size_the_colours_and_the_taps_are_told(page):
    move(page, input=5, kernel=3, stride=2, padding=1, output_padding=1)
    told = page.locator("#size-law").inner_text()
    assert told == (
        "out = (in - 1)*stride - 2*padding + dilation*(kernel - 1) + output_padding + 1"
        " = (5 - 1)*2 - 2*1 + 1*(3 - 1) + 1 + 1 = 10"
    )
    plan = draw((5, 5), (3, 3), stride=2, padding=1, output_padding=1).problem
    assert numbers(page, "n") == [len(products) for products in plan.by_output.values()]
    assert page.locator("#legend li").count() == 4
    assert page.locator("#y .cut text").first.text_content() == "-1,-1"
    page.locator("#n [data-key='12']").hover()
    assert lit(page, "y") == lit(page, "n") == {12}


def test_calls_are_copied(page):
    page.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    page.locator("#conventions li:nth-of-type(2) button").click()
    assert page.evaluate("copied") == "torch.nn.ConvTranspose2d(16, 32, 4, stride=3)"
    assert page.locator("#conventions li:nth-of-type(2) button").inner_text() == "Copied"


PAPER = {"light": (255, 255, 255), "dark": (16, 19, 24)}
LOOKS = {f"{width} {scheme}": (width, scheme) for width in (1280, 390) for scheme in PAPER}


@pytest.mark.parametrize(("width", "scheme"), rows(LOOKS, default=["1280 light", "390 dark"]))
def test_how_it_looks(browser, tmp_path, width, scheme):
    """Nothing sticks out to the side, the theme is followed, and every part is painted."""
    for page in opened(browser, tmp_path, width, color_scheme=scheme):
        for sliders in ({}, {"input": 6, "kernel": 6, "stride": 4}):
            move(page, **sliders)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        move(page, input=2, kernel=4, stride=3)
        page.screenshot(path=tmp_path / "page.png", full_page=True)
        with Image.open(tmp_path / "page.png") as shot:
            pixels = np.asarray(shot.convert("RGB"))
        paper = PAPER[scheme]
        assert tuple(pixels[2, 2]) == paper
        assert 0.03 < (pixels != paper).any(axis=-1).mean() < 0.6
        colours = {tuple(colour) for colour in pixels.reshape(-1, 3)[::7]}
        vivid = [colour for colour in colours if int(max(colour)) - int(min(colour)) > 25]
        assert len(vivid) > 9, "one colour a phase at least"
