// Things of a page as people call them: by their accessible names, among what is to be seen. An open
// dialog hides the rest.
const fold = (text) => (text ?? "").replace(/\s+/g, " ").trim();
const seen = (element) => element.checkVisibility({ visibilityProperty: true });
const all = (css) => [...(document.querySelector("dialog:modal") ?? document).querySelectorAll(css)].filter(seen);
const bare = (element) => {
  const copy = element.cloneNode(true);
  for (const part of copy.querySelectorAll("input, select, textarea, [aria-hidden=true]")) part.remove();
  return fold(copy.textContent);
};
const name = (element) => element.ariaLabel ?? (element.labels?.length ? [...element.labels].map(bare).join(" ") : bare(element));
// The one; else the names of what was there.
const one = (elements, wanted) => {
  const found = elements.filter((element) => name(element) === wanted);
  return found.length === 1 ? found[0] : `${found.length} of ${JSON.stringify(elements.map(name))}`;
};

const pressable = (within, wanted) => one(all("a[href], button, summary, input[type=checkbox]").filter((element) => element.closest(within)), wanted);
const field = (label) => one(all("input, select, textarea"), label);
const steps = (label, text) => {
  const { options, selectedIndex } = field(label);
  const names = [...(options ?? [])].map((option) => fold(option.text));
  return names.includes(text) ? names.indexOf(text) - selectedIndex : names;
};
const value = (label) => field(label).value;
const complaint = (label) => {
  const wrong = field(label);
  if (wrong.ariaInvalid !== "true") return null;
  return fold(wrong.getAttribute("aria-describedby").split(" ").map((id) => document.getElementById(id).textContent).join(" "));
};
const link = (wanted) => all("main a[href]").find((element) => name(element) === wanted)?.getAttribute("href");
const texts = (css) => all(css).map((element) => fold(element.innerText));
const said = () => fold((document.querySelector("dialog:modal") ?? document.querySelector("main") ?? document.body).innerText);
