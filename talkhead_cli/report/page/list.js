/* The list of rows: filter, sort, count. */

const LEVELS = { good: "good", check: "look closer", bad: "trouble", none: "unknown" };
const STATES = {
  done: "Done", failed: "Failed", missing: "Missing", unreadable: "Unreadable", waiting: "Not rendered yet", running: "Rendering",
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

  /* Whether a row passes all filters but the one of its level. */
  passes(row) {
    const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const decision = byId("by-decision").value;
    return words.every((word) => row.text.includes(word))
      && (!byId("by-state").value || row.state === byId("by-state").value)
      && (!decision || (this.decisions.of(row.id) || "none") === decision)
      && (!byId("by-warnings").checked || row.warnings.length > 0);
  }

  sortKey(row) {
    const kind = byId("sort").value;
    if (kind === "trouble") return -row.trouble;
    if (kind === "decision") return ["", "reject", "approve"].indexOf(this.decisions.of(row.id));
    if (kind.startsWith("measure:")) return row.values[kind.slice(8)];
    return row[kind];
  }

  compare(a, b) {
    const [one, other] = [this.sortKey(a), this.sortKey(b)];
    const sign = byId("direction").getAttribute("aria-pressed") === "true" ? -1 : 1;
    // What is not known comes last either way.
    if ((one === undefined) !== (other === undefined)) return one === undefined ? 1 : -1;
    const order = typeof one === "string" ? one.localeCompare(other, undefined, { numeric: true }) : (one ?? 0) - (other ?? 0);
    return sign * order || a.number - b.number;
  }

  update() {
    const level = document.querySelector('input[name="level"]:checked').value;
    const passing = [...this.rows.values()].filter((row) => this.passes(row));
    this.shown = passing.filter((row) => !level || row.level === level).sort((a, b) => this.compare(a, b));
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
      const wanted = place.dataset.count.split(":")[1];
      place.textContent = passing.filter((row) => !wanted || row.level === wanted).length;
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
      if (row.stamp.textContent === words) continue;
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
