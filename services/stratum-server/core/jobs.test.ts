import { describe, expect, test } from 'vitest';
import { makeJob, parentOf } from './job.fixture.ts';
import {
  AGREE_MS,
  type BookEvent,
  emptyBook,
  findJob,
  hasWork,
  isEarlier,
  isStale,
  JOB_LIFE_MS,
  type JobBook,
  stepBook,
} from './jobs.ts';

const T0 = 1_000_000;

/** A book one event after the other, and what was mined because of it: `id` or `id!` for a clean one. */
class Story {
  book: JobBook = emptyBook('btc');
  mined: string[] = [];

  then(event: BookEvent, nowMs: number): this {
    const [book, effects] = stepBook(this.book, event, nowMs);
    this.book = book;
    for (const { job, isClean } of effects) {
      this.mined.push(`${Number.parseInt(job.jobId, 16)}${isClean ? '!' : ''}`);
    }
    return this;
  }

  sources(nowMs: number, ...ids: string[]): this {
    const ready = ids.map((id) => ({ id, startedMs: STARTED[id] ?? 0 }));
    return this.then({ kind: 'sources_seen', ready }, nowMs);
  }

  announce(
    sourceId: string,
    nowMs: number,
    job: Parameters<typeof makeJob>[0],
    refused: string[] = [],
    tipAgeMs = 0,
  ): this {
    const startedMs = STARTED[sourceId] ?? 0;
    return this.then(
      { kind: 'job_announced', sourceId, startedMs, job: makeJob(job), tipAgeMs, refused },
      nowMs,
    );
  }
}

const STARTED: Readonly<Record<string, number>> = { a: 100, b: 200, c: 300 };

