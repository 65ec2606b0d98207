// The event list: filter, deep links, and the line of the chosen event through the time line.
const CHUNK = 400;
// Columns of an event.
const INDEX = 0;
const SECONDS = 1;
const WEIGHT = 8;
const WEIGHTS = ["transition", "story", "flow"];
const at = (id) => document.getElementById(id);
const body = at("events").tBodies[0];
const texts = EVENTS.map((event) => event.slice(0, WEIGHT).join(" ").toLowerCase());
let shown = [];
let first = 0;
let last = 0;

function line(place) {
  const event = EVENTS[place];
  const row = document.createElement("tr");
  row.className = WEIGHTS[event[WEIGHT]];
  row.dataset.place = place;
  for (const cell of event.slice(0, WEIGHT)) row.insertCell().textContent = cell ?? "";
  return row;
}

function draw(from, to) {
  first = from;
  last = Math.min(to, shown.length);
  body.replaceChildren(...shown.slice(first, last).map(line));
  at("more").hidden = last === shown.length;
  at("count").textContent = `${shown.length} of ${EVENTS.length} events` + (first > 0 ? `, from number ${first + 1} on` : "");
}

function filter() {
  const words = at("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const flow = at("flow").checked;
  shown = [];
  EVENTS.forEach((event, place) => {
    if ((flow || event[WEIGHT] < 2) && words.every((word) => texts[place].includes(word))) shown.push(place);
  });
  draw(0, CHUNK);
  choose();
}

function chosenPlace() {
  const found = /^#e=(\d+)$/.exec(location.hash);
  return found ? EVENTS.findIndex((event) => event[INDEX] === Number(found[1])) : -1;
}

// Marks the chosen event's row, if it is drawn, and its moment in the time line.
function choose() {
  const place = chosenPlace();
  for (const row of body.rows) row.classList.toggle("chosen", Number(row.dataset.place) === place);
  const { left, width, seconds } = at("timeline").dataset;
  const x = place < 0 ? -9 : Number(left) + (Number(width) * Number(EVENTS[place][SECONDS])) / Number(seconds);
  at("now").setAttribute("x1", x);
  at("now").setAttribute("x2", x);
}

// Follows a link to an event: makes it visible, whatever the filter says, and goes there.
function follow() {
  const place = chosenPlace();
  if (place < 0) return choose();
  if (!shown.includes(place)) {
    at("filter").value = "";
    at("flow").checked ||= EVENTS[place][WEIGHT] === 2;
    filter();
  }
  const position = shown.indexOf(place);
  if (position < first || last <= position) draw(Math.max(0, position - 40), position + CHUNK);
  choose();
  body.rows[position - first].scrollIntoView({ block: "center" });
}

at("filter").addEventListener("input", filter);
at("flow").addEventListener("change", filter);
at("controls").addEventListener("submit", (event) => event.preventDefault());
at("more").addEventListener("click", () => {
  const rows = shown.slice(last, last + CHUNK).map(line);
  last += rows.length;
  body.append(...rows);
  at("more").hidden = last === shown.length;
  choose();
});
body.addEventListener("click", (event) => {
  const row = event.target.closest("tr");
  if (row) history.replaceState(null, "", `#e=${EVENTS[Number(row.dataset.place)][INDEX]}`);
  choose();
});
addEventListener("hashchange", follow);
filter();
follow();
