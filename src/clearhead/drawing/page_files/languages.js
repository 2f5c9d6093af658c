"use strict";
// Every text is on the page in both languages; the style hides one of them: not the one asked for, else the reader's own.
function show(language) {
  document.documentElement.lang = language;
  document.title = document.querySelector(`h1 [lang=${language}]`).textContent;
}
for (const button of document.querySelectorAll("[data-language]"))
  button.addEventListener("click", () => show(button.dataset.language));
show(document.documentElement.dataset.chosen || (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en"));
