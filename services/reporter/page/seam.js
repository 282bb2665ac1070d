/** Fills the page from /api/v1 every 3 seconds. Text goes in as text, never as HTML. */
const REFRESH_MS = 3_000;
const byId = (id) => document.getElementById(id);

function element(name, text, ...children) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  made.append(...children);
  return made;
}

function scaled(value, unit) {
  const steps = ['', 'k', 'M', 'G', 'T', 'P', 'E', 'Z'];
  const step = value >= 1 ? Math.min(steps.length - 1, Math.floor(Math.log10(value) / 3)) : 0;
  return `${(value / 1000 ** step).toPrecision(3)} ${steps[step]}${unit}`;
}

const hashrate = (hps) => scaled(hps, 'H/s');
const difficulty = (value) => (value >= 1000 ? scaled(value, '').trim() : value.toPrecision(4));
const percent = (value) => `${(value * 100).toPrecision(3)} %`;
const when = (timeMs) => (timeMs === null ? '–' : new Date(timeMs).toLocaleString());
const rates = (hps) =>
  `${hashrate(hps['1m'])} (1 m), ${hashrate(hps['5m'])} (5 m), ${hashrate(hps['1h'])} (1 h)`;
const reasons = (counts) =>
  Object.entries(counts)
    .map(([reason, count]) => `${reason} ${count}`)
    .join(', ') || 'none';

function facts(list, rows) {
  list.replaceChildren(
    ...rows.flatMap(([term, text]) => [element('dt', term), element('dd', text)]),
  );
  return list;
}

function chainFacts(chain) {
  const { round, totals, best, lastShare } = chain;
  return facts(element('dl'), [
    ['Hashrate', rates(chain.hashrateHps)],
    ['Workers', `${chain.workersActive} active in the last 10 minutes`],
    ['Height', chain.height === null ? 'no job seen yet' : String(chain.height)],
    [
      'Network difficulty',
      chain.networkDifficulty === null ? '–' : difficulty(chain.networkDifficulty),
    ],
    [
      'Round',
      `${round.number}: ${round.shares} shares${round.progress === null ? '' : `, ${percent(round.progress)} of the expected work`}`,
    ],
    [
      'Shares',
      `${totals.shares + totals.soloShares} accepted; rejected: ${reasons(totals.rejected)}`,
    ],
    [
      'Best share',
      best === null
        ? '–'
        : `${difficulty(best.difficulty)} by ${best.worker}, ${when(best.timeMs)}`,
    ],
    ['Last share', lastShare === null ? '–' : `${when(lastShare.timeMs)} by ${lastShare.worker}`],
  ]);
}

function blockTable(blocks) {
  if (blocks.length === 0) return element('p', 'No block found yet.');
  const head = ['Height', 'Found', 'State', 'Effort', 'Worker', 'Hash'];
  const rows = blocks.map((block) =>
    element(
      'tr',
      undefined,
      element('td', String(block.height ?? '–')),
      element('td', when(block.foundMs)),
      element('td', block.reason === '' ? block.state : `${block.state}: ${block.reason}`),
      element('td', block.effort === null ? '–' : percent(block.effort)),
      element('td', block.worker ?? '–'),
      element('td', undefined, element('code', block.hash)),
    ),
  );
  const titles = element('tr', undefined, ...head.map((title) => element('th', title)));
  const table = element(
    'table',
    undefined,
    element('thead', undefined, titles),
    element('tbody', undefined, ...rows),
  );
  const scroll = element('div', undefined, table);
  scroll.className = 'scroll';
  return scroll;
}

function chainSection(chain) {
  const kind = chain.isDevchain ? ' – not real coins' : chain.isReal ? '' : ' – test network';
  const title = element(
    'h2',
    `${chain.chain} (${chain.coin}, ${chain.network}, ${chain.algorithm})${kind}`,
  );
  return element(
    'section',
    undefined,
    title,
    chainFacts(chain),
    element('h3', 'Last blocks'),
    blockTable(chain.blocks),
  );
}

async function fetchJson(path) {
  const response = await fetch(path);
  const body = await response.json();
  if (!response.ok) throw new Error(body.error?.message ?? `HTTP ${response.status}`);
  return body;
}

function showProblem(text) {
  byId('problem').hidden = text === '';
  byId('problem').textContent = text;
}

async function refresh() {
  try {
    const pool = await fetchJson('/api/v1/pool');
    byId('miners').textContent =
      `${pool.miners.connected}${pool.miners.isFresh ? '' : ' (as last known)'}`;
    byId('chains').replaceChildren(...pool.chains.map(chainSection));
    showProblem('');
  } catch (error) {
    showProblem(`Numbers are not up to date: ${error.message}`);
  }
  setTimeout(() => void refresh(), REFRESH_MS);
}

async function showWorker(event) {
  event.preventDefault();
  const name = byId('name').value.trim();
  if (name === '') return;
  try {
    const { chains } = await fetchJson(`/api/v1/workers/${encodeURIComponent(name)}`);
    facts(
      byId('worker'),
      chains.flatMap((worker) => [
        ['Chain', worker.chain],
        ['Hashrate', rates(worker.hashrateHps)],
        ['Shares', `${worker.accepted} accepted; rejected: ${reasons(worker.rejected)}`],
        ['Difficulty', worker.difficulty === null ? '–' : difficulty(worker.difficulty)],
        ['Best share', worker.best === null ? '–' : difficulty(worker.best.difficulty)],
        ['Last share', when(worker.lastShareMs)],
      ]),
    );
  } catch (error) {
    facts(byId('worker'), [['Problem', error.message]]);
  }
}

byId('find').addEventListener('submit', (event) => void showWorker(event));
void refresh();
