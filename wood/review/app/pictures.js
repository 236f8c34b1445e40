// The photographs, fetched and decoded before they are shown, and the heatmaps that were asked for.
(() => {
  const KEPT = 200; // photographs
  const pictures = new Map(); // image id -> its element
  const heatmaps = new Map(); // image id -> address of its heatmap, null where there is none

  const address = (image) => `/media?filepath=${encodeURIComponent(image.path)}`;

  // The element of a photograph; `ready` resolves when it can be drawn, `there` says that it can.
  const picture = (image) => {
    let element = pictures.get(image.image_id);
    if (!element) {
      element = new Image();
      element.decoding = "sync";
      element.src = address(image);
      element.ready = element.decode().catch(() => (element.broken = true));
      element.ready.then(() => (element.there = true));
      pictures.set(image.image_id, element);
      if (pictures.size > KEPT) pictures.delete(pictures.keys().next().value);
    }
    return element;
  };

  const heatmap = async (image) => {
    const id = image.image_id;
    if (!heatmaps.has(id)) {
      const made = await window.woodReview.heatmaps([id]);
      heatmaps.set(id, made[id] ?? null);
    }
    return heatmaps.get(id);
  };

  const knownHeatmap = (image) => heatmaps.get(image.image_id);
  window.woodPictures = { address, picture, heatmap, knownHeatmap };
})();
