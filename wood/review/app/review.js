// The page's half of the review. Plain JavaScript, loaded as it is by the FiftyOne App, which offers
// its operators as window.__foo__. The desk (desk.js) lies over the App and asks for the answers;
// this file holds what both share: the review's state, and the queue of answers to the server.
(() => {
  const PLUGIN = "@wood/review";
  const SILENT = 8000; // ms until a silent server is called silent
  const MADE = 120000; // ms; the first heatmap waits until PyTorch and the classifier are loaded
  const AGAIN = 1500; // ms until what was not recorded is sent again
  const MOST_SENT = 40; // presses in one request
  const BREAK = 120; // seconds; a longer gap is no time of looking

  const HELP = [
    ["a", "No object: the image, or on a screen every image not clicked, shows none of the classes"],
    ["d", "Object: the image, or on a screen every image not clicked, shows one"],
    ["1 to 9", "Object, and which: in the image, or in the one under the pointer"],
    ["click", "on a screen: this image is not like the others"],
    ["space", "on a screen: look closer at the image under the pointer"],
    ["u", "undo the last answer"],
    ["h", "heatmap on or off: what made the classifier see its class"],
    ["s, o", "screens of similar images, or one by one"],
    ["\u2190 \u2192", "back or on without an answer"],
    ["w", "also the classes that have their wanted number, or not"],
    ["g", "FiftyOne's grid and panels, and back"],
    ["?", "this list"],
  ];

  const dataset = () => {
    const name = location.pathname.match(/\/datasets\/([^/]+)/)?.[1];
    return name ? decodeURIComponent(name) : null;
  };

  // Asked of the server itself: the App's own way needs it to have loaded everything.
  const ask = async (operator, params = {}, patience = SILENT) => {
    const response = await fetch("/operators/execute", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({
        operator_uri: `${PLUGIN}/${operator}`,
        dataset_name: review.name,
        params,
      }),
      signal: AbortSignal.timeout(patience),
    });
    const answer = await response.json();
    if (!response.ok || answer.error) throw new Error(answer.error ?? response.statusText);
    return answer.result;
  };

  const review = {
    name: null,
    state: null, // what the operator `state` says
    byId: new Map(),
    trouble: null, // why nothing is recorded at present
    waiting: [], // presses that the server has not confirmed
    listeners: [],
    help: HELP,
    undoing: false, // whether an undo is on its way
    everything: false, // also images of classes that have their wanted number
    times: [], // [seconds, images] of every press

    changed() {
      for (const listener of this.listeners) listener();
    },

    // The images still to be answered: a class that has its wanted number is asked for no more.
    undecided() {
      const left = this.state.candidates.filter((image) => !image.decision);
      const enough = this.everything ? new Set() : this.enough();
      return left.filter((image) => !enough.has(image.class));
    },

    enough() {
      const rows = this.state.wanted === null ? [] : [...this.counts()];
      return new Set(rows.filter(([, row]) => row.accept >= this.state.wanted).map(([name]) => name));
    },

    // The time of a press on the server's clock, different for each: a press is known by it.
    time() {
      const now = Math.floor(this.ahead + Date.now());
      this.latest = Math.max(now, (this.latest ?? 0) + 1);
      return new Date(this.latest).toISOString();
    },

    // Take a press: shown at once, sent in its turn. `answers` are [{image, word, found, look}].
    answer(answers, screen = "") {
      this.assume(answers);
      const now = performance.now();
      const last = this.lastPress ?? now;
      this.lastPress = now;
      if ((now - last) / 1000 < BREAK && now > last) {
        this.times.push([(now - last) / 1000, answers.length]);
      }
      this.send({ answers, screen });
    },

    assume(answers) {
      for (const { image, word, found } of answers) {
        const row = this.byId.get(image);
        if (row) Object.assign(row, { decision: word, found: found || null });
      }
    },

    // Take the last press back; resolves to its images, once the server has told them.
    undo(images = []) {
      this.undoing = true;
      return new Promise((resolve) => this.send({ undo: true, images }, resolve)).finally(() => {
        this.undoing = false;
      });
    },

    send(press, resolve = () => {}) {
      this.waiting.push({ press: { ...press, time: this.time() }, resolve });
      this.changed();
      this.work();
    },

    async work() {
      if (this.working) return;
      this.working = true;
      while (this.waiting.length) {
        // An undo goes alone: it answers with the images that it took back.
        const until = this.waiting.findIndex(({ press }) => press.undo);
        const count = until === 0 ? 1 : Math.min(until < 0 ? MOST_SENT : until, MOST_SENT);
        const batch = this.waiting.slice(0, count);
        try {
          const result = await ask("record", { presses: batch.map(({ press }) => press) });
          if (result.foreign) await this.drop(result.foreign);
          else if (result.refused) throw new Error(result.refused);
          else await this.recorded(batch, result);
          this.trouble = null;
          this.changed();
        } catch (error) {
          this.fail(error);
          await new Promise((resolve) => setTimeout(resolve, AGAIN));
        }
      }
      this.working = false;
    },

    async recorded(batch, result) {
      this.waiting.splice(0, batch.length);
      this.warning = result.warning;
      this.take(result.answers, Boolean(batch[0].press.undo));
      for (const { resolve } of batch) resolve(result.images);
      if (result.started !== this.state.started) await this.again();
    },

    // Take over what the server says about some images; a later press of this page stays.
    take(answers, undone) {
      for (const [image, { decision, found, others, disputed }] of Object.entries(answers)) {
        const row = this.byId.get(image);
        if (row) Object.assign(row, { others, disputed }, undone ? { decision, found } : {});
      }
    },

    // The command runs again with another ranking: answers to images that it does not have.
    async drop(images) {
      const gone = new Set(images);
      for (const { press } of this.waiting) {
        press.answers = press.answers?.filter(({ image }) => !gone.has(image));
      }
      this.waiting = this.waiting.filter(({ press }) => press.undo || press.answers.length);
      await this.again();
      this.warning = `NOT recorded, no images of this review any more: ${[...gone].join(", ")}`;
    },

    // Show the state of a command that was started anew.
    async again() {
      const state = await ask("state");
      if (!state.active) throw new Error("another review answers at this address.");
      if (state.started === this.state.started) return;
      this.adopt(state);
      window.woodDesk.redraw();
    },

    fail(error) {
      const silent = error instanceof TypeError || error.name === "TimeoutError";
      this.trouble = silent
        ? "the review's command does not answer; is it running?"
        : String(error.message).split("\n").at(-1);
      this.changed();
    },

    // What stands at the bottom of the page: done of all, and the seconds that are left.
    progress() {
      const left = this.undecided().length;
      const all = left + this.state.candidates.filter((image) => image.decision).length;
      const seconds = this.times.reduce((sum, [time]) => sum + time, 0);
      const images = this.times.reduce((sum, [, count]) => sum + count, 0);
      return { all, done: all - left, left: images ? (left * seconds) / images : null };
    },

    counts() {
      const rows = new Map();
      for (const image of this.state.candidates) {
        const row = rows.get(image.class) ?? { accept: 0, reject: 0, left: 0 };
        row[image.decision ?? "left"] += 1;
        rows.set(image.class, row);
      }
      return rows;
    },

    async heatmaps(images) {
      const made = await ask("heatmaps", { images }, MADE);
      return made.heatmaps;
    },

    adopt(state) {
      this.state = state;
      this.ahead = Date.parse(this.state.now) - Date.now();
      this.byId = new Map(this.state.candidates?.map((row) => [row.image_id, row]));
      for (const { press } of this.waiting) this.assume(press.answers ?? []);
    },
  };
  window.woodReview = review;

  // A server that is gone is said before the next answer.
  const watch = async () => {
    if (review.state?.active && !review.waiting.length) {
      try {
        await fetch("/fiftyone", { signal: AbortSignal.timeout(SILENT) });
        if (review.trouble) {
          await review.again();
          review.trouble = null;
          review.changed();
        }
      } catch (error) {
        review.fail(error);
      }
    }
    setTimeout(watch, 2000);
  };
  watch();

  window.addEventListener("beforeunload", (event) => {
    if (review.waiting.length) event.preventDefault();
  });

  const base = document.currentScript.src;
  review.base = base;
  const load = (file) =>
    new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = new URL(file, base).href;
      script.onload = resolve;
      script.onerror = reject;
      document.head.append(script);
    });
  const parts = ["pictures.js", "desk.js", "grid.js"].reduce(
    (before, file) => before.then(() => load(file)),
    Promise.resolve(),
  );

  // FiftyOne's greetings come back on every port: they count as seen.
  localStorage.setItem("fiftyone-enterprise-tooltip-seen", "true");

  let path = null;
  setInterval(async () => {
    const name = dataset();
    if (name === path) return;
    path = name;
    review.name = name;
    if (name === null) return window.woodDesk?.hide(true);
    try {
      await parts;
      review.adopt(await ask("state"));
    } catch {
      path = null; // the server or the page is still starting: look again
      return;
    }
    if (review.state.active) window.woodDesk.start();
    else window.woodDesk.hide(true);
  }, 200);
})();
