// The page's half of the review: keys, buttons and counts. Plain JavaScript, loaded as it is by
// the FiftyOne App, which offers its operators as window.__foo__. What a key does is decided and
// recorded by the Python operators beside this file; `answered` is their report.
(() => {
  const { Operator, OperatorConfig, executeOperator, registerOperator } = window.__foo__;
  const PLUGIN = "@wood/review";
  // Keys that the App leaves free; it has r for "reset zoom" and x for "select".
  const ANSWERS = {
    a: { word: "accept", title: "Accept", hint: "no foreground object: hard OoD" },
    d: { word: "reject", title: "Reject", hint: "a foreground object is there" },
    u: { word: "undo", title: "Undo", hint: "take the last answer back" },
  };
  const PAST = { accept: "Accepted", reject: "Rejected", undo: "Undone" };
  const PATIENCE = 10000; // ms until a silent server is called silent

  let active = false; // whether the dataset shown is the one under review
  let pending = null; // the word that waits for its report
  let stale = false; // whether the grid shows candidates that were answered in the modal
  let trail = []; // of the answers given in the modal: whether it went on to the next image
  let path = null;

  const modal = () => document.querySelector('[data-cy="modal"]');
  const hovered = () => document.querySelector('[data-cy="looker"]:hover input[type="checkbox"]');
  const press = (key) =>
    document.dispatchEvent(new KeyboardEvent("keydown", { key, code: key, bubbles: true }));
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const reloadGrid = () => {
    stale = false;
    executeOperator("clear_selected_samples");
    executeOperator("reload_dataset");
  };

  // ---- the bar ----------------------------------------------------------------------------

  const element = (tag, name, text = "") =>
    Object.assign(document.createElement(tag), { className: `wood-${name}`, textContent: text });

  const style = element("style", "style");
  style.textContent = `
    .wood-bar { position: fixed; inset: auto 0 0 0; z-index: 100000; display: none; gap: 8px 16px;
      align-items: center; padding: 6px 12px; background: #14171c; color: #e8e8e8;
      font: 14px/1.3 system-ui, sans-serif; border-top: 2px solid #ff6d04; }
    .wood-bar button { font: inherit; font-weight: 600; color: #fff; border: 0; cursor: pointer;
      border-radius: 4px; padding: 5px 12px; white-space: nowrap; }
    .wood-bar kbd { font: inherit; background: #0006; border-radius: 3px; padding: 0 5px; }
    .wood-accept { background: #1f7a3d; } .wood-reject { background: #a8322d; }
    .wood-undo { background: #4a5160; }
    .wood-buttons { display: flex; gap: 6px; }
    .wood-counts { display: flex; flex-wrap: wrap; gap: 2px 14px; max-height: 66px;
      overflow-y: auto; }
    .wood-class { white-space: nowrap; } .wood-class b { color: #fff; }
    .wood-class.done { opacity: .55; }
    .wood-said { margin-left: auto; text-align: right; max-width: 40%; }
    .wood-said.bad { color: #ffb4a9; font-weight: 600; }
    body.wood-review #root, body.wood-review [data-cy="modal"] { height: calc(100% - var(--wood-bar)) !important; }`;
  const bar = element("div", "bar");
  bar.dataset.cy = "wood-bar";
  const buttons = element("div", "buttons");
  const counts = element("div", "counts");
  const said = element("div", "said");
  counts.dataset.cy = "wood-counts";
  said.dataset.cy = "wood-said";
  for (const [key, { word, title, hint }] of Object.entries(ANSWERS)) {
    const button = element("button", word, `${title} `);
    button.title = `${hint} (key ${key})`;
    button.dataset.cy = `wood-${word}`;
    button.append(Object.assign(document.createElement("kbd"), { textContent: key }));
    button.addEventListener("click", () => answer(word));
    buttons.append(button);
  }
  bar.append(buttons, counts, said);
  document.head.append(style);
  document.body.append(bar);

  const say = (text, bad = false) => {
    said.textContent = text;
    said.classList.toggle("bad", bad);
  };

  const showProgress = (rows) => {
    counts.replaceChildren(
      ...rows.map((row) => {
        const wanted = row.wanted === null ? "" : `/${row.wanted}`;
        const enough = row.wanted !== null && row.accepted >= row.wanted;
        const entry = element("span", "class");
        entry.classList.toggle("done", enough || row.remaining === 0);
        const name = Object.assign(document.createElement("b"), { textContent: row.class });
        const text = `${row.accepted}${wanted} accepted, ${row.rejected} rejected, ${row.remaining} left`;
        entry.append(name, ` ${text}`);
        return entry;
      }),
    );
  };

  const setActive = (on) => {
    active = on;
    bar.style.display = on ? "flex" : "none";
    document.body.classList.toggle("wood-review", on);
    document.body.style.setProperty("--wood-bar", `${bar.offsetHeight}px`);
  };

  // ---- answers ----------------------------------------------------------------------------

  const run = (name) =>
    Promise.race([
      new Promise((resolve) => {
        const callback = (outcome) => resolve(outcome ?? {});
        executeOperator(`${PLUGIN}/${name}`, {}, { callback });
      }),
      pause(PATIENCE).then(() => ({ error: "no answer from the review command, is it running?" })),
    ]);

  async function answer(word) {
    if (pending) return;
    pending = word;
    try {
      let outcome = await run(word);
      const box = hovered();
      if (outcome.result?.images.length === 0 && word !== "undo" && box) {
        // The operators see the open image or the selection: select what lies under the pointer.
        box.click();
        await pause(50);
        outcome = await run(word);
      }
      if (outcome.error) say(`NOT confirmed (${word}): ${outcome.error}`, true);
    } finally {
      pending = null;
    }
  }

  class Answered extends Operator {
    get config() {
      return new OperatorConfig({ name: "answered", label: "Review: answered", unlisted: true });
    }

    async execute({ params }) {
      const { word, images, progress, warning } = params;
      if (progress) showProgress(progress);
      if (images.length === 0) {
        say(word === "undo" ? "Nothing to undo." : "Point at an image, select some, or open one.");
        return;
      }
      const what = images.length === 1 ? images[0] : `${images.length} images`;
      if (warning) say(`${what}: ${warning}`, true);
      else say(`${PAST[word]}: ${what}`);
      if (!modal()) {
        reloadGrid();
        return;
      }
      stale = true;
      if (word === "undo") {
        if (trail.pop()) press("ArrowLeft");
        return;
      }
      const more = document.querySelector('[data-cy="nav-right-button"]') !== null;
      trail.push(more);
      if (more) press("ArrowRight");
      else if (!warning) say(`${PAST[word]}: ${what}. This was the last image of the view.`);
    }
  }
  registerOperator(Answered, PLUGIN);

  const typing = (target) =>
    target instanceof HTMLElement &&
    (target.isContentEditable || /^(textarea|select)$/i.test(target.tagName) ||
      (target.tagName === "INPUT" && !/^(checkbox|radio|range|button)$/.test(target.type)));

  window.addEventListener(
    "keydown",
    (event) => {
      const key = ANSWERS[event.key];
      if (!active || !key || event.ctrlKey || event.metaKey || event.altKey) return;
      if (typing(event.target)) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      if (!event.repeat) answer(key.word);
    },
    true,
  );

  // ---- following the App ------------------------------------------------------------------

  // Asked of the server itself: the page fails where an operator is run before it has loaded all.
  const askProgress = async (dataset) => {
    if (!document.querySelector('[data-cy="fo-grid"]') && !modal()) return null;
    try {
      const response = await fetch("/operators/execute", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({
          operator_uri: `${PLUGIN}/progress`,
          dataset_name: dataset,
          params: {},
        }),
      });
      return (await response.json()).result;
    } catch {
      return null;
    }
  };

  let wasOpen = false;
  setInterval(async () => {
    const open = Boolean(modal());
    if (!open) trail = [];
    if (wasOpen && !open && stale) reloadGrid();
    wasOpen = open;
    const dataset = location.pathname.match(/\/datasets\/([^/]+)/)?.[1] ?? null;
    if (dataset === path) return;
    path = dataset;
    setActive(false);
    if (dataset === null) return;
    const outcome = await askProgress(decodeURIComponent(dataset));
    if (!outcome) {
      path = null; // the server or the page is still starting: look again
      return;
    }
    if (!outcome.active) return;
    showProgress(outcome.progress);
    say(`Reviewer: ${outcome.reviewer}`);
    setActive(true);
  }, 400);
})();
