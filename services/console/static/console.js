// What every page needs: filters that apply themselves, and parts that refresh themselves.
"use strict";

const REFRESH_MS = 5000;

for (const form of document.querySelectorAll("form[data-autosubmit]")) {
  form.addEventListener("change", (event) => {
    if (event.target.matches("select, input[type=date]")) form.requestSubmit();
  });
  // Empty fields would only make the address longer.
  form.addEventListener("formdata", (event) => {
    for (const [name, value] of [...event.formData]) if (value === "") event.formData.delete(name);
  });
}

/** Readings received per second since the last refresh, shown beside the tally. */
class Rate {
  constructor() { this.before = this.sample(); }

  sample() {
    const figure = document.querySelector("[data-count]");
    return figure ? { count: Number(figure.dataset.count), at: performance.now() } : null;
  }

  show() {
    const now = this.sample();
    const place = document.getElementById("rate");
    if (now && this.before && place) {
      const perSecond = (now.count - this.before.count) / ((now.at - this.before.at) / 1000);
      place.textContent = perSecond > 0 ? `· ${Math.round(perSecond).toLocaleString("en")} readings/s` : "";
    }
    this.before = now;
  }
}

/** Replace an element's content, keeping the keyboard where it was. */
function replace(target, html) {
  const focused = target.contains(document.activeElement) ? document.activeElement : null;
  const links = (within) => [...within.querySelectorAll("a, button")];
  const place = focused ? links(target).indexOf(focused) : -1;
  const address = focused?.getAttribute("href");
  const fresh = new DOMParser().parseFromString(html, "text/html");
  target.replaceChildren(...fresh.body.childNodes);
  if (!focused) return;
  const all = links(target);
  const same = all[place]?.getAttribute("href") === address ? all[place] : null;
  (same ?? all.find((link) => link.getAttribute("href") === address))?.focus({ preventScroll: true });
}

const live = document.querySelector("[data-refresh]");
if (live) {
  const target = document.getElementById(live.dataset.target);
  const rate = new Rate();
  const refresh = async () => {
    if (!document.hidden) {
      try {
        const answer = await fetch(live.dataset.refresh, { signal: AbortSignal.timeout(4 * REFRESH_MS) });
        if (answer.status === 401) return location.reload();
        if (!answer.ok) throw new Error(`status ${answer.status}`);
        replace(target, await answer.text());
        rate.show();
        live.textContent = `As of ${new Date().toISOString().slice(11, 19)} UTC; refreshed every 5 s`;
        live.classList.remove("stale");
      } catch {
        live.textContent = live.textContent.replace(/;.*/, "; the console does not answer, trying again");
        live.classList.add("stale");
      }
    }
    setTimeout(refresh, REFRESH_MS);
  };
  setTimeout(refresh, REFRESH_MS);
}
