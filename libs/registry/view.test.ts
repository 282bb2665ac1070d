import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { InstanceRecord } from '#libs/contracts/instance-record.ts';
import { recordWith } from './record.fixture.ts';
import { RecentSet } from './recent-set.ts';
import { afterAnnouncement, afterScan, changesBetween, type View, viewOf } from './view.ts';

const OLD = recordWith({ bootId: '0000000000000001', startedMs: 1, revision: 5 });
const YOUNG = recordWith({ bootId: '0000000000000002', startedMs: 2, revision: 1 });
const RULES = { keepsMissing: false, announced: new Set<string>(), hasLeft: () => false };

const boots = (view: View) => [...view.values()].map(({ bootId, revision }) => [bootId, revision]);

describe('afterScan()', () => {
  test('drops who is not there any more, unless the store is new', () => {
    expect(afterScan(viewOf([OLD]), [], RULES).size).toBe(0);
    expect(afterScan(viewOf([OLD]), [], { ...RULES, keepsMissing: true }).size).toBe(1);
  });
  test('keeps a newer revision, and takes another boot', () => {
    const before = viewOf([OLD]);
    expect(boots(afterScan(before, [{ ...OLD, revision: 4 }], RULES))).toEqual([[OLD.bootId, 5]]);
    expect(boots(afterScan(before, [{ ...OLD, revision: 6 }], RULES))).toEqual([[OLD.bootId, 6]]);
    expect(boots(afterScan(before, [YOUNG], RULES))).toEqual([[YOUNG.bootId, 1]]);
    expect(boots(afterScan(viewOf([YOUNG]), [OLD], RULES))).toEqual([[OLD.bootId, 5]]);
  });
  test('believes an announcement that came while the scan was on its way', () => {
    const announced = new Set(['reporter:a']);
    const rules = { ...RULES, announced };
    expect(boots(afterScan(viewOf([YOUNG]), [OLD], rules))).toEqual([[YOUNG.bootId, 1]]);
    expect(boots(afterScan(viewOf([YOUNG]), [], rules))).toEqual([[YOUNG.bootId, 1]]);
    const hasLeft = (bootId: string) => bootId === OLD.bootId;
    expect(boots(afterScan(viewOf([]), [OLD], { ...rules, hasLeft }))).toEqual([]);
  });
});

describe('afterAnnouncement()', () => {
  test('ignores older boots and older revisions', () => {
    const known = viewOf([YOUNG]);
    expect(afterAnnouncement(known, { event: 'joined', record: OLD })).toEqual(known);
    expect(afterAnnouncement(known, { event: 'left', record: OLD })).toEqual(known);
    const older = { ...YOUNG, revision: 0 };
    expect(afterAnnouncement(known, { event: 'changed', record: older })).toEqual(known);
    expect(afterAnnouncement(known, { event: 'left', record: older }).size).toBe(0);
  });
});

describe('changesBetween()', () => {
  test('tells another boot of a name as left and joined, and load not at all', () => {
    const told = (before: readonly InstanceRecord[], after: readonly InstanceRecord[]) =>
      changesBetween(viewOf(before), viewOf(after)).map(({ event, record }) => [
        event,
        record.bootId,
      ]);
    expect(told([OLD], [YOUNG])).toEqual([
      ['left', OLD.bootId],
      ['joined', YOUNG.bootId],
    ]);
    expect(told([OLD], [{ ...OLD, load: { sessions: 3 } }])).toEqual([]);
    expect(told([OLD], [{ ...OLD, caps: { slot: '1' } }])).toEqual([['changed', OLD.bootId]]);
  });
});

/** What becomes of one process: it announces each state before Redis has it, and the bus loses some of it. */
const history = fc.array(fc.constantFrom('change', 'lost_change', 'scan', 'late_scan'), {
  maxLength: 40,
});

test('whatever is lost or late, a boot never goes back, and a complete scan at the end tells the truth', () => {
  fc.assert(
    fc.property(history, (steps) => {
      let truth = recordWith({ revision: 0 });
      let inRedis = truth;
      let view = viewOf([truth]);
      let seen = 0;
      const look = (scanned: InstanceRecord) => {
        view = afterScan(view, [scanned], RULES);
        const revision = view.get('reporter:a')?.revision ?? -1;
        expect(revision).toBeGreaterThanOrEqual(seen);
        seen = revision;
      };
      for (const step of steps) {
        if (step === 'scan') look(truth);
        else if (step === 'late_scan') look(inRedis);
        else {
          inRedis = truth;
          truth = { ...truth, revision: (truth.revision ?? 0) + 1 };
          if (step === 'change')
            view = afterAnnouncement(view, { event: 'changed', record: truth });
        }
      }
      look(truth);
      expect(view.get('reporter:a')).toEqual(truth);
    }),
  );
});

test('RecentSet forgets the oldest at its bound', () => {
  const recent = new RecentSet(2);
  for (const item of ['a', 'b', 'a', 'c']) recent.add(item);
  expect(['a', 'b', 'c'].map((item) => recent.has(item))).toEqual([true, false, true]);
});
