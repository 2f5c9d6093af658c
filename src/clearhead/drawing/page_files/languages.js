"use strict";
// Every text is on the page in both languages; the style hides one of them.
if (navigator.language.toLowerCase().startsWith("zh")) {
  document.documentElement.lang = "zh";
  document.title = document.querySelector("h1 [lang=zh]").textContent;
}
