// The script of the page. It runs once, in the element that carries messages: `trigger` sends an
// action to the server, and what the server writes into the element is a message to this script.
// Text from outside is only ever set as text, never as HTML.
const KEY = "papertrail.conversation.";
const ACTIVE = "papertrail.active";
const LOOK = "papertrail.look";
const MOST_KEPT = 200;
let kept = null; // the server's list for a signed-in user; null where the browser keeps them
let active = "";

const one = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const send = (action) => trigger("click", action);
const narrow = () => window.matchMedia("(max-width: 1023px)").matches;

function stored(name) {
  try { return localStorage.getItem(name); } catch { return null; }
}

function store(name, value) {
  try {
    if (value === null) localStorage.removeItem(name);
    else localStorage.setItem(name, value);
    return true;
  } catch { return false; }
}

function say(text) {
  let place = one("#said");
  if (!place) {
    place = document.createElement("p");
    place.id = "said";
    place.setAttribute("role", "status");
    document.body.append(place);
  }
  place.textContent = text;
  place.classList.add("shown");
  clearTimeout(say.timer);
  say.timer = setTimeout(() => place.classList.remove("shown"), 2500);
}

// Conversations ------------------------------------------------------------------------------

function browserKept() {
  const found = [];
  try {
    for (const name of Object.keys(localStorage)) {
      if (!name.startsWith(KEY)) continue;
      try {
        const { id, title, updated } = JSON.parse(stored(name));
        if (name === KEY + id) found.push({ id, title: String(title), updated: Number(updated) });
      } catch { /* not one of ours */ }
    }
  } catch { /* no storage: nothing is kept */ }
  return found.sort((a, b) => b.updated - a.updated);
}

const conversations = () => kept ?? browserKept();

function keep(conversation) {
  active = conversation.id;
  const text = JSON.stringify(conversation);
  for (const old of browserKept().slice(MOST_KEPT)) store(KEY + old.id, null);
  while (!store(KEY + active, text)) {
    const oldest = browserKept().filter((each) => each.id !== active).pop();
    if (!oldest) { say("The browser cannot keep this conversation."); break; }
    store(KEY + oldest.id, null);
  }
  store(ACTIVE, active);
  showList();
}

function button(label, title, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = label;
  if (title) { made.title = title; made.setAttribute("aria-label", title); }
  made.addEventListener("click", act);
  return made;
}

function showList() {
  const list = one("#list");
  if (!list) return;
  const wanted = (one("#find")?.value ?? "").trim().toLowerCase();
  const found = conversations().filter((each) => each.title.toLowerCase().includes(wanted));
  list.replaceChildren(...found.map(item));
  if (!found.length) {
    const none = document.createElement("li");
    none.className = "hint";
    none.textContent = wanted ? "No conversation has this." : "None yet.";
    list.append(none);
  }
}

function item(conversation) {
  const line = document.createElement("li");
  if (conversation.id === active) line.className = "active";
  const title = button(conversation.title || "Untitled", "", () => open(conversation.id));
  title.className = "title";
  title.title = conversation.title;
  if (conversation.id === active) title.setAttribute("aria-current", "true");
  line.append(
    title,
    button("✎", `Rename “${conversation.title}”`, () => rename(line, conversation)),
    button("✕", `Delete “${conversation.title}”`, () => remove(line, conversation)),
  );
  return line;
}

function open(id) {
  store(ACTIVE, id);
  active = id;
  const text = kept ? "" : stored(KEY + id);
  if (text === null) { showList(); return; }
  send({ act: "open", id, text });
  if (narrow()) one("#kept")?.removeAttribute("open");
}

function rename(line, conversation) {
  const box = document.createElement("input");
  box.value = conversation.title;
  box.maxLength = 120;
  box.setAttribute("aria-label", "New title");
  const finish = (title) => {
    if (title && title !== conversation.title) {
      if (!kept) {
        const values = JSON.parse(stored(KEY + conversation.id));
        store(KEY + conversation.id, JSON.stringify({ ...values, title }));
      }
      send({ act: "rename", id: conversation.id, text: title });
    }
    showList();
  };
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter") finish(box.value.trim());
    if (event.key === "Escape") { event.stopPropagation(); finish(""); }
  });
  line.replaceChildren(box, button("Save", "", () => finish(box.value.trim())));
  box.focus();
  box.select();
}

function remove(line, conversation) {
  const sure = document.createElement("span");
  sure.textContent = "Delete it?";
  line.replaceChildren(
    sure,
    button("Delete", "", () => {
      if (!kept) store(KEY + conversation.id, null);
      if (conversation.id === active) store(ACTIVE, null);
      send({ act: "delete", id: conversation.id });
      showList();
    }),
    button("Keep", "", showList),
  );
  one("button", line).focus();
}

// Sources ------------------------------------------------------------------------------------

