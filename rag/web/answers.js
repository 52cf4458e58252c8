// Answers: their sources, copying and feedback. Also the page's look, and the message when its server
// has stopped. Second part of the page's script. The first is conversations.js.

// Sources ------------------------------------------------------------------------------------

function showSources(turn) {
  all("#sources section").forEach((each) => { each.hidden = each.dataset.turn !== String(turn); });
  showFirstQuotes();
}

// Scroll an abstract to its first quote when it is first shown.
function showFirstQuotes() {
  for (const abstract of all("#sources section:not([hidden]) .card .abstract")) {
    if (abstract.dataset.seen || !abstract.getClientRects().length) continue;
    abstract.dataset.seen = "yes";
    const quote = one("mark", abstract);
    if (quote) scrollToQuote(quote);
    markOverflow(abstract);
    abstract.addEventListener("scroll", () => markOverflow(abstract));
  }
}

// Fade a text where it continues above or below.
function markOverflow(text) {
  text.classList.toggle("above", text.scrollTop > 2);
  text.classList.toggle("below", text.scrollHeight - text.scrollTop - text.clientHeight > 2);
}

function scrollToQuote(quote) {
  const abstract = quote.closest(".abstract");
  const first = quote.getClientRects()[0];
  const line = parseFloat(getComputedStyle(abstract).lineHeight);
  const offset = first.top - (line - first.height) / 2 - abstract.getBoundingClientRect().top;
  abstract.scrollTo({ top: abstract.scrollTop + offset - line }); // with the whole line before it
}

function showQuote(card, start) {
  all("mark.here", card).forEach((each) => each.classList.remove("here"));
  const quote = start !== "" && one(`mark[data-start="${Number(start)}"]`, card);
  if (!quote) return;
  quote.classList.add("here");
  scrollToQuote(quote);
}

// On a narrow screen the sources are below the answers. This is where the reader came from.
let left = null;

function goBack(link) {
  const place = left?.isConnected && left.checkVisibility() ? left : one(link.hash);
  if (!place) return;
  place.scrollIntoView({ block: place === left ? "center" : "start" });
  left?.focus({ preventScroll: true });
}

function showCard(marker) {
  left = marker;
  showSources(marker.dataset.turn);
  const card = one(CSS.escape ? `#${CSS.escape(marker.hash.slice(1))}` : marker.hash);
  if (!card) return;
  all(".card.here").forEach((each) => each.classList.remove("here"));
  card.classList.add("here");
  card.scrollIntoView({ block: narrow() ? "start" : "nearest" });
  card.focus({ preventScroll: true });
  showQuote(card, marker.dataset.start);
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = make("textarea", { value: text, style: "position: fixed" });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  say("Copied");
}

function askForComment(thumb) {
  const actions = thumb.closest(".actions");
  one(".comment", actions.parentElement)?.remove();
  const { thumb: kind, turn } = thumb.dataset;
  if (thumb.getAttribute("aria-pressed") !== "true") send({ act: "thumb", thumb: kind, turn });
  all(".thumb", actions).forEach((each) => each.setAttribute("aria-pressed", each === thumb));
  const form = make("form", { className: "comment" });
  const ariaLabel = "Comment on this answer, optional";
  const box = make("input", { maxLength: 2000, placeholder: "What was good or bad? (optional)", ariaLabel });
  form.append(box, make("button", { textContent: "Send" }));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (box.value.trim()) send({ act: "thumb", thumb: kind, turn, comment: box.value });
    form.remove();
    thumb.focus();
  });
  actions.after(form);
  box.focus();
}

// Look ---------------------------------------------------------------------------------------

function switchLook() {
  const dark = document.body.classList.toggle("dark");
  store(LOOK, dark ? "dark" : "light");
}

// Server -------------------------------------------------------------------------------------

// While something is under way, check that the server still runs.
setInterval(() => {
  if (one("#report .doing, #composer.busy")) fetch("/favicon.ico", { cache: "no-store" }).catch(reportLostServer);
}, 3000);

function reportLostServer() {
  const sentence = "The server has stopped. What was finished is kept. Start it again, reload the page and repeat this.";
  if (one("#report .doing")) show("report", `<p class="note error" role="alert">${sentence}</p>`);
  if (one("#composer.busy")) {
    show("busy", false);
    show("note", `<p><span role="status">${sentence}</span></p>`);
  }
}
