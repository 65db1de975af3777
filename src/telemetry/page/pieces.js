// Small pieces of the page. Whatever comes from topics, brokers or stores becomes text, never markup: everything goes through
// `textContent`, and the page's Content-Security-Policy refuses the other ways.
// Nothing is changed that is the same already: a selection or a screen reader's place survives.

export const byId = (id) => document.getElementById(id);

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

export function svg(name, attributes) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value);
  return element;
}

/** Makes `element` show a shape and a word, for people who see colours and for those who don't. */
export function showSign(element, level, word) {
  if (!element.firstElementChild) {
    const shape = svg('svg', { class: 'shape', 'aria-hidden': 'true' });
    shape.append(svg('use', {}));
    element.replaceChildren(shape, document.createElement('span'));
    element.classList.add('sign');
  }
  setAttribute(element, 'data-level', level);
  setAttribute(element.querySelector('use'), 'href', `#shape-${level}`);
  setText(element.lastElementChild, word);
}

/** Fills a section's table. A cell is a text, or `[level, word]`, or `{ n: text }` to be aligned as a number. */
export function showTable(id, rows, note, more) {
  const section = byId(id);
  const box = section.querySelector('.scroll');
  const body = section.querySelector('tbody');
  setText(section.querySelector('.note'), rows.length === 0 ? note : more);
  box.hidden = rows.length === 0;
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((cells, index) => {
    const row = body.rows[index] || body.insertRow();
    cells.forEach((content, column) => showCell(cellOf(row, column), content));
  });
}

function cellOf(row, column) {
  if (row.cells[column]) return row.cells[column];
  const cell = document.createElement(column === 0 ? 'th' : 'td');
  if (column === 0) cell.scope = 'row';
  return row.appendChild(cell);
}

function showCell(cell, content) {
  if (Array.isArray(content)) {
    if (!cell.firstElementChild) cell.replaceChildren(document.createElement('span'));
    showSign(cell.firstElementChild, ...content);
  } else if (typeof content === 'object') {
    cell.className = 'n';
    setText(cell, content.n);
  } else {
    setText(cell, content);
  }
}

export const n = (text) => ({ n: text });
