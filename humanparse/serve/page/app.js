// The page: sends a photo to the service and shows the parts that come back.

import { listModels, parse } from "./api.js";
import { withKey } from "./key.js";
import { Legend } from "./legend.js";
import { Parsing, percent } from "./parsing.js";
import { readPhoto } from "./photo.js";
import { listen } from "./sources.js";
import { View } from "./view.js";

const find = (id) => document.getElementById(id);
const view = new View();
const legend = new Legend(light, (hidden) => view.setHidden(hidden));

let models = new Map();
let photo = null; // {file, bitmap: promise of an ImageBitmap or null, shown}
let parsing = null;
let running = new AbortController(); // of the newest request; answers to older ones are ignored
let again = null;

const PERMANENT = ["malformed_image", "unsupported_media_type", "too_many_bytes", "too_many_pixels"];

async function begin() {
  listen(open, (message) => fail(message));
  find("model").addEventListener("change", () => {
    offerModel();
    run();
  });
  for (const id of ["scheme", "detect"]) find(id).addEventListener("change", () => run());
  find("again").addEventListener("click", () => again());
  find("opacity").addEventListener("input", setOpacity);
  find("beside").addEventListener("change", () => setBeside(find("beside").checked));
  find("save-png").addEventListener("click", savePng);
  find("save-json").addEventListener("click", saveJson);
  for (const id of ["plain", "marked"]) listenForPointers(find(id));
  await offerModels();
}

async function offerModels() {
  try {
    const listed = await withKey(listModels);
    models = new Map(listed.models.map((model) => [model.name, model]));
    fill(find("model"), [...models.keys()], listed.default);
    offerModel();
    if (again === offerModels) clearError();
  } catch (error) {
    fail(error.message, offerModels);
  }
}

function offerModel() {
  const model = models.get(find("model").value);
  fill(find("scheme"), model.schemes, model.scheme);
  find("about").textContent = `${model.classes} labels; weights: ${model.licence}`;
  find("detect-row").hidden = !model.people;
  if (!model.people) find("detect").checked = false;
}

function fill(select, values, chosen) {
  select.replaceChildren(...values.map((value) => new Option(value, value)));
  select.value = values.includes(chosen) ? chosen : values[0];
}

function open(file) {
  photo?.bitmap.then((bitmap) => bitmap?.close());
  photo = { file, bitmap: readPhoto(file), shown: false };
  run();
}

// Ask for the parts of the photo with the chosen settings.
async function run() {
  if (!photo) return;
  running.abort();
  running = new AbortController();
  const { signal } = running;
  const { file } = photo;
  clearError();
  setWorking(`Parsing ${file.name} …`);
  const answer = ask(file, signal);
  answer.catch(() => {}); // handled below, once the photo is decoded
  const bitmap = await photo.bitmap;
  if (signal.aborted) return;
  if (!photo.shown) showAlone(bitmap);
  try {
    const found = await answer;
    if (signal.aborted) return;
    showParts(found, bitmap);
    if (!models.size) offerModels(); // the service did not answer when the page was opened
  } catch (error) {
    if (signal.aborted) return;
    setWorking("", parsing ? summary(parsing, bitmap) : "");
    failWith(file, error, run);
  }
}

async function ask(file, signal) {
  const wish = { model: find("model").value, scheme: find("scheme").value };
  wish.people = find("detect").checked ? "detect" : "";
  const wait = (reason, seconds) => setWorking(`${sentence(reason)} Trying again in ${seconds} s.`);
  const response = await withKey(() => parse(file, { ...wish, format: "json" }, signal, wait));
  return new Parsing(await response.text(), { file, people: wish.people });
}

// Show the new photo before its parts are known, or nothing if the browser cannot show it.
function showAlone(bitmap) {
  photo.shown = true;
  parsing = null;
  find("tag").hidden = true;
  light(null);
  find("results").hidden = true;
  find("panes").hidden = bitmap === null;
  find("stage").classList.toggle("empty", bitmap === null);
  if (bitmap) view.showPhoto(bitmap);
}

function showParts(found, bitmap) {
  parsing = found;
  view.showParts(found, bitmap);
  legend.show(found);
  find("tag").hidden = true;
  light(null);
  find("stage").classList.remove("empty");
  find("panes").hidden = find("results").hidden = false;
  const names = found.parts.map((part) => part.name).join(", ");
  find("overlay").setAttribute("aria-label", `The photo with its parts in colour: ${names || "none found"}`);
  setWorking("", summary(found, bitmap));
}

