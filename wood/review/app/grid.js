// Answers in FiftyOne's own grid and opened image: for what is selected there, by the same keys. The
// grid keeps its place; what was answered leaves the saved view when it is opened again.
(() => {
  const review = window.woodReview;
  const { Operator, OperatorConfig, executeOperator, registerOperator } = window.__foo__;
  const WORDS = {
    a: ["accept", "No object"],
    d: ["reject", "Object"],
    u: ["undo", "Undo"],
  };
  let pending = false; // an answer that waits for its report takes no other beside it
  let opened = null; // sample id of the opened image that was answered last

  const bar = document.createElement("div");
  bar.className = "wood-strip";
  bar.dataset.cy = "wood-strip";
  const said = document.createElement("span");
  said.dataset.cy = "wood-strip-said";
  const question = document.createElement("b");
  const button = (key, text, action) => {
    const element = document.createElement("button");
    element.append(`${text} `, Object.assign(document.createElement("kbd"), { textContent: key }));
    element.className = `wood-${WORDS[key]?.[0] ?? "grid"}`;
    element.dataset.cy = `wood-strip-${WORDS[key]?.[0] ?? "back"}`;
    element.addEventListener("click", action);
    return element;
  };
  bar.append(
    question,
    ...Object.entries(WORDS).map(([key, [word, text]]) => button(key, text, () => answer(word))),
    button("g", "Back to the review", () => window.woodDesk.open()),
    said,
  );

  const modal = () => document.querySelector('[data-cy="modal"]');
  const hovered = () => document.querySelector('[data-cy="looker"]:hover input[type="checkbox"]');
  const say = (text) => (said.textContent = text);

  // The opened image stands in the page's address; it is on the screen once it is drawn.
  const current = () => {
    const id = new URLSearchParams(location.search).get("id");
    return id && modal().querySelector('canvas[canvas-loaded="true"]') ? id : null;
  };

  const run = (word, params) =>
    new Promise((resolve) => {
      setTimeout(() => resolve({ error: "the review's command does not answer" }), 10000);
      executeOperator(`@wood/review/${word}`, params, {
        callback: (outcome) => resolve(outcome ?? {}),
      });
    });

  async function answer(word) {
    if (pending) return say("Not taken: the answer before is still on its way.");
    if (review.trouble) return say(`NOTHING IS RECORDED: ${review.trouble}`);
    const params = {};
    if (modal()) {
      const id = current();
      if (!id || (id === opened && word !== "undo")) return say("The picture is not here yet.");
      params.samples = [id];
      opened = id;
    }
    const box = hovered();
    pending = true;
    try {
      let outcome = await run(word, params);
      if (outcome.result?.images.length === 0 && word !== "undo" && box) {
        box.click(); // nothing is selected: select what was under the pointer
        await new Promise((resolve) => setTimeout(resolve, 60));
        outcome = await run(word, params);
      }
      if (outcome.error) say(`NOT recorded: ${outcome.error}`);
    } finally {
      pending = false;
    }
  }

  class Answered extends Operator {
    get config() {
      return new OperatorConfig({ name: "answered", label: "Review: answered", unlisted: true });
    }

    async execute({ params }) {
      const { word, images, warning } = params;
      for (const image of images) {
        const row = review.byId.get(image);
        if (row) row.decision = word === "undo" ? null : word;
      }
      const what = images.length === 1 ? images[0] : `${images.length} images`;
      const past = { accept: "No object", reject: "Object", undo: "Undone" }[word];
      if (images.length === 0) say("Point at an image, select some, or open one.");
      else say(warning ?? `${past}: ${what}`);
      executeOperator("clear_selected_samples");
      executeOperator("reload_samples");
      if (!modal() || images.length === 0) return;
      const key = word === "undo" ? null : "ArrowRight";
      if (word === "undo") opened = null;
      if (key) document.dispatchEvent(new KeyboardEvent("keydown", { key, code: key, bubbles: true }));
    }
  }
  registerOperator(Answered, "@wood/review");

  const typing = (target) =>
    target instanceof HTMLElement &&
    (target.isContentEditable || /^(textarea|select)$/i.test(target.tagName) ||
      (target.tagName === "INPUT" && !/^(checkbox|radio|range|button)$/.test(target.type)));

  window.addEventListener(
    "keydown",
    (event) => {
      if (!bar.isConnected || event.ctrlKey || event.metaKey || event.altKey) return;
      if (typing(event.target) || !(event.key in WORDS || event.key === "g")) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      if (event.repeat) return;
      if (event.key === "g") window.woodDesk.open();
      else answer(WORDS[event.key][0]);
    },
    true,
  );

  review.listeners.push(() => {
    if (review.trouble && bar.isConnected) say(`NOTHING IS RECORDED: ${review.trouble}`);
  });
  window.woodGrid = {
    show() {
      question.textContent = `Is one of these in the picture: ${review.state.classes.join(", ")}?`;
      say("Point at an image or select several, then press a key.");
      document.body.append(bar);
      document.body.classList.add("wood-in-grid");
      if (innerWidth < 1200) executeOperator("hide_sidebar");
      executeOperator("reload_samples");
    },
    hide() {
      bar.remove();
      document.body.classList.remove("wood-in-grid");
    },
  };
})();
