/* The stage: the selected row's video, its plot, and what there is to be said of it. */

const SECOND = 1;
const BEFORE_CLOSURE = 0.4;

class Stage {
  constructor(decisions) {
    this.decisions = decisions;
    this.row = null;
    this.video = byId("video");
    this.track = byId("track");
    this.video.addEventListener("error", () => this.fail());
    for (const name of ["play", "playing"]) this.video.addEventListener(name, () => this.follow());
    for (const name of ["timeupdate", "seeked", "pause"]) this.video.addEventListener(name, () => this.place());
    this.track.addEventListener("pointerdown", (event) => this.drag(event));
    this.track.addEventListener("pointermove", (event) => event.buttons && this.drag(event));
  }

  show(row) {
    if (this.row !== row) this.stop();
    this.row = row;
    byId("stage-name").textContent = row.name;
    const parts = [`Row ${row.number}`];
    parts.push(...row.facts.filter(([name]) => ["Size", "Length"].includes(name)).map(([, value]) => value));
    if (row.consent_ref) parts.push("consent " + row.consent_ref);
    byId("stage-sub").textContent = parts.join(" · ");
    this.showScreen(row);
    this.showGraph(row);
    this.showTrouble(row);
    this.showFindings(row);
    this.showLists(row);
    this.showDecision();
  }

  stop() {
    this.video.pause();
    if (this.video.hasAttribute("src")) {
      this.video.removeAttribute("src");
      this.video.load();
    }
    byId("cannot").hidden = true;
  }

  showScreen(row) {
    const picture = row.element.querySelector(".poster img");
    this.video.hidden = !row.url;
    byId("slate").hidden = Boolean(row.url);
    if (picture) this.video.poster = picture.src;
    else this.video.removeAttribute("poster");
    this.video.setAttribute("aria-label", row.name);
    byId("slate").replaceChildren(make("b", "", STATES[row.state]), "There is no video to watch.");
  }

  /* Load the video, which only happens when somebody asks for it. */
  load() {
    if (!this.row?.url) return false;
    if (!this.video.hasAttribute("src")) this.video.src = this.row.url;
    return true;
  }

  play() {
    if (!this.load()) return;
    // A video that is replaced while it starts is no error.
    this.video.play().catch((error) => error.name !== "AbortError" && error.name !== "NotAllowedError" && this.fail());
  }

  toggle() {
    if (this.video.paused) this.play();
    else this.video.pause();
  }

  seek(seconds) {
    if (!this.load()) return;
    const go = () => { this.video.currentTime = Math.max(0, Math.min(seconds, (this.video.duration || seconds) - 0.001)); };
    if (this.video.readyState >= 1) go();
    else {
      this.video.addEventListener("loadedmetadata", go, { once: true });
      this.video.load();
    }
  }

  nudge(seconds) {
    this.video.pause();
    this.seek(this.video.currentTime + seconds);
  }

  frame(steps) {
    const rate = this.row?.values.fps || 25;
    // To the middle of a frame, so that rounding shows no other one.
    this.nudge(0);
    this.seek((Math.floor(this.video.currentTime * rate + 1e-3) + steps + 0.5) / rate);
  }

  slow() {
    this.video.playbackRate = this.video.defaultPlaybackRate = this.video.playbackRate === 1 ? 0.5 : 1;
    return this.video.playbackRate;
  }

  toMissed() {
    const now = this.video.currentTime + BEFORE_CLOSURE + 0.05;
    const missed = this.row?.missed ?? [];
    const next = missed.find((start) => start > now) ?? missed[0];
    if (next !== undefined) this.seek(next - BEFORE_CLOSURE);
    return next;
  }

  fail() {
    if (!this.video.hasAttribute("src")) return;
    const link = make("a", "", "open it with another player");
    link.href = this.row.url;
    byId("cannot").replaceChildren("This browser cannot play the video: ", link);
    byId("cannot").hidden = false;
  }

  drag(event) {
    event.preventDefault();
    const box = this.track.getBoundingClientRect();
    this.seek(this.row.seconds * Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)));
  }

  follow() {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    const step = () => {
      this.place();
      if (!this.video.paused && !this.video.ended) requestAnimationFrame(step);
    };
    step();
  }

  place() {
    const share = this.row?.seconds ? this.video.currentTime / this.row.seconds : 0;
    byId("head-line").style.left = 100 * Math.min(1, share) + "%";
    this.track.setAttribute("aria-valuenow", this.video.currentTime.toFixed(1));
    this.track.setAttribute("aria-valuetext", this.video.currentTime.toFixed(1) + " seconds");
  }

  showGraph(row) {
    const plot = row.element.querySelector(".plot");
    byId("graph").hidden = !plot;
    this.track.querySelector("svg")?.remove();
    if (!plot) return;
    this.track.prepend(plot.cloneNode(true));
    this.track.setAttribute("aria-valuemax", row.seconds);
    const step = [0.5, 1, 2, 5, 10, 30, 60, 120].find((one) => row.seconds / one <= 10) ?? 300;
    const marks = [];
    for (let at = 0; at <= row.seconds * 0.985; at += step) {
      const mark = make("span", "", `${at} s`);
      mark.style.left = (100 * at) / row.seconds + "%";
      marks.push(mark);
    }
    byId("axis").replaceChildren(...marks);
    this.place();
  }

  showTrouble(row) {
    const parts = [];
    if (row.error) {
      const part = make("p", "error", row.error.message);
      part.append(make("span", "hint", "What to do: " + row.error.hint + "."));
      parts.push(part);
    }
    parts.push(...row.warnings.map((words) => make("p", "warn", words)));
    byId("trouble").replaceChildren(...parts);
  }

  showFindings(row) {
    byId("findings").hidden = row.findings.length === 0;
    const order = ["bad", "check", "none", "good"];
    const found = [...row.findings].sort((a, b) => order.indexOf(a.level) - order.indexOf(b.level));
    const lines = found.map((item) => {
      const line = make("tr", item.level);
      const what = make("td");
      const title = make("span", "what");
      title.append(make("i", "dot " + item.level), make("span", "", item.title), make("span", "hide", LEVELS[item.level]));
      if (item.words) title.children[1].append(make("span", "words", item.words + (row.minor.includes(item.key) ? " (minor)" : "")));
      what.append(title);
      line.append(what, make("td", "", item.value), make("td", "", item.wanted));
      return line;
    });
    byId("findings").querySelector("tbody").replaceChildren(...lines);
  }

  showLists(row) {
    const entries = (pairs) => pairs.flatMap(([name, value]) => [make("dt", "", name), make("dd", "", value)]);
    byId("facts").hidden = row.facts.length === 0;
    byId("facts").querySelector("dl").replaceChildren(...entries(row.facts));
    const own = row.settings.filter(([name, , changed]) => changed || name === "preset" || name === "seed");
    byId("settings").hidden = row.settings.length === 0;
    const [short, long] = byId("settings").querySelectorAll("dl");
    short.replaceChildren(...entries(own));
    long.replaceChildren(...entries(row.settings));
  }

  showDecision() {
    const { id } = this.row;
    const decision = this.decisions.of(id);
    byId("approve").setAttribute("aria-pressed", String(decision === "approve"));
    byId("reject").setAttribute("aria-pressed", String(decision === "reject"));
    byId("undo").disabled = this.decisions.undone.length === 0;
    byId("note").value = this.decisions.note(id);
    const stale = decision ? "" : this.decisions.stale(id);
    byId("stale").hidden = !stale;
    byId("stale").textContent = stale ? `An earlier video of this row was ${VERDICTS[stale]}; this one was rendered since.` : "";
  }
}