describe('stepBook()', () => {
  test('follows the oldest ready source and knows the jobs of the others', () => {
    const story = new Story()
      .sources(T0, 'b', 'a')
      .announce('a', T0, { id: 1 })
      .announce('b', T0 + 1, { id: 2 })
      .announce('a', T0 + 2, { id: 3 });
    expect(story.mined).toEqual(['1!', '3']);
    expect(findJob(story.book, makeJob({ id: 2 }).jobId)).toBeDefined();
    expect(story.book.activeId).toBe('a');
  });

  test('mines nothing of a source that is not ready, and its last word as soon as it is', () => {
    const story = new Story().announce('a', T0, { id: 1 });
    expect(story.mined).toEqual([]);
    expect(story.sources(T0 + 5, 'a').mined).toEqual(['1!']);
  });

  test('sends nothing clean when the source changes with an equal parent', () => {
    const story = new Story()
      .sources(T0, 'a', 'b')
      .announce('a', T0, { id: 1 })
      .announce('b', T0 + 1, { id: 2 })
      .sources(T0 + 2, 'b')
      .announce('b', T0 + 3, { id: 3 });
    expect(story.mined).toEqual(['1!', '2', '3']);
  });

  test('does not go back to an older job when the source changes', () => {
    const story = new Story()
      .sources(T0, 'a', 'b')
      .announce('b', T0, { id: 2 })
      .announce('a', T0 + 1, { id: 1 })
      .sources(T0 + 2, 'b');
    expect(story.mined).toEqual(['2!', '1']);
  });

  test('takes a greater height of another source at once, and agrees when the active one has it', () => {
    const story = new Story()
      .sources(T0, 'a', 'b')
      .announce('a', T0, { id: 1, height: 100 })
      .announce('b', T0 + 1, { id: 2, height: 101 });
    expect(story.mined).toEqual(['1!', '2!']);
    expect(story.book.provisionalSinceMs).toBe(T0 + 1);
    story.announce('a', T0 + 50, { id: 3, height: 101 });
    expect(story.mined).toEqual(['1!', '2!', '3']);
    expect(story.book.provisionalSinceMs).toBeUndefined();
  });

  test('keeps a provisional height while the active source repeats the lower one', () => {
    const story = new Story()
      .sources(T0, 'a', 'b')
      .announce('a', T0, { id: 1, height: 100 })
      .announce('b', T0 + 1, { id: 2, height: 101 })
      .announce('a', T0 + 2, { id: 3, height: 100 });
    expect(story.mined).toEqual(['1!', '2!']);
  });

  test('goes back when the active source refuses the block of a provisional height', () => {
    const story = new Story()
      .sources(T0, 'a', 'b')
      .announce('a', T0, { id: 1, height: 100 })
      .announce('b', T0 + 1, { id: 2, height: 101, parent: parentOf('bad') })
      .announce('a', T0 + 2, { id: 3, height: 100 }, [parentOf('bad')]);
    expect(story.mined).toEqual(['1!', '2!', '3!']);
    story.announce('b', T0 + 3, { id: 4, height: 101, parent: parentOf('bad') });
    expect(story.mined).toEqual(['1!', '2!', '3!']);
  });

  test('follows the next oldest when the active source lacks a height for 10 s, and comes back', () => {
    const story = new Story()
      .sources(T0, 'a', 'b')
      .announce('a', T0, { id: 1, height: 100 })
      .announce('b', T0 + 1, { id: 2, height: 101 })
      .then({ kind: 'time_passed' }, T0 + AGREE_MS);
    expect(story.book.activeId).toBe('a');
    story.then({ kind: 'time_passed' }, T0 + 1 + AGREE_MS);
    expect(story.book.activeId).toBe('b');
    story.announce('b', T0 + 2 + AGREE_MS, { id: 4, height: 101 });
    expect(story.mined).toEqual(['1!', '2!', '4']);
    story.announce('a', T0 + 3 + AGREE_MS, { id: 5, height: 101 });
    story.then({ kind: 'time_passed' }, T0 + 4 + AGREE_MS);
    expect(story.book.activeId).toBe('a');
  });

  test('keeps the height of a source that died for 10 s, then goes where the living are', () => {
    const story = new Story()
      .sources(T0, 'a', 'b')
      .announce('b', T0, { id: 1, height: 100 })
      .announce('a', T0, { id: 2, height: 101 })
      .sources(T0 + 10, 'b');
    expect(story.mined).toEqual(['1!', '2!']);
    story.then({ kind: 'time_passed' }, T0 + 10 + AGREE_MS);
    expect(story.mined).toEqual(['1!', '2!', '1!']);
  });

  test('takes the active source’s own word for a lower height', () => {
    const story = new Story()
      .sources(T0, 'a')
      .announce('a', T0, { id: 1, height: 101 })
      .announce('a', T0 + 1, { id: 2, height: 100 });
    expect(story.mined).toEqual(['1!', '2!']);
  });

  test('takes another source’s word for a lower height while the active one has none', () => {
    const story = new Story()
      .sources(T0, 'a', 'b')
      .announce('b', T0, { id: 1, height: 101 })
      .announce('b', T0 + 1, { id: 2, height: 100 });
    expect(story.mined).toEqual(['1!', '2!']);
  });

  test('takes the last job of a snapshot and ignores what it knows better', () => {
    const jobs = [makeJob({ id: 1 }), makeJob({ id: 2 })];
    const snapshot = {
      kind: 'snapshot_taken',
      sourceId: 'a',
      startedMs: 100,
      jobs,
      lastTemplateAgeMs: 400,
      refused: [],
    } as const;
    const story = new Story().sources(T0, 'a').then(snapshot, T0);
    expect(story.mined).toEqual(['2!']);
    expect(story.book.confirmedMs).toBe(T0 - 400);
    story.announce('a', T0 + 1, { id: 3 }).then(snapshot, T0 + 2);
    expect(story.mined).toEqual(['2!', '3']);
  });

  test('counts work from when a node confirmed it, not from when it was announced', () => {
    const story = new Story()
      .sources(T0, 'a')
      .announce('a', T0, { id: 1 })
      .announce('a', T0 + 1_000, { id: 2 }, [], 900);
    expect(story.book.confirmedMs).toBe(T0 + 100);
    story.announce('a', T0 + 2_000, { id: 3 }, [], 1_950);
    expect(story.book.confirmedMs).toBe(T0 + 100); // Some other node confirmed it later than that.
    expect(story.mined).toEqual(['1!', '2', '3']);
  });

  test('keeps the last job when every source is gone', () => {
    const story = new Story()
      .sources(T0, 'a')
      .announce('a', T0, { id: 1 })
      .sources(T0 + 1);
    expect(story.book.current?.job.jobId).toBe(makeJob({ id: 1 }).jobId);
    expect(hasWork(story.book, T0 + 1_000, 1_000)).toBe(true);
    expect(hasWork(story.book, T0 + 1_001, 1_000)).toBe(false);
  });

  test('forgets a job only after two blocks and five minutes', () => {
    const story = new Story()
      .sources(T0, 'a')
      .announce('a', T0, { id: 1, height: 100 })
      .announce('a', T0 + JOB_LIFE_MS + 1, { id: 2, height: 101 });
    expect(findJob(story.book, makeJob({ id: 1 }).jobId)).toBeDefined();
    story.announce('a', T0 + JOB_LIFE_MS + 2, { id: 3, height: 102 });
    expect(findJob(story.book, makeJob({ id: 1 }).jobId)).toBeUndefined();
    expect(findJob(story.book, makeJob({ id: 2 }).jobId)).toBeDefined();
  });
});

