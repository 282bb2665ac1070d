/** Whatever the sources say in whatever order, the book stays sane, and ends where the living ones are. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { makeJob } from './job.fixture.ts';
import { AGREE_MS, type BookEvent, emptyBook, findJob, type JobBook, stepBook } from './jobs.ts';

const SOURCES = ['a', 'b', 'c'] as const;
const STARTED = { a: 1, b: 2, c: 3 } as const;

type Move =
  | { readonly kind: 'announce'; readonly source: 'a' | 'b' | 'c'; readonly up: number }
  | { readonly kind: 'ready'; readonly who: readonly ('a' | 'b' | 'c')[] }
  | { readonly kind: 'wait'; readonly ms: number };

const source = fc.constantFrom(...SOURCES);
const move: fc.Arbitrary<Move> = fc.oneof(
  fc.record({ kind: fc.constant('announce'), source, up: fc.integer({ min: -1, max: 2 }) }),
  fc.record({ kind: fc.constant('ready'), who: fc.subarray([...SOURCES]) }),
  fc.record({ kind: fc.constant('wait'), ms: fc.integer({ min: 1, max: 2 * AGREE_MS }) }),
);

/** Plays moves; heights follow each source's own walk. */
class World {
  book: JobBook = emptyBook('btc');
  nowMs = 1_000_000;
  mined: { id: string; parent: string; isClean: boolean }[] = [];
  readonly heights = { a: 100, b: 100, c: 100 };
  #nextId = 1;

  play(next: Move): void {
    switch (next.kind) {
      case 'announce': {
        this.heights[next.source] += next.up;
        const job = makeJob({ id: this.#nextId++, height: this.heights[next.source] });
        const startedMs = STARTED[next.source];
        return this.take({
          kind: 'job_announced',
          sourceId: next.source,
          startedMs,
          job,
          tipAgeMs: 0,
          refused: [],
        });
      }
      case 'ready': {
        const ready = next.who.map((id) => ({ id, startedMs: STARTED[id] }));
        return this.take({ kind: 'sources_seen', ready });
      }
      case 'wait':
        this.nowMs += next.ms;
        return this.take({ kind: 'time_passed' });
    }
  }

  take(event: BookEvent): void {
    const [book, effects] = stepBook(this.book, event, this.nowMs);
    this.book = book;
    for (const { job, isClean } of effects) {
      this.mined.push({ id: job.jobId, parent: job.parent, isClean });
    }
  }
}

test('the present job is known, and a notify is clean exactly when the parent changes', () => {
  fc.assert(
    fc.property(fc.array(move, { maxLength: 60, size: 'max' }), (moves) => {
      const world = new World();
      for (const next of moves) {
        world.play(next);
        const { current, tips } = world.book;
        if (current === undefined) continue;
        expect(findJob(world.book, current.job.jobId)).toBeDefined();
        expect(tips.at(-1)?.parent).toBe(current.job.parent);
        tips.forEach(({ parent }, index) => expect(parent).not.toBe(tips[index - 1]?.parent));
      }
      world.mined.forEach(({ parent, isClean }, index) => {
        expect(isClean).toBe(parent !== world.mined[index - 1]?.parent);
      });
    }),
  );
});

test('once all agree on a height and say so again, that height is mined and the oldest is followed', () => {
  fc.assert(
    fc.property(fc.array(move, { maxLength: 60, size: 'max' }), (moves) => {
      const world = new World();
      for (const next of moves) world.play(next);
      const top = Math.max(...Object.values(world.heights));
      world.play({ kind: 'ready', who: SOURCES });
      for (const id of SOURCES) {
        world.heights[id] = top;
        world.play({ kind: 'announce', source: id, up: 0 });
      }
      world.play({ kind: 'wait', ms: AGREE_MS });
      world.play({ kind: 'announce', source: 'a', up: 0 });
      expect(world.book.current?.job.height).toBe(top);
      expect(world.book.activeId).toBe('a');
      expect(world.book.provisionalSinceMs).toBeUndefined();
    }),
  );
});
