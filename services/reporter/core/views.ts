/** From what stands in Redis to what the public API shows. Pure; a missing or odd value is shown as none, not thrown. */
import type { ChainParams } from '#libs/bitcoin/chains.ts';
import { targetFromNbits } from '#libs/bitcoin/target.ts';
import type { BlockView, ChainView, WorkerView } from '#libs/contracts/public-api.ts';
import { difficultyFromTarget, workFromTarget } from '#libs/mining/work.ts';
import { hashratesOf } from './hashrate.ts';
import type { BlockState, MinuteSeries, RawHash } from './model.ts';

const REJECTED_PREFIX = 'rejected:';
const BLOCK_STATES: readonly BlockState[] = [
  'submitted',
  'accepted',
  'rejected',
  'mature',
  'orphaned',
];

/** A chain as it is configured. */
export interface ChainFacts {
  readonly id: string;
  readonly isDevchain: boolean;
  readonly params: ChainParams;
}

/** What is being mined, from the last job seen. */
export interface Tip {
  readonly height: number;
  readonly nbits: number;
}

export interface RawBlock {
  readonly hash: string;
  readonly fields: RawHash;
}

export interface ChainBooks {
  readonly totals: RawHash;
  readonly rejects: RawHash;
  readonly round: RawHash;
  readonly series: MinuteSeries;
  readonly workersActive: number;
  readonly blocks: readonly RawBlock[];
}

export interface WorkerBooks {
  readonly name: string;
  readonly fields: RawHash;
  readonly series: MinuteSeries;
}

export function chainViewOf(
  chain: ChainFacts,
  books: ChainBooks,
  tip: Tip | undefined,
  nowMs: number,
): ChainView {
  const { params, isDevchain, id } = chain;
  const { totals } = books;
  return {
    ...{ chain: id, coin: params.coin, network: params.network, algorithm: params.algorithm },
    ...{ isDevchain, isReal: isRealChain(chain) },
    hashrateHps: hashratesOf(books.series, numberIn(totals, 'firstMs'), nowMs),
    workersActive: books.workersActive,
    height: tip?.height ?? null,
    networkDifficulty: tip === undefined ? null : networkDifficulty(tip.nbits, params),
    round: roundView(totals, books.round, tip),
    totals: {
      work: workIn(totals, 'work').toString(),
      shares: numberIn(totals, 'shares'),
      soloWork: workIn(totals, 'soloWork').toString(),
      soloShares: numberIn(totals, 'soloShares'),
      rejected: countsOf(Object.entries(books.rejects)),
      duplicates: numberIn(totals, 'duplicates'),
      lost: numberIn(totals, 'lost'),
    },
    best: bestView(totals),
    lastShare: lastShareView(totals),
    blocks: books.blocks.map((block) => blockViewOf(id, block)),
  };
}

/** Coins of a test network or of the embedded node are worth nothing. */
export function isRealChain({ isDevchain, params }: ChainFacts): boolean {
  return params.isReal && !isDevchain;
}

/** The first thing a reader must know of these chains; empty if all is real. */
export function noteOf(chains: readonly ChainFacts[]): string {
  const dev = chains.filter(({ isDevchain }) => isDevchain).map(({ id }) => id);
  const test = chains
    .filter((chain) => !chain.isDevchain && !isRealChain(chain))
    .map(({ id }) => id);
  const notes = [
    dev.length > 0 ? `${dev.join(', ')} is the embedded devchain: these are not real coins.` : '',
    test.length > 0 ? `${test.join(', ')}: a test network, not real coins.` : '',
  ];
  return notes.filter((note) => note !== '').join(' ');
}

function networkDifficulty(nbits: number, { diff1Target }: ChainParams): number | null {
  const target = safeTarget(nbits);
  return target === undefined ? null : difficultyFromTarget(target, diff1Target);
}

function roundView(totals: RawHash, round: RawHash, tip: Tip | undefined): ChainView['round'] {
  const work = workIn(round, 'work');
  return {
    number: Math.max(1, numberIn(totals, 'round')),
    startMs: optionalNumber(round, 'startMs'),
    work: work.toString(),
    shares: numberIn(round, 'shares'),
    bestDifficulty: numberIn(round, 'best'),
    progress: tip === undefined ? null : effortOf(work, tip.nbits),
  };
}

