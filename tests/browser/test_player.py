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
from minigrad.graph.node import GraphNode
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
LOOK = """[...document.querySelectorAll('.mgp')].map(root => {
  const seen = kind => Object.fromEntries([...root.querySelectorAll('g.flow ' + kind)]
    .filter(t => getComputedStyle(t).visibility == 'visible')
    .map(t => [t.closest('g[id]').id.split('-').pop(), t.textContent]))
  const slider = root.querySelector('.mgp-slider')
  return {step: root.dataset.step, said: root.querySelector('.mgp-status').textContent,
    value: slider.value,
          spoken: slider.getAttribute('aria-valuetext'), values: seen('.v'), grads: seen('.d'),
          titles: [...root.querySelectorAll('g.flow > title')].map(t => t.textContent)}
})"""


def press(page: Page, key: str) -> dict:
    """What the first player shows after a key."""
    page.press(key, KEYS[key], " " if key == " " else "")
    return page.run(LOOK)[0]


def focus(page: Page, player: int = 0, part: str = ".mgp-slider") -> None:
    page.run(f"document.querySelectorAll('.mgp')[{player}].querySelector('{part}').focus()")


def walk(head: GraphNode) -> list[tuple[str, int]]:
    """The steps that there must be: forward through all nodes, backward through those with a
    gradient.
    """
    order = mg.topological_sort(head)
    forward = [("forward", i) for i in range(len(order))]
    return forward + [
        ("backward", i) for i in reversed(range(len(order))) if order[i].grad is not None
    ]


def node_of(key):
    """The number of the node that a line leaves: of n0f1, or of g2n0f0 in a later place."""
    return re.search(r"n(\d+)f", key)[1]


@pytest.mark.parametrize(
    "make", [sine, shared, neuron, broken, mlp], ids=lambda make: make.__name__
)
def test_every_step_shows_what_is_known_by_then_and_no_more(make, show):
    head = make()
    player = play(head)
    page = show(PAGE.format(player.html))
    focus(page)
    steps = walk(head)
    assert [(step.phase, int(step.box[1:])) for step in player.steps] == steps
    full = press(page, "End")
    assert full["step"] == str(len(steps)) == full["value"]
    assert list(full["values"]) == [f"n{i}f0" for i in range(len(mg.topological_sort(head)))]
    start = press(page, "Home")
    assert (start["step"], start["values"], start["grads"]) == ("0", {}, {})
    for now, (phase, i) in enumerate(steps, 1):
        seen = press(page, "ArrowRight")
        assert seen["step"] == seen["value"] == str(now)
        assert seen["said"] == f"{phase.capitalize()} {player.steps[now - 1].text}"
        assert seen["spoken"] == f"{phase.capitalize()}, step {now} of {len(steps)}"
        for what, known in (("forward", "values"), ("backward", "grads")):
            reached = {str(k) for way, k in steps[:now] if way == what}
            expected = {k: t for k, t in full[known].items() if node_of(k) in reached}
            assert seen[known] == expected
        assert f"n{i}f0" in seen["values"]
    assert press(page, "ArrowRight")["step"] == str(len(steps))  # there is no step after the last
    assert press(page, "ArrowLeft")["step"] == str(len(steps) - 1)
    assert press(page, "Home")["step"] == "0" and press(page, "ArrowLeft")["step"] == "0"


def test_tooltips_tell_no_number_before_its_step(show):
    page = show(PAGE.format(play(sine()).html))
    focus(page)
    assert not any(
        "value" in title or "gradient" in title for title in press(page, "Home")["titles"]
    )
    for _ in range(4):
        forward = press(page, "ArrowRight")
    assert all("value" in title and "gradient" not in title for title in forward["titles"])
    assert sum("gradient" in title for title in press(page, "End")["titles"]) == 3


def test_buttons_and_slider(show):
    page = show(PAGE.format(play(sine()).html))
    steps = []
    for name in ("forward", "forward", "back", "last", "first"):
        page.run(f"document.querySelector('.mgp-{name}').click()")
        steps.append(page.run(LOOK)[0]["step"])
    assert steps == ["1", "2", "1", "7", "0"]
    moved = "s => { s.value = 3; s.dispatchEvent(new Event('input', {bubbles: true})) }"
    page.run(f"({moved})(document.querySelector('.mgp-slider'))")
    assert page.run(LOOK)[0]["step"] == "3"


