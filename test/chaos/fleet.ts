/** A fleet of miners that check every answer, and what they saw between two moments. */
import { regtestAddress } from '#tools/cli/demo-address.ts';
import { HashThread } from '#tools/miner/hash-thread.ts';
import { Miner } from '#tools/miner/miner.ts';
import { combine, FAULT_KINDS, percentilesOf, type Report } from '#tools/miner/report.ts';

export interface Fleet extends AsyncDisposable {
  readonly size: number;
  report(): Report;
  /** What happened since the last call of this. */
  since(): Chapter;
  stop(): Promise<Report>;
}

/** What the fleet saw in one scenario. */
export interface Chapter {
  readonly submitted: number;
  readonly accepted: number;
  readonly stale: number;
  readonly disconnects: number;
  readonly blocks: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly answerMs: { readonly p50: number; readonly p99: number };
}

export interface FleetOptions {
  readonly size: number;
  readonly port: number;
  /** Gives the miners their addresses: the same seed, the same names. */
  readonly seed: number;
  /** [H/s] of all together */
  readonly hashrateHps: number;
}

export function startFleet({ size, port, seed, hashrateHps }: FleetOptions): Fleet {
  const hashThread = new HashThread();
  const miners = Array.from({ length: size }, (_, index) => {
    const hash = new Uint8Array(20);
    new DataView(hash.buffer).setUint32(0, seed);
    new DataView(hash.buffer).setUint32(4, index % 50);
    return new Miner({
      url: `stratum+tcp://127.0.0.1:${port}`,
      username: `${regtestAddress(hash)}.m${index}`,
      algorithm: 'sha256d',
      hashrateHps: hashrateHps / size,
      versionRolling: index % 2 === 0,
      reconnects: true,
      hashThread,
    });
  });
  const tallies = miners.map((miner) => miner.tally);
  let before = combine(tallies);
  let bucketsBefore = tallies.map((tally) => [...tally.buckets]);

  function bucketsSince(): readonly number[] {
    const sums: number[] = [];
    tallies.forEach((tally, index) => {
      tally.buckets.forEach((count, bucket) => {
        sums[bucket] = (sums[bucket] ?? 0) + count - (bucketsBefore[index]?.[bucket] ?? 0);
      });
    });
    return Array.from(sums, (count) => count ?? 0);
  }

  return {
    size,
    report: () => combine(tallies),
    since() {
      const now = combine(tallies);
      const faults = FAULT_KINDS.flatMap((kind) => {
        const count = now.faults[kind] - before.faults[kind];
        return count === 0 ? [] : [[kind, count] as const];
      });
      const chapter = {
        submitted: now.submitted - before.submitted,
        accepted: now.accepted - before.accepted,
        stale: now.stale - before.stale,
        disconnects: now.disconnects - before.disconnects,
        blocks: now.blocksAccepted - before.blocksAccepted,
        faults: Object.fromEntries(faults),
        answerMs: percentilesOf(bucketsSince()),
      };
      before = now;
      bucketsBefore = tallies.map((tally) => [...tally.buckets]);
      return chapter;
    },
    async stop() {
      await Promise.all(miners.map((miner) => miner.stop()));
      return combine(tallies);
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(miners.map((miner) => miner.stop()));
      await hashThread[Symbol.asyncDispose]();
    },
  };
}
