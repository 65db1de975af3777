// Asks /api/status again and again and shows what it says.

import { growth, last, levels, showChart } from './charts.js';
import { byId, n, setAttribute, setText, showSign, showTable } from './pieces.js';
import { NONE, ago, clock, count, hour, plural, precise, rate, size, span } from './words.js';

const EVERY = 2_000; // ms between an answer and the next question
const PATIENCE = 5_000; // ms that an answer may take
const STALE_AFTER = 8_000; // ms without an answer until the page says so, however many were tried

const VERDICTS = {
  well: ['well', 'All is well', 'Nothing is held, every dependency answers, and it keeps up.'],
  starting: ['attention', 'Starting', 'It isn’t a member of its consumer group yet, or not with all its lanes.'],
  stopping: ['attention', 'Stopping', 'It stores what it has read, and leaves its group.'],
  attention: ['attention', 'Needs attention', 'It works, but not as it should.'],
  trouble: ['trouble', 'In trouble', 'It waits, and goes on by itself as soon as it can.'],
};

const STATES = {
  reading: ['well', 'reading'],
  starting: ['quiet', 'finding its start'],
  taking_over: ['quiet', 'finishing an earlier owner’s batch'],
  awaits_schema: ['attention', 'waiting for a schema'],
  dead_letter_limit: ['trouble', 'resting: too many bad records'],
  awaits_memory: ['quiet', 'waiting for memory'],
  awaits_turn: ['quiet', 'waiting for its turn'],
  awaits_store: ['attention', 'waiting for the store'],
  astray: ['attention', 'looking for its place in the log'],
  leaving: ['quiet', 'leaving'],
  held: ['trouble', 'held'],
};

const MEMBERSHIPS = { member: ['well', 'member'], joining: ['attention', 'joining'], leaving: ['quiet', 'leaving'] };

const DEPENDENCIES = {
  kafka: 'Kafka',
  registry: 'The schema registry',
  sink: 'The store',
  dead_letter_topic: 'The dead-letter topic',
  dead_letter_limit: 'The dead-letter limit',
};

// The page, from the top.

function show(status) {
  setText(byId('name'), status.name);
  setText(byId('environment'), status.environment);
  setText(byId('version'), status.version);
  setText(byId('uptime'), span(status.uptime_seconds));
  showVerdict(status);
  showFigures(status);
  showWaiting(status);
  showLanes(status);
  showPartitions(status.partitions);
  showOpenHours(status.open_hours);
  showFiles(status.files);
  showCounts(status);
  showTopics(status.topics);
}

function showVerdict({ verdict, holds, name }) {
  const [level, word, usual] = VERDICTS[verdict.state] || ['attention', verdict.state, ''];
  const held = verdict.state === 'trouble' && holds.total > 0;
  const sentence = held ? `${plural(holds.total, 'partition is', 'partitions are')} held until a person has looked; all else goes on when it can.` : usual;
  const section = byId('verdict');
  setAttribute(section, 'data-level', level);
  setAttribute(section.querySelector('use'), 'href', `#shape-${level}`);
  setText(byId('verdict-word'), word);
  setText(byId('verdict-sentence'), sentence);
  const list = byId('reasons');
  list.hidden = verdict.reasons.length === 0;
  while (list.children.length > verdict.reasons.length) list.lastElementChild.remove();
  verdict.reasons.forEach((reason, index) => {
    setText(list.children[index] || list.appendChild(document.createElement('li')), reason);
  });
  document.title = `${word} – ${name}`;
}

