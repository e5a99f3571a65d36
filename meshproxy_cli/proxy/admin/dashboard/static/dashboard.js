// Extras for people with scripts; every page works without them.
"use strict";

for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) continue; // there is none without HTTPS, except on this machine
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "Copied";
  });
}

for (const figure of document.querySelectorAll("figure.chart")) {
  const plot = figure.querySelector(".plot");
  if (!plot) continue;
  const names = [...figure.querySelectorAll(".legend li")].map((item) => item.textContent.trim());
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.setAttribute("aria-hidden", "true");
  tip.hidden = true;
  plot.append(tip);

  const line = (text, value, series) => {
    const row = document.createElement("div");
    const name = document.createElement("span");
    name.textContent = text;
    if (series !== undefined) name.className = `key k${series}`;
    const amount = document.createElement("b");
    amount.textContent = value;
    row.append(name, amount);
    return row;
  };

  const show = (column) => {
    const values = JSON.parse(column.dataset.values);
    const title = document.createElement("strong");
    title.textContent = column.dataset.label;
    const rows = values.map((value, index) => line(names[index], value, index)).filter((_, index) => !/^\$?0(\.0*)?$/.test(values[index]));
    tip.replaceChildren(title, ...rows, line("Total", column.dataset.total));
    tip.hidden = false;
    const frame = plot.getBoundingClientRect();
    const place = column.getBoundingClientRect();
    const left = place.left - frame.left + place.width / 2;
    tip.style.left = `${Math.max(0, Math.min(frame.width - tip.offsetWidth, left - tip.offsetWidth / 2))}px`;
  };

  for (const column of plot.querySelectorAll(".column")) {
    column.addEventListener("pointerenter", () => show(column));
  }
  plot.addEventListener("pointerleave", () => { tip.hidden = true; });
}
