"use strict";
// The page's words in the reader's language. Without this script they are English, and all numbers are there.

const data = JSON.parse(document.getElementById("data").textContent);
const LANGUAGES = { en: "English", zh: "中文" };

function filled(template) {
  return template.replace(/\{(\w+)\}/g, (whole, name) => data.values[name] ?? whole);
}

function show(language) {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const [id, template] of Object.entries(data.words[language])) {
    document.getElementById(id).textContent = filled(template);
  }
  const languages = document.getElementById("languages");
  languages.replaceChildren();
  for (const [name, text] of Object.entries(LANGUAGES)) {
    const made = languages.appendChild(document.createElement("button"));
    Object.assign(made, { type: "button", textContent: text, lang: name, id: `language-${name}` });
    made.setAttribute("aria-pressed", String(name === language));
    made.addEventListener("click", () => {
      show(name);
      document.getElementById(`language-${name}`).focus();
    });
  }
}

show(navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en");
