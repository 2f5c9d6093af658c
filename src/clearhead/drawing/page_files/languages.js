"use strict";
// The language of a page: the one asked for, else the reader's own. A page that holds its texts in both languages has one
// of them hidden by the style; a page that renders itself does so again at the event "language".
{
  const root = document.documentElement;
  const buttons = document.querySelectorAll("button[data-language]");
  const choose = (language) => {
    root.lang = language;
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.language === language));
    const title = document.querySelector(`h1 [lang=${language}]`);
    if (title) document.title = title.textContent;
    document.dispatchEvent(new Event("language"));
  };
  for (const button of buttons) button.addEventListener("click", () => choose(button.dataset.language));
  choose(root.dataset.chosen || (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en"));
}
