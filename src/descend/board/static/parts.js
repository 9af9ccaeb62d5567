// Pieces of the page. Every text that comes from a study is put in as text, never as HTML.

function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

function num(value, digits = 5) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return String(value);
  return String(Number(value.toPrecision(digits))).replace("-", "−");
}

function span(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 1) return `${Number((1000 * seconds).toPrecision(3))} ms`;
  if (seconds < 120) return `${Number(seconds.toPrecision(3))} s`;
  if (seconds < 7200) return `${(seconds / 60).toFixed(1)} min`;
  return seconds < 172800 ? `${(seconds / 3600).toFixed(1)} h` : `${(seconds / 86400).toFixed(1)} days`;
}

const clock = (time) => (time === null || time === undefined ? "–" : new Date(1000 * time).toLocaleString());

const stateWord = (state) => el("span", { class: `state ${state}` }, state);

function facts(pairs) {
  return el("dl", {}, pairs.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value instanceof Node ? value : num(value, 8))]));
}

function card(title, ...children) {
  return el("section", { class: "card" }, el("h2", {}, title), ...children);
}

// The whole width for pictures with several panels, half of it for the others.
const WIDE = new Set(["parallel", "slice", "contour", "rank", "timeline", "compare", "history"]);

function themed(figure, width) {
  const style = getComputedStyle(document.documentElement);
  const layout = structuredClone(figure.layout);
  layout.font.color = style.getPropertyValue("--soft").trim();
  layout.modebar = { bgcolor: "rgba(0,0,0,0)", color: layout.font.color, activecolor: layout.font.color };
  const narrow = layout.meta?.narrow;
  if (narrow && width < 620) {
    layout.height = narrow.height;
    narrow.domains.forEach(([x, y], place) => {
      const suffix = place ? String(place + 1) : "";
      layout[`xaxis${suffix}`].domain = x;
      layout[`yaxis${suffix}`].domain = y;
    });
    layout.margin.r = Math.min(layout.margin.r, 52);
    layout.margin.l = 46;
  }
  return layout;
}

// plotly's script is large: the page is shown before it is there.
const plotly = new Promise((resolve, reject) => {
  const tag = document.getElementById("plotly");
  if (window.Plotly) resolve();
  tag.addEventListener("load", () => resolve());
  tag.addEventListener("error", () => reject(new Error(`The pictures need ${tag.getAttribute("src")} beside this page.`)));
});
plotly.catch(() => {});

// A box that draws its picture when it is first seen, and again after `redraw` when it is seen.
class Picture {
  constructor(name, load) {
    [this.name, this.load, this.stale, this.seen, this.busy] = [name, load, true, false, false];
    this.heading = el("h2", {}, name);
    this.plot = el("div", { class: "plot" });
    this.box = el("section", { class: WIDE.has(name) ? "figure wide" : "figure", "data-figure": name }, this.heading, this.plot);
    this.observer = new IntersectionObserver((entries) => {
      this.seen = entries[entries.length - 1].isIntersecting;
      this.draw();
    }, { rootMargin: "200px" });
    this.observer.observe(this.box);
  }
  redraw() { this.stale = true; return this.draw(); }
  async draw() {
    if (!this.stale || !this.seen || this.busy) return;
    [this.stale, this.busy] = [false, true];
    if (!this.figure) this.plot.replaceChildren(el("p", { class: "empty" }, "being made…"));
    try {
      this.figure = await this.load();
      await plotly;
      this.show();
    } catch (error) {
      this.plot.replaceChildren(el("p", { class: "empty" }, String(error.message)));
    }
    this.busy = false;
    this.draw();
  }
  show() {
    if (!this.figure) return;
    this.heading.textContent = this.figure.title;
    if (this.figure.sentence) {
      this.plot.replaceChildren(el("p", { class: "empty" }, this.figure.sentence));
      return;
    }
    const layout = themed(this.figure, this.box.clientWidth);
    const options = { responsive: true, displaylogo: false, modeBarButtons: [["toImage", "resetScale2d"]] };
    Plotly.react(this.plot, this.figure.data, layout, options);
    this.box.dataset.drawn = "yes";
  }
  close() { this.observer.disconnect(); }
}
