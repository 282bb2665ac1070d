import fc from 'fast-check';
import { assert, describe as suite, test } from 'vitest';
import { SequenceTracker } from './sequence-tracker.ts';

suite('SequenceTracker', () => {
  test('sees no gap from the first message on', () => {
    const tracker = new SequenceTracker();
    for (const n of [1, 2, 3])
      assert.deepEqual(tracker.message('a', 's', n), { gap: false, isNew: true });
    assert.deepEqual(tracker.beat('a', 's', 3), { gap: false, isNew: false });
  });
  test('sees what was sent before it joined, by message or beat', () => {
    assert.isTrue(new SequenceTracker().message('a', 's', 2).gap);
    assert.isTrue(new SequenceTracker().beat('a', 's', 1).gap);
  });
  test('sees no gap in a publisher that has sent nothing', () => {
    assert.isFalse(new SequenceTracker().beat('a', 's', 0).gap);
  });
  test('ignores what it has seen', () => {
    const tracker = new SequenceTracker();
    tracker.message('a', 's', 1);
    assert.deepEqual(tracker.message('a', 's', 1), { gap: false, isNew: false });
  });
  test('keeps boots and streams apart, until a boot is forgotten', () => {
    const tracker = new SequenceTracker();
    tracker.message('a', 's', 1);
    assert.isFalse(tracker.message('b', 's', 1).gap);
    assert.isFalse(tracker.message('a', 't', 1).gap);
    tracker.forget('a');
    assert.isTrue(tracker.message('a', 's', 2).gap);
  });

  /** Whatever is lost: each loss is told before or with what comes next, none is told without a loss, none twice. */
  test('tells every gap exactly once', () => {
    const stream = fc.array(fc.record({ isBeat: fc.boolean(), isLost: fc.boolean() }), {
      maxLength: 60,
    });
    fc.assert(
      fc.property(stream, (events) => {
        const tracker = new SequenceTracker();
        let sequence = 0;
        let isMissing = false;
        for (const { isBeat, isLost } of events) {
          if (!isBeat) sequence += 1;
          if (isLost) {
            isMissing ||= !isBeat;
            continue;
          }
          const seen = isBeat
            ? tracker.beat('a', 's', sequence)
            : tracker.message('a', 's', sequence);
          assert.equal(seen.gap, isMissing);
          isMissing = false;
        }
      }),
    );
  });
});
