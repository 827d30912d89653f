(() => {
  "use strict";
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];

  // Notes are open where there are no scripts, and on paper.
  const notes = all("details.notes");
  const unfold = (open) => notes.forEach((note) => { note.open = open; });
  unfold(false);
  window.addEventListener("beforeprint", () => unfold(true));
  window.addEventListener("afterprint", () => unfold(false));

  // One choice of target for all sections.
  const groups = all(".panels").filter((group) => all(":scope > .panel", group).length > 1);
  const choose = (index, focused) => {
    for (const group of groups) {
      all(":scope > .panel", group).forEach((panel, i) => { panel.hidden = i !== index; });
      all("[role=tab]", group.previousElementSibling).forEach((tab, i) => {
        tab.setAttribute("aria-selected", String(i === index));
        tab.tabIndex = i === index ? 0 : -1;
        if (focused === group && i === index) tab.focus();
      });
    }
  };
  groups.forEach((group, g) => {
    const tabs = document.createElement("div");
    tabs.className = "tabs";
    tabs.setAttribute("role", "tablist");
    tabs.setAttribute("aria-label", "Target of the explanation");
    const panels = all(":scope > .panel", group);
    panels.forEach((panel, i) => {
      const tab = document.createElement("button");
      tab.type = "button";
      tab.textContent = panel.dataset.name;
      tab.id = `tab-${g}-${i}`;
      panel.id = `panel-${g}-${i}`;
      tab.setAttribute("role", "tab");
      tab.setAttribute("aria-controls", panel.id);
      panel.setAttribute("role", "tabpanel");
      panel.setAttribute("aria-labelledby", tab.id);
      tab.addEventListener("click", () => choose(i));
      tab.addEventListener("keydown", (event) => {
        const to = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: panels.length - 1 }[event.key];
        if (to === undefined) return;
        event.preventDefault();
        choose((to + panels.length) % panels.length, group);
      });
      tabs.append(tab);
    });
    group.before(tabs);
  });
  choose(0);

  // More columns, and sorting.
  const boards = all("table.board");
  const more = document.getElementById("more");
  if (!boards.some((board) => board.querySelector("th.more"))) more.hidden = true;
  more.addEventListener("click", () => {
    const wide = more.getAttribute("aria-pressed") !== "true";
    more.setAttribute("aria-pressed", String(wide));
    more.textContent = wide ? "Fewer columns" : "More columns";
    boards.forEach((board) => board.classList.toggle("all", wide));
  });
  const sort = (board, column, up) => {
    for (const body of all("tbody", board)) {
      const rows = all("tr:not(.apart)", body);
      const key = (row) => row.cells[column].dataset.value;
      const compare = (a, b) => {
        const [x, y] = [key(a), key(b)];
        if (x === "" || y === "") return (x === "") - (y === "");
        const [n, m] = [Number(x), Number(y)];
        const order = Number.isNaN(n) || Number.isNaN(m) ? x.localeCompare(y) : n - m;
        return up ? order : -order;
      };
      rows.sort(compare).forEach((row) => body.append(row));
    }
    all("thead th", board).forEach((head, i) => {
      if (i === column) head.setAttribute("aria-sort", up ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
  };
  for (const board of boards) {
    all("thead th", board).forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      // Words and places begin at their start, numbers with the highest.
      const rising = column === 0 || head.classList.contains("word");
      button.addEventListener("click", () => {
        const now = head.getAttribute("aria-sort");
        sort(board, column, now ? now === "descending" : rising);
      });
    });
  }

  // Maps: view, opacity, contours, and one zoom for all.
  const grids = all(".grid");
  const every = document.getElementById("every");
  if (!document.querySelector(".grid .rest")) every.hidden = true;
  every.addEventListener("click", () => {
    const full = every.getAttribute("aria-pressed") !== "true";
    every.setAttribute("aria-pressed", String(full));
    every.textContent = full ? "Fewer methods" : "All methods";
    for (const grid of grids) grid.classList.toggle("every", full);
  });
  const opacity = document.getElementById("opacity");
  const state = { zoom: 1, x: 0, y: 0 };
  const show = () => {
    const least = 1 - state.zoom;
    state.x = Math.min(0, Math.max(least, state.x));
    state.y = Math.min(0, Math.max(least, state.y));
    for (const grid of grids) {
      grid.style.setProperty("--zoom", state.zoom);
      grid.style.setProperty("--x", `${100 * state.x}%`);
      grid.style.setProperty("--y", `${100 * state.y}%`);
      grid.classList.toggle("zoomed", state.zoom > 1);
    }
    document.getElementById("zoom").textContent = `${Number(state.zoom.toFixed(1))}×`;
  };
  const zoom = (factor, px = 0.5, py = 0.5) => {
    const next = Math.min(8, Math.max(1, state.zoom * factor));
    // The point under the pointer stays where it is.
    state.x = px - ((px - state.x) / state.zoom) * next;
    state.y = py - ((py - state.y) / state.zoom) * next;
    state.zoom = next;
    show();
  };
  const view = (name) => {
    for (const input of all("input[name=view]")) input.checked = input.value === name;
    for (const grid of grids) {
      grid.classList.toggle("view-image", name === "image");
      grid.classList.toggle("view-prediction", name === "prediction");
    }
  };
  const contours = (kind, shown) => {
    document.getElementById(kind).checked = shown;
    for (const grid of grids) grid.classList.toggle(`no-${kind}`, !shown);
  };
  const reset = () => { Object.assign(state, { zoom: 1, x: 0, y: 0 }); show(); };
  for (const input of all("input[name=view]")) input.addEventListener("change", () => view(input.value));
  for (const kind of ["thin", "thick"]) {
    document.getElementById(kind).addEventListener("change", (event) => contours(kind, event.target.checked));
  }
  opacity.addEventListener("input", () => {
    opacity.setAttribute("aria-valuetext", `${opacity.value} %`);
    for (const grid of grids) grid.style.setProperty("--opacity", opacity.value / 100);
  });
  for (const button of all("[data-zoom]")) {
    const act = { in: () => zoom(1.5), out: () => zoom(1 / 1.5), reset }[button.dataset.zoom];
    button.addEventListener("click", act);
  }
  const move = (dx, dy) => { state.x += dx; state.y += dy; show(); };
  const keys = {
    m: () => view("map"), i: () => view("image"), p: () => view("prediction"),
    c: () => {
      const shown = document.getElementById("thin").checked || document.getElementById("thick").checked;
      contours("thin", !shown);
      contours("thick", !shown);
    },
    "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5), 0: reset,
  };
  const arrows = { ArrowLeft: [0.15, 0], ArrowRight: [-0.15, 0], ArrowUp: [0, 0.15], ArrowDown: [0, -0.15] };
  for (const grid of grids) {
    grid.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const act = keys[event.key.toLowerCase()];
      const arrow = arrows[event.key];
      if (act) act();
      else if (arrow && state.zoom > 1) move(...arrow);  // else they scroll the page
      else return;
      event.preventDefault();
    });
    let from = null;
    grid.addEventListener("pointerdown", (event) => {
      const frame = event.target.closest(".frame");
      if (!frame || event.button !== 0) return;
      from = { x: event.clientX, y: event.clientY, box: frame.getBoundingClientRect(), moved: false };
      if (state.zoom > 1) { event.preventDefault(); grid.focus({ preventScroll: true }); }
    });
    grid.addEventListener("pointermove", (event) => {
      if (!from || state.zoom === 1) return;
      const [dx, dy] = [event.clientX - from.x, event.clientY - from.y];
      if (Math.abs(dx) + Math.abs(dy) < 3 && !from.moved) return;
      Object.assign(from, { x: event.clientX, y: event.clientY, moved: true });
      move(dx / from.box.width, dy / from.box.height);
    });
    window.addEventListener("pointerup", (event) => {
      if (from && !from.moved && state.zoom === 1 && event.target.closest?.(".frame")) {
        zoom(2.5, (event.clientX - from.box.left) / from.box.width, (event.clientY - from.box.top) / from.box.height);
      }
      from = null;
    });
    grid.addEventListener("wheel", (event) => {
      const frame = event.target.closest(".frame");
      if (!frame || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      const box = frame.getBoundingClientRect();
      zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2, (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
    }, { passive: false });
    grid.addEventListener("dragstart", (event) => event.preventDefault());
  }

  // Films: one slider for all of a panel.
  for (const films of all(".films")) {
    const steps = JSON.parse(films.dataset.steps);
    const slider = films.querySelector("input[type=range]");
    const said = films.querySelector(".scrubber output");
    const shown = all(".film", films).map((film) => [film, JSON.parse(film.dataset.probability)]);
    const step = () => {
      const k = Number(slider.value);
      slider.setAttribute("aria-valuetext", `${steps[k]} removed`);
      said.textContent = steps[k];
      for (const [film, probability] of shown) {
        film.style.setProperty("--step", k);
        film.querySelector("output").textContent = probability[k];
      }
    };
    slider.addEventListener("input", step);
    step();
  }
})();
