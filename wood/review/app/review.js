// The page's half of the review. Plain JavaScript, loaded as it is by the FiftyOne App, which offers
// its operators as window.__foo__. The desk (desk.js) lies over the App and asks for the answers;
// this file holds what both share: the review's state, and the queue of answers to the server.
(() => {
  const PLUGIN = "@wood/review";
  const SILENT = 8000; // ms until a silent server is called silent
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
    ["g", "FiftyOne's grid and panels, and back"],
    ["?", "this list"],
  ];

  const dataset = () => {
    const name = location.pathname.match(/\/datasets\/([^/]+)/)?.[1];
    return name ? decodeURIComponent(name) : null;
  };

  // Asked of the server itself: the App's own way needs it to have loaded everything.
  const ask = async (operator, params = {}) => {
    const response = await fetch("/operators/execute", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({
        operator_uri: `${PLUGIN}/${operator}`,
        dataset_name: review.name,
        params,
      }),
      signal: AbortSignal.timeout(SILENT),
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
    times: [], // [seconds, images] of every press

    changed() {
      for (const listener of this.listeners) listener();
    },

    undecided() {
      return this.state.candidates.filter((image) => !image.decision);
    },

    // Take a press: shown at once, sent in its turn. `answers` are [{image, word, found, look}].
    answer(answers, screen = "") {
      for (const { image, word, found } of answers) {
        const row = this.byId.get(image);
        row.decision = word;
        row.found = found || null;
      }
      const now = performance.now();
      const last = this.lastPress ?? now;
      this.lastPress = now;
      if ((now - last) / 1000 < BREAK && now > last) {
        this.times.push([(now - last) / 1000, answers.length]);
      }
      this.send({ answers, screen });
    },

    // Take the last press back; resolves to its images, once the server has told them.
    undo(images = []) {
      return new Promise((resolve) => this.send({ undo: true, images }, resolve));
    },

    send(press, resolve = () => {}) {
      this.waiting.push({ press, resolve, time: performance.now() });
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
        const now = performance.now();
        const presses = batch.map(({ press, time }) => ({ ...press, age: now - time }));
        try {
          const result = await ask("record", { presses });
          if (result.refused) throw new Error(result.refused);
          this.waiting.splice(0, batch.length);
          this.trouble = null;
          this.warning = result.warning;
          if (presses[0].undo) {
            for (const image of result.images) {
              Object.assign(this.byId.get(image), { decision: null, found: null });
            }
          }
          for (const { resolve } of batch) resolve(result.images);
          this.recorded = (this.recorded ?? 0) + batch.length;
          this.changed();
        } catch (error) {
          this.fail(error);
          await new Promise((resolve) => setTimeout(resolve, AGAIN));
        }
      }
      this.working = false;
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
      const all = this.state.candidates.length;
      const left = this.undecided().length;
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
      const made = await ask("heatmaps", { images });
      return made.heatmaps;
    },

    async refresh() {
      this.state = await ask("state");
      this.byId = new Map(this.state.candidates?.map((row) => [row.image_id, row]));
    },
  };
  window.woodReview = review;

  // A server that is gone is said before the next answer.
  const watch = async () => {
    if (review.state?.active && !review.waiting.length) {
      try {
        await fetch("/fiftyone", { signal: AbortSignal.timeout(SILENT) });
        if (review.trouble) {
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
  const parts = load("desk.js").then(() => load("grid.js"));

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
      await review.refresh();
    } catch {
      path = null; // the server or the page is still starting: look again
      return;
    }
    if (review.state.active) window.woodDesk.start();
    else window.woodDesk.hide(true);
  }, 200);
})();
