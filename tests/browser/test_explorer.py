"""The explorer as a reader uses it: by keyboard and by mouse, with nothing hidden, cut off or
crossed after any opening, and nothing that leaves the page.
"""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from browser.chromium import Page, wait
from matplotlib.image import imread

import minigrad as mg
from minigrad import nn
from minigrad.graph.node import GraphNode

PAGE = "<!doctype html><meta charset=utf-8><body style='margin:8px'>{}"
KEYS = {
    "ArrowRight": (39, ""),
    "ArrowLeft": (37, ""),
    "Enter": (13, "\r"),
    "Escape": (27, ""),
    "/": (191, "/"),
    "+": (187, "+"),
    "-": (189, "-"),
    "0": (48, "0"),
    "Tab": (9, ""),
}

#: the chosen element: its name, and whether it is open (None: it cannot be opened)
CHOSEN = """(() => {
  const e = document.querySelector('.mgx-chosen')
  const open = e && e.getAttribute('aria-expanded')
  return e && [e.id.split('-').pop(), open && open == 'true', document.activeElement === e]
})()"""

#: every pair of texts that share area, every line that runs through a text, every text that is cut
#: off; in units of the drawing, whatever its size on the screen
CROSSINGS = r"""(() => {
  const svg = document.querySelector('svg.mg'), to = svg.getScreenCTM().inverse(), found = []
  const seen = e => { for (let at = e; at !== svg; at = at.parentNode)
    if (at.style.display == 'none') return false; return true }
  const rect = e => { const r = e.getBoundingClientRect()
    const a = new DOMPoint(r.left, r.top).matrixTransform(to)
    const b = new DOMPoint(r.right, r.bottom).matrixTransform(to)
    return [a.x, a.y, b.x, b.y] }
  const way = d => { // points along straight and cubic pieces, as `curve` of viz/sheet.py
    const n = d.match(/-?[\d.]+(e-?\d+)?/g).map(Number), size = d.includes('C') ? 6 : 2
    return Array.from({ length: (n.length - 2) / size * 32 + 1 }, (_, k) => {
      const i = Math.min(Math.floor(k / 32), (n.length - 2) / size - 1) * size
      const t = k / 32 - i / size, u = 1 - t
      const weights = size == 6 ? [u ** 3, 3 * u * u * t, 3 * u * t * t, t ** 3] : [u, t]
      const along = axis => weights.reduce((sum, w, j) => sum + w * n[i + 2 * j + axis], 0)
      return [along(0), along(1)] }) }
  const apart = (a, b, by) =>
    a[2] <= b[0] + by || b[2] <= a[0] + by || a[3] <= b[1] + by || b[3] <= a[1] + by
  const texts = [...svg.querySelectorAll('text')].filter(seen).map(e => [e.textContent, rect(e)])
  const ground = rect(svg.querySelector('.bg'))
  texts.forEach(([text, box], k) => {
    for (const [other, b] of texts.slice(0, k)) if (!apart(box, b, 0.6)) found.push([text, other])
    if (box[0] < ground[0] || box[1] < ground[1] || box[2] > ground[2] || box[3] > ground[3])
      found.push([text, 'is cut off'])
  })
  for (const line of svg.querySelectorAll('path.line')) {
    if (!seen(line)) continue
    const around = rect(line), near = texts.filter(([, box]) => !apart(around, box, 0))
    if (!near.length) continue
    const { a, d, e, f } = to.multiply(line.getScreenCTM())
    const hit = way(line.getAttribute('d')).map(([x, y]) => [a * x + e, d * y + f]).map(([x, y]) =>
      near.find(([, [left, top, right, bottom]]) =>
        left < x && x < right && top + 2 < y && y < bottom - 2)).find(Boolean)
    if (hit) found.push([hit[0], 'line ' + line.parentNode.id.split('-').pop()])
  }
  return found
})()"""


