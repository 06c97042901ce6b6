/* The list of rows: filter, sort, count. */

const LEVELS = { good: "good", check: "look closer", bad: "trouble", none: "unknown" };
const STATES = {
  done: "Done", failed: "Failed", missing: "Missing", unreadable: "Unreadable", unmeasured: "Cannot be measured",
  waiting: "Not rendered yet", running: "Rendering",
};
const STAMPS = { approve: "Approved", reject: "Rejected" };
const byId = (id) => document.getElementById(id);

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

function readRows() {
  const rows = new Map();
  for (const element of document.querySelectorAll("#list > .row")) {
    const row = JSON.parse(element.querySelector("script").textContent);
    row.element = element;
    row.stamp = element.querySelector("[data-stamp]");
    row.stamped = "";
    row.text = [row.name, row.consent_ref, row.headline, ...row.warnings, ...row.facts.flat(), row.number].join("\n").toLowerCase();
    rows.set(row.id, row);
  }
  return rows;
}

class List {
  constructor(rows, decisions, measures) {
    this.rows = rows;
    this.decisions = decisions;
    this.shown = [...rows.values()];
    this.placed = this.shown;
    this.changed = () => {};
    for (const item of measures) byId("sort").append(new Option(item.title, "measure:" + item.key));
    for (const state of Object.keys(STATES)) {
      if (this.shown.some((row) => row.state === state)) byId("by-state").append(new Option(STATES[state].toLowerCase(), state));
    }
    this.controls = ["search", "by-state", "by-decision", "by-warnings", "sort"].map(byId);
    for (const control of [...this.controls, byId("by-level")]) {
      control.addEventListener("input", () => this.update());
    }
    byId("direction").addEventListener("click", () => {
      const pressed = byId("direction").getAttribute("aria-pressed") !== "true";
      byId("direction").setAttribute("aria-pressed", String(pressed));
      this.update();
    });
    byId("reset").addEventListener("click", () => this.reset());
  }

  reset() {
    byId("search").value = byId("by-state").value = byId("by-decision").value = "";
    byId("by-warnings").checked = false;
    document.querySelector('input[name="level"][value=""]').checked = true;
    this.update();
  }

  /* What the controls ask for; read once, not for each row. */
  wanted() {
    return {
      words: byId("search").value.toLowerCase().split(/\s+/).filter(Boolean),
      state: byId("by-state").value,
      decision: byId("by-decision").value,
      warned: byId("by-warnings").checked,
      level: document.querySelector('input[name="level"]:checked').value,
      sort: byId("sort").value,
      sign: byId("direction").getAttribute("aria-pressed") === "true" ? -1 : 1,
    };
  }

  /* Whether a row passes all filters but the one of its level. */
  passes(row, wanted) {
    return wanted.words.every((word) => row.text.includes(word))
      && (!wanted.state || row.state === wanted.state)
      && (!wanted.decision || (this.decisions.of(row.id) || "none") === wanted.decision)
      && (!wanted.warned || row.warnings.length > 0);
  }

  sortKey(row, kind) {
    if (kind === "trouble") return -row.trouble;
    if (kind === "decision") return ["", "reject", "approve"].indexOf(this.decisions.of(row.id));
    if (kind.startsWith("measure:")) return row.values[kind.slice(8)];
    return row[kind];
  }

  compare(a, b, wanted) {
    const [one, other] = [this.sortKey(a, wanted.sort), this.sortKey(b, wanted.sort)];
    // What is not known comes last either way.
    if ((one === undefined) !== (other === undefined)) return one === undefined ? 1 : -1;
    const order = typeof one === "string" ? one.localeCompare(other, undefined, { numeric: true }) : (one ?? 0) - (other ?? 0);
    return wanted.sign * order || a.number - b.number;
  }

  update() {
    const wanted = this.wanted();
    const passing = [...this.rows.values()].filter((row) => this.passes(row, wanted));
    this.shown = passing.filter((row) => !wanted.level || row.level === wanted.level);
    this.shown.sort((a, b) => this.compare(a, b, wanted));
    const visible = new Set(this.shown);
    for (const row of this.rows.values()) {
      if (row.element.hidden === visible.has(row)) row.element.hidden = !visible.has(row);
    }
    // Moving hundreds of rows takes time: they stay where they stand in order already.
    if (this.shown.length !== this.placed.length || this.shown.some((row, index) => row !== this.placed[index])) {
      byId("list").append(...this.shown.map((row) => row.element));
      this.placed = this.shown;
    }
    byId("empty").hidden = this.shown.length > 0;
    for (const place of document.querySelectorAll("[data-count]")) {
      const level = place.dataset.count.split(":")[1];
      place.textContent = passing.filter((row) => !level || row.level === level).length;
    }
    this.stamp();
    this.changed();
  }

  /* Show decisions on the rows, and how many are left. */
  stamp() {
    for (const [id, row] of this.rows) {
      const decision = this.decisions.of(id);
      const stale = !decision && this.decisions.stale(id);
      const words = decision ? STAMPS[decision] : stale ? "Rendered again" : "";
      if (row.stamped === words) continue;
      row.stamped = words;
      row.stamp.className = "stamp " + (decision || "stale");
      row.stamp.textContent = words;
    }
    const counts = this.decisions.count();
    const share = (number) => (counts.total ? (100 * number) / counts.total : 0) + "%";
    byId("bar-approved").style.width = share(counts.approve);
    byId("bar-rejected").style.width = share(counts.reject);
    byId("bar").setAttribute("aria-valuemax", counts.total);
    byId("bar").setAttribute("aria-valuenow", counts.approve + counts.reject);
    const left = make("b", "", String(counts.left));
    byId("left").replaceChildren(left, ` left · ${counts.approve} approved · ${counts.reject} rejected`);
  }

  /* The row so many steps from another among those shown; the last or first at the ends. */
  step(row, steps) {
    const index = this.shown.indexOf(row);
    if (index < 0) return this.shown[0];
    return this.shown[Math.min(this.shown.length - 1, Math.max(0, index + steps))];
  }

  /* The next row after one that is undecided and can be watched; null where none is left below. */
  nextUndecided(row) {
    const index = this.shown.indexOf(row);
    return this.shown.slice(index + 1).find((item) => item.url && !this.decisions.of(item.id)) ?? null;
  }
}
