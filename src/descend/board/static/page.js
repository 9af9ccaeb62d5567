// The page: a study, six views of it, and what happens when it changes.

const VIEWS = { overview, parameters, trials, failures, workers, compare };
const OVERVIEW = ["history", "pareto", "hypervolume", "importance", "intermediate", "distribution", "timeline"];
const PARAMETERS = ["parallel", "slice", "contour", "rank"];
const app = { source: null, studies: [], study: "", view: "overview", objective: 0, pictures: [], refresh: null, picked: null };

const byId = (id) => document.getElementById(id);

async function start() {
  const data = byId("data");
  app.source = data ? new Embedded(data.textContent) : new Live();
  const theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  document.documentElement.dataset.theme = theme;
  byId("theme").addEventListener("click", () => {
    const root = document.documentElement;
    root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
    app.pictures.forEach((picture) => picture.show());
  });
  byId("study").addEventListener("change", (event) => go(app.view, event.target.value));
  byId("objective").addEventListener("change", (event) => { app.objective = Number(event.target.value); show(); });
  addEventListener("hashchange", read);
  let width = innerWidth;
  addEventListener("resize", () => {
    if ((width < 800) !== (innerWidth < 800)) app.pictures.forEach((picture) => picture.show());
    width = innerWidth;
  });
  app.studies = await app.source.studies();
  await read();
  // heartbeats are no change of the study, but are seen
  if (app.source.live) setInterval(beat, 5000);
}

async function beat() {
  if (app.view !== "workers" || waiting || document.hidden) return;
  try { app.summary = await app.source.summary(app.study); } catch { return; }
  app.refresh?.();
}

function go(view, study) { location.hash = `${view}/${encodeURIComponent(study)}`; }

async function read() {
  const [view, name] = location.hash.slice(1).split("/");
  app.view = VIEWS[view] ? view : "overview";
  let study = "";
  try { study = decodeURIComponent(name ?? ""); } catch { /* not a name */ }
  const known = app.studies.map((one) => one.name);
  if (!known.includes(study)) study = known[0];
  if (study === undefined) {
    byId("main").replaceChildren(el("p", { class: "empty" }, "There is no study in this file yet."));
    return;
  }
  if (study !== app.study) {
    [app.study, app.objective, app.summary, latest] = [study, 0, null, null];
    app.stop?.();
    app.stop = app.source.watch(study, changed);
  }
  await show();
}

let waiting = null;
let cost = 0;
let latest = null;

// At most one refresh at a time, and never more than a third of the time.
function changed(news) {
  const status = byId("status");
  status.className = news ? "live" : "lost";
  status.textContent = news ? "live" : "server not reachable";
  if (!news) return;
  latest = news;
  if (waiting || news.version === app.summary?.version) return;
  waiting = setTimeout(async () => {
    const began = performance.now();
    try { await update(); } catch (error) { status.textContent = String(error.message); }
    cost = performance.now() - began;
    waiting = null;
    if (latest && app.summary && latest.version > app.summary.version) changed(latest);
  }, Math.max(700, 2 * cost));
}

async function update() {
  app.summary = await app.source.summary(app.study);
  head();
  await app.refresh?.();
  await Promise.all(app.pictures.map((picture) => picture.redraw()));
}

async function show() {
  app.pictures.forEach((picture) => picture.close());
  [app.pictures, app.refresh] = [[], null];
  app.summary = await app.source.summary(app.study);
  head();
  byId("main").replaceChildren(...(await VIEWS[app.view]()));
  document.documentElement.dataset.ready = `${app.view}/${app.study}`;
}

function head() {
  const { name, directions, labels, method } = app.summary;
  document.title = `${name} · descend`;
  byId("title").textContent = name;
  const choice = byId("study");
  choice.hidden = app.studies.length < 2;
  choice.replaceChildren(...app.studies.map((one) => el("option", { selected: one.name === name, value: one.name }, one.name)));
  byId("kind").textContent = [directions.join(", "), method].filter(Boolean).join(" · ");
  const objective = byId("objective");
  objective.hidden = labels.length < 2;
  objective.replaceChildren(...labels.map((label, at) => el("option", { selected: at === app.objective, value: at }, label)));
  byId("nav").replaceChildren(...Object.keys(VIEWS).map((view) => {
    const failed = view === "failures" && app.summary.counts.failed ? ` (${app.summary.counts.failed})` : "";
    const here = view === app.view ? "page" : null;
    return el("a", { href: `#${view}/${encodeURIComponent(name)}`, "aria-current": here }, view[0].toUpperCase() + view.slice(1) + failed);
  }));
}

