"use strict";
/* Decisions: what was approved and rejected, kept in this browser; as CSV in and out. */

const VERDICTS = { approve: "approved", reject: "rejected" };
const LONGEST_NOTE = 500;

class Decisions {
  /* Decisions of one folder. `rows` maps ids to rows; a decision holds for the video that it was made about. */
  constructor(run, rows) {
    this.key = "talkhead-report:" + run;
    this.rows = rows;
    this.all = new Map();
    this.undone = [];
    this.kept = true;
    this.load();
  }

  load() {
    try {
      this.take(JSON.parse(localStorage.getItem(this.key) || "{}"));
    } catch {
      this.kept = false;
    }
  }

  take(stored) {
    this.all.clear();
    if (typeof stored !== "object" || stored === null) return;
    for (const [id, item] of Object.entries(stored)) {
      if (!item || typeof item !== "object") continue;
      const decision = Object.hasOwn(VERDICTS, item.decision) ? item.decision : "";
      const note = typeof item.note === "string" ? item.note.slice(0, LONGEST_NOTE) : "";
      const [sha, time] = [item.sha, item.time].map((value) => (typeof value === "string" ? value : ""));
      if (decision || note) this.all.set(id, { decision, note, sha, time });
    }
  }

  save() {
    try {
      localStorage.setItem(this.key, JSON.stringify(Object.fromEntries(this.all)));
      this.kept = true;
    } catch {
      this.kept = false;
    }
  }

  /* What holds now: "" where nothing was decided, or the video is another by now. */
  of(id) {
    const item = this.all.get(id);
    return item && item.sha === this.rows.get(id).sha256 ? item.decision : "";
  }

  /* What was decided about an earlier video of this row, "" where nothing was. */
  stale(id) {
    const item = this.all.get(id);
    return item && item.sha !== this.rows.get(id).sha256 ? item.decision : "";
  }

  note(id) {
    return this.all.get(id)?.note ?? "";
  }

  put(id, decision, note) {
    const before = this.all.get(id);
    if (decision || note) {
      const time = new Date().toISOString().slice(0, 19) + "Z";
      this.all.set(id, { decision, note, sha: this.rows.get(id).sha256, time });
    } else {
      this.all.delete(id);
    }
    this.save();
    return before;
  }

  decide(id, decision) {
    this.undone.push([id, this.put(id, decision, this.note(id))]);
  }

  annotate(id, text) {
    this.put(id, this.of(id), text.replace(/\s+/g, " ").trim().slice(0, LONGEST_NOTE));
  }

  /* Take the last decision back; the row's id, or null where there is none. */
  undo() {
    const last = this.undone.pop();
    if (!last) return null;
    const [id, before] = last;
    if (before) this.all.set(id, before);
    else this.all.delete(id);
    this.save();
    return id;
  }

  count() {
    const counts = { approve: 0, reject: 0, left: 0, total: 0 };
    for (const [id, row] of this.rows) {
      const decision = this.of(id);
      if (decision) counts[decision] += 1;
      else if (row.url) counts.left += 1;
      if (row.url || decision) counts.total += 1;
    }
    return counts;
  }
}

/* A cell that spreadsheets show and do not calculate; quotation marks as RFC 4180 has them. */
function csvCell(value) {
  if (typeof value === "number") return String(value);
  let text = String(value ?? "");
  if (/^\s*[=+\-@\t\r\n|\uFF1D\uFF0B\uFF0D\uFF20]/.test(text)) text = "'" + text;
  return '"' + text.replaceAll('"', '""') + '"';
}

function toCsv(rows, decisions, measures) {
  const heading = ["id", "row", "file", "decision", "note", "decided", "status", "quality", "findings", "warnings"];
  heading.push("consent_ref", "sha256", "seconds", ...measures.map((item) => item.key));
  const lines = [heading.map(csvCell).join(",")];
  for (const row of [...rows.values()].sort((a, b) => a.number - b.number)) {
    const decision = decisions.of(row.id);
    const cells = [row.id, row.number, row.name, VERDICTS[decision] ?? "", decisions.note(row.id)];
    cells.push(decision ? decisions.all.get(row.id).time : "", row.state, LEVELS[row.level]);
    cells.push(row.error ? row.error.message : row.findings.filter((item) => item.words).map((item) => item.words).join("; "));
    cells.push(row.warnings.join("; "), row.consent_ref, row.sha256, row.seconds || "");
    cells.push(...measures.map((item) => row.values[item.key] ?? ""));
    lines.push(cells.map(csvCell).join(","));
  }
  // Spreadsheets take a file for UTF-8 by its byte order mark.
  return "\uFEFF" + lines.join("\r\n") + "\r\n";
}

/* Records of a CSV file with commas, semicolons or tabs. */
function parseCsv(text) {
  text = text.replace(/^\uFEFF/, "");
  const first = text.split(/\r?\n/, 1)[0];
  const comma = [",", ";", "\t"].sort((a, b) => first.split(b).length - first.split(a).length)[0];
  const records = [];
  let record = [], cell = "", quoted = false;
  for (let index = 0; index <= text.length; index += 1) {
    const char = text[index];
    if (quoted && char !== undefined) {
      if (char !== '"') cell += char;
      else if (text[index + 1] === '"') { cell += '"'; index += 1; } else quoted = false;
    } else if (char === '"' && cell === "") {
      quoted = true;
    } else if (char === "\r" && text[index + 1] === "\n") {
      // Half of a line's end.
    } else if (char === comma || char === "\n" || char === undefined) {
      record.push(cell);
      cell = "";
      if (char !== comma) {
        if (record.some(Boolean)) records.push(record);
        record = [];
      }
    } else cell += char;
  }
  return records;
}

/* Take decisions of an exported file over; how many were taken and how many belong to no row or another video. */
function importCsv(text, decisions) {
  const [heading, ...records] = parseCsv(text);
  const at = Object.fromEntries((heading ?? []).map((name, index) => [name.trim().toLowerCase(), index]));
  if (!("id" in at && "decision" in at)) throw new Error("this file has no columns id and decision");
  const found = { taken: 0, strange: 0 };
  const words = { approved: "approve", approve: "approve", rejected: "reject", reject: "reject" };
  for (const record of records) {
    const id = record[at.id]?.trim();
    const decision = words[record[at.decision]?.trim().toLowerCase()] ?? "";
    const note = (record[at.note] ?? "").replace(/^'(?=\s*[=+\-@\t\r\n|\uFF1D\uFF0B\uFF0D\uFF20])/, "");
    if (!decision && !note) continue;
    const row = decisions.rows.get(id);
    const sha = record[at.sha256]?.trim();
    if (!row || (sha && sha !== row.sha256)) {
      found.strange += 1;
      continue;
    }
    decisions.undone.push([id, decisions.put(id, decision, note.slice(0, LONGEST_NOTE))]);
    found.taken += 1;
  }
  return found;
}