function showFigures(status) {
  const { totals, lag, memory, history, overview } = status;
  const figures = {
    'totals.consumed': count(totals.consumed),
    'totals.rows': count(totals.rows),
    'totals.dead_lettered': count(totals.dead_lettered),
    'lag.max_offset_lag': count(lag && lag.max_offset_lag),
    'memory.percent': memory.percent == null ? NONE : precise.format(memory.percent),
  };
  for (const [field, text] of Object.entries(figures)) setText(document.querySelector(`[data-field="${field}"]`), text);

  const consumed = growth(history, history.consumed, 1);
  const settled = totals.rows + totals.dead_lettered;
  const share = settled > 0 ? (100 * totals.dead_lettered) / settled : 0;
  showFigure('consumed', overview.consumed, `${rate(last(consumed))} a second`);
  showFigure('stored', overview.stored, `${plural(totals.files, 'file', 'files')}, ${size(totals.stored_bytes)}`);
  showFigure('dead_lettered', overview.dead_lettered, share > 0 && share < 0.01 ? 'less than 0.01 %' : `${share.toFixed(2)} % of the records`);
  showFigure('lag', overview.lag, lagInWords(lag));
  showFigure('memory', overview.memory, `${size(memory.resident_bytes)}; buffers ${size(memory.budget_used_bytes)} of ${size(memory.budget_bytes)}`);

  const chart = (id, points, what, unit, format) => showChart(byId(id).querySelector('figure'), points, what, unit, format);
  chart('consumed', consumed, 'Records consumed', '/s', rate);
  chart('stored', growth(history, history.rows, 1), 'Rows stored', '/s', rate);
  chart('dead_lettered', growth(history, history.dead_lettered, 60), 'Records dead-lettered', '/min', rate);
  chart('lag', levels(history, history.offset_lag), 'Lag in records', '', count);
  chart('memory', levels(history, history.resident_bytes), 'Memory', '', size);
}

function showFigure(id, sign, more) {
  const article = byId(id);
  showSign(article.querySelector('.sign'), sign.level, sign.word);
  setText(article.querySelector('.more'), more);
}

function lagInWords(lag) {
  if (!lag) return 'the brokers haven’t told yet where the logs end';
  const oldest = lag.max_time_lag_seconds > 0 ? `time lag ${span(lag.max_time_lag_seconds)}` : 'everything is durable';
  const unknown = Math.max(lag.offset_lag_unknown, lag.time_lag_unknown);
  return unknown > 0 ? `${oldest}; ${plural(unknown, 'partition', 'partitions')} unknown` : oldest;
}

function showWaiting({ troubles, holds }) {
  const rows = troubles.map(({ dependency, waiting, reason }) => [
    DEPENDENCIES[dependency] || dependency,
    waiting > 1 ? `${reason} (${count(waiting - 1)} more wait for it)` : reason,
  ]);
  rows.push(...holds.shown.map((hold) => [`Partition ${hold.topic}[${hold.partition}] is held`, hold.reason]));
  const hidden = holds.total - holds.shown.length;
  showTable('waiting', rows, 'No partition is held, and every dependency answers.', hidden > 0 ? `${count(hidden)} more partitions are held.` : '');
}

function showLanes({ lanes }) {
  const rows = lanes.map((lane) => [
    `Lane ${lane.lane}`,
    MEMBERSHIPS[lane.membership] || ['quiet', lane.membership],
    n(count(lane.partitions)),
    n(ago(lane.polled_seconds_ago)),
    n(count(lane.open_files)),
    n(count(lane.open_rows)),
    n(size(lane.open_bytes)),
  ]);
  showTable('lanes', rows, 'There are no lanes.', '');
}

function showPartitions({ total, shown }) {
  const rows = shown.map((one) => [
    `${one.topic}[${one.partition}]`,
    STATES[one.state] || ['quiet', one.state],
    n(count(one.offset_lag)),
    n(one.time_lag_seconds === 0 ? 'none' : span(one.time_lag_seconds)),
    n(count(one.backlog)),
    n(count(one.committed)),
    n(count(one.read)),
    n(String(one.lane)),
  ]);
  const all = `${plural(total, 'partition', 'partitions')}.`;
  const some = `The ${count(shown.length)} that are held or farthest behind, of ${count(total)}.`;
  showTable('partitions', rows, 'This process has none at the moment.', shown.length < total ? some : all);
}