function showSources(turn) {
  all("#sources section").forEach((each) => { each.hidden = each.dataset.turn !== String(turn); });
}

function showQuote(card, start) {
  all("mark.here", card).forEach((each) => each.classList.remove("here"));
  const quote = start !== "" && one(`mark[data-start="${Number(start)}"]`, card);
  if (!quote) return;
  quote.classList.add("here");
  const abstract = quote.closest(".abstract");
  const offset = quote.getBoundingClientRect().top - abstract.getBoundingClientRect().top;
  abstract.scrollTo({ top: abstract.scrollTop + offset - 12 });
}

function showCard(marker) {
  showSources(marker.dataset.turn);
  const card = one(CSS.escape ? `#${CSS.escape(marker.hash.slice(1))}` : marker.hash);
  if (!card) return;
  all(".card.here").forEach((each) => each.classList.remove("here"));
  card.classList.add("here");
  card.scrollIntoView({ block: "nearest" });
  card.focus({ preventScroll: true });
  showQuote(card, marker.dataset.start);
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    area.style.position = "fixed";
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  say("Copied");
}

function askWhy(thumb) {
  const actions = thumb.closest(".actions");
  one(".comment", actions.parentElement)?.remove();
  all(".thumb", actions).forEach((each) => each.setAttribute("aria-pressed", each === thumb));
  const form = document.createElement("form");
  form.className = "comment";
  const box = document.createElement("input");
  box.maxLength = 2000;
  box.placeholder = "What was good or bad? (optional)";
  box.setAttribute("aria-label", "Comment on this answer, optional");
  const done = button("Send", "", () => {});
  done.type = "submit";
  form.append(box, done);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const { thumb: kind, turn } = thumb.dataset;
    send({ act: "thumb", thumb: kind, turn, comment: box.value });
    form.remove();
  });
  actions.after(form);
  box.focus();
}

// Look ---------------------------------------------------------------------------------------

function dress() {
  const look = stored(LOOK);
  if (look) document.body.classList.toggle("dark", look === "dark");
}

function undress() {
  const dark = !document.body.classList.contains("dark");
  store(LOOK, dark ? "dark" : "light");
  document.body.classList.toggle("dark", dark);
}

// Events -------------------------------------------------------------------------------------

document.addEventListener("click", (event) => {
  const hit = event.target.closest?.("a.marker, [data-act], [data-copy], [data-show], [data-quote], [data-thumb], #theme");
  if (!hit) return;
  if (hit.matches("a.marker")) { event.preventDefault(); showCard(hit); }
  else if (hit.id === "theme") undress();
  else if (hit.dataset.copy !== undefined) copy(hit.dataset.copy);
  else if (hit.dataset.quote !== undefined) showQuote(hit.closest(".card"), hit.dataset.quote);
  else if (hit.dataset.thumb) askWhy(hit);
  else if (hit.dataset.show) {
    showSources(hit.dataset.show);
    one("#panel").scrollIntoView({ block: "nearest" });
  } else if (hit.dataset.act) {
    if (hit.dataset.act === "new") { store(ACTIVE, null); active = ""; }
    send({ ...hit.dataset });
    if (hit.dataset.act === "edit" || hit.dataset.act === "new") one("#question textarea")?.focus();
  }
});

document.addEventListener("input", (event) => {
  if (event.target.id === "find") showList();
});

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
  if (event.key === "Escape") one("#halt:not(.hidden)")?.click();
  else if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    one("#question textarea")?.focus();
  }
});

// What is written at the end of the conversation stays in sight, unless the reader scrolled away.
let following = true;
let pages = null;

function follow() {
  pages = one("#pages");
  if (!pages) { setTimeout(follow, 100); return; }
  pages.addEventListener("scroll", () => {
    following = pages.scrollHeight - pages.scrollTop - pages.clientHeight < 80;
  });
  new MutationObserver(() => {
    if (one("#live .turn") && following) {
      pages.scrollTo({ top: pages.scrollHeight });
      if (narrow()) one("#composer")?.scrollIntoView({ block: "end" });
    }
  }).observe(pages, { childList: true, subtree: true, characterData: true });
}

function save({ name, type, text }) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function take() {
  let message;
  try { message = JSON.parse(element.textContent); } catch { return; }
  if (message.kind === "store") keep(message.conversation);
  else if (message.kind === "list") {
    if (message.conversations) kept = message.conversations;
    if (message.active !== undefined) active = message.active;
    showList();
  } else if (message.kind === "download") save(message);
  else if (message.kind === "say") say(message.text);
}

function begin() {
  dress();
  follow();
  if (narrow()) one("#kept")?.removeAttribute("open");
  showList();
}

// The first message tells whether the server or this browser keeps the conversations.
function greet() {
  begin();
  const last = stored(ACTIVE);
  if (last && stored(KEY + last) !== null) open(last);
  else send({ act: "list" });
}

watch("value", take);
greet();
