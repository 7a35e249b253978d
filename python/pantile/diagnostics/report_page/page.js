// Draws the stream of tasks, memory and processor, and sorts the table. Times are in ticks of `meta.tick` nanoseconds in the
// columns, and in nanoseconds everywhere else. Tasks lie row after row (a thread; one more row for tasks inside its tasks), by time.
"use strict";
(async () => {
  const $ = (id) => document.getElementById(id);
  const meta = JSON.parse($("meta").textContent);

  // ---- data ----
  async function unpack(name) {
    const text = atob($("data-" + name).textContent);
    const packed = Uint8Array.from(text, (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Response(stream).arrayBuffer();
  }
  const u32 = async (name) => new Uint32Array(await unpack(name));
  const [start, length, op, run, gil, io, compile, spill, sizes, text] = await Promise.all([
    u32("start"), u32("length"), u32("op"), u32("run"), u32("gil"), u32("io"), u32("compile"), u32("spill"),
    unpack("bytes"), unpack("names"),
  ]);
  const bytes = new Float64Array(sizes);
  let names = null;
  const nameOf = (i) => (names ??= new TextDecoder().decode(text).split("\n"))[i];
  const tick = meta.tick;
  let first = 0;
  for (const row of meta.rows) {
    row.first = first;
    row.last = first += row.count;
  }

  // ---- words ----
  function time(ns) {
    if (ns < 1e3) return ns.toFixed(0) + " ns";
    if (ns < 1e6) return (ns / 1e3).toFixed(1) + " µs";
    if (ns < 1e9) return (ns / 1e6).toFixed(1) + " ms";
    return (ns / 1e9).toFixed(2) + " s";
  }
  function size(n) {
    const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let k = 0;
    while (n >= 1024 && k < 5) { n /= 1024; k++; }
    return (k ? n.toPrecision(3) : n.toFixed(0)) + " " + units[k];
  }

  // ---- colours ----
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const print = matchMedia("print");
  const isDark = () => dark.matches && !print.matches;
  const HUES = [205, 28, 150, 275, 345, 52, 182, 320, 95, 235];
  function colour(k) {
    if (k === meta.operations.length - 1) return isDark() ? "hsl(24 60% 59%)" : "hsl(24 51% 46%)";
    const round = Math.floor(k / HUES.length);
    const hue = (HUES[k % HUES.length] + round * 17) % 360;
    const light = (isDark() ? 60 : 50) + (round % 3) * (isDark() ? -9 : 9);
    return `hsl(${hue} ${isDark() ? 48 : 46}% ${light}%)`;
  }
  let palette = [];
  let theme = {};
  function dress() {
    palette = meta.operations.map((_, k) => colour(k));
    theme = isDark()
      ? { ink: "#e8e6e1", soft: "#9aa5ac", line: "#2b3338", lane: "#20272c", memory: "#7fb6d6", cpu: "#5fae86" }
      : { ink: "#1d2327", soft: "#5c666d", line: "#e9e6df", lane: "#f6f4ef", memory: "#2d6a8e", cpu: "#3f7f5f" };
    for (const swatch of document.querySelectorAll("i.swatch")) swatch.style.background = palette[swatch.dataset.op];
  }

  // ---- what is seen ----
  const LEFT = 96, RIGHT = 10, TOP = 24;
  const end = Math.max(meta.block, 1);
  const view = { from: 0, to: end };
  const rowHeight = meta.rows.length > 40 ? 14 : meta.rows.length > 16 ? 18 : 24;
  let chosen = -1, pointer = null, hovered = -1;
  const stream = $("stream");
  stream.style.height = TOP + Math.max(1, meta.rows.length) * rowHeight + 6 + "px";

  const plot = (canvas) => canvas.clientWidth - LEFT - RIGHT;
  const x = (ns) => LEFT + ((ns - view.from) / (view.to - view.from)) * plot(stream);
  const at = (px) => view.from + ((px - LEFT) / plot(stream)) * (view.to - view.from);

  function look(from, to) {
    const least = Math.min(end, Math.max(20 * tick, 200));
    const span = Math.min(end, Math.max(least, to - from));
    const middle = (from + to) / 2;
    view.from = Math.min(Math.max(0, middle - span / 2), end - span);
    view.to = view.from + span;
    later();
  }
  function zoom(factor, around = (view.from + view.to) / 2) {
    const span = (view.to - view.from) * factor;
    if (span >= end) return look(0, end);
    const share = (around - view.from) / (view.to - view.from);
    look(around - share * span, around + (1 - share) * span);
  }
  let waiting = false;
  function later() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; draw(); });
  }

  // The first task of a row that ends after `ns`. Tasks of a row do not overlap, so their ends are sorted too.
  function firstAfter(row, ns) {
    let low = row.first, high = row.last;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((start[middle] + length[middle]) * tick <= ns) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  // ---- drawing ----
  function prepare(canvas) {
    const ratio = devicePixelRatio || 1;
    const [w, h] = [canvas.clientWidth, canvas.clientHeight];
    if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(h * ratio)) {
      canvas.width = Math.round(w * ratio);
      canvas.height = Math.round(h * ratio);
    }
    const c = canvas.getContext("2d");
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.clearRect(0, 0, w, h);
    c.font = '12px system-ui, "DejaVu Sans", sans-serif';
    c.textBaseline = "middle";
    return [c, w, h];
  }
  function steps(span, most) {
    const raw = span / most;
    const power = 10 ** Math.floor(Math.log10(raw));
    return [1, 2, 5, 10].map((k) => k * power).find((s) => s >= raw);
  }
  function ruler(c, h, labels) {
    const step = steps(view.to - view.from, Math.max(2, plot(stream) / 110));
    const unit = step >= 1e9 ? [1e9, "s"] : step >= 1e6 ? [1e6, "ms"] : step >= 1e3 ? [1e3, "µs"] : [1, "ns"];
    const digits = view.to >= 1e9 && step < 1e9 ? Math.max(0, 9 - Math.floor(Math.log10(step))) : 0;
    c.strokeStyle = theme.line;
    c.fillStyle = theme.soft;
    c.textAlign = "center";
    for (let t = Math.ceil(view.from / step) * step; t <= view.to; t += step) {
      const px = Math.round(x(t)) + 0.5;
      c.beginPath();
      c.moveTo(px, labels ? TOP - 4 : 0);
      c.lineTo(px, h);
      c.stroke();
      const words = view.to >= 1e9 ? (t / 1e9).toFixed(Math.min(9, digits)) + " s" : +(t / unit[0]).toFixed(3) + " " + unit[1];
      if (labels && px < stream.clientWidth - 26) c.fillText(words, px, TOP / 2 - 2);
    }
  }
  // Tasks narrower than a pixel share it: its colour is the operation that fills most of it, its strength how full it is.
  function drawRow(c, row, top, height) {
    const scale = plot(stream) / (view.to - view.from);
    const right = stream.clientWidth - RIGHT;
    let pixel = -1, filled = new Map();
    let rectangles = 0;
    const flush = () => {
      if (pixel < 0) return;
      let best = -1, most = -1, all = 0;
      for (const [k, part] of filled) {
        all += part;
        if (part > most) { most = part; best = k; }
      }
      c.globalAlpha = (0.3 + 0.7 * Math.min(1, all)) * (chosen >= 0 && chosen !== best ? 0.15 : 1);
      c.fillStyle = palette[best];
      c.fillRect(pixel, top, 1, height);
      rectangles++;
      pixel = -1;
      filled.clear();
    };
    for (let i = firstAfter(row, view.from); i < row.last; i++) {
      const begin = start[i] * tick;
      if (begin >= view.to) break;
      const from = LEFT + (begin - view.from) * scale;
      const width = length[i] * tick * scale;
      if (width < 1.5) {
        const mine = Math.max(LEFT, Math.floor(from));
        if (mine !== pixel) { flush(); pixel = mine; }
        filled.set(op[i], (filled.get(op[i]) || 0) + Math.max(width, 0.02));
        continue;
      }
      flush();
      const left = Math.max(from, LEFT), stop = Math.min(from + width, right);
      c.globalAlpha = chosen >= 0 && chosen !== op[i] ? 0.15 : 1;
      c.fillStyle = palette[op[i]];
      c.fillRect(left, top, Math.max(0.5, stop - left - (width > 4 ? 0.7 : 0)), height);
      rectangles++;
      if (stop - left > 56 && height > 12) {
        c.save();
        c.beginPath();
        c.rect(left, top, stop - left - 6, height);
        c.clip();
        c.fillStyle = isDark() ? "#101416" : "#ffffff";
        c.textAlign = "left";
        c.fillText(meta.operations[op[i]], left + 6, top + height / 2 + 0.5);
        c.restore();
      }
    }
    flush();
    c.globalAlpha = 1;
    return rectangles;
  }
  let drawn = 0;
  function drawStream() {
    const [c, w, h] = prepare(stream);
    meta.rows.forEach((row, k) => {
      if (row.lane % 2 === 0) {
        c.fillStyle = theme.lane;
        c.fillRect(0, TOP + k * rowHeight, w, rowHeight);
      }
    });
    ruler(c, h, true);
    drawn = 0;
    meta.rows.forEach((row, k) => {
      const inset = row.depth ? 4 : 2;
      const top = TOP + k * rowHeight;
      if (row.name) {
        c.fillStyle = theme.soft;
        c.textAlign = "left";
        c.fillText(row.name.length > 14 ? row.name.slice(0, 13) + "…" : row.name, 6, top + rowHeight / 2);
      }
      drawn += drawRow(c, row, top + inset, rowHeight - 2 * inset);
    });
    if (hovered >= 0) {
      const k = meta.rows.findIndex((row) => hovered < row.last);
      const left = Math.max(LEFT, x(start[hovered] * tick));
      const right = Math.min(w - RIGHT, x((start[hovered] + length[hovered]) * tick));
      c.strokeStyle = theme.ink;
      c.lineWidth = 1.5;
      c.strokeRect(left - 0.5, TOP + k * rowHeight + 1.5, Math.max(2, right - left), rowHeight - 3);
      c.lineWidth = 1;
    }
    cross(c, h);
  }
  function cross(c, h) {
    if (pointer === null || pointer < LEFT) return;
    c.strokeStyle = theme.soft;
    c.globalAlpha = 0.5;
    c.beginPath();
    c.moveTo(pointer, 0);
    c.lineTo(pointer, h);
    c.stroke();
    c.globalAlpha = 1;
  }
  const samples = meta.samples;
  function sampleAt(ns) {
    let low = 0, high = samples.at.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (samples.at[middle] < ns) low = middle + 1;
      else high = middle;
    }
    return Math.min(low, samples.at.length - 1);
  }
  function drawChart(canvas, values, ink, words) {
    const [c, w, h] = prepare(canvas);
    ruler(c, h, false);
    if (!values.length) return;
    const most = Math.max(...values.slice(0, 1), values.reduce((a, b) => Math.max(a, b), 0)) * 1.08 || 1;
    const y = (v) => h - 6 - (v / most) * (h - 14);
    c.save();
    c.beginPath();
    c.rect(LEFT, 0, w - LEFT - RIGHT, h);
    c.clip();
    const low = Math.max(0, sampleAt(view.from) - 1), high = Math.min(values.length - 1, sampleAt(view.to) + 1);
    c.beginPath();
    for (let i = low; i <= high; i++) c.lineTo(x(samples.at[i]), y(values[i]));
    c.strokeStyle = ink;
    c.lineWidth = 1.6;
    c.stroke();
    c.lineTo(x(samples.at[high]), h);
    c.lineTo(x(samples.at[low]), h);
    c.globalAlpha = 0.14;
    c.fillStyle = ink;
    c.fill();
    c.restore();
    c.globalAlpha = 1;
    c.fillStyle = theme.soft;
    c.textAlign = "left";
    c.fillText(words(most / 1.08), 6, y(most / 1.08) + 4);
    c.fillText(words(0), 6, h - 9);
    cross(c, h);
    if (pointer !== null && pointer >= LEFT && pointer <= w - RIGHT) {
      const value = values[sampleAt(at(pointer))];
      c.fillStyle = theme.ink;
      c.textAlign = pointer > w / 2 ? "right" : "left";
      c.fillText(words(value), pointer + (pointer > w / 2 ? -7 : 7), h - 12);
    }
  }
  const percent = (v) => Math.round(100 * v) + " %";
  function draw() {
    drawStream();
    drawChart($("memory"), samples.bytes, theme.memory, size);
    drawChart($("cpu"), samples.cpu, theme.cpu, percent);
  }

  // ---- pointing ----
  function taskAt(px, py) {
    const row = meta.rows[Math.floor((py - TOP) / rowHeight)];
    if (!row || px < LEFT || py < TOP) return -1;
    const pixel = (view.to - view.from) / plot(stream);
    const ns = at(px);
    const i = firstAfter(row, ns);
    if (i < row.last && start[i] * tick <= ns) return i;
    // Between tasks: the nearer neighbour, if it is as good as under the pointer.
    let best = -1, least = 2.5 * pixel;
    for (const k of [i - 1, i]) {
      if (k < row.first || k >= row.last) continue;
      const gap = Math.max(start[k] * tick - ns, ns - (start[k] + length[k]) * tick);
      if (gap < least) { least = gap; best = k; }
    }
    return best;
  }
  const tip = $("tip");
  function tell(i, px, py) {
    hovered = i;
    tip.hidden = i < 0;
    stream.dataset.task = i;
    if (i < 0) return;
    const lines = [
      `${time(length[i] * tick)}, from ${time(start[i] * tick)} on`,
      `${size(bytes[i])} made` + (meta.runs.length > 1 ? `, run ${run[i] + 1}` : ""),
    ];
    const waits = [["waiting for the GIL", gil], ["files", io], ["compiling", compile], ["spilling", spill]];
    for (const [what, column] of waits) if (column[i]) lines.push(`${what}: ${time(column[i] * tick)}`);
    tip.replaceChildren();
    const name = document.createElement("b");
    name.textContent = nameOf(i);
    tip.append(name, ...lines.map((line) => {
      const span = document.createElement("span");
      span.textContent = line;
      return span;
    }));
    const box = stream.parentElement;
    const left = stream.offsetLeft + px + 16;
    tip.style.left = Math.max(4, Math.min(left, box.clientWidth - tip.offsetWidth - 8)) + "px";
    tip.style.top = stream.offsetTop + py + 18 + "px";
    $("said").textContent = name.textContent + ": " + lines.join("; ");
  }
  const place = (e) => {
    const box = e.currentTarget.getBoundingClientRect();
    return [e.clientX - box.left, e.clientY - box.top];
  };
  let held = null;
  stream.addEventListener("pointerdown", (e) => {
    if (e.button !== 0) return;
    held = { px: place(e)[0], from: view.from, to: view.to };
    stream.setPointerCapture(e.pointerId);
    stream.classList.add("held");
  });
  stream.addEventListener("pointermove", (e) => {
    const [px, py] = place(e);
    pointer = px;
    if (held) {
      const moved = ((px - held.px) / plot(stream)) * (held.to - held.from);
      tell(-1);
      look(held.from - moved, held.to - moved);
    } else {
      tell(taskAt(px, py), px, py);
      later();
    }
  });
  const release = () => { held = null; stream.classList.remove("held"); };
  stream.addEventListener("pointerup", release);
  stream.addEventListener("pointercancel", release);
  for (const canvas of [stream, $("memory"), $("cpu")]) {
    canvas.addEventListener("wheel", (e) => {
      if (e.ctrlKey || Math.abs(e.deltaX) > Math.abs(e.deltaY)) {
        if (e.ctrlKey) return;
        const moved = (e.deltaX / plot(stream)) * (view.to - view.from);
        look(view.from + moved, view.to + moved);
      } else {
        zoom(Math.exp(Math.max(-200, Math.min(200, e.deltaY)) * 0.0025), at(Math.max(LEFT, place(e)[0])));
      }
      tell(-1);
      e.preventDefault();
    }, { passive: false });
    canvas.addEventListener("pointerleave", () => { pointer = null; tell(-1); later(); });
    if (canvas !== stream) canvas.addEventListener("pointermove", (e) => { pointer = place(e)[0]; later(); });
    canvas.addEventListener("dblclick", () => look(0, end));
  }
  stream.addEventListener("keydown", (e) => {
    const span = view.to - view.from;
    const keys = {
      "+": () => zoom(0.6), "=": () => zoom(0.6), "-": () => zoom(1 / 0.6), "0": () => look(0, end),
      ArrowLeft: () => look(view.from - span / 8, view.to - span / 8),
      ArrowRight: () => look(view.from + span / 8, view.to + span / 8),
    };
    if (e.ctrlKey || e.metaKey || e.altKey || !keys[e.key]) return;
    keys[e.key]();
    e.preventDefault();
  });
  $("zoom-in").onclick = () => zoom(0.5);
  $("zoom-out").onclick = () => zoom(2);
  $("zoom-all").onclick = () => look(0, end);

  // ---- legend, and the table ----
  const used = new Set(op);
  [...used].sort((a, b) => a - b).forEach((k) => {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-pressed", "false");
    const swatch = document.createElement("i");
    swatch.className = "swatch";
    swatch.dataset.op = k;
    button.append(swatch, meta.operations[k]);
    button.onclick = () => {
      chosen = chosen === k ? -1 : k;
      for (const other of $("legend").children) other.setAttribute("aria-pressed", other === button && chosen === k);
      later();
    };
    $("legend").append(button);
  });
  const table = $("operations");
  table.querySelectorAll("thead button").forEach((button, column) => {
    const head = button.parentElement;
    button.onclick = () => {
      const number = head.classList.contains("number");
      const now = head.getAttribute("aria-sort");
      const up = now ? now === "descending" : !number;
      for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const value = (row) => number ? +row.cells[column].dataset.value : row.cells[column].textContent;
      const rows = [...table.tBodies[0].rows].sort((a, b) => {
        const [p, q] = [value(a), value(b)];
        return (number ? p - q : p.localeCompare(q)) * (up ? 1 : -1);
      });
      table.tBodies[0].append(...rows);
    };
  });

  dress();
  for (const query of [dark, print]) query.addEventListener("change", () => { dress(); draw(); });
  new ResizeObserver(later).observe(stream);
  draw();

  // For tests and for the console.
  window.report = {
    meta, view, draw, look, drawn: () => drawn,
    task: (i) => ({
      name: nameOf(i), operation: meta.operations[op[i]], start: start[i] * tick, length: length[i] * tick, bytes: bytes[i], run: run[i],
      gil: gil[i] * tick, io: io[i] * tick,
    }),
    place: (i) => {
      const k = meta.rows.findIndex((row) => i < row.last);
      const box = stream.getBoundingClientRect();
      return { x: box.left + x((start[i] + length[i] / 2) * tick), y: box.top + TOP + (k + 0.5) * rowHeight };
    },
  };
  document.documentElement.dataset.ready = "yes";
})();
