(() => {
  "use strict";
  /* ALIVE */
  const PAUSE = 1400; // milliseconds from step to step while playing
  const SIDE = 64; // rows and columns of tiles that are shown at once
  const GAP = 22, SPACE = 8, MARGIN = 10, LANE = 7, GUTTER = 16, FRAME = 10, CAPTION = 24, TURN = 6, ARROW = 6;

  // The same drawing may be on a page twice: each script takes what no other has taken yet.
  for (const root of document.querySelectorAll('[id="EXPLORER_ID"]:not([data-alive])')) explore(root);

  async function explore(root) {
    root.dataset.alive = "";
    const find = (name) => root.querySelector(".mgx-" + name);
    const data = await unpacked(find("data").textContent);
    const svg = data.svg ? parsed(data.svg) : alive(find("still"));
    find("still").replaceWith(svg);
    const stage = find("stage"), panel = find("panel");
    const prefix = svg.id + "-", elements = new Map();
    for (const item of svg.querySelectorAll("g[id]")) elements.set(item.id.slice(prefix.length), item);
    const foot = svg.querySelector(".foot"), ground = svg.querySelector(".bg");
    const words = new Map([...elements].map(([id, item]) => [id, item.querySelector("title")?.textContent ?? ""]));
    const open = new Set(data.open); // clusters
    const faces = new Map(Object.entries(data.groups).map(([face, [cluster]]) => [cluster, face]));
    let size = [ground.width.baseVal.value, ground.height.baseVal.value], view = [0, 0, ...size], chosen = null;
    const visible = new Set(elements.keys());

    // ---------------- where everything goes: as arrange.py does it, box by box
    function inside(cluster, room) {
      const { columns, edges } = data.insides[cluster];
      const block = { width: 0, height: 0, places: {}, curves: {}, frames: {}, borders: {} };
      const things = {}, column = {}, heights = {};
      columns.forEach((keys, c) => keys.forEach(([key]) => {
        things[key] ??= thing(key, room);
        if (!key.includes(":")) column[key] = c;
      }));
      const ends = (edge) => [column[edge.source || "<" + edge.port], column[edge.target || ">" + edge.slot]];
      const ahead = edges.filter((edge) => !edge.back);
      const crossing = columns.map((_, c) => ahead.filter((edge) => ends(edge)[0] <= c && c < ends(edge)[1]));
      const wide = columns.map((keys) => Math.max(0, ...keys.map(([key]) => things[key].width)));
      const gaps = crossing.map((lines) => GAP + 3 * Math.min(10, lines.length));
      const rows = inRows(wide, gaps, room, columns, edges, column);
      const trunks = (c) => new Set(crossing[c].map((edge) => edge.trunk)).size;
      const returns = rows.slice(0, -1).map((row) => trunks(row[row.length - 1]));
      const left = returns.length ? MARGIN + LANE * Math.max(...returns) : 0;
      const lefts = [], rowOf = [], bounds = [];
      let top = 0;
      rows.forEach((row, r) => {
        let x = left;
        const moved = {};
        for (const c of row) {
          [lefts[c], rowOf[c]] = [x, r];
          x += wide[c] + (c === row[row.length - 1] ? 0 : gaps[c]);
          const shifts = columns[c].filter(([key]) => key in moved).map(([key]) => mean(moved[key]));
          const usual = shifts.length ? mean(shifts) : 0;
          const keys = [...columns[c]].sort((a, b) => a[1] - b[1]);
          const found = spread(keys.map(([key, y]) => [y + (key in moved ? mean(moved[key]) : usual), things[key]]));
          heights[c] = Object.fromEntries(keys.map(([key], k) => [key, found[k]]));
          for (const edge of crossing[c]) {
            const [a, b] = ends(edge), here = a === c ? edge.source || "<" + edge.port : edge.trunk;
            if (a === c && things[here].leaf) continue;
            const planned = columns[c].find(([key]) => key === here)[1];
            const shift = heights[c][here] - planned + (a === c ? outer(edge, true) : 0);
            const next = c + 1 < b ? edge.trunk : edge.target || ">" + edge.slot;
            (moved[next] ??= []).push(c + 1 < b ? shift : shift - outer(edge, false));
          }
        }
        const reach = ([key, y]) => [y - things[key].above, y + things[key].below];
        const all = row.flatMap((c) => Object.entries(heights[c]).map(reach));
        const high = Math.min(...all.map(([a]) => a)), low = Math.max(...all.map(([, b]) => b));
        for (const c of row) for (const key in heights[c]) heights[c][key] += top - high;
        bounds.push([x, top + low - high]);
        block.width = Math.max(block.width, x + left);
        top += low - high + GUTTER + LANE * (returns[r] ?? 0);
      });
      block.height = bounds[bounds.length - 1][1];

      function outer(edge, start) { // how much farther from its middle an edge begins or ends where the box is open
        const { block: inner } = things[start ? edge.source : edge.target] ?? {};
        return inner ? inner.borders[start ? ">" + edge.port : "<" + edge.slot] - dock(edge, start) : 0;
      }
      function dock(edge, start) {
        return (start ? data.outs[edge.source + "f" + edge.port] : data.ins[edge.id]) ?? 0;
      }
      function height(c, edge) {
        const [a, b] = ends(edge);
        if (c !== a && c !== b) return heights[c][edge.trunk];
        const key = c === a ? edge.source || "<" + edge.port : edge.target || ">" + edge.slot;
        return heights[c][key] + (/[<>]/.test(key) ? 0 : dock(edge, c === a) + outer(edge, c === a));
      }
      const begin = (edge, a) => (edge.source ? lefts[a] + (wide[a] + things[edge.source].width) / 2 : 0);
      function stop(edge, b) {
        if (!edge.target) return block.width;
        const { block: inner, width } = things[edge.target];
        return lefts[b] + wide[b] / 2 - (inner ? width / 2 : data.insets[edge.id]);
      }
      for (const edge of ahead) {
        const [a, b] = ends(edge), points = [[begin(edge, a), height(a, edge)]];
        for (let c = a; c < b; c++) {
          const y0 = height(c, edge), y1 = height(c + 1, edge), x0 = lefts[c] + wide[c], x1 = lefts[c + 1];
          straight(points, [x0, y0]);
          if (rowOf[c] === rowOf[c + 1]) points.push([(x0 + x1) / 2, y0], [(x0 + x1) / 2, y1], [x1, y1]);
          else {
            const lines = [...crossing[c]].sort((p, q) => height(c, p) - height(c, q)).map((line) => line.trunk);
            const order = [...new Set(lines)], k = order.indexOf(edge.trunk), n = order.length - 1 - k;
            const [end, bottom] = bounds[rowOf[c]], low = bottom + GUTTER / 2 + LANE * n;
            const right = end + MARGIN + LANE * n, near = x1 - MARGIN - LANE * k;
            rounded(points, [[right, y0], [right, low], [near, low], [near, y1], [x1, y1]]);
          }
        }
        straight(points, [stop(edge, b), height(b, edge)]);
        block.curves[edge.id] = points;
      }
      const loops = edges.filter((edge) => edge.back);
      loops.forEach((edge, k) => {
        const a = column[edge.source], b = column[edge.target], y0 = height(a, edge), y1 = height(b, edge);
        const low = block.height + MARGIN + LANE * k, right = lefts[a] + wide[a] + MARGIN, near = lefts[b] - MARGIN;
        const corners = [[right, y0], [right, low], [near, low], [near, y1], [stop(edge, b), y1]];
        block.curves[edge.id] = rounded([[begin(edge, a), y0]], corners);
      });
      block.height += loops.length ? MARGIN + LANE * loops.length : 0;
      for (const c in heights)
        for (const [key, y] of Object.entries(heights[c])) {
          if (/[<>]/.test(key)) block.borders[key] = y;
          else if (!key.includes(":")) put(block, key, things[key], lefts[c] + wide[c] / 2, y);
        }
      return block;
    }

    function thing(key, room) {
      const [width, half, weight] = data.things[key] ?? [0, /[<>]/.test(key) ? 6 : 3, 4];
      const [cluster, caption] = data.groups[key] ?? [];
      if (!open.has(cluster)) return { width, above: half, below: half, weight, leaf: weight === 1 };
      const inner = inside(cluster, room - 2 * FRAME - 2 * (MARGIN + 2 * LANE));
      const wide = Math.max(inner.width, caption) + 2 * FRAME, tall = inner.height + CAPTION + FRAME;
      const borders = Object.values(inner.borders), above = CAPTION + (borders.length ? borders[0] : inner.height / 2);
      const block = { width: wide, height: tall, places: {}, curves: {}, frames: {}, borders: {} };
      for (const [name, y] of Object.entries(inner.borders)) block.borders[name] = y + CAPTION - above;
      add(block, inner, (wide - inner.width) / 2, CAPTION);
      for (const edge of data.insides[cluster].edges) { // from border to border of the frame
        const points = block.curves[edge.id];
        if (!edge.source) block.curves[edge.id] = [...straight([[0, points[0][1]]], points[0]), ...points.slice(1)];
        if (!edge.target) straight(block.curves[edge.id], [wide, points[points.length - 1][1]]);
      }
      return { width: wide, above, below: tall - above, weight: 100 * weight, block };
    }

    function put(block, key, { width, above, block: inner }, x, y) {
      block.places[key] = [x, y];
      if (!inner) return;
      add(block, inner, x - width / 2, y - above);
      block.frames[data.groups[key][0]] = [x - width / 2, y - above, inner.width, inner.height];
    }

    // ---------------- what is seen
    function draw() {
      const room = stage.clientWidth; // asked before anything changes, so that the page is laid out once
      const block = inside("", Math.min(data.room, Math.max(room || data.room, data.least))), [left, top] = data.origin;
      visible.clear();
      for (const [id, [x, y]] of Object.entries(block.places)) {
        if (open.has(data.groups[id]?.[0])) continue;
        for (const part of [id, ...(data.flows[id] ?? [])])
          show(part, `translate(${x + left - data.drawn[id][0]} ${y + top - data.drawn[id][1]})`);
      }
      for (const [cluster, [x, y, width, height]] of Object.entries(block.frames)) {
        const item = elements.get(cluster), text = item.querySelector("text");
        change(item.querySelector("rect"), { x: x + left, y: y + top, width, height });
        change(text, { x: x + left + 12, y: y + top + 16 });
        show(cluster);
      }
      for (const [id, points] of Object.entries(block.curves)) trace(id, points.map(([x, y]) => [x + left, y + top]));
      for (const id of data.moving) {
        const style = elements.get(id)?.style, wanted = visible.has(id) ? "" : "none";
        if (style && style.display !== wanted) style.display = wanted;
      }
      size = [Math.max(block.width, data.least) + 2 * left, block.height + data.rest];
      change(foot, { transform: `translate(0 ${block.height - data.height})` });
      change(ground, { width: size[0], height: size[1] });
      fit();
    }

    function show(id, transform) {
      visible.add(id);
      if (transform && elements.has(id)) change(elements.get(id), { transform });
    }

    function trace(id, points) {
      const item = elements.get(id), tip = item.querySelector(".tip"), last = points[points.length - 1];
      const ends = tip && !open.has(data.groups[data.targets[id]]?.[0]);
      const drawn = points.map((point) => [...point]);
      if (tip) change(tip, { display: ends ? "inline" : "none" });
      if (ends) {
        tip.dataset.x ??= tip.points[0].x;
        tip.dataset.y ??= tip.points[0].y;
        change(tip, { transform: `translate(${last[0] - tip.dataset.x} ${last[1] - tip.dataset.y})` });
        drawn[drawn.length - 1][0] -= ARROW;
      }
      const [start, ...rest] = drawn;
      change(item.querySelector(".line"), { d: `M${start}${rest.length > 1 ? "C" : "L"}${rest.join(" ")}` });
      show(id);
    }

    function fit() {
      view = [0, 0, ...size];
      const most = data.steps || data.frames ? 0.7 * window.innerHeight : Infinity; // the slider stays in sight
      svg.style.maxWidth = Math.min(size[0], (most * size[0]) / size[1]) + "px"; // and no larger than drawn
      look();
    }

    function look() {
      svg.setAttribute("viewBox", view.join(" "));
    }

    function zoom(factor, x = view[0] + view[2] / 2, y = view[1] + view[3] / 2) {
      const most = Math.max(...size) * 2, wide = Math.min(Math.max(view[2] * factor, 40), most), by = wide / view[2];
      view = [x - (x - view[0]) * by, y - (y - view[1]) * by, wide, view[3] * by];
      look();
    }

    function centre(id) {
      const box = elements.get(id).getBoundingClientRect(), frame = svg.getBoundingClientRect();
      const scale = view[2] / frame.width;
      if (box.left < frame.left || box.right > frame.right || box.top < frame.top || box.bottom > frame.bottom) {
        view[0] += ((box.left + box.right - frame.left - frame.right) / 2) * scale;
        view[1] += ((box.top + box.bottom - frame.top - frame.bottom) / 2) * scale;
        look();
      }
      elements.get(id).scrollIntoView({ block: "nearest", inline: "nearest" });
    }

    // ---------------- opening and choosing
    const parent = (id) => data.within[id] ?? ""; // the cluster that a box or a cluster's face lies in
    const boxes = () => Object.keys(data.drawn).filter((id) => visible.has(id));

    function toggle(face, wanted = null) {
      const [cluster] = data.groups[face] ?? [];
      if (cluster === undefined || wanted === open.has(cluster)) return;
      if (open.has(cluster)) for (const other of [...open]) within(other, cluster) && open.delete(other);
      else open.add(cluster);
      draw();
      choose(open.has(cluster) ? cluster : face);
    }

    function within(cluster, other) {
      for (let at = cluster; at; at = parent(faces.get(at))) if (at === other) return true;
      return false;
    }

    function reveal(id) {
      const closed = [];
      for (let at = parent(id); at; at = parent(faces.get(at))) if (!open.has(at)) closed.push(at);
      for (const cluster of closed) open.add(cluster);
      if (closed.length) draw();
    }

    function choose(id, follow = false) {
      chosen = id;
      mark(follow);
      tell(id);
      if (id) {
        elements.get(id).focus({ preventScroll: true });
        centre(id);
      }
    }

    /* The lines that lead to a box and from it, across borders. A place is a box, or an entry or exit of a group. */
    function joined() {
      const lines = [];
      for (const [cluster, { edges }] of Object.entries(data.insides))
        for (const { id, source, port, target, slot, back } of edges) {
          if (back || !visible.has(id)) continue;
          const from = data.groups[source]?.[0], to = data.groups[target]?.[0];
          const start = source === "" ? cluster + "<" + port : open.has(from) ? from + ">" + port : source;
          const stop = target === "" ? cluster + ">" + slot : open.has(to) ? to + "<" + slot : target;
          lines.push([id, start, stop]);
        }
      for (const id of boxes()) if (id[0] === "g") lines.push(["", "n" + id.split("n")[1], id]);
      return lines;
    }

    function mark(follow) {
      const lit = new Set();
      for (const [from, to] of follow && chosen && !open.has(chosen) ? [[1, 2], [2, 1]] : []) {
        const lines = joined(), seen = new Set([chosen]), waiting = [chosen];
        while (waiting.length) {
          const at = waiting.pop();
          for (const line of lines)
            if (line[from] === at) {
              lit.add(line[0]).add(line[to]);
              if (!seen.has(line[to])) waiting.push(line[to]), seen.add(line[to]);
            }
        }
      }
      if (lit.size) lit.add(chosen);
      for (const id of data.moving) {
        const far = lit.size && !faces.has(id) && !lit.has(id) && !lit.has(data.owners[id]);
        elements.get(id)?.classList.toggle("mgx-far", far);
      }
      svg.querySelector(".mgx-chosen")?.classList.remove("mgx-chosen");
      elements.get(chosen)?.classList.add("mgx-chosen");
    }

    // ---------------- the panel
    function tell(id) {
      panel.hidden = !id;
      if (!id) return;
      const [first, ...more] = words.get(id).split("; ");
      panel.replaceChildren(made("b", first), ...more.map((line) => made("div", line)));
      const face = data.groups[id] ? id : faces.get(id);
      if (face) {
        const button = made("button", open.has(data.groups[face][0]) ? "Close (Enter)" : "Open (Enter)");
        button.addEventListener("click", () => toggle(face));
        panel.append(button);
      }
      const node = id[0] === "g" ? "n" + id.split("n")[1] : id;
      for (const [name, packed] of Object.entries(data.arrays[node] ?? {})) panel.append(tiles(name, packed));
    }

    /* An array as signed tiles, its last two axes down and across, with a slider for each other axis. */
    function tiles(name, [shape, scale, code, kept]) {
      const bytes = Uint8Array.from(atob(code), (c) => c.charCodeAt(0)), numbers = new Int16Array(bytes.buffer);
      const value = (k) => (numbers[k] === -32768 ? NaN : (numbers[k] / 32767) * scale);
      const axes = kept.length > 1 ? kept : [1, ...kept, ...(kept.length ? [] : [1])];
      const [tall, wide] = axes.slice(-2), outer = axes.slice(0, -2), at = outer.map(() => 0);
      const part = made("section"), canvas = made("canvas"), told = made("output", " ");
      part.append(made("h4", `${name} (${shape.join(", ")})`));
      outer.forEach((n, axis) => {
        const slider = Object.assign(made("input"), { type: "range", min: 0, max: n - 1, value: 0 });
        slider.setAttribute("aria-label", "index of axis " + axis);
        slider.addEventListener("input", () => ((at[axis] = Number(slider.value)), paint()));
        part.append(slider);
      });
      const start = () => at.reduce((all, k, axis) => all * outer[axis] + k, 0) * tall * wide;
      const side = Math.max(4, Math.min(24, Math.floor(256 / Math.max(tall, wide))));
      function paint() {
        Object.assign(canvas, { width: wide * side, height: tall * side });
        const pen = canvas.getContext("2d");
        for (let k = 0; k < tall * wide; k++) {
          const x = (k % wide) * side, y = Math.floor(k / wide) * side, v = value(start() + k);
          tile(pen, x, y, side, scale ? v / scale : v);
        }
      }
      canvas.addEventListener("pointermove", (event) => {
        const x = Math.floor((event.offsetX / canvas.clientWidth) * wide);
        const y = Math.floor((event.offsetY / canvas.clientHeight) * tall);
        if (x >= wide || y >= tall) return;
        const index = [...at, y, x].slice(-Math.max(shape.length, 1));
        told.textContent = `[${index}] = ${value(start() + y * wide + x).toPrecision(4)}`;
      });
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `${name}: orange is positive, blue negative`);
      paint();
      part.append(canvas, told);
      const finite = [...numbers.keys()].map(value).filter(Number.isFinite);
      if (finite.length > 1) part.append(histogram(finite));
      if (kept.join() !== shape.join()) part.append(made("small", `shown are the first ${kept.join(" × ")}`));
      return part;
    }

    // ---------------- search, keys, pointer
    function search(text) {
      const wanted = text.trim().toLowerCase();
      const hits = wanted ? Object.keys(data.drawn).filter((id) => words.get(id).toLowerCase().includes(wanted)) : [];
      find("hits").textContent = wanted ? `${hits.length} found` : "";
      return hits;
    }
    let hit = -1;
    find("search").addEventListener("input", () => ((hit = -1), search(find("search").value)));
    find("search").addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Escape") return svg.focus();
      const hits = event.key === "Enter" ? search(find("search").value) : [];
      if (!hits.length) return;
      hit = (hit + (event.shiftKey ? hits.length - 1 : 1)) % hits.length;
      reveal(hits[hit]);
      const face = data.groups[hits[hit]]?.[0];
      choose(open.has(face) ? face : hits[hit]);
      find("search").focus();
    });

    function step(by) { // along the drawing, in the order of computation
      const order = [...elements.keys()].filter((id) => visible.has(id) && (id in data.drawn || faces.has(id)));
      order.sort((a, b) => data.order[a] - data.order[b]);
      const at = chosen === null && by < 0 ? 0 : order.indexOf(chosen);
      choose(order[(at + by + order.length) % order.length]);
    }

    const keys = {
      ArrowRight: () => step(1), ArrowDown: () => step(1), ArrowLeft: () => step(-1), ArrowUp: () => step(-1),
      Enter: () => {
        const face = data.groups[chosen] ? chosen : faces.get(chosen);
        if (face) toggle(face);
        else if (chosen) choose(chosen, true);
      },
      Escape: () => choose(null), "/": () => find("search").focus(),
      "+": () => zoom(0.8), "-": () => zoom(1.25), 0: () => fit(),
    };
    svg.addEventListener("keydown", (event) => {
      const action = keys[event.key];
      if (!action || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      event.stopPropagation();
      action();
    });
    const at = (event) => event.target.closest?.("g.node,g.cluster,g.flow,g.edge")?.id.slice(prefix.length);
    svg.addEventListener("click", (event) => {
      if (moved) return;
      const id = data.owners[at(event)] ?? at(event);
      if (!id) return choose(null);
      if (data.groups[id]) return toggle(id);
      if (faces.has(id) && event.target.closest("text")) return toggle(faces.get(id));
      choose(faces.has(id) || id in data.drawn ? id : null, true);
      if (words.has(at(event)) && !(id in data.drawn) && !faces.has(id)) tell(id);
    });
    const pointers = new Map();
    let moved = false;
    const place = (x, y) => {
      const frame = svg.getBoundingClientRect();
      const [across, down] = [(x - frame.left) / frame.width, (y - frame.top) / frame.height];
      return [view[0] + across * view[2], view[1] + down * view[3]];
    };
    svg.addEventListener("pointerdown", (event) => ((moved = false), pointers.set(event.pointerId, event)));
    svg.addEventListener("pointermove", (event) => {
      const before = pointers.get(event.pointerId);
      if (!before) return;
      const others = [...pointers.values()].filter((other) => other.pointerId !== event.pointerId);
      const far = (a, b) => Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
      if (!moved && !others.length && far(event, before) < 4) return;
      moved = true;
      if (others.length) { // two fingers
        const [other] = others, x = (event.clientX + other.clientX) / 2, y = (event.clientY + other.clientY) / 2;
        zoom(far(before, other) / (far(event, other) || 1), ...place(x, y));
      } else {
        const [x0, y0] = place(before.clientX, before.clientY), [x1, y1] = place(event.clientX, event.clientY);
        view[0] += x0 - x1;
        view[1] += y0 - y1;
        look();
      }
      pointers.set(event.pointerId, event);
    });
    for (const name of ["pointerup", "pointercancel", "pointerleave"])
      svg.addEventListener(name, (event) => pointers.delete(event.pointerId));
    svg.addEventListener("wheel", (event) => { // the page scrolls unless the drawing has been clicked
      if (!event.ctrlKey && !root.contains(document.activeElement)) return;
      event.preventDefault();
      zoom(Math.exp(event.deltaY / 500), ...place(event.clientX, event.clientY));
    }, { passive: false });
    for (const [name, action] of Object.entries({ in: () => zoom(0.8), out: () => zoom(1.25), fit: () => fit() }))
      find(name).addEventListener("click", action);

    for (const id of [...Object.keys(data.drawn), ...faces.keys()]) {
      const item = elements.get(id);
      item.setAttribute("tabindex", "-1");
      item.setAttribute("role", data.groups[id] || faces.has(id) ? "button" : "img");
      item.setAttribute("aria-label", words.get(id));
      if (data.groups[id] || faces.has(id)) item.setAttribute("aria-expanded", faces.has(id));
    }
    svg.setAttribute("tabindex", "0");
    svg.setAttribute("role", "group");
    for (const name of ["width", "height"]) svg.removeAttribute(name); // the view box has the shape
    svg.setAttribute("preserveAspectRatio", "xMinYMin");
    find("bar").hidden = false;
    if (data.svg) draw();
    else fit();
    if (data.steps) timeline(root, data.steps.length, stepping(data, elements, find, svg), calm);
    if (data.frames) timeline(root, data.frames.steps.length - 1, inking(data, elements, find), calm);
  }

  // ---------------- a slider over steps
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)");

  function timeline(root, last, show, calm) {
    const find = (name) => root.querySelector(".mgx-" + name), slider = find("slider");
    let now = 0, timer = null;
    slider.max = last;

    function go(step) {
      now = Math.min(Math.max(step, 0), last);
      root.dataset.step = now;
      slider.value = now;
      find("count").textContent = now + " / " + last;
      slider.setAttribute("aria-valuetext", show(now));
      // not `disabled`: a button that loses the focus takes the keyboard away with it
      for (const [name, end] of [["first", 0], ["back", 0], ["forward", last], ["last", last]])
        find(name).setAttribute("aria-disabled", now === end);
      if (now === last) halt();
    }

    function halt() {
      clearInterval(timer);
      timer = null;
      root.classList.remove("mgx-playing");
      label("Play");
    }

    function label(text) {
      find("play").setAttribute("aria-label", text);
      find("play").title = text;
    }

    function toggle() {
      if (calm.matches) return go(now + 1); // nothing moves by itself for who asked for that
      if (timer !== null) return halt();
      go(now === last ? 0 : now + 1);
      if (now === last) return;
      timer = setInterval(() => (root.isConnected ? go(now + 1) : halt()), PAUSE);
      root.classList.add("mgx-playing");
      label("Pause");
    }

    const jump = (step) => (halt(), go(step));
    const actions = {
      first: () => jump(0), last: () => jump(last), play: toggle,
      back: () => jump(now - 1), forward: () => jump(now + 1),
    };
    const keys = { ArrowRight: "forward", ArrowLeft: "back", Home: "first", End: "last", " ": "play" };
    root.addEventListener("keydown", (event) => {
      const action = actions[keys[event.key]], typing = event.target.closest(".mgx-search");
      const pressing = event.key === " " && event.target.closest("button"); // a button takes the space bar itself
      if (!action || typing || pressing || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      event.stopPropagation();
      action();
    }, { capture: true });
    for (const [name, action] of Object.entries(actions)) find(name).addEventListener("click", action);
    slider.addEventListener("input", () => jump(Number(slider.value)));
    calm.addEventListener("change", () => calm.matches && halt());
    find("controls").hidden = false;
    find("status").hidden = false;
    go(0);
  }

  /* Forward a box at a time, backward a line at a time: what is not computed yet is not shown. */
  function stepping({ steps, known, reached, alarms }, elements, find, svg) {
    const titles = new Map();
    for (const [id, item] of elements) {
      titles.set(id, [item.querySelector("title"), item.querySelector("title")?.textContent]);
      for (const line of item.querySelectorAll(".small"))
        if (line.textContent.startsWith("∇")) line.classList.add("mgx-gradient");
    }
    const until = (text, names) => text.split(new RegExp("[;:] (?:" + names + ") "))[0];
    const arrow = document.createElementNS(svg.namespaceURI, "polygon");
    arrow.setAttribute("class", "mgx-arrow");
    arrow.setAttribute("points", "0,0 11,-6 11,6");
    svg.append(arrow);
    return (now) => {
      const [current, phase, lines, text] = now ? steps[now - 1] : [null, "start", [], "Nothing is computed yet."];
      const root = find("status").closest(".mgx"), lit = new Set(lines);
      root.dataset.phase = phase;
      svg.classList.toggle("mgx-walking", now < steps.length);
      for (const [id, item] of elements) {
        const later = now < (known[id] ?? 0), pending = now < (reached[id] ?? 0), [title, full] = titles.get(id);
        item.classList.toggle("mgx-later", later);
        item.classList.toggle("mgx-nograd", pending);
        item.classList.toggle("mgx-noalarm", now < (alarms[id] ?? 0));
        item.classList.toggle("mgx-now", id === current);
        item.classList.toggle("mgx-onway", lit.has(id));
        if (title) title.textContent = later ? until(full, "value|gradient") : pending ? until(full, "gradient") : full;
      }
      const line = phase === "backward" ? elements.get(lines[0])?.querySelector(".line") : null;
      arrow.style.display = line ? "" : "none";
      if (line) { // on the way back arrows point the other way
        const at = line.getPointAtLength(line.getTotalLength() * 0.4);
        arrow.setAttribute("transform", `translate(${at.x - 5} ${at.y})`);
      }
      const name = phase[0].toUpperCase() + phase.slice(1), badge = made("b", name);
      find("status").replaceChildren(badge, " " + text);
      return `${name}, step ${now} of ${steps.length}`;
    };
  }

  /* The same drawing at every recorded step of a training, with the loss beside it. */
  function inking({ frames, origins }, elements, find) {
    const INKS = "g0 g1 g2 g3 g4 g5 none zero vanished exploded nan inf normal".split(" ");
    const curve = find("curve"), { steps, losses, nodes, widths } = frames;
    const finite = losses.filter(Number.isFinite), low = Math.min(...finite), high = Math.max(...finite);
    const x = (k) => (300 * k) / Math.max(1, steps.length - 1);
    const y = (loss) => 55 - (50 * (loss - low)) / (high - low || 1);
    const points = losses.map((loss, k) => (Number.isFinite(loss) ? `${x(k)},${y(loss)}` : "")).filter(Boolean);
    curve.querySelector("polyline").setAttribute("points", points.join(" "));
    curve.toggleAttribute("hidden", !finite.length);
    return (now) => {
      for (const [id, item] of elements) {
        const reading = nodes[origins[id]]?.[now];
        if (!reading) continue;
        const [text, state, ink] = reading;
        item.classList.remove(...INKS);
        item.classList.add(state, ...(ink < 0 ? [] : ["g" + ink]));
        item.querySelector(".line")?.setAttribute("stroke-width", ink < 0 ? widths[state] ?? 1.2 : widths[ink]);
        const below = item.querySelector(".d");
        if (below) below.textContent = text;
      }
      const dot = curve.querySelector("circle"), loss = losses[now];
      dot.setAttribute("cx", x(now));
      dot.setAttribute("cy", Number.isFinite(loss) ? y(loss) : 0);
      const text = `step ${steps[now]}` + (loss === null ? "" : `, loss ${Number(loss).toPrecision(4)}`);
      find("status").replaceChildren(text);
      return text;
    };
  }

  // ---------------- geometry
  const mean = (numbers) => numbers.reduce((a, b) => a + b, 0) / numbers.length;

  function spread(things) { // heights near to those wanted, so that nothing overlaps: isotonic regression
    const pools = [], reach = [];
    things.forEach(([want, { above, weight }], k) => {
      reach.push(k ? reach[k - 1] + things[k - 1][1].below + SPACE + above : 0);
      pools.push([want - reach[k], weight, 1]);
      while (pools.length > 1 && pools[pools.length - 2][0] > pools[pools.length - 1][0]) {
        const [y, heavy, n] = pools.pop(), last = pools[pools.length - 1];
        last[0] = (last[0] * last[1] + y * heavy) / (last[1] + heavy);
        last[1] += heavy;
        last[2] += n;
      }
    });
    const heights = pools.flatMap(([y, , n]) => Array(n).fill(y));
    return heights.map((y, k) => y + reach[k]);
  }

  function inRows(wide, gaps, room, columns, edges, column) {
    const ends = (edge) => [column[edge.source], column[edge.target]].sort((a, b) => a - b);
    const loops = edges.filter((edge) => edge.back).map(ends);
    const only = (c, sign) => columns[c].every(([key]) => key[0] === sign); // nothing but the border
    const bare = (c) => (c === 0 && only(0, "<")) || (c === wide.length - 2 && only(c + 1, ">"));
    const rows = [[]];
    let x = 0, last = -1;
    wide.forEach((width, c) => {
      if (x + width > room && last >= rows[rows.length - 1][0]) {
        const row = rows[rows.length - 1], next = row.splice(row.indexOf(last) + 1);
        rows.push(next);
        x = next.reduce((all, k) => all + wide[k] + gaps[k], 0);
      }
      rows[rows.length - 1].push(c);
      x += width + gaps[c];
      if (!bare(c) && !loops.some(([a, b]) => a <= c && c < b)) last = c;
    });
    return rows.filter((row) => row.length);
  }

  function straight(points, [x, y]) {
    const [a, b] = points[points.length - 1];
    if (a !== x || b !== y) points.push([(2 * a + x) / 3, (2 * b + y) / 3], [(a + 2 * x) / 3, (b + 2 * y) / 3], [x, y]);
    return points;
  }

  function rounded(points, corners) { // a way with rounded corners
    corners.forEach((corner, k) => {
      const after = corners[k + 1];
      if (!after) return straight(points, corner);
      const before = points[points.length - 1];
      straight(points, toward(corner, before));
      points.push(corner, corner, toward(corner, after));
    });
    return points;
  }

  function toward([x, y], [a, b]) {
    const far = Math.hypot(a - x, b - y) || 1, share = Math.min(TURN, far / 2) / far;
    return [x + (a - x) * share, y + (b - y) * share];
  }

  function add(block, other, dx, dy) {
    for (const [key, [x, y]] of Object.entries(other.places)) block.places[key] = [x + dx, y + dy];
    for (const [key, points] of Object.entries(other.curves))
      block.curves[key] = points.map(([x, y]) => [x + dx, y + dy]);
    for (const [key, [x, y, w, h]] of Object.entries(other.frames)) block.frames[key] = [x + dx, y + dy, w, h];
  }

  // ---------------- elements
  async function unpacked(text) {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
  }

  function parsed(text) {
    return document.importNode(new DOMParser().parseFromString(text, "image/svg+xml").documentElement, true);
  }

  function change(item, values) { // only what differs, for each change costs a new layout
    for (const [name, value] of Object.entries(values))
      if (item.getAttribute(name) !== String(value)) item.setAttribute(name, value);
  }

  function made(name, text = "") {
    const item = document.createElement(name);
    item.textContent = text;
    return item;
  }

  function tile(pen, x, y, side, share) { // orange: positive, blue: negative, as strong as large; NaN is crossed
    const strength = Math.min(1, Math.abs(share));
    pen.fillStyle = share > 0 ? `rgba(213,94,0,${strength})` : `rgba(0,114,178,${strength || 0})`;
    pen.fillRect(x, y, side, side);
    pen.strokeStyle = "rgba(128,128,128,.35)";
    pen.strokeRect(x + 0.5, y + 0.5, side - 1, side - 1);
    if (Number.isNaN(share)) {
      pen.strokeStyle = "#a63f00";
      pen.beginPath();
      for (const [a, b] of [[0, side], [side, 0]]) pen.moveTo(x + a, y), pen.lineTo(x + b, y + side);
      pen.stroke();
    }
  }

  function histogram(numbers) {
    const canvas = Object.assign(made("canvas"), { width: 256, height: 48 });
    const pen = canvas.getContext("2d"), bins = Array(32).fill(0);
    const low = Math.min(...numbers), high = Math.max(...numbers);
    for (const v of numbers) bins[Math.min(31, Math.floor((32 * (v - low)) / (high - low || 1)))]++;
    const most = Math.max(...bins);
    pen.fillStyle = "#808890";
    bins.forEach((n, k) => pen.fillRect(k * 8, 48 - (46 * n) / most, 7, (46 * n) / most));
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `histogram from ${low.toPrecision(3)} to ${high.toPrecision(3)}`);
    const part = made("figure");
    part.append(canvas, made("figcaption", `${low.toPrecision(3)} … ${high.toPrecision(3)}`));
    return part;
  }
})();