class Block(nn.Module):
    """Two layers and a skip around them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: GraphNode) -> GraphNode:
        return mg.relu(self.second(mg.relu(self.first(x))) + x)


def pulled_back(net: nn.Module, rows: int, columns: int) -> GraphNode:
    x = mg.Constant(np.linspace(-1, 1, rows * columns).reshape(rows, columns), name="x")
    y = net(x)
    loss = mg.mse_loss(y, mg.Constant(np.ones(y.value.shape), name="y"))
    loss.backward()
    return loss


def resnet() -> GraphNode:
    mg.manual_seed(0)
    blocks = [Block(8) for _ in range(4)]
    return pulled_back(nn.Sequential(nn.Linear(3, 8), *blocks, nn.Linear(8, 1)), 4, 3)


def deep() -> GraphNode:
    """An MLP of 150 layers: 603 nodes."""
    mg.manual_seed(0)
    layers = [part for _ in range(150) for part in (nn.Linear(3, 3), nn.Tanh())]
    return pulled_back(nn.Sequential(*layers), 2, 3)


def opened(html: str, show, name: str = ".mgx-stage svg") -> Page:
    """A page with the fragment, once its script has run."""
    page = show(PAGE.format(html))
    wait(lambda: page.run(f"!!document.querySelector('{name}')"), what=name)
    return page


def press(page: Page, key: str) -> None:
    page.press(key, *KEYS[key])


def chosen(page: Page) -> list:
    return page.run(CHOSEN)


def focus(page: Page) -> None:
    page.run("document.querySelector('.mgx-stage svg').focus()")


def busy(page: Page) -> float:
    """Milliseconds that the page's main thread has worked: scripts, layout, painting."""
    metrics = {m["name"]: m["value"] for m in page.call("Performance.getMetrics")["metrics"]}
    return 1000 * float(metrics["TaskDuration"])


def enter(page: Page, wanted: bool) -> tuple[str, float]:
    """Open (`wanted`) or close the chosen box; what is chosen then, and the milliseconds."""
    before = busy(page)
    press(page, "Enter")
    page.run("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
    took, (now, is_open, focussed) = busy(page) - before, chosen(page)
    assert is_open is wanted and focussed
    return now, took


def visit(page: Page, within: dict[str, str | None], found: dict[str, tuple[float, float]]) -> None:
    """Open the chosen box, then all boxes in it, and close it: with arrows and Enter."""
    cluster, opening = enter(page, True)
    if len(found) < 20 or len(found) % 10 == 0:
        assert page.run(CROSSINGS) == [], cluster
    press(page, "ArrowRight")
    while within[(at := chosen(page))[0]] == cluster:
        if at[1] is False:
            visit(page, within, found)
        press(page, "ArrowRight")
    while chosen(page)[0] != cluster:
        press(page, "ArrowLeft")
    found[cluster] = opening, enter(page, False)[1]


@pytest.mark.parametrize("make", [resnet, deep], ids=lambda make: make.__name__)
def test_every_box_is_opened_and_closed_by_keyboard_alone(make, page, tmp_path):
    drawing = mg.draw(make())
    drawing.save(tmp_path / "x.html")
    page.call("Performance.enable", timeDomain="threadTicks")
    page.go((tmp_path / "x.html").as_uri())
    wait(lambda: page.run("!!document.querySelector('.mgx-stage svg')"), what="explorer")
    while page.run("document.activeElement.tagName") != "svg":
        press(page, "Tab")
    inside = drawing.scene.picture(len(drawing.scene.sizes) - 1, folded=True)
    boxes = [*inside.boxes, *(cluster.face for cluster in inside.clusters)]
    within = {box.id: box.cluster for box in boxes}
    within |= {cluster.id: cluster.parent for cluster in inside.clusters}
    seen: set[str] = set()
    found: dict[str, tuple[float, float]] = {}
    press(page, "ArrowRight")
    while (at := chosen(page))[0] not in seen:
        seen.add(at[0])
        if at[1]:  # the drawing begins with some open
            enter(page, False)
        if at[1] is not None:
            visit(page, within, found)
            seen.add(chosen(page)[0])
        press(page, "ArrowRight")
    assert set(found) == {cluster.id for cluster in inside.clusters}
    for what, took in zip(("opened", "closed"), zip(*found.values(), strict=True), strict=True):
        print(f"{what} {len(took)} boxes, at most {max(took):.0f} ms, {np.mean(took):.0f} ms each")
    assert page.run("performance.getEntriesByType('resource').length") == 0


# ---------------- by mouse
def middle(page: Page, selector: str) -> tuple[float, float]:
    return tuple(
        page.run(f"""(() => {{ const e = document.querySelector('{selector}')
          e.scrollIntoView({{block: 'center'}}); const r = e.getBoundingClientRect()
          return [r.left + r.width / 2, r.top + r.height / 2] }})()""")
    )


def mouse(page: Page, kind: str, x: float, y: float, **more: object) -> None:
    page.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)


