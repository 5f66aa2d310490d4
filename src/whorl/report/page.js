"use strict";
for (const bar of document.querySelectorAll(".tools")) bar.hidden = false;

function fold(scope, open) {
  for (const details of scope.querySelectorAll("details")) details.open = open;
}

for (const button of document.querySelectorAll("button[data-fold]")) {
  button.addEventListener("click", () => {
    const open = button.dataset.fold === "open";
    fold(button.closest(".search") ?? document.getElementById("trees"), open);
  });
}

const trees = [...document.querySelectorAll(".tree")];
const words = document.getElementById("words");
const outcome = document.getElementById("outcome");
const found = document.getElementById("found");

function filter() {
  const wanted = words.value.trim().toLowerCase();
  let shown = 0;
  for (const tree of trees) {
    tree.hidden =
      (outcome.value !== "" && tree.dataset.outcome !== outcome.value) ||
      (wanted !== "" && !tree.textContent.toLowerCase().includes(wanted));
    shown += tree.hidden ? 0 : 1;
  }
  found.textContent = `${shown} of ${trees.length} on this page`;
}

if (words) {
  words.addEventListener("input", filter);
  outcome.addEventListener("change", filter);
}