function summary(found, bitmap) {
  const count = (things, one, more) => `${things.length} ${things.length === 1 ? one : more}`;
  const parts = found.parts.length ? count(found.parts, "part", "parts") : "no parts";
  const people = found.people.length ? ` of ${count(found.people, "person", "people")}` : "";
  const seconds = (found.milliseconds / 1000).toFixed(2);
  const blind = bitmap ? "" : " This browser cannot show the photo itself.";
  return `${found.model} found ${parts}${people} in ${seconds} s.${blind}`;
}

function light(what) {
  view.light(what ?? {});
  legend.mark(what?.label ?? null);
  find("reading").textContent = parsing ? reading(what) : "";
}

function reading(what) {
  if (what?.label !== undefined) {
    const person = what.person ? `, person ${what.person}` : "";
    return `${parsing.name(what.label)}: ${percent(parsing.share(what.label))} of the photo${person}`;
  }
  const person = parsing.people.find((one) => one.id === what?.person);
  if (person) return `Person ${person.id}: ${person.parts.map((part) => part.name).join(", ") || "no parts"}`;
  return "Point at a part or tap it, or step through the list, to read its name.";
}

function listenForPointers(pane) {
  const tag = find("tag");
  const leave = () => {
    tag.hidden = true;
    light(legend.kept);
  };
  const point = (event) => {
    const there = view.at(pane, event.clientX, event.clientY);
    if (!there) return;
    view.light(parsing.has(there.label) ? { label: there.label } : {});
    legend.mark(there.label);
    const text = reading(there);
    if (find("reading").textContent !== text) find("reading").textContent = text;
    place(tag, `${parsing.name(there.label)} ${percent(parsing.share(there.label))}`, event);
  };
  pane.addEventListener("pointermove", point);
  pane.addEventListener("pointerdown", point);
  pane.addEventListener("pointerleave", (event) => {
    if (event.pointerType === "mouse") leave(); // after a tap, the part stays highlighted
  });
}

function place(tag, text, event) {
  tag.textContent = text;
  tag.hidden = false;
  const stage = find("stage").getBoundingClientRect();
  const right = event.clientX - stage.left + 14;
  const fits = right + tag.offsetWidth < stage.width;
  tag.style.left = `${fits ? right : Math.max(0, right - 28 - tag.offsetWidth)}px`;
  tag.style.top = `${Math.max(0, event.clientY - stage.top - tag.offsetHeight - 8)}px`;
}

function setOpacity() {
  const value = Number(find("opacity").value);
  find("opacity-value").textContent = `${value}%`;
  view.setOpacity(value / 100);
}

function setBeside(beside) {
  find("tag").hidden = true;
  find("plain").hidden = !beside;
  find("panes").classList.toggle("beside", beside);
}

async function savePng() {
  const { model, scheme, asked } = parsing;
  const { file, people } = asked;
  clearError();
  try {
    const wish = { model, scheme, people, format: "png" };
    const response = await withKey(() => parse(file, wish));
    save(await response.blob(), file, "labels.png");
  } catch (error) {
    failWith(file, error, savePng);
  }
}

function saveJson() {
  save(new Blob([parsing.text], { type: "application/json" }), parsing.asked.file, "parts.json");
}

function save(blob, { name }, ending) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${name.replace(/\.[^.]*$/, "")}-${ending}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function fail(message, retry = null) {
  again = retry;
  find("error-text").textContent = message;
  find("again").hidden = retry === null;
  find("error").hidden = false;
}

function failWith(file, error, retry) {
  const reason = sentence(error.message.replace(/^the picture: /, ""));
  fail(`${file.name} could not be parsed. ${reason}`, PERMANENT.includes(error.code) ? null : retry);
}

function clearError() {
  find("error").hidden = true;
}

// Show what the service is doing; when it is done, `text` is empty and `outcome` replaces it.
function setWorking(text, outcome = "") {
  find("working").hidden = text === "";
  find("stage").setAttribute("aria-busy", String(text !== ""));
  find("status").textContent = text || outcome;
}

// A message of the service as a sentence; a name at its beginning, such as a model's, stays as it is.
function sentence(text) {
  const whole = text.replace(/^[a-z]+(?=[ ,:;])/, (word) => word.charAt(0).toUpperCase() + word.slice(1));
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}

begin();