def click(page: Page, selector: str) -> None:
    x, y = middle(page, selector)
    for kind in ("mousePressed", "mouseReleased"):
        mouse(page, kind, x, y, button="left", clickCount=1)


def view(page: Page) -> list[float]:
    return [
        float(x)
        for x in page.run("document.querySelector('svg.mg').getAttribute('viewBox')").split()
    ]


def box_id(drawing: mg.viz.Drawing, title: str) -> str:
    """The selector of the box whose title begins so, or contains it."""
    (key,) = [box.id for box in drawing.picture.boxes if title in box.title][:1]
    return f'g.node[id$="-{key}"]'


def test_a_click_opens_and_closes_a_box(show):
    page = opened(mg.draw(resnet(), depth=0).html, show)
    count = "[...document.querySelectorAll('g.node')].filter(e => e.style.display != 'none').length"
    before = page.run(count)
    click(page, "g.module:not([style*=none]) .label")
    assert page.run(count) > before and chosen(page)[1]
    click(page, ".mgx-chosen > text")  # the caption
    assert page.run(count) == before and chosen(page)[1] is False


def test_a_click_on_a_node_lights_what_it_comes_from_and_leads_to(show):
    a, b = mg.Variable(2.0, name="a"), mg.Variable(3.0, name="b")
    head = mg.stack([mg.sin(a), mg.cos(b)])
    drawing = mg.draw(head)
    page = opened(drawing.html, show)
    click(page, box_id(drawing, "operator sin"))
    far = """[...document.querySelectorAll('g.node.mgx-far > title')].map(
        e => e.textContent.split(';')[0])"""
    assert page.run(far) == ["n2, variable b", "n3, operator cos (cos)"]
    assert "sin" in page.run("document.querySelector('.mgx-panel').textContent")
    focus(page)
    press(page, "Escape")
    assert page.run(far) == [] and chosen(page) is None
    assert page.run("document.querySelector('.mgx-panel').hidden")


def test_the_panel_has_the_array(show):
    values = np.arange(24.0).reshape(2, 3, 4)
    values[0, 1, 2] = np.nan
    drawing = mg.draw(mg.sum(mg.Variable(values, name="x") * 2.0))
    page = opened(drawing.html, show)
    click(page, box_id(drawing, "variable x"))
    panel = page.run("""(() => { const p = document.querySelector('.mgx-panel')
      return [p.textContent, p.querySelectorAll('input[type=range]').length,
        p.querySelectorAll('canvas').length] })()""")
    assert "(2, 3, 4)" in panel[0] and "float32" in panel[0] and panel[1:] == [1, 2]
    x, y = middle(page, ".mgx-panel canvas")
    mouse(page, "mouseMoved", x + 1, y + 1)
    told = "document.querySelector('.mgx-panel output').textContent"
    assert page.run(told) == "[0,1,2] = NaN"
    page.run("""(s => { s.value = 1; s.dispatchEvent(new Event('input')) })(
        document.querySelector('.mgx-panel input'))""")
    mouse(page, "mouseMoved", x + 2, y + 1)
    assert page.run(told) == "[1,1,2] = 18.00"
    assert page.run("document.querySelector('.mgx-panel figcaption').textContent") == "0.00 … 23.0"


