// The page's script. It runs once, in the element that carries messages: `trigger` sends an action to
// the server, and the server writes its messages into the element. HTML is set only where the server
// made it. Everything else is set as text.
const KEY = "papertrail.conversation.";
const ACTIVE = "papertrail.active";
const LOOK = "papertrail.look";
const CHOICES = "papertrail.choices";
const LIBRARY = "papertrail.library";
const MOST_KEPT = 200;
let kept = null; // the server's list for a signed-in user; null where the browser keeps it
let active = "";

const one = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const part = (name) => one(`[data-part="${name}"]`);
const questionBox = () => one("#question textarea");
const make = (tag, values) => Object.assign(document.createElement(tag), values);
const send = (action) => trigger("click", action);
const NARROW = "(max-width: 1023px)";
const narrow = () => window.matchMedia(NARROW).matches;

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
  if (!one("#said")) document.body.append(make("p", { id: "said", role: "status" }));
  const place = one("#said");
  place.textContent = text;
  place.classList.add("shown");
  clearTimeout(say.timer);
  say.timer = setTimeout(() => place.classList.remove("shown"), 2500);
}

// Conversations ------------------------------------------------------------------------------

function read(id) {
  try {
    const { id: own, updated, title } = JSON.parse(stored(KEY + id));
    return own === id ? { id, updated, title: String(title) } : null;
  } catch { return null; } // not one of ours
}

function listStored() {
  let names = [];
  try { names = Object.keys(localStorage); } catch { /* no storage: nothing is kept */ }
  const ids = names.filter((name) => name.startsWith(KEY)).map((name) => name.slice(KEY.length));
  return ids.map(read).filter(Boolean).sort((a, b) => b.updated - a.updated);
}

const conversations = () => kept ?? listStored();

// Conversations as this tab last read or wrote them. Another tab may continue one.
const lastSeen = new Map();

function keep(conversation) {
  const now = read(conversation.id);
  const before = lastSeen.get(conversation.id);
  if (now && now.updated !== before?.updated) { send({ act: "fork" }); return; }
  if (now && now.title !== before.title) {
    conversation.title = now.title;
    send({ act: "rename", id: conversation.id, text: now.title });
  }
  active = conversation.id;
  const text = JSON.stringify(conversation);
  for (const old of listStored().slice(MOST_KEPT)) store(KEY + old.id, null);
  while (!store(KEY + active, text)) {
    const oldest = listStored().filter((each) => each.id !== active).pop();
    if (!oldest) { say("The browser has no room to save this conversation."); break; }
    store(KEY + oldest.id, null);
  }
  lastSeen.set(active, read(active));
  store(ACTIVE, active);
  showList();
}

window.addEventListener("storage", (event) => {
  if ((!event.key || event.key.startsWith(KEY)) && !one("#list input")) showList();
});

function button(label, title, act) {
  const made = make("button", { type: "button", textContent: label });
  if (title) Object.assign(made, { title, ariaLabel: title });
  made.addEventListener("click", act);
  return made;
}

function showList() {
  const list = one("#list");
  if (!list) return;
  const wanted = (one("#find")?.value ?? "").trim().toLowerCase();
  const found = conversations().filter((each) => each.title.toLowerCase().includes(wanted));
  list.replaceChildren(...found.map(item));
  const textContent = wanted ? "No conversation matches." : "None yet.";
  if (!found.length) list.append(make("li", { className: "hint", textContent }));
}

function item(conversation) {
  const isActive = conversation.id === active;
  const line = make("li", { className: isActive ? "active" : "" });
  const title = button(conversation.title || "Untitled", "", () => open(conversation.id));
  Object.assign(title, { className: "title", title: conversation.title, ariaCurrent: isActive });
  line.append(
    title,
    button("✎", `Rename “${conversation.title}”`, () => rename(line, conversation)),
    button("✕", `Delete “${conversation.title}”`, () => remove(line, conversation)),
  );
  return line;
}

function open(id, how = { act: "open" }) {
  store(ACTIVE, id);
  active = id;
  const text = kept ? "" : stored(KEY + id);
  if (text === null) { showList(); return; }
  lastSeen.set(id, read(id));
  send({ ...how, id, text });
  if (narrow()) one("#kept")?.removeAttribute("open");
}

function rename(line, conversation) {
  const box = make("input", { value: conversation.title, maxLength: 120, ariaLabel: "New title" });
  const finish = (title) => {
    if (title && title !== conversation.title) {
      if (!kept) {
        const values = JSON.parse(stored(KEY + conversation.id));
        store(KEY + conversation.id, JSON.stringify({ ...values, title }));
        if (lastSeen.has(conversation.id)) lastSeen.get(conversation.id).title = title;
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
  line.replaceChildren(
    make("span", { textContent: "Delete it?" }),
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
