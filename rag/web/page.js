// The last part of the page's script: library, settings, events and messages.

// Events -------------------------------------------------------------------------------------

document.addEventListener("click", (event) => {
  const hit = event.target.closest?.("a.marker, a.back, [data-act], [data-copy], [data-show], [data-quote], [data-thumb], #theme, #go, #halt");
  if (!hit) return;
  if (hit.matches("a.marker")) { event.preventDefault(); showCard(hit); }
  else if (hit.matches("a.back")) { event.preventDefault(); goBack(hit); }
  else if (hit.id === "theme") switchLook();
  else if (hit.id === "go") ask();
  else if (hit.id === "halt") send({ act: "stop" });
  else if (hit.dataset.copy !== undefined) copy(hit.dataset.copy);
  else if (hit.dataset.quote !== undefined) showQuote(hit.closest(".card"), hit.dataset.quote);
  else if (hit.dataset.thumb) askForComment(hit);
  else if (hit.dataset.show) {
    left = hit;
    showSources(hit.dataset.show);
    one("#panel").scrollIntoView({ block: "nearest" });
  } else if (hit.dataset.act === "remove") confirmRemoval(hit);
  else if (hit.dataset.act) {
    if (hit.dataset.act === "new") { store(ACTIVE, null); active = ""; }
    send({ ...hit.dataset });
    if (["edit", "cancel", "new"].includes(hit.dataset.act)) questionBox()?.focus();
  }
});

function ask() {
  send({ act: "ask", text: questionBox().value, list: one("#as-list input").checked, box: true });
}

// Ask again before papers are removed, since that cannot be undone.
function confirmRemoval(asked) {
  const place = make("span", { className: "sure" });
  const leave = () => { place.replaceWith(asked); asked.focus(); };
  place.append(
    "Remove from the library?",
    button("Remove", "", () => { leave(); send({ ...asked.dataset }); }),
    button("Keep", "", leave),
  );
  asked.replaceWith(place);
  one("button", place).focus();
}

document.addEventListener("input", (event) => {
  const box = event.target;
  if (box.id === "find") showList();
  else if (box.id === "seek") {
    clearTimeout(box.timer);
    box.timer = setTimeout(() => send({ act: "find", text: box.value }), 250);
  } else if (box.type === "range" && box.dataset.set) {
    one(`output[for="${box.id}"]`).textContent = box.value;
  }
});

document.addEventListener("change", (event) => {
  const box = event.target;
  if (box.closest?.("#as-list")) {
    questionBox().placeholder = box.checked ? "Name a subject" : "Ask the papers";
  } else if (box.dataset?.pick !== undefined) {
    send({ act: "pick", id: box.dataset.pick, on: box.checked });
  } else if (box.dataset?.filter) {
    const named = all("#filters [data-filter]").map((each) => [each.dataset.filter, each.value]);
    send({ act: "filter", values: Object.fromEntries(named) });
  } else if (box.dataset?.change === "library") {
    store(ACTIVE, null);
    active = "";
    send({ act: "library", text: box.value });
  } else if (box.dataset?.set) {
    const value = box.type === "checkbox" ? box.checked : box.value;
    send({ act: "choose", values: { [box.dataset.set]: value } });
  }
});

// Send papers file by file. The server answers with a token for each.
async function addPapers(form) {
  const tokens = [];
  const report = (text) => { one("#uploading").textContent = text; };
  for (const file of one("#files", form).files) {
    report(`Sending ${file.name} …`);
    const answer = await fetch(`/upload?name=${encodeURIComponent(file.name)}`, { method: "POST", body: file })
      .then((found) => found.json())
      .catch(() => ({ error: `Could not send ${file.name}. It may be too large.` }));
    if (answer.error) { report(answer.error); return; }
    tokens.push(answer.token);
  }
  report("");
  send({ act: "add", files: tokens, pasted: one("#pasted").value, name: one("#name").value });
}

document.addEventListener("submit", (event) => {
  if (event.target.id !== "add-papers") return;
  event.preventDefault();
  addPapers(event.target);
});

function goTo(tab) {
  all('#tabs button[role="tab"]').find((each) => each.textContent.trim() === tab)?.click();
  questionBox()?.focus();
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
  if (event.key === "Enter" && event.target === questionBox() && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    ask();
  } else if (event.key === "Escape") one('#composer.busy #halt, #note [data-act="cancel"]')?.click();
  else if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    questionBox()?.focus();
  }
});

// Keep the end of the conversation in sight while it is written, unless the reader scrolled away.
let following = true;
let latest = null; // the turn being written: a new one is always scrolled into sight
let pages = null;

function isAtEnd() {
  if (narrow()) return one("#talk").getBoundingClientRect().bottom - window.innerHeight < 80;
  return pages.scrollHeight - pages.scrollTop - pages.clientHeight < 80;
}

