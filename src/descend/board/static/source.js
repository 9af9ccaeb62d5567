"use strict";
// Where the page has its data from: a server that reads the study, or what stands in the page itself. Both answer
// the same questions with the same plain data, each with a promise.

// Puts the arrays that stand in a list of their own back into their places.
function unpacked({ arrays, data }) {
  const walk = (part) => {
    if (Array.isArray(part)) return part.map(walk);
    if (part === null || typeof part !== "object") return part;
    if (typeof part.$ === "number") return arrays[part.$];
    return Object.fromEntries(Object.entries(part).map(([name, value]) => [name, walk(value)]));
  };
  return walk(data);
}

class Live {
  constructor() { this.live = true; }
  async ask(path, query) {
    const answer = await fetch(`/api/${path}?${new URLSearchParams(query)}`);
    if (!answer.ok) throw new Error((await answer.text()).slice(0, 500));
    return unpacked(await answer.json());
  }
  studies() { return this.ask("studies", []); }
  summary(study) { return this.ask("summary", { study }); }
  figure(study, figure, objective) { return this.ask("figure", { study, figure, objective }); }
  trials(study, asked) { return this.ask("trials", { study, ...asked }); }
  trial(study, number) { return this.ask("trial", { study, number }); }
  failures(study) { return this.ask("failures", { study }); }
  compare(studies, figure, objective) {
    return this.ask("compare", [...studies.map((study) => ["study", study]), ["figure", figure], ["objective", objective]]);
  }
  // Calls back whenever the study has changed, and with null when the server cannot be heard.
  watch(study, call) {
    if (new URLSearchParams(location.search).has("still")) return () => {};
    const stream = new EventSource(`/api/events?${new URLSearchParams({ study })}`);
    stream.addEventListener("change", (event) => call(JSON.parse(event.data)));
    stream.onerror = () => call(null);
    return () => stream.close();
  }
}

class Embedded {
  constructor(text) {
    this.live = false;
    this.data = unpacked(JSON.parse(text));
  }
  of(name) { return this.data.studies.find((study) => study.summary.name === name); }
  async studies() { return this.data.studies.map((study) => study.summary); }
  async summary(study) { return this.of(study).summary; }
  async figure(study, figure, objective) { return this.of(study).figures[`${figure} ${objective}`]; }
  async failures(study) { return this.of(study).failures; }
  async compare(studies, figure, objective) { return this.data.compare[`${figure} ${objective}`]; }
  watch() { return () => {}; }

  async trial(study, number) {
    const { columns, summary, failures } = this.of(study);
    const known = summary.best.find((trial) => trial.number === number);
    if (known) return known;
    const at = columns.number.indexOf(number);
    const row = this.row(columns, at);
    const params = columns.params.map((param, place) => [param.name, row.params[place]]);
    const began = columns.began[at] === null ? null : summary.began + columns.began[at];
    return {
      ...row, params: Object.fromEntries(params.filter(([, value]) => value !== null)), violations: [], attributes: {},
      reports: [], began, ended: began === null || row.seconds === null ? null : began + row.seconds, owner: null,
      error: failures.rows.find((failed) => failed.number === number)?.error ?? null,
    };
  }

  async trials(study, { sort, down, state, first, count }) {
    const { columns, summary } = this.of(study);
    const key = this.key(columns, sort);
    let rows = columns.number.map((_, at) => at);
    if (state) rows = rows.filter((at) => columns.states[columns.state[at]] === state);
    const turn = down ? -1 : 1;
    const gone = (value) => value === null || value === undefined;
    rows.sort((a, b) => gone(key[a]) - gone(key[b]) || (gone(key[a]) ? 0 : turn * (key[a] - key[b])) || a - b);
    return {
      total: rows.length, first, labels: summary.labels, parameters: columns.params.map((param) => param.name),
      rows: rows.slice(first, first + count).map((at) => this.row(columns, at)),
    };
  }

  key(columns, sort) {
    const [kind, name] = [sort.split(" ", 1)[0], sort.slice(sort.indexOf(" ") + 1)];
    if (kind === "param") return columns.params.find((param) => param.name === name).numbers;
    return kind === "value" ? columns.values[Number(name)] : columns[sort];
  }

  row(columns, at) {
    return {
      number: columns.number[at], state: columns.states[columns.state[at]], seconds: columns.seconds[at],
      values: columns.values.map((values) => values[at]), feasible: !columns.outside.includes(columns.number[at]),
      params: columns.params.map(({ numbers, labels }) => (labels && numbers[at] !== null ? labels[numbers[at]] : numbers[at])),
    };
  }
}
