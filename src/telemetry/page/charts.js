// Charts of the last hour.

import { setAttribute, setText, svg } from './pieces.js';

const WIDE = 240;
const HIGH = 48;

/** Draws `points`, `[age in seconds, value or null]` from the oldest on, and says in words what they come to. */
export function showChart(figure, points, what, unit, format) {
  if (!figure.firstElementChild) {
    const id = `${figure.parentElement.id}-chart`;
    const picture = svg('svg', { viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: 'none', role: 'img', 'aria-labelledby': id });
    picture.append(svg('path', { class: 'area' }), svg('path', { class: 'line' }), svg('path', { class: 'base', d: `M0 ${HIGH}H${WIDE}` }));
    const caption = document.createElement('figcaption');
    const words = document.createElement('span');
    words.id = id;
    words.className = 'unseen';
    caption.append(document.createElement('span'), document.createElement('span'), words);
    figure.append(picture, caption);
  }
  const [area, line] = figure.querySelectorAll('path');
  const [left, right, words] = figure.querySelectorAll('figcaption span');
  const known = points.filter(([, value]) => value != null).map(([, value]) => value);
  const oldest = points.length > 1 ? points[0][0] : 0;
  const highest = Math.max(...known, 0);
  const past = known.length > 1 ? pastOf(oldest) : 'begins in a moment';
  const drawn = known.length > 1 ? draw(points, oldest, highest) : { line: '', area: '' };
  setAttribute(line, 'd', drawn.line);
  setAttribute(area, 'd', drawn.area);
  setText(left, past);
  setText(right, known.length > 1 ? `max ${format(highest)}${unit}` : '');
  setText(words, known.length > 1 ? `${what}, ${past}: at most ${format(highest)}${unit}` : `${what}: ${past}`);
}

function pastOf(seconds) {
  if (seconds >= 3_540) return 'last hour';
  return seconds < 90 ? `last ${Math.round(seconds)} s` : `last ${Math.round(seconds / 60)} min`;
}

/** Paths of the line and of the area under it; both break where nothing is known. */
function draw(points, oldest, highest) {
  const x = (age) => ((1 - age / oldest) * WIDE).toFixed(1);
  const y = (value) => (HIGH - (highest > 0 ? value / highest : 0) * (HIGH - 3)).toFixed(1);
  let line = '';
  let area = '';
  let run = [];
  const end = () => {
    if (run.length > 1) {
      const path = run.map(([age, value]) => `${x(age)} ${y(value)}`).join('L');
      line += `M${path}`;
      area += `M${x(run[0][0])} ${HIGH}L${path}L${x(run[run.length - 1][0])} ${HIGH}Z`;
    }
    run = [];
  };
  for (const point of points) {
    if (point[1] == null) end();
    else run.push(point);
  }
  end();
  return { line, area };
}

/** What a count grew by, each `per` seconds. Samples that are too near each other would only make noise. */
export function growth(history, counts, per) {
  const ages = history.age_seconds;
  const points = [];
  let from = 0;
  for (let to = 1; to < ages.length; to += 1) {
    const seconds = ages[from] - ages[to];
    if (seconds >= history.interval_seconds / 2 || (points.length === 0 && seconds >= 1)) {
      const value = (Math.max(0, counts[to] - counts[from]) / seconds) * per;
      if (points.length === 0) points.push([ages[from], value]);
      points.push([ages[to], value]);
      from = to;
    }
  }
  // Until there is a new point, the last one stands.
  if (points.length > 0) points.push([0, last(points)]);
  return points;
}

export const levels = (history, values) => history.age_seconds.map((age, index) => [age, values[index]]);
export const last = (points) => (points.length > 0 ? points[points.length - 1][1] : 0);
