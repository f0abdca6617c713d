// Streams the replies into two panes, the steered one with what the model was told.

const form = document.getElementById("chat");
const stop = document.getElementById("stop");
const panes = { plain: document.getElementById("plain"), steered: document.getElementById("steered") };
let running = null;

function make(name, text, className) {
  const element = document.createElement(name);
  if (text) element.textContent = text;
  if (className) element.className = className;
  return element;
}

function tell(pane, message) {
  const fault = pane.querySelector(".fault");
  fault.textContent = message;
  fault.hidden = !message;
}

function list(items) {
  const found = make("ul", "", "plain");
  for (const parts of items) {
    const item = make("li");
    item.append(...parts);
    found.append(item);
  }
  return found;
}

function showEvidence(pane, evidence) {
  const behind = pane.querySelector(".behind");
  behind.replaceChildren(make("h3", "What it was told"));
  const known = evidence.known;
  if (!evidence.steered) {
    const told = known || evidence.exemplars.length ? "To no effect" : "Nothing";
    behind.append(make("p", `${told}: ${evidence.not_steered_because}.`));
  }
  if (known) {
    const told = make("p", `${known.told ?? "Known, but not told"} `);
    told.append(make("span", `(${known.source})`, "soft"));
    behind.append(told, list(known.shares.map((each) => [`${Math.round(each.share * 100)}% ${each.label}`])));
  }
  if (evidence.exemplars.length) {
    behind.append(list(evidence.exemplars.map((each) => {
      const link = make("a", each.question);
      link.href = `/questions/${encodeURIComponent(each.question_key)}`;
      return [link, " ", make("span", each.answer.label, "soft")];
    })));
  }
  for (const warning of evidence.warnings) behind.append(make("p", warning, "note"));
}

async function* readEvents(reply) {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const bytes of reply.body) {
    rest += decoder.decode(bytes, { stream: true });
    const lines = rest.split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (line.startsWith("data: ") && line !== "data: [DONE]") yield JSON.parse(line.slice(6));
    }
  }
}

// The last chunk has only what turned out otherwise.
function addEvidence(known, late) {
  const warnings = [...(known.warnings ?? []), ...(late.warnings ?? [])];
  return { ...known, ...late, warnings };
}

async function ask(pane, body, signal) {
  const text = pane.querySelector(".reply");
  text.textContent = "";
  pane.querySelector(".behind").replaceChildren();
  tell(pane, "");
  pane.setAttribute("aria-busy", "true");
  try {
    const reply = await fetch("/v1/chat/completions", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      signal,
    });
    if (!reply.ok) {
      const problem = await reply.json();
      tell(pane, problem.error?.message ?? problem.detail ?? reply.statusText);
      return;
    }
    let evidence = {};
    for await (const event of readEvents(reply)) {
      if (event.error) tell(pane, event.error.message);
      if (event.milieu && body.culture) {
        evidence = addEvidence(evidence, event.milieu);
        showEvidence(pane, evidence);
      }
      text.textContent += event.choices?.[0]?.delta?.content ?? "";
    }
  } catch (error) {
    if (error.name !== "AbortError") tell(pane, "The service did not answer. Is it still running?");
  } finally {
    pane.removeAttribute("aria-busy");
  }
}

function check() {
  for (const [name, message] of [["message", "Write a message."], ["culture", "Name a country."]]) {
    const field = form.elements[name];
    field.setCustomValidity(field.value.trim() ? "" : message);
  }
  return form.reportValidity();
}

async function send() {
  running?.abort();
  running = new AbortController();
  const { signal } = running;
  const message = form.elements.message.value.trim();
  const culture = form.elements.culture.value.trim();
  const method = form.elements.method.value;
  const address = new URLSearchParams({ message, culture, ...(method && { method }) });
  history.replaceState(null, "", `/chat?${address}`);
  document.getElementById("steered-head").textContent = `As the people of ${culture}`;
  const body = {
    model: form.dataset.model,
    messages: [{ role: "user", content: message }],
    max_tokens: Number(form.dataset.tokens),
    temperature: 0,
    stream: true,
  };
  stop.hidden = false;
  await Promise.all([
    ask(panes.plain, body, signal),
    ask(panes.steered, { ...body, culture, ...(method && { method }) }, signal),
  ]);
  if (running.signal === signal) stop.hidden = true;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (check()) send();
});
for (const name of ["message", "culture"]) {
  form.elements[name].addEventListener("input", (event) => event.target.setCustomValidity(""));
}
form.elements.message.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    form.requestSubmit();
  }
});
stop.addEventListener("click", () => { running?.abort(); stop.hidden = true; });
addEventListener("pagehide", () => running?.abort());
form.dataset.ready = "";
