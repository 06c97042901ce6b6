/* The page as a whole: selection, keys, import and export. */

(() => {
  const about = JSON.parse(byId("about").textContent);
  const rows = readRows();
  const decisions = new Decisions(about.run, rows);
  const list = new List(rows, decisions, about.measures);
  const stage = new Stage(decisions);
  let current = null;
  let exported = true;

  let byPointer = false;

  /* After a click of the mouse the keys are for the video again; who tabs keeps the focus. */
  const release = (element) => byPointer && element?.blur();
  const say = (words) => { byId("say").textContent = words; };

  function select(row, { play = false, reveal = true } = {}) {
    byId("stage").hidden = !row;
    if (!row) {
      current?.element.removeAttribute("aria-current");
      current = null;
      stage.stop();
      return;
    }
    if (current !== row) {
      current?.element.removeAttribute("aria-current");
      row.element.setAttribute("aria-current", "true");
      current = row;
      stage.show(row);
      byId("stage").scrollTop = 0;
    }
    if (reveal) row.element.scrollIntoView({ block: "nearest" });
    if (play) stage.play();
  }

  const stepTo = (row) => select(row, { play: byId("autoplay").checked && Boolean(row) });

  function warnOfLoss() {
    byId("banner").hidden = decisions.kept;
    byId("banner").textContent = decisions.kept ? "" : "This browser keeps no decisions for this page: export them before you close it.";
  }

  function decide(decision) {
    if (!current) return;
    const row = current;
    const next = list.nextUndecided(row);
    const same = decisions.of(row.id) === decision;
    decisions.decide(row.id, same ? "" : decision);
    exported = false;
    list.update();
    stage.showDecision();
    warnOfLoss();
    say(`${row.name}: ${same ? "undecided" : VERDICTS[decision]}; ${decisions.count().left} left`);
    if (!same && next) stepTo(next);
  }

  function undo() {
    const id = decisions.undo();
    if (id === null) return say("nothing to undo");
    exported = false;
    list.update();
    select(rows.get(id));
    stage.showDecision();
    return say(`${rows.get(id).name}: ${VERDICTS[decisions.of(id)] ?? "undecided"} again`);
  }

  function exportCsv() {
    const link = make("a");
    link.href = URL.createObjectURL(new Blob([toCsv(rows, decisions, about.measures)], { type: "text/csv" }));
    link.download = about.file;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    exported = true;
    say("decisions exported");
  }

  async function importFile(file) {
    try {
      const found = importCsv(await file.text(), decisions);
      list.update();
      if (current) stage.showDecision();
      warnOfLoss();
      const strange = found.strange ? `; ${found.strange} of other rows or videos left out` : "";
      tell(`${found.taken} decisions imported${strange}.`);
    } catch (error) {
      tell(`The file cannot be imported: ${error.message}.`);
    }
  }

  function tell(words) {
    byId("banner").textContent = words;
    byId("banner").hidden = false;
  }

  const KEYS = {
    j: () => stepTo(list.step(current, 1)),
    ArrowDown: () => stepTo(list.step(current, 1)),
    k: () => stepTo(list.step(current, -1)),
    ArrowUp: () => stepTo(list.step(current, -1)),
    " ": () => stage.toggle(),
    ArrowLeft: () => stage.nudge(-SECOND),
    ArrowRight: () => stage.nudge(SECOND),
    ",": () => stage.frame(-1),
    ".": () => stage.frame(1),
    s: () => say(`speed ${stage.slow()}`),
    x: () => say(stage.toMissed() === undefined ? "no p, b or m was left open" : "before a p, b or m that was left open"),
    a: () => decide("approve"),
    r: () => decide("reject"),
    u: undo,
    n: () => byId("note").focus(),
    "/": () => byId("search").focus(),
    "?": () => byId("help").showModal(),
  };

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
    const target = event.target;
    if (event.key === "Escape" && target.matches("input")) return target.blur();
    if (target.id === "note" && event.key === "Enter") return target.blur();
    if (target.matches('input:not([type="radio"], [type="checkbox"]), select, textarea')) return;
    // Buttons and the like are pressed by the space bar, and arrows choose among radio buttons; rows are played.
    const focused = event.key === " " ? rows.get(target.closest(".row")?.id) : undefined;
    if (focused) select(focused);
    else if (event.key === " " && target.matches("button, summary, a, input")) return;
    if (event.key.startsWith("Arrow") && target.matches('input[type="radio"]')) return;
    const action = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!action || (event.repeat && "aru ?".includes(event.key))) return;
    event.preventDefault();
    action();
  }

  function setTheme(theme) {
    document.documentElement.dataset.theme = theme;
    try {
      localStorage.setItem("talkhead-report:theme", theme);
    } catch { /* It is chosen again next time. */ }
  }

  function restore() {
    try {
      const theme = localStorage.getItem("talkhead-report:theme");
      if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
      byId("autoplay").checked = localStorage.getItem("talkhead-report:autoplay") === "yes";
    } catch { /* Without storage the page begins as the system is set. */ }
  }

  for (const row of rows.values()) {
    row.missed = closuresMissed(row);
    row.element.addEventListener("click", (event) => {
      const pressed = event.target.closest(".poster");
      release(event.target.closest("button"));
      select(row, { play: Boolean(pressed && row.url), reveal: false });
    });
  }

  /* Where the lips missed a closure, from the plot's own bars. */
  function closuresMissed(row) {
    const path = row.element.querySelector(".missed")?.getAttribute("d") ?? "";
    return [...path.matchAll(/M(\d+)/g)].map((found) => (Number(found[1]) / 1000) * row.seconds);
  }

  function onClick(id, action) {
    byId(id).addEventListener("click", () => {
      action();
      release(byId(id));
    });
  }

  onClick("approve", () => decide("approve"));
  onClick("reject", () => decide("reject"));
  onClick("undo", undo);
  onClick("export", exportCsv);
  onClick("import", () => byId("import-file").click());
  onClick("help-open", () => byId("help").showModal());
  onClick("theme", () => {
    const dark = getComputedStyle(document.documentElement).colorScheme.trim() === "dark"
      || (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
    setTheme(dark ? "light" : "dark");
  });
  byId("import-file").addEventListener("change", (event) => {
    const [file] = event.target.files;
    if (file) importFile(file);
    event.target.value = "";
  });
  byId("note").addEventListener("change", () => {
    if (!current) return;
    decisions.annotate(current.id, byId("note").value);
    exported = false;
    list.stamp();
    warnOfLoss();
  });
  byId("autoplay").addEventListener("change", () => {
    try {
      localStorage.setItem("talkhead-report:autoplay", byId("autoplay").checked ? "yes" : "no");
    } catch { /* Likewise. */ }
  });
  document.addEventListener("pointerdown", () => { byPointer = true; }, true);
  document.addEventListener("keydown", () => { byPointer = false; }, true);
  document.addEventListener("keydown", onKey, true);
  document.querySelector(".tools").addEventListener("change", (event) => {
    if (!event.target.matches('[type="search"]')) release(event.target);
  });
  // The same page in another tab.
  window.addEventListener("storage", (event) => {
    if (event.key !== decisions.key) return;
    decisions.load();
    list.update();
    if (current) stage.showDecision();
  });
  window.addEventListener("beforeunload", (event) => {
    if (!decisions.kept && !exported) event.preventDefault();
  });

  list.changed = () => {
    if (!current || !list.shown.includes(current)) select(list.shown[0] ?? null, { reveal: false });
  };
  restore();
  list.update();
  warnOfLoss();
})();
