"use strict";
// Shows the page in one of its languages: the one asked for, else the reader's.
function show(language) {
  document.documentElement.lang = language;
  for (const each of document.querySelectorAll("article")) each.hidden = each.lang !== language;
}
for (const button of document.querySelectorAll("[data-language]"))
  button.addEventListener("click", () => show(button.dataset.language));
show(document.documentElement.dataset.chosen || (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en"));
