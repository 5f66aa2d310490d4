"use strict";
// Nothing here is needed to read a page: links and forms do without. Text of models is never made
// markup of; parts of pages come from the viewer itself, which has escaped it.

function part(html) {
  return new DOMParser().parseFromString(html, "text/html");
}

// What a run does, while it goes on.
const live = document.getElementById("live");
if (live?.dataset.source) {
  const source = new EventSource(live.dataset.source);
  source.addEventListener("message", async (event) => {
    const said = JSON.parse(event.data);
    live.replaceChildren(...part(said.html).body.childNodes);
    const count = said.trees[live.dataset.forest];
    if (count !== undefined && String(count) !== live.dataset.known) {
      live.dataset.known = String(count);
      const page = part(await (await fetch(location.href)).text());
      document.getElementById("list").replaceWith(page.getElementById("list"));
    }
  });
}

// Lists follow what is chosen, without a button.
for (const select of document.querySelectorAll("form.tools[method=get]:not([action]) select")) {
  select.addEventListener("change", () => select.form.requestSubmit());
}

// Lists that hold all there is are searched here.
for (const bar of document.querySelectorAll(".filter")) {
  const rows = [...bar.parentElement.querySelectorAll("[data-outcome]")];
  const [words, outcome, found] = ["input", "select", "output"].map((tag) => bar.querySelector(tag));
  bar.hidden = false;
  bar.addEventListener("input", () => {
    const wanted = words.value.trim().toLowerCase();
    for (const row of rows) {
      row.hidden = (outcome.value !== "" && row.dataset.outcome !== outcome.value)
        || (wanted !== "" && !row.textContent.toLowerCase().includes(wanted));
    }
    found.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length}`;
  });
}

// The drawing of a tree; one that is folded away waits until it is seen.
for (const root of document.querySelectorAll(".tree")) {
  const start = () => root.querySelector(".drawing") && treePage(root);
  if (root.tagName === "DETAILS" && !root.open) root.addEventListener("toggle", start, { once: true });
  else start();
}

function treePage(root) {
  const canvas = root.querySelector(".canvas"), svg = root.querySelector(".drawing");
  const forks = [...root.querySelectorAll(".fork")], asks = forks.some((fork) => fork.id === "fork");
  for (const bar of root.querySelectorAll(".tools")) bar.hidden = false;
  const nodes = [...svg.querySelectorAll(".node")];
  const edges = new Map([...svg.querySelectorAll(".edge")].map((edge) => [Number(edge.dataset.to), edge]));
  const parent = nodes.map((node) => Number(node.dataset.parent));
  const children = nodes.map(() => []);
  parent.forEach((above, i) => { if (above >= 0) children[above].push(i); });
  const x = [], y = [], folded = new Set();
  const placed = nodes.map(() => undefined), gone = nodes.map(() => false);
  let at = nodes.findIndex((node) => node.hasAttribute("aria-current"));
  if (at < 0) at = 0;
  const time = root.querySelector(".time"), when = root.querySelector(".when");
  let box;

  // Places, from the leaves that are not folded away: as the server lays them out.
  function layOut() {
    let row = 0;
    const order = [], stack = [0], depth = nodes.map(() => 0), seen = new Set();
    while (stack.length) {
      const i = stack.pop();
      order.push(i);
      seen.add(i);
      const below = folded.has(i) ? [] : children[i];
      if (!below.length) y[i] = 24 + 26 * row++;
      for (const child of [...below].reverse()) {
        depth[child] = depth[i] + 1;
        stack.push(child);
      }
    }
    for (const i of order.reverse()) {
      const below = folded.has(i) ? [] : children[i];
      if (below.length) y[i] = (y[below[0]] + y[below.at(-1)]) / 2;
      x[i] = 24 + 64 * depth[i];
    }
    const now = Number(time.value);
    nodes.forEach((node, i) => {
      const shown = seen.has(i) && i < now, edge = edges.get(i);
      if (shown === gone[i]) {
        gone[i] = !shown;
        node.toggleAttribute("hidden", !shown);
        node.style.display = shown ? "" : "none";
        if (edge) edge.style.display = shown ? "" : "none";
      }
      if (folded.has(i) !== node.classList.contains("folded")) node.classList.toggle("folded");
      if (!shown) return;
      const a = parent[i], place = `${x[i]} ${y[i]} ${y[a]}`;
      const moves = placed[i] !== undefined && placed[i] !== place;  // the server has placed it first
      placed[i] = place;
      if (!moves) return;
      node.setAttribute("transform", `translate(${x[i]} ${y[i]})`);
      if (edge) {
        const middle = (x[a] + x[i]) / 2;
        edge.setAttribute("d", `M${x[a]} ${y[a]}C${middle} ${y[a]} ${middle} ${y[i]} ${x[i]} ${y[i]}`);
      }
    });
    when.textContent = `${now - 1} of ${nodes.length - 1} nodes`;
  }

  function look() {
    svg.setAttribute("viewBox", `${box.x} ${box.y} ${box.w} ${box.h}`);
  }
  function extent() {
    const shown = nodes.map((_, i) => i).filter((i) => x[i] !== undefined);
    return { w: Math.max(...shown.map((i) => x[i])) + 60, h: Math.max(...shown.map((i) => y[i])) + 24 };
  }
  function fit() {
    const whole = extent(), ratio = canvas.clientWidth / canvas.clientHeight;
    const w = Math.max(whole.w, whole.h * ratio);
    box = { x: (whole.w - w) / 2, y: (whole.h - w / ratio) / 2, w, h: w / ratio };
    look();
  }
  // As large as it can be read: the whole tree if it fits so, else the part round the open step.
  function open() {
    const whole = extent(), w = canvas.clientWidth, h = canvas.clientHeight;
    if (whole.w <= 1.6 * w && whole.h <= 1.6 * h) {
      fit();
      if (box.w < w / 1.4) zoom(w / 1.4 / box.w);
      return;
    }
    box = { x: whole.w <= w ? (whole.w - w) / 2 : Math.max(0, x[at] - w / 2), y: y[at] - h / 2, w, h };
    look();
  }
  function zoom(by, px = 0.5, py = 0.5) {
    const w = Math.min(200000, Math.max(80, box.w * by)), h = (box.h * w) / box.w;
    box = { x: box.x + (box.w - w) * px, y: box.y + (box.h - h) * py, w, h };
    look();
  }
  function reveal(i) {
    const mx = box.w * 0.1, my = box.h * 0.1;
    if (x[i] < box.x + mx) box.x = x[i] - mx;
    if (x[i] > box.x + box.w - mx) box.x = x[i] - box.w + mx;
    if (y[i] < box.y + my) box.y = y[i] - my;
    if (y[i] > box.y + box.h - my) box.y = y[i] - box.h + my;
    look();
  }

  function select(i) {
    nodes[at].removeAttribute("aria-current");
    nodes[at].setAttribute("tabindex", "-1");
    at = i;
    nodes[i].setAttribute("aria-current", "true");
    nodes[i].setAttribute("tabindex", "0");
    nodes[i].focus({ preventScroll: true });
    reveal(i);
  }

  // The siblings of a step: a part of this page if it holds all of them, else asked for.
  async function show(i) {
    if (!asks) {
      const held = forks.find((fork) => Number(fork.dataset.parent) === Math.max(0, parent[i]));
      if (held) only(held, i);
      return;
    }
    const to = new URL(location.href);
    to.searchParams.set("node", i);
    to.hash = "";
    history.replaceState(null, "", to);
    const asked = new URL(to);
    asked.searchParams.set("part", "fork");
    const answer = await fetch(asked);
    if (answer.ok && at === i) {
      root.querySelector(".fork").replaceWith(part(await answer.text()).getElementById("fork"));
    }
  }
  function name(address) {
    try {
      history.replaceState(null, "", address);
    } catch {
      // the frame of a notebook has no address
    }
  }
  function only(held, i) {
    for (const fork of forks) fork.hidden = fork !== held;
    for (const one of held.querySelectorAll(".sibling")) {
      one.classList.toggle("selected", Number(one.dataset.node) === i);
    }
  }

  function fold(i) {
    if (!children[i].length) return;
    folded.has(i) ? folded.delete(i) : folded.add(i);
    layOut();
  }

  let playing;
  function play() {
    if (playing) {
      clearInterval(playing);
      playing = undefined;
    } else {
      if (Number(time.value) === nodes.length) time.value = 1;
      const step = Math.max(1, Math.round(nodes.length / 200));
      playing = setInterval(() => {
        time.value = Math.min(nodes.length, Number(time.value) + step);
        layOut();
        if (Number(time.value) === nodes.length) play();
      }, 80);
    }
    root.querySelector("[data-do=play]").textContent = playing ? "pause" : "play";
  }

  root.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-node]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const i = Number(link.dataset.node);
    if (moved) return;
    if (!asks) name(link.href.baseVal ?? link.href);
    select(i);
    show(i);
  });
  svg.addEventListener("dblclick", (event) => {
    const link = event.target.closest("a[data-node]");
    if (link) fold(Number(link.dataset.node));
  });

  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const beside = at ? children[parent[at]] : [0], place = beside.indexOf(at);
    const to = {
      ArrowLeft: at ? parent[at] : at,
      ArrowRight: folded.has(at) ? at : children[at][0] ?? at,
      ArrowUp: beside[place - 1] ?? at,
      ArrowDown: beside[place + 1] ?? at,
      Home: 0,
    }[event.key];
    const act = {
      Enter: () => show(at), c: () => fold(at), "+": () => zoom(0.8), "=": () => zoom(0.8),
      "-": () => zoom(1.25), 0: fit, p: play,
    }[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (to === undefined && !act) return;
    event.preventDefault();
    to === undefined ? act() : select(to);
  });

  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const area = canvas.getBoundingClientRect();
    zoom(event.deltaY > 0 ? 1.15 : 0.87, (event.clientX - area.left) / area.width,
      (event.clientY - area.top) / area.height);
  }, { passive: false });

  let from, moved = false;
  canvas.addEventListener("pointerdown", (event) => {
    from = { x: event.clientX, y: event.clientY, left: box.x, top: box.y };
    moved = false;
  });
  window.addEventListener("pointermove", (event) => {
    if (!from) return;
    const dx = event.clientX - from.x, dy = event.clientY - from.y;
    if (Math.hypot(dx, dy) > 4) moved = true;
    if (!moved) return;
    box.x = from.left - (dx * box.w) / canvas.clientWidth;
    box.y = from.top - (dy * box.h) / canvas.clientHeight;
    look();
  });
  window.addEventListener("pointerup", () => {
    from = undefined;
    setTimeout(() => { moved = false; });
  });

  const acts = {
    in: () => zoom(0.8), out: () => zoom(1.25), fit, play,
    link: async () => {
      const to = new URL(location.href);
      to.searchParams.set("node", at);
      history.replaceState(null, "", to);
      await navigator.clipboard?.writeText(to.href);
      root.querySelector("[data-do=link]").textContent = "link copied";
    },
  };
  for (const button of root.querySelectorAll("[data-do]")) {
    button.addEventListener("click", acts[button.dataset.do]);
  }
  time.addEventListener("input", layOut);
  root.querySelector(".prm").addEventListener("change", (event) => {
    for (const node of nodes) {
      node.dataset.mean ??= [...node.classList].find((name) => /^(v\d+|none)$/.test(name));
      node.classList.remove(...[...node.classList].filter((name) => /^(v\d+|none)$/.test(name)));
      node.classList.add(event.target.checked ? node.dataset.prm || "none" : node.dataset.mean);
    }
  });

  if (!asks && forks.length) {
    const named = root.querySelector(`.sibling[id="${CSS.escape(location.hash.slice(1))}"]`);
    if (named) {
      nodes[at].removeAttribute("aria-current");
      at = Number(named.dataset.node);
      nodes[at].setAttribute("aria-current", "true");
    }
    show(at);
  }
  canvas.classList.add("moved");
  layOut();
  // A small tree needs no large drawing.
  canvas.style.height = `${Math.min(canvas.clientHeight, Math.max(160, 1.6 * extent().h))}px`;
  open();
}