/** Work in units of the expected work of one block. */
function effortOf(work: bigint, nbits: number): number | null {
  const target = safeTarget(nbits);
  return target === undefined ? null : Number(work) / Number(workFromTarget(target));
}

/** The target, or undefined for what no chain has. */
function safeTarget(nbits: number): bigint | undefined {
  try {
    const target = targetFromNbits(nbits);
    return target > 0n ? target : undefined;
  } catch {
    return undefined; // An odd value in the books must not hide the rest of the page.
  }
}

function bestView(totals: RawHash): ChainView['best'] {
  const worker = totals['bestWorker'];
  if (worker === undefined) return null;
  return { difficulty: numberIn(totals, 'best'), worker, timeMs: numberIn(totals, 'bestMs') };
}

function lastShareView(totals: RawHash): ChainView['lastShare'] {
  const worker = totals['lastWorker'];
  return worker === undefined ? null : { worker, timeMs: numberIn(totals, 'lastMs') };
}

export function blockViewOf(chain: string, { hash, fields }: RawBlock): BlockView {
  const nbits = numberIn(fields, 'nbits');
  const closed = fields['round'] !== undefined;
  return {
    ...{ chain, hash, height: optionalNumber(fields, 'height'), state: stateOf(fields['state']) },
    reason: fields['reason'] ?? '',
    mode: fields['mode'] === 'solo' ? 'solo' : 'pool',
    worker: fields['worker'] ?? null,
    foundMs: optionalNumber(fields, 'timeMs'),
    settledMs: optionalNumber(fields, 'settledMs'),
    valueSat: numberIn(fields, 'valueSat') || null,
    round: optionalNumber(fields, 'round'),
    effort: closed && nbits > 0 ? effortOf(workIn(fields, 'roundWork'), nbits) : null,
  };
}

function stateOf(text: string | undefined): BlockState {
  return BLOCK_STATES.find((state) => state === text) ?? 'submitted';
}

/** Undefined: nothing is known of this worker. */
export function workerViewOf(
  chain: string,
  { name, fields, series }: WorkerBooks,
  nowMs: number,
): WorkerView | undefined {
  if (Object.keys(fields).length === 0) return undefined;
  const rejected = Object.entries(fields)
    .filter(([field]) => field.startsWith(REJECTED_PREFIX))
    .map(([field, count]) => [field.slice(REJECTED_PREFIX.length), count] as const);
  const best = numberIn(fields, 'best');
  return {
    ...{ worker: name, chain },
    hashrateHps: hashratesOf(series, numberIn(fields, 'firstMs'), nowMs),
    work: workIn(fields, 'work').toString(),
    accepted: numberIn(fields, 'shares'),
    rejected: countsOf(rejected),
    difficulty: optionalNumber(fields, 'lastDifficulty'),
    best: best > 0 ? { difficulty: best, timeMs: numberIn(fields, 'bestMs') } : null,
    firstShareMs: optionalNumber(fields, 'firstMs'),
    lastShareMs: optionalNumber(fields, 'lastMs'),
  };
}

/** Minutes of one hour's series, as since 1970. */
export function minutesOf(hour: number, fields: RawHash): [minute: number, work: bigint][] {
  return Object.keys(fields).map((minute) => [hour * 60 + Number(minute), workIn(fields, minute)]);
}

function countsOf(entries: readonly (readonly [string, string])[]): Record<string, number> {
  return Object.fromEntries(entries.map(([reason, count]) => [reason, Number(count) || 0]));
}

/** A sum of work: hex in the books. */
export function workIn(fields: RawHash, field: string): bigint {
  const hex = fields[field];
  return hex !== undefined && /^[0-9a-f]{1,40}$/.test(hex) ? BigInt(`0x${hex}`) : 0n;
}

function numberIn(fields: RawHash, field: string): number {
  return optionalNumber(fields, field) ?? 0;
}

function optionalNumber(fields: RawHash, field: string): number | null {
  const text = fields[field];
  const value = Number(text);
  return text !== undefined && Number.isFinite(value) && value >= 0 ? value : null;
}
