// Draws what is chosen on the page. All text goes into the page as text, never as HTML.
"use strict";

(async () => {
  const byId = id => document.getElementById(id);
  const json = id => JSON.parse(byId(id).textContent);
  const facts = json("facts");

  // ---- numbers --------------------------------------------------------------------------------

  async function unpack(text) {
    const packed = Uint8Array.from(atob(text), c => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const planes = new Uint8Array(await new Response(stream).arrayBuffer());
    const n = planes.length / 2;
    const bits = new Uint32Array(n);
    for (let i = 0; i < n; i++) bits[i] = (planes[n + i] << 24) | (planes[i] << 16);
    return new Float32Array(bits.buffer);
  }

  const numbers = await unpack(byId("numbers").textContent);

  /** The values of one field of one series in a view, one per column. */
  function values(view, field, series) {
    const place = view.fields.indexOf(field) * facts.series.length + series;
    const start = view.offset + place * view.n_columns;
    return numbers.subarray(start, start + view.n_columns);
  }

  // Points without a neighbour, of which a line shows nothing.
  const alone = array => array.map((v, i) => (isFinite(array[i - 1]) || isFinite(array[i + 1]) ? NaN : v));
  const positive = array => Float32Array.from(array, v => (v > 0 ? v : NaN));
  const left = (view, column) => view.first + column * view.width;
  const center = (view, column) => left(view, column) + (view.width - 1) / 2;

  function isBroken(view, series) {
    const nan = values(view, "n_nan", series), inf = values(view, "n_inf", series);
    return Array.from(nan, (count, i) => count > 0 || inf[i] > 0);
  }

  // ---- state and plots ------------------------------------------------------------------------

  await Bokeh.embed.embed_items(json("documents"), json("items"));
  const plots = Bokeh.documents[0];
  const model = name => plots.get_model_by_name(name);
  const state = { view: facts.views[0], kind: null, series: facts.shown };

  function theme() {
    const css = getComputedStyle(document.documentElement);
    const ink = css.getPropertyValue("--quiet").trim();
    const strong = css.getPropertyValue("--ink").trim();
    const colors = {
      axis_label_text_color: ink, major_label_text_color: ink, axis_line_color: ink,
      major_tick_line_color: ink, label_text_color: ink, title_text_color: ink,
    };
    for (const one of plots.all_models ?? plots._all_models.values()) {
      for (const [name, color] of Object.entries(colors)) {
        if (name in one.properties) one[name] = color;
      }
      if (one.type === "Title") one.text_color = strong;
      if (one.type === "Grid") one.grid_line_color = ink;
    }
  }

  function spanOf(view) {
    return { start: view.first - 0.5, end: left(view, view.n_columns) - 0.5 };
  }

  function setRange(range, span) {
    range.setv({ ...span, reset_start: span.start, reset_end: span.end });
  }

  function plain(text) {
    return new Bokeh.Models.PlainText({ text });
  }

  // ---- heat map -------------------------------------------------------------------------------

  function rows() {
    return facts.kinds.find(one => one.kind === state.kind).series;
  }

  function image(view, series, of) {
    const shape = [series.length, view.n_columns];
    const data = new Float32Array(shape[0] * shape[1]);
    // The image grows upwards, the list of rows downwards.
    series.forEach((one, i) => data.set(of(one), (series.length - 1 - i) * view.n_columns));
    return Bokeh.require("core/util/ndarray").ndarray(data, { dtype: "float32", shape });
  }

  function drawHeatmap() {
    const { view } = state, series = rows(), n = series.length;
    const span = spanOf(view);
    const rms = image(view, series, one => values(view, "rms_high", one));
    const labels = series.map(one => facts.series[one].label);
    model("cells").data = {
      image: [rms],
      n_nan: [image(view, series, one => values(view, "n_nan", one))],
      n_inf: [image(view, series, one => values(view, "n_inf", one))],
      broken: [image(view, series, one => isBroken(view, one).map(yes => (yes ? 1 : NaN)))],
      labels: [labels],
      x: [span.start], y: [0.5 - n], dw: [span.end - span.start], dh: [n],
      first: [view.first], width: [view.width],
    };
    const plot = model("heatmap");
    let low = Infinity, high = 0;
    for (const value of rms) {
      if (value > 0 && value < low) low = value;
      if (value > high) high = value;
    }
    if (high === 0) [low, high] = [1e-3, 1];
    for (const renderer of plot.renderers) {
      const mapper = renderer.glyph.color_mapper;
      if (mapper?.type === "LogColorMapper") {
        mapper.setv({ low: Math.max(low, high * 1e-12) * 0.999, high: high * 1.001 });
      }
    }
    setRange(plot.x_range, span);
    plot.y_range.setv({ start: 0.5 - n, end: 0.5, reset_start: 0.5 - n, reset_end: 0.5 });
    plot.height = Math.min(Math.max(n * 22 + 96, 190), 560);
    const every = Math.ceil((n * 13) / (plot.height - 96));
    const narrow = plot.inner_width < 320 || innerWidth < 620;
    // Of a long name both ends tell: the layer's beginning and the tensor's end.
    const short = text => (text.length > 15 ? `${text.slice(0, 7)}…${text.slice(-7)}` : text);
    const shown = labels.map((text, i) => [i, text]).filter(([i]) => i % every === 0);
    plot.left[0].ticker.ticks = shown.map(([i]) => -i);
    plot.left[0].major_label_overrides = new Map(
      shown.map(([i, text]) => [-i, plain(narrow ? short(text) : text)]),
    );
    plot.title.text = `${state.kind.replaceAll("_", " ")}: rms`;
    markFault(view, series);
    describeHeatmap(view, series);
  }

  function markFault(view, series) {
    const { fault } = facts;
    if (!fault) return;
    const x = center(view, Math.floor((fault.iteration - view.first) / view.width));
    const row = series.indexOf(fault.series);
    model("mark_line").data = { x: [x] };
    model("mark_spot").data = row < 0 ? { x: [], y: [] } : { x: [x], y: [-row] };
  }

  function describeHeatmap(view, series) {
    const broken = series
      .map(one => [facts.series[one].label, isBroken(view, one).indexOf(true)])
      .filter(([, column]) => column >= 0)
      .sort((a, b) => a[1] - b[1]);
    const list = broken.slice(0, 5).map(([label, column]) => `${label} since about iteration ${left(view, column)}`);
    byId("map-text").textContent =
      `Heat map of ${series.length} rows, iterations ${view.first} to ${left(view, view.n_columns) - 1}. ` +
      (broken.length ? `Not finite: ${list.join("; ")}${broken.length > 5 ? "; and others" : ""}.` : "Everything is finite.");
  }

  // ---- one series -----------------------------------------------------------------------------

  function drawSeries() {
    const { view, series } = state, fact = facts.series[series];
    const field = name => values(view, name, series);
    const columns = Array.from({ length: view.n_columns }, (_, i) => i);
    const broken = isBroken(view, series);
    const low = field("min"), high = field("max"), rms = field("rms_high");
    const weight = fact.weight === null ? null : values(view, "rms_low", fact.weight);
    const data = {
      left: columns.map(i => left(view, i)),
      center: columns.map(i => center(view, i)),
      rms_low: positive(field("rms_low")),
      rms_high: positive(rms),
      mean_abs: positive(field("mean_abs")),
      magnitude: positive(low.map((v, i) => Math.max(Math.abs(v), Math.abs(high[i])))),
      min: low, max: high,
      zero_share: field("zero_share"),
      ratio: weight === null ? columns.map(() => NaN) : positive(rms.map((v, i) => v / weight[i])),
      n_nan: field("n_nan"), n_inf: field("n_inf"),
      broken_left: columns.map(i => (broken[i] ? left(view, i) - 0.5 : NaN)),
      broken_right: columns.map(i => (broken[i] ? left(view, i + 1) - 0.5 : NaN)),
    };
    for (const line of ["rms_high", "mean_abs", "magnitude", "min", "max", "zero_share", "ratio"]) {
      data[`${line}_alone`] = alone(data[line]);
    }
    model("series").data = data;
    setRange(model("size").x_range, spanOf(view));
    byId("ratio").hidden = weight === null;
    drawHistogram(facts.histograms[series]);
    const first = broken.indexOf(true);
    byId("series-text").textContent = `The ${fact.title}. ` + (first < 0
      ? "Finite everywhere."
      : `Not finite since ${view.width > 1 ? "about " : ""}iteration ${left(view, first)} (red).`);
    for (const button of document.querySelectorAll("[data-layer]")) {
      button.setAttribute("aria-pressed", Number(button.dataset.layer) === fact.layer);
    }
    byId("series").value = series;
  }

  function drawHistogram(histogram) {
    byId("histogram").hidden = !histogram;
    if (!histogram) return;
    const { min, max, counts } = histogram, n = counts.length;
    const half = max > min ? 0 : Math.max(Math.abs(min), 1) * 0.01;
    const edge = i => (half ? min - half + (2 * half * i) / n : min + (max / n - min / n) * i);
    model("bins").data = {
      left: counts.map((_, i) => edge(i)), right: counts.map((_, i) => edge(i + 1)), top: counts,
    };
    const margin = (edge(n) - edge(0)) * 0.02;
    setRange(model("histogram").x_range, { start: edge(0) - margin, end: edge(n) + margin });
    const lost = histogram.n_nonfinite ? ` (${histogram.n_nonfinite} not finite)` : "";
    const zeros = histogram.n_zero ? `; zeros left out: ${histogram.n_zero}` : "";
    model("histogram").below[0].axis_label = histogram.axis + zeros;
    model("histogram").title.text = `Elements, iteration ${histogram.iteration}${lost}`;
  }

  // ---- what people do -------------------------------------------------------------------------

  function choose(series) {
    state.series = series;
    drawSeries();
  }

  function chooseKind(kind) {
    state.kind = kind;
    byId("kind").value = kind;
    drawHeatmap();
  }

  function fillSelects() {
    const groups = new Map();
    facts.series.forEach((one, i) => {
      if (!groups.has(one.owner)) {
        const group = document.createElement("optgroup");
        group.label = one.owner;
        groups.set(one.owner, group);
      }
      groups.get(one.owner).append(new Option(one.noun, i));
    });
    byId("series").append(...groups.values());
    if (facts.views.length < 2) return;
    byId("view").hidden = false;
    facts.views.forEach((view, i) => {
      const label = document.createElement("label");
      const input = Object.assign(document.createElement("input"), { type: "radio", name: "view", checked: i === 0 });
      input.addEventListener("change", () => {
        state.view = view;
        drawHeatmap();
        drawSeries();
      });
      label.append(input, ` ${view.name}`);
      byId("view").append(label);
    });
  }

  function listen() {
    byId("kind").addEventListener("change", event => chooseKind(event.target.value));
    byId("series").addEventListener("change", event => choose(Number(event.target.value)));
    for (const form of document.querySelectorAll("form")) {
      form.addEventListener("submit", event => event.preventDefault());
    }
    for (const button of document.querySelectorAll("[data-series]")) {
      button.addEventListener("click", () => {
        const series = Number(button.dataset.series), { kind } = facts.series[series];
        choose(series);
        if (facts.kinds.some(one => one.kind === kind)) chooseKind(kind);
        byId("tensor").scrollIntoView();
      });
    }
    for (const button of document.querySelectorAll("[data-layer]")) {
      button.addEventListener("click", () => {
        const layer = Number(button.dataset.layer);
        const of = facts.series.map((one, i) => i).filter(i => facts.series[i].layer === layer);
        const same = of.find(i => facts.series[i].kind === state.kind);
        if (of.length) choose(same ?? of[0]);
      });
    }
    model("heatmap").on_event("tap", event => {
      const row = Math.round(-event.y);
      if (rows()[row] !== undefined) choose(rows()[row]);
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", theme);
  }

  function showFaultyLayer() {
    const lit = document.querySelector(".layer.fault"), box = document.querySelector(".model");
    if (lit && box) box.scrollTop = lit.offsetTop - box.clientHeight / 2;
  }

  theme();
  showFaultyLayer();
  if (facts.shown !== null) {
    fillSelects();
    listen();
    drawSeries();
    const { kind } = facts.series[facts.shown];
    chooseKind(facts.kinds.some(one => one.kind === kind) ? kind : (facts.kinds.find(one => one.kind === "output") ?? facts.kinds[0]).kind);
  }
  // For tests: the plots have been laid out and painted.
  const frame = () => new Promise(resolve => requestAnimationFrame(resolve));
  for (let i = 0; i < 3; i++) await frame();
  document.documentElement.dataset.ready = "yes";
})();
