// The desk: the question, and one image or a screen of similar ones, over the App. A key answers for
// what was on the screen when it went down: the desk changes at once and the answers follow in order.
(() => {
  const review = window.woodReview;
  const AHEAD = 8; // images fetched before they are shown
  const CAPTION = 34; // pixels of a picture's height that its caption and frame take
  const make = (tag, name, text = "") => {
    const element = document.createElement(tag);
    element.className = `wood-${name}`;
    element.dataset.cy = `wood-${name}`;
    element.textContent = text;
    return element;
  };
  const button = (key, name, text, action) => {
    const element = make("button", name, `${text} `);
    element.append(Object.assign(document.createElement("kbd"), { textContent: key }));
    element.addEventListener("click", action);
    return element;
  };
  const { address, picture, heatmap, knownHeatmap } = window.woodPictures;

  // ---- what is shown ------------------------------------------------------------------------

  let mode = "single"; // or "screen"
  let shown = []; // the images on the stage, in its order
  let drawn = false; // whether all their pictures are there to be seen
  let marks = new Map(); // on a screen: image id -> "" (clicked) or the class that is there
  let list = null; // in `single`: the images to go through, where not the undecided ones
  let started = null; // the review that the desk was started for
  let heat = false;

  const root = make("div", "desk");
  const head = make("div", "head");
  const question = make("div", "question");
  const trouble = make("div", "trouble");
  const stage = make("div", "stage");
  const foot = make("div", "foot");
  const buttons = make("div", "buttons");
  const said = make("div", "said");
  const bar = make("div", "bar");
  const filled = make("div", "filled");
  const status = make("div", "status");
  const counts = make("div", "counts");
  const over = make("div", "over"); // the list of keys, or a closer look
  over.hidden = true;
  over.addEventListener("click", () => (over.hidden = true));
  bar.append(filled);
  foot.append(buttons, said, bar, status, counts);
  root.append(head, trouble, stage, foot, over);

  const say = (text, bad = false) => {
    said.textContent = text;
    said.classList.toggle("bad", bad);
  };

  const drawHead = () => {
    const classes = review.state.classes.map((name, index) => {
      const entry = make("span", "class");
      if (index < 9) entry.append(make("kbd", "key", String(index + 1)), " ");
      entry.append(name);
      return entry;
    });
    question.replaceChildren("Is one of these in the picture? ", ...classes);
    const tabs = [
      button("s", "screens", "Screens", () => change("screen")),
      button("o", "single", "One by one", () => change("single")),
      button("g", "grid", "FiftyOne", () => hide()),
      button("?", "keys", "Keys", showHelp),
    ];
    if (!review.state.candidates.some((image) => image.screen)) tabs.shift();
    tabs[0].classList.toggle("on", mode === "screen");
    tabs.at(-3).classList.toggle("on", mode === "single");
    head.replaceChildren(question, ...tabs);
    const rest = mode === "screen" ? " in all but the clicked" : "";
    buttons.replaceChildren(
      button("a", "accept", `No object${rest}`, () => decide("accept")),
      button("d", "reject", `Object${rest}`, () => decide("reject")),
      button("u", "undo", "Undo", undo),
    );
    if (review.state.heatmaps) buttons.append(button("h", "heat", "Heatmap", toggleHeat));
  };

  const drawFoot = () => {
    const { all, done, left } = review.progress();
    const time = left === null || done === all ? "" : `, about ${left < 90 ? `${Math.ceil(left / 10) * 10} s` : `${Math.round(left / 60)} min`} left`;
    status.textContent = `${done} of ${all} done (${Math.floor((100 * done) / all)} %)${time}`;
    filled.style.width = `${(100 * done) / all}%`;
    const wanted = review.state.wanted === null ? "" : `/${review.state.wanted}`;
    const enough = review.enough();
    counts.replaceChildren(
      ...[...review.counts()].sort().map(([name, row]) => {
        const entry = make("span", "count");
        const left = enough.has(name) ? "enough" : `${row.left} left`;
        const text = `${row.accept}${wanted} accepted, ${row.reject} rejected, ${left}`;
        entry.append(Object.assign(document.createElement("b"), { textContent: name }), ` ${text}`);
        return entry;
      }),
    );
    const disputed = review.state.candidates.filter((image) => image.disputed).length;
    if (disputed) {
      const entry = button("", "disputed", `${disputed} disputed: reject wins`, () => {
        list = review.state.candidates.filter((image) => image.disputed);
        change("single", list[0]);
      });
      counts.append(entry);
    }
    trouble.hidden = !review.trouble;
    const waiting = review.waiting.length;
    trouble.textContent = review.trouble
      ? `NOTHING IS RECORDED: ${review.trouble} ` +
        (waiting ? `${waiting} answers wait in this page; keep it open.` : "")
      : "";
    if (review.warning) say(review.warning, true);
    review.warning = null;
  };

  // ---- the stage ----------------------------------------------------------------------------

  const heatLayer = (source) => Object.assign(make("img", "map"), { src: source });

  const tile = (image) => {
    const element = make("figure", "tile");
    element.dataset.image = image.image_id;
    const box = make("div", "box");
    box.append(picture(image));
    if (heat && knownHeatmap(image)) box.append(heatLayer(knownHeatmap(image)));
    element.append(box, make("figcaption", "caption"));
    return element;
  };

  const mark = (element, image) => {
    const id = image.image_id;
    element.classList.toggle("odd", marks.has(id));
    const score = `${image.class} ${Number(image.score).toFixed(2)}`;
    const caption = element.querySelector("figcaption");
    caption.textContent = marks.get(id) ? `${marks.get(id)} is there` : score;
    if (mode === "screen") return;
    const known = [
      `looks like ${image.class} to the classifier (${Number(image.score).toFixed(2)})`,
      image.labels && `Open Images: ${image.labels}`,
      [image.license, image.author].filter(Boolean).join(", "),
      image.decision && `you: ${image.decision}${image.found ? ` (${image.found})` : ""}`,
      image.disputed && `disputed, so it counts as rejected; ${image.others}`,
    ];
    caption.replaceChildren(...known.filter(Boolean).map((text) => make("div", "known", text)));
  };

  // As many columns as make the pictures of a screen largest; most are 4 wide by 3 high.
  const arrange = () => {
    const size = (columns) => {
      const high = stage.clientHeight / Math.ceil(shown.length / columns) - CAPTION;
      return Math.min(stage.clientWidth / columns, (high * 4) / 3);
    };
    const best = shown.map((_, index) => index + 1).reduce((a, b) => (size(b) > size(a) ? b : a), 1);
    stage.style.gridTemplateColumns = mode === "screen" ? `repeat(${best}, minmax(0, 1fr))` : "";
  };
  new ResizeObserver(arrange).observe(stage);

  const show = (images) => {
    shown = images;
    marks = new Map();
    drawn = false;
    const elements = images.map((image) => {
      const element = tile(image);
      mark(element, image);
      element.addEventListener("click", () => mode === "screen" && click(image.image_id, ""));
      return element;
    });
    stage.className = `wood-stage wood-${mode}`;
    stage.replaceChildren(...elements);
    stage.dataset.drawn = "";
    if (!images.length) stage.append(...ended());
    const loading = images.map(picture).filter((element) => !element.there);
    const here = () => {
      if (shown !== images) return;
      drawn = true;
      stage.dataset.drawn = images.map((image) => image.image_id).join(" ");
    };
    if (loading.length) Promise.all(loading.map((element) => element.ready)).then(here);
    else here();
    if (heat) fetchHeat(images);
    for (const image of upcoming().flat()) picture(image);
    drawFoot();
    arrange();
  };

  const ended = () => {
    const rest = review.state.candidates.filter((image) => !image.decision).length;
    const every = rest
      ? `Every class has the accepted images that are wanted, or no image left. ${rest} images of ` +
        "classes that have enough are not answered, and need not be: w shows them."
      : "Every image is answered.";
    const next = "Press Ctrl-C in the terminal: that ends the review and prints the counts. Then give ";
    const lines = [
      every,
      `${next}the same snakemake command without the word review: the run goes on with your answers.`,
      "u takes the last answer back.",
    ];
    return lines.map((line) => make("div", "done", line));
  };

  // ---- the order ----------------------------------------------------------------------------

  const screenOf = (name) =>
    review.undecided().filter((image) => image.screen === name);

  const nextScreen = (after = "", back = false) => {
    const names = [...new Set(review.undecided().map((image) => image.screen))].sort();
    const others = names.filter((name) => (back ? name < after : name > after));
    return (back ? others.at(-1) : others[0]) ?? names[0];
  };

  const nextImage = (step = 1) => {
    const all = list ?? review.state.candidates;
    if (list || step < 0) return all[all.indexOf(shown[0]) + step] ?? (list ? undefined : shown[0]);
    const left = review.undecided();
    return left.find((image) => image.rank > (shown[0]?.rank ?? 0)) ?? left[0];
  };

  const upcoming = () => {
    if (mode === "screen") return shown[0] ? [screenOf(nextScreen(shown[0].screen))] : [];
    const left = list ?? review.undecided();
    const at = left.findIndex((image) => image.rank > (shown[0]?.rank ?? 0));
    return at < 0 ? [] : [left.slice(at, at + AHEAD)];
  };

  const next = (back = false) => {
    if (mode === "screen") show(screenOf(nextScreen(shown[0]?.screen, back)));
    else show([nextImage(back ? -1 : 1)].filter(Boolean));
  };

  const change = (to, image = null) => {
    if (to === "screen") list = null;
    mode = to;
    drawHead();
    if (to === "screen") show(screenOf(image?.screen ?? nextScreen()));
    else show([image ?? review.undecided()[0]].filter(Boolean));
  };

  // ---- answers ------------------------------------------------------------------------------

  const hovered = () => {
    const element = stage.querySelector("figure:hover");
    return element && review.byId.get(element.dataset.image);
  };

  const click = (id, found) => {
    const same = marks.has(id) && marks.get(id) === found;
    if (same) marks.delete(id);
    else marks.set(id, found);
    mark(stage.querySelector(`[data-image="${CSS.escape(id)}"]`), review.byId.get(id));
  };

  const may = () => {
    if (review.trouble) say("Nothing is recorded at present: wait, or start the command again.", true);
    else if (review.undoing) say("Not taken: the undo is still on its way.");
    else if (!shown.length) say("There is no image to answer.");
    else if (!drawn) say("The picture is not here yet.");
    return !review.trouble && !review.undoing && shown.length > 0 && drawn;
  };

  const decide = (word, found = "") => {
    if (!may()) return;
    const other = { accept: "reject", reject: "accept" }[word];
    const answers = shown.map((image) => {
      const id = image.image_id;
      if (mode === "single") return { image: id, word, found, look: "single" };
      const named = marks.get(id);
      if (named) return { image: id, word: "reject", found: named, look: "single" };
      if (marks.has(id)) return { image: id, word: other, look: "single" };
      return { image: id, word, look: "screen" };
    });
    review.answer(answers, mode === "screen" ? shown[0].screen : "");
    const objects = answers.filter((answer) => answer.word === "reject").length;
    say(
      answers.length > 1
        ? `${answers.length} images: ${answers.length - objects} no object, ${objects} object`
        : `${word === "accept" ? "No object" : `Object${found ? ` (${found})` : ""}`}: ${answers[0].image}`,
    );
    next();
  };

  const undo = async () => {
    if (review.trouble || review.undoing) return may();
    say("Undoing\u2026");
    const images = await review.undo();
    if (!images.length) say("Nothing to undo.");
    else say(`Undone: ${images.length === 1 ? images[0] : `${images.length} images`}`);
    const first = images.length ? review.byId.get(images[0]) : null;
    change(first?.screen && images.length > 1 ? "screen" : mode, first);
  };

  // ---- heatmaps, help, a closer look --------------------------------------------------------

  const toggleHeat = () => {
    if (!review.state.heatmaps) return say("There is no classifier to make heatmaps.");
    heat = !heat;
    say(heat ? "Heatmaps are on; the first takes a few seconds." : "Heatmaps are off.");
    for (const map of stage.querySelectorAll(".wood-map")) map.remove();
    if (heat) fetchHeat(shown);
  };

  const fetchHeat = async (images) => {
    for (const image of images) {
      let source;
      try {
        source = await heatmap(image);
      } catch (error) {
        return say(`No heatmap: ${error.message}`, true);
      }
      const box = stage.querySelector(`[data-image="${CSS.escape(image.image_id)}"] .wood-box`);
      if (heat && shown === images && source && box?.children.length === 1) box.append(heatLayer(source));
    }
  };

  const showHelp = () => {
    const rows = review.help.map(([key, text]) => {
      const row = make("div", "row");
      row.append(make("kbd", "key", key), make("span", "what", text));
      return row;
    });
    const rule =
      `Reviewer: ${review.state.reviewer}. Answers go to ${review.state.decisions}. Any of the ` +
      "classes counts, not only the predicted one; in doubt, answer Object. Where reviewers " +
      "disagree, Object (reject) wins.";
    over.replaceChildren(...rows, make("p", "rule", rule));
    over.hidden = false;
  };

  const lookCloser = (image) => {
    over.replaceChildren(Object.assign(new Image(), { src: address(image), className: "wood-close" }));
    over.hidden = false;
  };

  // ---- keys ---------------------------------------------------------------------------------

  const KEYS = {
    a: () => decide("accept"),
    d: () => decide("reject"),
    u: undo,
    h: toggleHeat,
    s: () => review.state.candidates.some((image) => image.screen) && change("screen"),
    o: () => ((list = null), change("single", hovered())),
    g: () => hide(),
    w: () => ((review.everything = !review.everything), change(mode)),
    "?": showHelp,
    " ": () => mode === "screen" && hovered() && lookCloser(hovered()),
    ArrowRight: () => next(),
    ArrowLeft: () => next(true),
  };

  const number = (key) => {
    const name = review.state.classes[Number(key) - 1];
    if (!name) return;
    if (mode === "single") decide("reject", name);
    else if (hovered()) click(hovered().image_id, name);
    else say("Point at the image that shows it.");
  };

  window.addEventListener(
    "keydown",
    (event) => {
      if (!root.isConnected || event.ctrlKey || event.metaKey || event.altKey) return;
      event.stopImmediatePropagation(); // the App below has keys of its own
      const known = /^[1-9]$/.test(event.key) ? () => number(event.key) : KEYS[event.key];
      if (event.key === "Escape" || (known && !over.hidden)) over.hidden = true;
      else if (known && !event.repeat) known();
      if (known) event.preventDefault();
    },
    true,
  );

  // ---- on and off ---------------------------------------------------------------------------

  const hide = (silently = false) => {
    root.remove();
    if (!silently) window.woodGrid.show();
  };

  const open = () => {
    window.woodGrid.hide();
    document.body.append(root);
    const similar = review.state.candidates.some((image) => image.screen);
    change(similar ? "screen" : "single");
    say(`Reviewer: ${review.state.reviewer}. Click images that are not like the rest.`);
  };

  review.listeners.push(() => root.isConnected && drawFoot());
  window.woodDesk = {
    hide,
    open,
    redraw: () => root.isConnected && change(mode),
    start() {
      if (started === review.name) return;
      started = review.name;
      const style = document.createElement("link");
      style.rel = "stylesheet";
      style.href = new URL("desk.css", review.base).href;
      document.head.append(style);
      open();
    },
  };
})();
