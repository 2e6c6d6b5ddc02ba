"""The step player as a reader uses it: keys, buttons, what is hidden until its step, and what is
left without scripts.
"""

from __future__ import annotations

import base64
import json
import re
import time

import pytest
from browser.chromium import Page, wait
from viz.examples import broken, mlp, neuron, shared, sine

import minigrad as mg
from minigrad.viz import draw, play

PAGE = "<!doctype html><meta charset=utf-8><body style='margin:8px'>{}"
KEYS = {
    "ArrowRight": 39,
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowDown": 40,
    "Home": 36,
    "End": 35,
    " ": 32,
    "Tab": 9,
}

#: of every player of a page: its step, what it says, and the values and gradients that can be seen,
#: by element
LOOK = """[...document.querySelectorAll('.mgx')].map(root => {
  const seen = kind => Object.fromEntries([...root.querySelectorAll('g.flow ' + kind)]
    .filter(t => getComputedStyle(t).visibility == 'visible' && t.getBoundingClientRect().width)
    .map(t => [t.closest('g[id]').id.split('-').pop(), t.textContent]))
  const slider = root.querySelector('.mgx-slider')
  return {step: root.dataset.step, said: root.querySelector('.mgx-status').textContent,
    value: slider.value,
          spoken: slider.getAttribute('aria-valuetext'), values: seen('.v'), grads: seen('.d'),
          titles: [...root.querySelectorAll('g.flow > title')].map(t => t.textContent)}
})"""


def opened(html: str, show, players: int = 1) -> Page:
    """A page with players, once their scripts have run."""
    page = show(PAGE.format(html))
    ready = "document.querySelectorAll('.mgx[data-step]').length"
    wait(lambda: page.run(ready) == players, what="players")
    return page


def press(page: Page, key: str) -> dict:
    """What the first player shows after a key."""
    page.press(key, KEYS[key], " " if key == " " else "")
    return page.run(LOOK)[0]


def focus(page: Page, player: int = 0, part: str = ".mgx-slider") -> None:
    page.run(f"document.querySelectorAll('.mgx')[{player}].querySelector('{part}').focus()")


def node_of(key):
    """The number of the node that a line leaves: of n0f1, or of g2n0f0 in a later place."""
    return re.search(r"n(\d+)f", key)[1]


@pytest.mark.parametrize(
    "make", [sine, shared, neuron, broken, mlp], ids=lambda make: make.__name__
)
def test_every_step_shows_what_is_known_by_then_and_no_more(make, show):
    head = make()
    player = play(head)
    page = opened(player.html, show)
    focus(page)
    steps = player.steps
    full = press(page, "End")
    assert full["step"] == str(len(steps)) == full["value"]
    start = press(page, "Home")
    assert (start["step"], start["values"], start["grads"]) == ("0", {}, {})
    before = start
    for now, step in enumerate(steps, 1):
        seen = press(page, "ArrowRight")
        assert seen["step"] == seen["value"] == str(now)
        assert seen["said"] == f"{step.phase.capitalize()} {step.text}"
        assert seen["spoken"] == f"{step.phase.capitalize()}, step {now} of {len(steps)}"
        new, other = ("values", "grads") if step.phase == "forward" else ("grads", "values")
        assert seen[other] == before[other]
        appeared = dict(seen[new].items() - before[new].items())
        assert appeared.items() <= full[new].items() and before[new].items() <= seen[new].items()
        if step.phase == "forward":
            assert {node_of(key) for key in appeared} <= {step.box[1:]} and appeared
        before = seen
    assert (before["values"], before["grads"]) == (full["values"], full["grads"])
    assert press(page, "ArrowRight")["step"] == str(len(steps))  # there is no step after the last
    assert press(page, "ArrowLeft")["step"] == str(len(steps) - 1)
    assert press(page, "Home")["step"] == "0" and press(page, "ArrowLeft")["step"] == "0"


def test_a_gradient_comes_back_line_by_line_and_contributions_add_up(show):
    x = mg.Variable(2.0, name="x")
    y = mg.sin(x) * x
    y.backward()
    player = play(y)
    page = opened(player.html, show)
    focus(page)
    press(page, "End")
    texts = [step.text for step in player.steps if step.phase == "backward"]
    print(texts)
    arrow = "document.querySelector('.mgx-arrow')"
    assert page.run(f"{arrow}.style.display") == ""
    press(page, "Home")
    assert page.run(f"{arrow}.style.display") == "none"


def test_tooltips_tell_no_number_before_its_step(show):
    page = opened(play(sine()).html, show)
    focus(page)
    assert not any(
        "value" in title or "gradient" in title for title in press(page, "Home")["titles"]
    )
    for _ in range(4):
        forward = press(page, "ArrowRight")
    assert all("value" in title and "gradient" not in title for title in forward["titles"])
    assert sum("gradient" in title for title in press(page, "End")["titles"]) == 3