def test_everything_can_be_reached_with_the_tab_key(show):
    page = show(PAGE.format(play(sine()).html))
    reached = []
    for _ in range(6):
        press(page, "Tab")
        reached.append(page.run("document.activeElement.getAttribute('aria-label')"))
    assert reached == [
        "First step",
        "One step back",
        "Play",
        "One step forward",
        "Last step",
        "Step",
    ]


def test_the_space_bar_plays_and_pauses(show):
    page = show(PAGE.format(play(sine()).html))
    focus(page)
    assert press(page, " ")["step"] == "1"
    assert page.run("document.querySelector('.mgp-play').getAttribute('aria-label')") == "Pause"
    wait(lambda: int(page.run(LOOK)[0]["step"]) >= 2, 10, "the second step")
    stopped = press(page, " ")["step"]
    assert page.run("document.querySelector('.mgp-play').getAttribute('aria-label')") == "Play"
    time.sleep(1.6)  # longer than a step takes
    assert page.run(LOOK)[0]["step"] == stopped


def test_nothing_moves_by_itself_for_who_asked_for_that(page, show):
    page.prefer(prefers_reduced_motion="reduce")
    show(PAGE.format(play(sine()).html))
    focus(page)
    assert press(page, " ")["step"] == "1"
    time.sleep(1.6)  # longer than a step takes
    assert page.run(LOOK)[0]["step"] == "1"
    assert press(page, " ")["step"] == "2"


def test_players_on_one_page_do_not_know_of_each_other(show):
    one, other = play(sine()).html, play(neuron()).html
    page = show(PAGE.format(one + other + one))
    focus(page, 1)
    press(page, "End")
    focus(page, 2)
    press(page, "ArrowRight")
    found = page.run(LOOK)
    last = str(len(walk(neuron())))
    assert [player["step"] for player in found] == ["0", last, "1"]
    assert [len(player["values"]) for player in found] == [0, 11, 1]


def test_a_player_that_is_added_later_leaves_the_others_where_they_are(show):
    """As in a notebook, when another cell runs."""
    html = play(sine()).html
    page = show(PAGE.format(html))
    focus(page)
    press(page, "ArrowRight")
    page.run(
        "document.body.append(document.createRange()"
        f".createContextualFragment({json.dumps(html)})), "
        f"null"
    )
    assert [player["step"] for player in page.run(LOOK)] == ["1", "0"]


def test_keys_outside_of_a_player_do_nothing(show):
    page = show(PAGE.format("<input id=other>" + play(sine()).html))
    page.run("document.querySelector('#other').focus()")
    assert press(page, "ArrowRight")["step"] == "0"


def test_without_scripts_the_whole_drawing_is_there(page, show):
    head = neuron()
    page.call("Emulation.setScriptExecutionDisabled", value=True)
    show(PAGE.format(play(head).html))
    wide, alt, source = page.run(
        "(() => { const i = document.querySelector('img.mgp-still'); return [i.naturalWidth, "
        "i.alt, i.src] })()"
    )
    assert wide > 200 and alt.startswith("Computation graph of mean. 11 nodes")
    assert base64.b64decode(source.partition("base64,")[2]).decode() == draw(head).svg
    assert page.run("document.querySelector('.mgp-controls').getBoundingClientRect().height") == 0
    assert (
        page.run("document.querySelector('.mgp-status').textContent")
        == "All values and gradients are shown."
    )


def test_a_saved_page_asks_the_network_for_nothing(page, tmp_path):
    play(sine()).save(tmp_path / "player.html")
    page.go((tmp_path / "player.html").as_uri())
    assert page.run(LOOK)[0]["step"] == "0"
    assert page.run("performance.getEntriesByType('resource').map(entry => entry.name)") == []


def test_a_screen_reader_is_told_the_step(show):
    page = show(PAGE.format(play(sine(), title="Sine").html))
    focus(page)
    press(page, "ArrowRight")
    nodes = [
        node for node in page.call("Accessibility.getFullAXTree")["nodes"] if not node["ignored"]
    ]
    names = {
        role: [n["name"]["value"] for n in nodes if n["role"]["value"] == role]
        for role in ("group", "slider")
    }
    assert "Step player: Sine" in names["group"] and names["slider"] == ["Step"]
    said = page.run("[...document.querySelectorAll('[aria-live=polite]')].map(e => e.textContent)")
    assert said == ["Forward Variable x = 2"]
    assert page.run(LOOK)[0]["spoken"] == "Forward, step 1 of 7"