function pictures(names) {
  const made = names.filter((name) => app.summary.figures.includes(name)).map((name) => {
    const [study, objective] = [app.study, app.objective];
    return new Picture(name, () => app.source.figure(study, name, objective));
  });
  app.pictures.push(...made);
  const halves = made.filter((picture) => !WIDE.has(picture.name));
  if (halves.length % 2) halves.pop().box.classList.add("wide"); // no empty half beside it
  return el("div", { class: "figures" }, made.map((picture) => picture.box));
}

async function overview() {
  const cards = el("div", { class: "cards" });
  app.refresh = () => cards.replaceChildren(...overviewCards());
  app.refresh();
  return [cards, pictures(OVERVIEW)];
}

function overviewCards() {
  const { best, counts, trials: total, began, last, labels, directions } = app.summary;
  const bests = best.map((trial, at) => {
    const value = num(trial.values[at], 6);
    const what = directions[at] === "maximize" ? "Greatest" : "Least";
    return card(`${what} ${labels[at]}`, el("div", { class: "big" }, value),
      el("div", { class: "soft" }, `trial ${trial.number}, took ${span(trial.ended && trial.began ? trial.ended - trial.began : null)}`), facts(Object.entries(trial.params)));
  });
  if (!bests.length) bests.push(card("Best", el("div", { class: "big" }, "–"), el("div", { class: "soft" }, "no trial is done yet")));
  const bar = el("div", { class: "bar" }, Object.entries(counts).filter(([, count]) => count).map(([state, count]) => {
    const piece = el("span", { class: state, title: `${count} ${state}` });
    piece.style.flex = String(count);
    return piece;
  }));
  const words = Object.entries(counts).filter(([, count]) => count).map(([state, count]) => el("div", {}, stateWord(state), ` ${count}`));
  const time = last !== null && began !== null ? last - began : null;
  const front = app.summary.front === null ? [] : [card("Front", el("div", { class: "big" }, num(app.summary.front)), el("div", { class: "soft" }, "trials that no other one beats in everything"))];
  return [
    ...bests, ...front,
    card("Trials", el("div", { class: "big" }, num(total)), bar, ...words),
    card("Time", el("div", { class: "big" }, span(time)), el("div", { class: "soft" }, `began ${clock(began)}`), el("div", { class: "soft" }, `last change ${clock(last)}`)),
  ];
}

async function parameters() { return [pictures(PARAMETERS)]; }

async function trials() {
  const asked = { sort: "number", down: true, state: "", first: 0, count: 50 };
  const [body, line] = [el("div", { class: "scroll" }), el("span", { class: "soft" })];
  const turn = (by) => el("button", { onclick: () => { asked.first = Math.max(0, asked.first + by * asked.count); load(); } }, by < 0 ? "← previous page" : "next page →");
  const [before, after] = [turn(-1), turn(1)];
  const filter = el("select", { "aria-label": "state", onchange: (event) => { [asked.state, asked.first] = [event.target.value, 0]; load(); } },
    ["", ...Object.keys(app.summary.counts)].map((state) => el("option", { value: state }, state || "all states")));
  const load = async () => {
    const page = await app.source.trials(app.study, asked);
    body.replaceChildren(trialTable(page, asked, load));
    line.textContent = page.total ? `${asked.first + 1}–${asked.first + page.rows.length} of ${page.total}` : "none";
    before.disabled = asked.first === 0;
    after.disabled = asked.first + page.rows.length >= page.total;
  };
  await load();
  app.refresh = load;
  return [el("div", { class: "tools" }, filter, line, el("span", { class: "room" }), before, after), body];
}

function trialTable(page, asked, load) {
  const columns = [["number", "trial"], ["state", "state"], ...page.labels.map((label, at) => [`value ${at}`, label]), ["seconds", "time"],
    ...page.parameters.map((name) => [`param ${name}`, name])];
  const heading = columns.map(([sort, label]) => {
    const click = () => {
      Object.assign(asked, asked.sort === sort ? { down: !asked.down } : { sort, down: sort === "number" });
      asked.first = 0;
      load();
    };
    const mine = asked.sort === sort;
    const order = mine ? (asked.down ? "descending" : "ascending") : null;
    return el("th", { "aria-sort": order, title: label }, el("button", { onclick: click }, label + (mine ? (asked.down ? " ↓" : " ↑") : "")));
  });
  const best = new Set(app.summary.best.map((trial) => trial.number));
  const rows = page.rows.map((row) => el("tr", { class: best.has(row.number) ? "link best" : "link", onclick: () => detail(row.number) },
    el("td", {}, el("button", { "aria-label": `trial ${row.number}` }, num(row.number))), el("td", {}, stateWord(row.state)),
    row.values.map((value) => el("td", { title: row.feasible ? null : "violates a constraint" }, num(value) + (row.feasible ? "" : " ✕"))),
    el("td", {}, span(row.seconds)), row.params.map((value) => el("td", { title: num(value, 9) }, num(value)))));
  return el("table", {}, el("thead", {}, el("tr", {}, heading)), el("tbody", {}, rows));
}