function showOpenHours({ shown, more }) {
  const rows = shown.map((open) => [hour(open.hour), open.topic, n(count(open.files)), n(count(open.rows)), n(size(open.bytes))]);
  showTable('open-hours', rows, 'No file is open.', more ? `The latest ${count(shown.length)}; there are earlier ones.` : '');
}

function showFiles(files) {
  const rows = files.map((file) => [file.key, n(count(file.rows)), n(size(file.bytes)), n(clock(file.stored_at))]);
  showTable('files', rows, 'None was stored yet.', '');
}

function showCounts({ dead_letters, batches }) {
  const rows = (counts) => counts.map(({ reason, count: times }) => [reason.replaceAll('_', ' '), n(count(times))]);
  showTable('dead-letters', rows(dead_letters), 'None since the start.', '');
  showTable('batches', rows(batches), 'None was sealed yet.', '');
}

function showTopics({ total, shown }) {
  const rows = shown.map((topic) => [
    topic.topic,
    n(count(topic.consumed)),
    n(count(topic.rows)),
    n(count(topic.dead_lettered)),
    n(count(topic.skipped)),
    n(count(topic.lost)),
    n(count(topic.files)),
    n(size(topic.stored_bytes)),
  ]);
  showTable('topics', rows, 'Nothing was consumed yet.', shown.length < total ? `The ${count(shown.length)} with the most records, of ${count(total)}.` : '');
}

// Asking, and saying when there is no answer.

let paused = false;
let failures = 0;
let answeredAt = performance.now();
let shownTime = null; // of the snapshot that is shown
let shownVersion = null;
let next = null;

async function ask() {
  clearTimeout(next);
  if (paused || document.hidden) return;
  try {
    const answer = await fetch('api/status', { cache: 'no-store', signal: AbortSignal.timeout(PATIENCE) });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const status = await answer.json();
    if (shownVersion !== null && shownVersion !== status.version) location.reload();
    [shownTime, shownVersion] = [status.now, status.version];
    show(status);
    failures = 0;
    answeredAt = performance.now();
  } catch {
    failures += 1;
  }
  showAge();
  clearTimeout(next);
  next = setTimeout(ask, EVERY);
}

function showAge() {
  const silent = performance.now() - answeredAt;
  const stale = !paused && !document.hidden && (failures > 1 || silent > STALE_AFTER);
  document.body.classList.toggle('is-stale', stale);
  byId('stale').hidden = !stale;
  const time = shownTime === null ? 'no time' : `${clock(shownTime)} UTC`;
  if (stale) {
    setText(byId('stale-since'), time);
    setText(byId('stale-for'), `That was ${span(Math.round(silent / 1000))} ago.`);
    setText(byId('verdict-word'), 'No answer');
    setText(byId('verdict-sentence'), 'The process has ended, or can’t be reached from here.');
    byId('reasons').hidden = true;
    setAttribute(byId('verdict'), 'data-level', 'trouble');
    setAttribute(byId('verdict').querySelector('use'), 'href', '#shape-trouble');
    document.title = `No answer – ${byId('name').textContent}`;
  }
  if (paused) setText(byId('updated'), `Paused at ${time}`);
  else setText(byId('updated'), shownTime === null ? 'Not answered yet' : `As of ${time}`);
}

byId('pause').addEventListener('click', () => {
  paused = !paused;
  setAttribute(byId('pause'), 'aria-pressed', String(paused));
  answeredAt = performance.now();
  failures = 0;
  showAge();
  ask();
});

document.addEventListener('visibilitychange', () => {
  if (document.hidden) return;
  // What is shown may be old; it is said so soon, unless there is an answer first.
  answeredAt = performance.now() - STALE_AFTER / 2;
  failures = 0;
  ask();
});

setInterval(showAge, 1_000);
ask();