describe('isStale()', () => {
  const story = new Story()
    .sources(T0, 'a')
    .announce('a', T0, { id: 1, height: 100 })
    .announce('a', T0 + 1_000, { id: 2, height: 101 });
  const rows = [
    { what: 'the present parent is fresh', height: 101, atMs: T0 + 1_000, isLate: false },
    { what: 'the parent before is stale', height: 100, atMs: T0 + 1_000, isLate: true },
    {
      what: 'the parent before was fresh before the block',
      height: 100,
      atMs: T0 + 999,
      isLate: false,
    },
    { what: 'a line from before this server is believed', height: 99, atMs: T0 - 1, isLate: false },
    { what: 'but not for a much older block', height: 98, atMs: T0 - 1, isLate: true },
    {
      what: 'a height not reached here yet is believed',
      height: 102,
      atMs: T0 + 1_000,
      isLate: false,
    },
  ];
  for (const { what, height, atMs, isLate } of rows) {
    test(what, () => expect(isStale(story.book, makeJob({ id: 9, height }), atMs)).toBe(isLate));
  }

  test('a share for a block that was heard of after its line came is meant for a server that knew', () => {
    const job = makeJob({ id: 2, height: 101 });
    expect(isStale(story.book, job, T0 + 999)).toBe(false);
  });

  test('a parent that was left again is stale', () => {
    const back = new Story()
      .sources(T0, 'a')
      .announce('a', T0, { id: 1, height: 101, parent: parentOf('bad') })
      .announce('a', T0 + 10, { id: 2, height: 100 });
    const job = makeJob({ id: 1, height: 101, parent: parentOf('bad') });
    expect(isStale(back.book, job, T0 + 10)).toBe(true);
  });
});

test('isEarlier() goes by arrival, and by template for jobs that were looked up', () => {
  const { book } = new Story()
    .sources(T0, 'a')
    .announce('a', T0, { id: 1, curtime: 50 })
    .announce('a', T0, { id: 2, curtime: 40 })
    .then({ kind: 'job_found', job: makeJob({ id: 3, curtime: 45 }) }, T0)
    .then({ kind: 'job_found', job: makeJob({ id: 4, height: 99, curtime: 60 }) }, T0);
  const id = (n: number) => makeJob({ id: n }).jobId;
  const jobOf = (n: number) => findJob(book, id(n))?.job ?? makeJob({ id: n });
  const rows = [
    [1, 2, true],
    [2, 1, false],
    [3, 1, true],
    [3, 2, false],
    [4, 1, true],
    [1, 4, false],
    [1, 9, false],
  ] as const;
  for (const [a, b, isBefore] of rows)
    expect([a, b, isEarlier(book, jobOf(a), id(b))]).toEqual([a, b, isBefore]);
});
