(() => {
  "use strict";
  const PAUSE = 1400; // milliseconds from step to step while playing
  /* ALIVE */
  const until = (title, words) => title.split(new RegExp("[;:] (?:" + words + ") "))[0]; // what is not known yet
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)");

  // The same player may be on the page twice: each script takes what no other has taken yet.
  for (const root of document.querySelectorAll('[id="PLAYER_ID"]:not([data-step])')) start(root);

  function start(root) {
    const find = (name) => root.querySelector(".mgp-" + name);
    const { steps, owners, complete } = JSON.parse(find("data").textContent);
    const stage = find("stage"), slider = find("slider"), svg = alive(find("still"));
    find("still").replaceWith(svg);
    const elements = new Map();
    for (const id of Object.keys(owners)) {
      const element = svg.querySelector('[id="' + svg.id + "-" + id + '"]');
      if (!element) continue; // a line too short to be drawn
      const title = element.querySelector("title");
      elements.set(id, { element, title, full: title.textContent });
      for (const line of element.querySelectorAll(".small"))
        if (line.textContent.startsWith("∇")) line.classList.add("mgp-gradient");
    }
    const when = { forward: new Map(), backward: new Map() }; // box -> the step at which it is reached
    steps.forEach(([box, phase], i) => when[phase].set(box, i + 1));
    let now = 0, timer = null;

    function show(step) {
      now = Math.min(Math.max(step, 0), steps.length);
      const [box, phase, lines, text] = now ? steps[now - 1] : [null, "start", [], ""];
      root.dataset.step = now;
      root.dataset.phase = phase;
      svg.classList.toggle("mgp-walking", now < steps.length);
      const lit = new Set(lines);
      for (const [id, { element, title, full }] of elements) {
        const owner = owners[id], mark = (name, on) => element.classList.toggle("mgp-" + name, on);
        const later = when.forward.has(owner) && now < when.forward.get(owner);
        const pending = when.backward.has(owner) && now < when.backward.get(owner);
        mark("later", later);
        mark("nograd", pending);
        mark("noalarm", id in complete && now < complete[id]);
        mark("now", owner === box && !element.classList.contains("edge"));
        mark("lit", lit.has(id));
        title.textContent = later ? until(full, "value|gradient") : pending ? until(full, "gradient") : full;
      }
      say(phase, text);
      follow(box);
      // not `disabled`: a button that loses the focus takes the keyboard away with it
      for (const [name, end] of [["first", 0], ["back", 0], ["forward", steps.length], ["last", steps.length]])
        find(name).setAttribute("aria-disabled", now === end);
      if (now === steps.length) halt();
    }

    function say(phase, text) {
      const name = phase === "start" ? "Start" : phase === "forward" ? "Forward" : "Backward";
      const badge = document.createElement("b");
      badge.textContent = name;
      find("status").replaceChildren(badge, " " + (text || "Nothing is computed yet."));
      slider.value = now;
      slider.setAttribute("aria-valuetext", name + ", step " + now + " of " + steps.length);
      find("count").textContent = now + " / " + steps.length;
    }

    function follow(box) { // where the drawing is larger than its window, the current box comes into view
      if (!box) return;
      const place = elements.get(box).element.getBoundingClientRect(), frame = stage.getBoundingClientRect();
      if (place.left < frame.left || place.right > frame.right)
        stage.scrollLeft += (place.left + place.right - frame.left - frame.right) / 2;
      if (place.top < frame.top || place.bottom > frame.bottom)
        stage.scrollTop += (place.top + place.bottom - frame.top - frame.bottom) / 2;
    }

    function halt() {
      clearInterval(timer);
      timer = null;
      root.classList.remove("mgp-playing");
      label("Play");
    }

    function label(text) {
      find("play").setAttribute("aria-label", text);
      find("play").title = text;
    }

    function toggle() {
      if (calm.matches) return show(now + 1); // nothing moves by itself for who asked for that
      if (timer !== null) return halt();
      show(now === steps.length ? 0 : now + 1);
      if (now === steps.length) return;
      timer = setInterval(() => (root.isConnected ? show(now + 1) : halt()), PAUSE);
      root.classList.add("mgp-playing");
      label("Pause");
    }

    function go(step) {
      halt();
      show(step);
    }

    const keys = {
      ArrowRight: () => go(now + 1), ArrowUp: () => go(now + 1), ArrowLeft: () => go(now - 1), ArrowDown: () => go(now - 1),
      Home: () => go(0), End: () => go(steps.length), " ": toggle,
    };
    root.addEventListener("keydown", (event) => {
      const action = keys[event.key];
      const pressing = event.key === " " && event.target.closest("button"); // a button takes the space bar itself
      if (!action || pressing || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      event.stopPropagation();
      action();
    });
    const clicks = { first: () => go(0), back: () => go(now - 1), play: toggle, forward: () => go(now + 1), last: () => go(steps.length) };
    for (const [name, action] of Object.entries(clicks)) find(name).addEventListener("click", action);
    slider.addEventListener("input", () => go(Number(slider.value)));
    calm.addEventListener("change", () => calm.matches && halt());
    find("controls").hidden = false;
    show(0);
  }
})();
