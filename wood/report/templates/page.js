"use strict";
// Tables sort by a click on a column's heading and download as CSV. Without scripts they just stand.
for (const table of document.querySelectorAll("table.data")) {
  const headings = [...table.querySelectorAll("tr.columns th")];
  const body = table.tBodies[0];

  const key = (row, index) => {
    const cell = row.cells[index];
    return "value" in cell.dataset ? Number(cell.dataset.value) : cell.textContent.trim();
  };
  const isMissing = (row, index) =>
    headings[index].classList.contains("number") && !("value" in row.cells[index].dataset);

  const sort = (index) => {
    const heading = headings[index];
    const first = heading.classList.contains("number") ? "descending" : "ascending";
    const other = first === "descending" ? "ascending" : "descending";
    const order = heading.getAttribute("aria-sort") === first ? other : first;
    headings.forEach((each) => each.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const rows = [...body.rows].filter((row) => !row.classList.contains("total"));
    const totals = [...body.rows].filter((row) => row.classList.contains("total"));
    rows.sort((a, b) => {
      if (isMissing(a, index) || isMissing(b, index)) return isMissing(a, index) - isMissing(b, index);
      const [x, y] = [key(a, index), key(b, index)];
      return sign * (typeof x === "number" ? x - y : x.localeCompare(y));
    });
    body.append(...rows, ...totals);
  };

  headings.forEach((heading, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    button.addEventListener("click", () => sort(index));
    heading.append(button);
  });

  // As wood.report.tables.csv_text: nothing for a missing value; what a spreadsheet would compute is
  // marked as text.
  const asText = (text) => (/^'*[=+\-@\t\r\n]/.test(text) ? `'${text}` : text);
  const quote = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const csv = () => {
    const names = headings.map((th) => [th.dataset.group, th.textContent.trim()].filter(Boolean).join(": "));
    const rows = [...body.rows].map((row) =>
      [...row.cells].map((cell, index) =>
        cell.dataset.value ?? (cell.textContent.trim() === "-" ? "" : asText(cell.textContent.trim()))));
    return [names.map(asText), ...rows].map((row) => row.map(quote).join(",")).join("\n") + "\n";
  };
  const download = document.createElement("button");
  download.type = "button";
  download.className = "csv";
  download.textContent = "Download CSV";
  download.addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
    link.download = table.dataset.file;
    link.click();
    URL.revokeObjectURL(link.href);
  });
  table.closest("figure").append(download);
}

for (const command of document.querySelectorAll(".commands dd")) {
  if (!navigator.clipboard) break;
  const copy = document.createElement("button");
  copy.type = "button";
  copy.textContent = "Copy";
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(command.querySelector("code").textContent);
    copy.textContent = "Copied";
    setTimeout(() => (copy.textContent = "Copy"), 1500);
  });
  command.append(copy);
}
