"use strict";
// The bar, copying, and what is open.
(() => {
  const root = document.documentElement;
  const status = document.getElementById("status");
  const say = (text) => { status.textContent = ""; setTimeout(() => { status.textContent = text; }, 30); };

  // Light and dark: the system's wish until the reader says otherwise. Storage may be closed.
  const wish = matchMedia("(prefers-color-scheme: dark)");
  const stored = () => { try { return localStorage.getItem("midpo-theme"); } catch { return null; } };
  const store = (value) => { try { localStorage.setItem("midpo-theme", value); } catch { /* closed */ } };
  const theme = document.getElementById("theme");
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : wish.matches);
  const showTheme = () => {
    theme.setAttribute("aria-pressed", String(dark()));
  };
  if (["light", "dark"].includes(stored())) root.dataset.theme = stored();
  theme.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    store(root.dataset.theme);
    showTheme();
  });
  wish.addEventListener("change", showTheme);
  showTheme();

  // Copying, also where the clipboard is closed to pages from a file.
  const copy = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      const done = document.execCommand("copy");
      area.remove();
      return done;
    }
  };
  const report = (button, done) => {
    const text = button.dataset.label ??= button.textContent;
    button.textContent = done ? "Copied" : "Not copied";
    say(done ? "Copied" : "Copying was refused by the browser");
    setTimeout(() => { button.textContent = text; }, 1500);
  };
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button.copy");
    if (button) {
      const target = button.dataset.target;
      const text = target ? document.getElementById(target).textContent : button.dataset.copy;
      const done = await copy(text);
      button.focus();
      report(button, done);
      return;
    }
    const anchor = event.target.closest("a.anchor");
    if (anchor && await copy(anchor.href)) say("Link copied");
  });

  // Steps and other folded parts.
  const folded = () => [...document.querySelectorAll("main details")];
  const all = document.getElementById("all-steps");
  all.addEventListener("click", () => {
    const open = all.getAttribute("aria-pressed") !== "true";
    for (const part of folded()) part.open = open;
    all.setAttribute("aria-pressed", String(open));
    all.textContent = open ? "Close all" : "Open all";
  });
  const reveal = () => {
    let id;
    try { id = decodeURIComponent(location.hash.slice(1)); } catch { return; }
    const target = id && document.getElementById(id);
    if (!target) return;
    const inside = target.querySelector(":scope > details");
    if (inside) inside.open = true;
    for (let part = target.parentElement; part; part = part.parentElement)
      if (part.tagName === "DETAILS") part.open = true;
  };
  addEventListener("hashchange", reveal);
  reveal();
  const contents = document.getElementById("toc");
  const roomy = matchMedia("(min-width: 64rem)");
  const unfold = () => { contents.open = roomy.matches; };
  roomy.addEventListener("change", unfold);
  unfold();

  // On paper everything is open; afterwards it is as it was.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = folded().filter((part) => !part.open);
    for (const part of closed) part.open = true;
  });
  addEventListener("afterprint", () => { for (const part of closed) part.open = false; });
})();