function follow() {
  pages = one("#pages");
  if (!pages) { setTimeout(follow, 100); return; }
  document.addEventListener("scroll", () => { following = isAtEnd(); }, true);
  new MutationObserver(() => {
    const written = one("#live .turn")?.id ?? null;
    const ends = latest && !written;
    if (written && written !== latest) following = true;
    latest = written;
    if ((written || ends) && following) {
      pages.scrollTo({ top: pages.scrollHeight });
      if (narrow()) one("#talk").scrollIntoView({ block: "end" });
    }
  }).observe(pages, { childList: true, subtree: true, characterData: true });
}

function save({ name, type, text }) {
  const link = make("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// A message repeats all that each stream changed. Skip what was done already.
const done = new Map();

function readMessages() {
  if (!done.size && narrow()) one("#kept").removeAttribute("open");
  let streams;
  try { streams = JSON.parse(element.textContent); } catch { return; }
  for (const [stream, values] of Object.entries(streams)) {
    const known = done.get(stream) ?? {};
    const now = {};
    done.delete(stream);
    done.set(stream, now);
    for (const [name, value] of Object.entries(values)) {
      now[name] = JSON.stringify(value);
      if (known[name] !== now[name]) show(name, value);
    }
  }
  while (done.size > 20) done.delete(done.keys().next().value);
}

// A tab may be created after the message for it.
const waiting = new Map();

function placeParts() {
  for (const [name, html] of waiting) {
    if (!part(name)) continue;
    waiting.delete(name);
    const focused = part(name).contains(document.activeElement) && document.activeElement.id;
    part(name).innerHTML = html;
    if (focused) document.getElementById(focused)?.focus();
    if (name === "sources") showFirstQuotes();
  }
  clearTimeout(placeParts.timer);
  if (waiting.size) placeParts.timer = setTimeout(placeParts, 200);
}

// The text of the box before a question was edited there. It comes back when that ends.
let draft = null;

function fill(text) {
  const box = questionBox();
  box.value = text;
  box.dispatchEvent(new Event("input", { bubbles: true }));
}

// The server has escaped everything from outside in the HTML that it sends.
const SHOW = {
  busy: (value) => one("#composer").classList.toggle("busy", value),
  library: (value) => store(LIBRARY, value || null),
  question: (value) => {
    if (value) draft ??= questionBox().value;
    fill(value);
  },
  kept: (value) => {
    all('#past .welcome, [data-part="sources"] > .hint').forEach((each) => each.remove());
    all("#past .turn, #sources section").forEach((each) => { if (Number(each.dataset.turn) > value) each.remove(); });
  },
  turn: (value) => put(part("past"), value, ".turn"),
  section: (value) => {
    put(part("sources"), value, "section");
    showSources(part("sources").lastElementChild.dataset.turn);
  },
  message: handleMessage,
};

function show(name, value) {
  if (name === "note" && draft !== null && !value.includes('data-act="cancel"')) {
    fill(draft);
    draft = null;
  }
  if (SHOW[name]) SHOW[name](value);
  else { waiting.set(name, value); placeParts(); } // the HTML of a part
}

function put(place, html, kind) {
  const made = document.createRange().createContextualFragment(html);
  const { turn } = made.firstElementChild.dataset;
  const old = one(`${kind}[data-turn="${turn}"]`, place);
  if (old) old.replaceWith(made);
  else place.append(made);
}

function handleMessage(message) {
  if (message.kind === "store") keep(message.conversation);
  else if (message.kind === "list") {
    if (message.conversations) kept = message.conversations;
    active = message.active;
    showList();
  } else if (message.kind === "download") save(message);
  else if (message.kind === "say") say(message.text);
  else if (message.kind === "tab") goTo(message.tab);
  else if (message.kind === "added") one("#add-papers")?.reset();
  else if (message.kind === "choices") store(CHOICES, JSON.stringify(message.values));
}

function setUp() {
  window.matchMedia(NARROW).addEventListener("change", () => { one("#kept").open = !narrow(); });
  window.addEventListener("resize", () => all("#sources .abstract[data-seen]").forEach(markOverflow));
  if (stored(LOOK)) document.body.classList.toggle("dark", stored(LOOK) === "dark");
  follow();
  showList();
}

// The first message says whether the server or this browser keeps the conversations.
function start() {
  setUp();
  try {
    const values = JSON.parse(stored(CHOICES) ?? "{}");
    if (Object.keys(values).length) send({ act: "choose", values });
  } catch { store(CHOICES, null); }
  const last = stored(ACTIVE);
  const back = { act: "back", library: stored(LIBRARY) ?? "" };
  if (last && stored(KEY + last)) open(last, back);
  else send(back);
}

watch("value", readMessages);
start();
