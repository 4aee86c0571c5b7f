// What the pages do in a browser besides being replaced in place: draw lines, rest while nobody
// looks, say when control does not answer. Everything that is shown is rendered by the server.
(() => {
  "use strict";
  const beat = document.getElementById("beat");
  const live = document.getElementById("live");
  let lastAnswer = new Date();

  function say(words, kind) {
    if (beat.textContent !== words) beat.textContent = words;
    beat.className = "beat " + kind;
  }

  function clock(date) {
    return date.toLocaleTimeString([], { hour12: false });
  }

  // A hidden tab asks for nothing; it catches up when it is looked at again.
  document.addEventListener("htmx:before:request", (event) => {
    if (event.target === live && document.hidden) event.preventDefault();
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && live) htmx.trigger(live, "refresh");
  });

  // Only pages are shown in place. Anything else, such as an error of a proxy, is only told.
  document.addEventListener("htmx:before:response", (event) => {
    const response = event.detail.ctx.response;
    const kind = response.headers.get("content-type") || "";
    if (kind.startsWith("text/html")) {
      lastAnswer = new Date();
      say("live", "good");
      return;
    }
    if (response.headers.get("hx-redirect")) return;
    event.preventDefault();
    if (event.target instanceof HTMLFormElement) {
      tell("Nothing was changed: the answer was " + response.status + (response.status === 403 ? ", your key does not have the role for it." : "."));
    } else say("answer " + response.status + "; shown is " + clock(lastAnswer), "bad");
  });
  document.addEventListener("htmx:error", (event) => {
    if (!event.detail.ctx) return;
    say("control does not answer; shown is " + clock(lastAnswer), "bad");
    if (event.target instanceof HTMLFormElement) tell("Control does not answer. Whether the change was made is not known: see below when it is back.");
  });

  function tell(words) {
    const box = document.createElement("div");
    box.className = "message bad";
    box.setAttribute("role", "alert");
    box.textContent = words;
    document.getElementById("message").replaceChildren(box);
  }

  // After an action, the page shows at once what it has led to, and the form is closed.
  document.addEventListener("htmx:after:swap", (event) => {
    const form = event.target;
    if (form instanceof HTMLFormElement) {
      const status = event.detail.ctx.response.status;
      if (status < 400) {
        form.reset();
        const details = form.closest("details");
        if (details) details.open = false;
      }
      document.getElementById("message").scrollIntoView({ block: "nearest" });
      htmx.trigger(live, "refresh");
    }
    draw();
  });

  // Lines over time. Their numbers are in an attribute, which a new answer replaces.
  const charts = new Map();
  const dark = window.matchMedia("(prefers-color-scheme: dark)");

  function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  function short(value) {
    if (value == null) return "–";
    if (Math.abs(value) >= 1e3) return Math.round(value).toLocaleString("en-US");
    return String(Number(value.toPrecision(3)));
  }

  function options(element, told) {
    // Five seconds are no line: the axis is as long as the server's memory, and fills.
    const span = (u, low, high) => [Math.min(low ?? high, high - 300), high];
    const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    return {
      width: element.clientWidth,
      height: 180,
      scales: { x: { range: span }, y: { range: (u, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
      axes: [
        { ...axis, size: 26, space: 60, values: (u, ticks) => ticks.map((at) => clock(new Date(at * 1e3)).slice(0, 5)) },
        { ...axis, size: 56, values: (u, ticks) => ticks.map(short) },
      ],
      legend: { live: true },
      cursor: { y: false, drag: { x: false, y: false } },
      series: [
        { label: "time", value: (u, at) => (at == null ? "–" : clock(new Date(at * 1e3))) },
        ...told.names.map((name, place) => ({
          label: name,
          stroke: colour("--line-" + (place + 1)),
          width: 1.75,
          fill: told.names.length === 1 ? colour("--line-1-fill") : undefined,
          points: { show: false },
          spanGaps: false,
          value: (u, value) => short(value) + (value == null ? "" : " " + told.unit),
        })),
      ],
    };
  }

  function draw() {
    if (!window.uPlot) return;
    for (const [element, one] of charts) {
      if (element.isConnected) continue;
      one.plot.destroy();
      charts.delete(element);
    }
    for (const element of document.querySelectorAll("[data-chart]")) {
      const text = element.dataset.chart;
      const known = charts.get(element);
      if (known && known.text === text) continue;
      const told = JSON.parse(text);
      const names = told.names.join("\n");
      if (known && known.names === names) {
        known.plot.setData(told.data);
        known.text = text;
        continue;
      }
      if (known) known.plot.destroy();
      element.replaceChildren();
      charts.set(element, { text, names, plot: new uPlot(options(element, told), told.data, element) });
    }
  }

  function redraw() {
    for (const one of charts.values()) one.plot.destroy();
    charts.clear();
    draw();
  }

  dark.addEventListener("change", redraw);
  let width = window.innerWidth;
  window.addEventListener("resize", () => {
    if (window.innerWidth === width) return;
    width = window.innerWidth;
    redraw();
  });
  document.addEventListener("DOMContentLoaded", draw);
})();