def test_buttons_and_slider(show):
    page = opened(play(sine()).html, show)
    steps = []
    for name in ("forward", "forward", "back", "last", "first"):
        page.run(f"document.querySelector('.mgx-{name}').click()")
        steps.append(page.run(LOOK)[0]["step"])
    assert steps == ["1", "2", "1", "7", "0"]
    moved = "s => { s.value = 3; s.dispatchEvent(new Event('input', {bubbles: true})) }"
    page.run(f"({moved})(document.querySelector('.mgx-slider'))")
    assert page.run(LOOK)[0]["step"] == "3"


def test_everything_can_be_reached_with_the_tab_key(show):
    page = opened(play(sine()).html, show)
    reached = []
    for _ in range(11):
        press(page, "Tab")
        reached.append(page.run("document.activeElement.getAttribute('aria-label')"))
    assert reached == [
        "zoom in",
        "zoom out",
        "fit to the page",
        "search",
        None,  # the drawing
        "First step",
        "One step back",
        "Play",
        "One step forward",
        "Last step",
        "Step",
    ]


def test_the_space_bar_plays_and_pauses(show):
    page = opened(play(sine()).html, show)
    focus(page)
    assert press(page, " ")["step"] == "1"
    assert page.run("document.querySelector('.mgx-play').getAttribute('aria-label')") == "Pause"
    wait(lambda: int(page.run(LOOK)[0]["step"]) >= 2, 10, "the second step")
    stopped = press(page, " ")["step"]
    assert page.run("document.querySelector('.mgx-play').getAttribute('aria-label')") == "Play"
    time.sleep(1.6)  # longer than a step takes
    assert page.run(LOOK)[0]["step"] == stopped


def test_nothing_moves_by_itself_for_who_asked_for_that(page, show):
    page.prefer(prefers_reduced_motion="reduce")
    opened(play(sine()).html, show)
    focus(page)
    assert press(page, " ")["step"] == "1"
    time.sleep(1.6)  # longer than a step takes
    assert page.run(LOOK)[0]["step"] == "1"
    assert press(page, " ")["step"] == "2"


def test_players_on_one_page_do_not_know_of_each_other(show):
    one, other = play(sine()).html, play(neuron()).html
    page = opened(one + other + one, show, 3)
    focus(page, 1)
    press(page, "End")
    focus(page, 2)
    press(page, "ArrowRight")
    found = page.run(LOOK)
    last = str(len(play(neuron()).steps))
    assert [player["step"] for player in found] == ["0", last, "1"]
    assert [len(player["values"]) for player in found] == [0, 11, 1]


def test_a_player_that_is_added_later_leaves_the_others_where_they_are(show):
    """As in a notebook, when another cell runs."""
    html = play(sine()).html
    page = opened(html, show)
    focus(page)
    press(page, "ArrowRight")
    page.run(
        "document.body.append(document.createRange()"
        f".createContextualFragment({json.dumps(html)})), "
        f"null"
    )
    ready = "document.querySelectorAll('.mgx[data-step]').length"
    wait(lambda: page.run(ready) == 2, what="the second player")
    assert [player["step"] for player in page.run(LOOK)] == ["1", "0"]


def test_keys_outside_of_a_player_do_nothing(show):
    page = opened("<input id=other>" + play(sine()).html, show)
    page.run("document.querySelector('#other').focus()")
    assert press(page, "ArrowRight")["step"] == "0"


def test_without_scripts_the_whole_drawing_is_there(page, show):
    head = neuron()
    page.call("Emulation.setScriptExecutionDisabled", value=True)
    show(PAGE.format(play(head).html))
    wide, alt, source = page.run(
        "(() => { const i = document.querySelector('img.mgx-still'); return [i.naturalWidth, "
        "i.alt, i.src] })()"
    )
    assert wide > 200 and alt.startswith("Computation graph of mean. 11 nodes")
    assert base64.b64decode(source.partition("base64,")[2]).decode() == draw(head).svg
    assert page.run("document.querySelector('.mgx-controls').getBoundingClientRect().height") == 0


def test_a_saved_page_asks_the_network_for_nothing(page, tmp_path):
    play(sine()).save(tmp_path / "player.html")
    page.go((tmp_path / "player.html").as_uri())
    assert page.run(LOOK)[0]["step"] == "0"
    assert page.run("performance.getEntriesByType('resource').map(entry => entry.name)") == []


def test_a_screen_reader_is_told_the_step(show):
    page = opened(play(sine(), title="Sine").html, show)
    focus(page)
    press(page, "ArrowRight")
    nodes = [
        node for node in page.call("Accessibility.getFullAXTree")["nodes"] if not node["ignored"]
    ]
    names = {
        role: [n["name"]["value"] for n in nodes if n["role"]["value"] == role]
        for role in ("group", "slider")
    }
    assert "Sine" in names["group"] and names["slider"] == ["Step"]
    said = page.run("[...document.querySelectorAll('[aria-live=polite]')].map(e => e.textContent)")
    assert [text for text in said if text] == ["Forward Variable x = 2"]
    assert page.run(LOOK)[0]["spoken"] == "Forward, step 1 of 7"