async function detail(number) {
  const trial = await app.source.trial(app.study, number);
  const values = trial.values?.some((value) => value !== null) ? trial.values.map((value) => num(value, 9)).join(", ") : "–";
  const times = [["began", clock(trial.began)], ["ended", clock(trial.ended)], ["worker", trial.owner ?? "–"]];
  const box = el("dialog", { onclose: () => box.remove(), onclick: (event) => { if (event.target === box) box.close(); } },
    el("div", { class: "tools" }, el("strong", {}, `Trial ${trial.number}`), stateWord(trial.state), el("span", { class: "room" }), el("button", { onclick: () => box.close() }, "close")),
    facts([["value", values], ...Object.entries(trial.params), ...times, ...Object.entries(trial.attributes)]),
    trial.reports.length ? el("p", { class: "soft" }, `last reports: ${trial.reports.map(([step, value]) => `${step}: ${num(value)}`).join(", ")}`) : null,
    trial.error ? el("pre", {}, trial.error) : null);
  document.body.append(box);
  box.showModal();
}

async function failures() {
  const list = el("div");
  app.refresh = async () => {
    const { total, rows } = await app.source.failures(app.study);
    if (!total) return list.replaceChildren(el("p", { class: "empty" }, "No trial has failed."));
    const open = new Set([...list.querySelectorAll("details[open]")].map((one) => one.dataset.number));
    const shown = rows.map(({ number, error, params }) => el("details", { "data-number": number, open: open.has(String(number)) },
      el("summary", {}, stateWord("failed"), ` trial ${number}: ${error.trim().split("\n").pop().slice(0, 200) || "no reason was given"}`),
      facts(Object.entries(params)), el("pre", {}, error || "–")));
    const more = total > rows.length ? el("p", { class: "soft" }, `The last ${rows.length} of ${total}.`) : null;
    list.replaceChildren(...[more, ...shown].filter(Boolean));
  };
  await app.refresh();
  return [list];
}

async function workers() {
  const body = el("div", { class: "scroll" });
  app.refresh = () => {
    const { workers: all, now } = app.summary;
    const rows = all.map(({ name, finished, heard, running }) => el("tr", {}, el("td", { class: "word" }, name),
      el("td", {}, running.join(", ") || "–"),
      el("td", {}, num(finished)), el("td", {}, heard === null ? "–" : `${span(Math.max(0, now - heard))} ago`)));
    const heading = ["worker", "running trial", "finished", "last heard of"].map((text, at) => el("th", { class: at ? null : "word" }, text));
    body.replaceChildren(all.length ? el("table", {}, el("thead", {}, el("tr", {}, heading)), el("tbody", {}, rows)) : el("p", { class: "empty" }, "Nobody has evaluated anything yet."));
  };
  app.refresh();
  return [body, pictures(["timeline"])];
}

async function compare() {
  app.studies = await app.source.studies(); // there may be new ones
  const mine = app.summary.directions[app.objective];
  const alike = app.studies.filter((study) => study.directions[app.objective] === mine);
  app.picked ??= new Set(alike.slice(0, 6).map((study) => study.name));
  const picked = () => alike.map((study) => study.name).filter((name) => app.picked.has(name));
  const boxes = alike.map(({ name }) => el("label", { class: "pick" }, el("input", {
    type: "checkbox", checked: app.picked.has(name), disabled: !app.source.live,
    onchange: (event) => { app.picked[event.target.checked ? "add" : "delete"](name); app.pictures.forEach((picture) => picture.redraw()); },
  }), name));
  const objective = app.objective;
  app.pictures = ["compare", "distribution"].map((name) => new Picture(name, () => app.source.compare(picked(), name, objective)));
  app.pictures.forEach((picture) => picture.box.classList.add("wide"));
  const rows = alike.map((study) => el("tr", { class: "link", onclick: () => go("overview", study.name) }, el("td", { class: "word" }, study.name),
    el("td", {}, num(study.best[objective]?.values?.[objective], 6)), el("td", {}, num(study.trials)), el("td", {}, clock(study.last))));
  const heading = ["study", `best ${app.summary.labels[objective]}`, "trials", "last change"].map((text, at) => el("th", { class: at ? null : "word" }, text));
  return [
    el("div", { class: "tools" }, boxes), el("div", { class: "figures" }, app.pictures.map((picture) => picture.box)), el("p"),
    el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, heading)), el("tbody", {}, rows))),
  ];
}

start().catch((error) => byId("main").replaceChildren(el("p", { class: "empty" }, String(error.message))));