def test_the_wheel_zooms_and_dragging_moves(show):
    page = opened(mg.draw(resnet()).html, show)
    whole, (x, y) = view(page), middle(page, "svg.mg")
    mouse(page, "mouseWheel", x, y, deltaX=0, deltaY=-200)
    assert view(page) == whole  # the page scrolls until the drawing has been chosen
    focus(page)
    mouse(page, "mouseWheel", x, y, deltaX=0, deltaY=-200)
    near = wait(lambda: (found := view(page)) != whole and found, what="zoom")
    assert near[2] < whole[2] and near[0] > 0
    mouse(page, "mousePressed", x, y, button="left", clickCount=1)
    mouse(page, "mouseMoved", x - 50, y - 10, button="left", buttons=1)
    mouse(page, "mouseReleased", x - 50, y - 10, button="left", clickCount=1)
    moved = view(page)
    assert moved[0] > near[0] and moved[1] > near[1] and moved[2] == near[2]
    press(page, "0")
    assert view(page) == whole
    press(page, "+")
    assert view(page)[2] < whole[2]


def test_two_fingers_zoom(show):
    page = opened(mg.draw(resnet()).html, show)
    page.call("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=2)
    whole, (x, y) = view(page), middle(page, "svg.mg")

    def touch(kind: str, *far: float) -> None:
        points = [{"x": x + by, "y": y, "id": k} for k, by in enumerate(far)]
        page.call("Input.dispatchTouchEvent", type=kind, touchPoints=points)

    touch("touchStart", -40, 40)
    for by in (60, 80, 100):
        touch("touchMove", -by, by)
    touch("touchEnd")
    assert view(page)[2] < 0.7 * whole[2]


def test_the_search_opens_what_holds_the_hit(show):
    page = opened(mg.draw(resnet(), depth=0).html, show)
    focus(page)
    press(page, "/")
    assert page.run("document.activeElement.className") == "mgx-search"
    page.call("Input.insertText", text="relu")
    assert page.run("document.querySelector('.mgx-hits').textContent").endswith(" found")
    press(page, "Enter")
    seen = page.run("""(e => [e.querySelector('title').textContent, e.style.display])(
        document.querySelector('.mgx-chosen'))""")
    assert "relu" in seen[0].lower() and seen[1] == ""
    press(page, "Escape")
    assert page.run("document.activeElement.tagName") == "svg"


# ---------------- where it stands
def test_names_roles_and_focus_for_who_cannot_see_it(show):
    page = opened(mg.draw(resnet(), depth=1, title="A ResNet").html, show)
    nodes = [n for n in page.call("Accessibility.getFullAXTree")["nodes"] if not n["ignored"]]
    named = [(n["role"]["value"], n.get("name", {}).get("value", "")) for n in nodes]
    assert ("group", "A ResNet") in named and ("searchbox", "search") in named
    buttons = [n for n in nodes if n["role"]["value"] == "button"]
    assert all(n["name"]["value"] for n in buttons) and len(buttons) > 5
    states = {
        p["value"]["value"] for n in buttons for p in n["properties"] if p["name"] == "expanded"
    }
    assert states == {True, False}
    assert all(name for role, name in named if role in ("image", "img", "group"))
    press(page, "Tab")
    style = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.run(style) == "solid"
    focus(page)
    press(page, "ArrowRight")
    width = "getComputedStyle(document.querySelector('.mgx-chosen .shape')).strokeWidth"
    wait(lambda: page.run(width) == "4px", 2, "an outline")  # it grows


def test_two_drawings_do_not_know_of_each_other(show):
    html = mg.draw(resnet(), depth=0).html
    page = opened(html + html, show)
    wait(lambda: page.run("document.querySelectorAll('.mgx-stage svg').length") == 2, what="both")
    focus(page)
    press(page, "ArrowRight")
    press(page, "Enter")
    count = """[...document.querySelectorAll('.mgx')].map(root =>
        root.querySelectorAll('.mgx-chosen').length)"""
    assert page.run(count) == [1, 0]


@pytest.mark.parametrize("where", ["system", "jupyterlab"])
def test_dark_has_no_white_rectangles(where, page, show):
    if where == "system":
        page.prefer(prefers_color_scheme="dark")
    drawing = mg.draw(resnet(), depth=1)
    opened(f"<style>body{{background:#111}}</style>{drawing.html}", show)
    if where == "jupyterlab":
        page.run("document.body.dataset.jpThemeLight = 'false', null")
    focus(page)
    press(page, "ArrowRight")
    pixels = imread(BytesIO(page.screenshot()))[:, :, :3]
    assert (pixels.min(axis=2) > 0.8).mean() < 0.03  # only letters and outlines are light


@pytest.mark.parametrize(
    "name",
    [
        "</script><script>window.bad=1</script>",
        "<img src=x onerror=bad=1>",
        "]]>",
        "\"'",
        "a\x00\x07b",
        "EXPLORER_ID",
        "&lt;b&gt;",
    ],
)
def test_names_are_inert(name, page, tmp_path):
    drawing = mg.draw(mg.sin(mg.Variable(np.ones(2), name=name)), title=name)
    drawing.save(tmp_path / "x.html")
    page.go((tmp_path / "x.html").as_uri())
    wait(lambda: page.run("!!document.querySelector('.mgx-stage svg')"), what="explorer")
    focus(page)
    press(page, "ArrowRight")
    assert page.run("window.bad") is None
    assert page.run("document.querySelectorAll('script, .mgx img').length") == 2
    assert page.run("document.querySelector('.mgx-panel').childElementCount") > 1


def test_without_scripts_the_picture_is_there(page, show):
    page.call("Emulation.setScriptExecutionDisabled", value=True)
    drawing = mg.draw(resnet())
    show(PAGE.format(drawing.html))
    wide, alt = page.run("""(() => { const i = document.querySelector('img.mgx-still')
        return [i.naturalWidth, i.alt] })()""")
    assert wide > 200 and alt == drawing.alt_text
    hidden = "[...document.querySelectorAll('.mgx > *')].filter(e => e.offsetHeight > 0).length"
    assert page.run(hidden) == 1


@pytest.mark.parametrize("wide", [390, 1000])
def test_a_drawing_fits_its_window(wide, page, show):
    page.resize(wide, 800)
    opened(mg.draw(resnet()).html, show)
    right = (
        "Math.max(...[...document.querySelectorAll('*')].map(e => e.getBoundingClientRect().right))"
    )
    assert page.run("document.documentElement.scrollWidth") <= wide and page.run(right) <= wide
    focus(page)
    for _ in range(6):
        press(page, "ArrowRight")
        press(page, "Enter")
    assert page.run("document.documentElement.scrollWidth") <= wide


# ---------------- the scrubber
def test_the_scrubber_inks_lines_and_moves_the_point(show):
    flow = mg.viz.GradientFlow(every=1)
    model = nn.Sequential(nn.Linear(2, 3, seed=0), nn.Tanh(), nn.Linear(3, 1, seed=1))
    optimizer = mg.optim.SGD(model.parameters(), 0.5)
    for _ in range(4):
        optimizer.zero_grad()
        loss = mg.mse_loss(model(np.ones((2, 2))), np.zeros((2, 1)))
        loss.backward()
        flow.record(loss, model)
        optimizer.step()
    page = opened(flow.play().html, show)
    look = """[document.querySelector('.mgx-status').textContent,
      document.querySelector('.mgx-curve circle').getAttribute('cx'),
      [...document.querySelectorAll('.mg .d')].map(e => e.textContent).join()]"""
    wait(lambda: page.run("!document.querySelector('.mgx-controls').hidden"), what="slider")
    first = page.run(look)
    page.run("document.querySelector('.mgx-last').click()")
    last = page.run(look)
    assert first[0].startswith("step 0, loss ") and last[0].startswith("step 3, loss ")
    assert (first[1], last[1]) == ("0", "300") and first[2] != last[2]
    slider = "(s => [s.max, s.value, s.getAttribute('aria-valuetext')])"
    assert page.run(f"{slider}(document.querySelector('.mgx-slider'))") == ["3", "3", last[0]]
