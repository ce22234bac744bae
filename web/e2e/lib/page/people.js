/** Runs in the page: notes when people come, go or change their node, and when the connection changes its state. */
(() => {
  const events = [];
  let people = new Map();
  let link = "";

  function look() {
    const at = Date.now();
    const now = new Map();
    for (const row of document.querySelectorAll("[data-testid=people-row]")) now.set(row.dataset.name, row.dataset.node);
    for (const [name, node] of people) if (!now.has(name)) events.push({ at, what: "gone", name, node });
    for (const [name, node] of now) {
      if (!people.has(name)) events.push({ at, what: "came", name, node });
      else if (people.get(name) !== node) events.push({ at, what: "moved", name, node, from: people.get(name) });
    }
    people = now;
    const state = document.querySelector("[data-testid=connection-state]");
    const shown = state ? `${state.dataset.state}@${state.dataset.node}` : "";
    if (shown !== link) events.push({ at, what: "link", state: state?.dataset.state ?? "", node: state?.dataset.node ?? "" });
    link = shown;
  }

  const observe = { subtree: true, childList: true, attributes: true, attributeFilter: ["data-node", "data-state", "data-name"] };
  new MutationObserver(look).observe(document, observe);
  window.__people = { events: () => [...events], now: () => [...people].map(([name, node]) => ({ name, node })) };
})();
