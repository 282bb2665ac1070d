import fc from 'fast-check';
import { assert, suite, test } from 'vitest';
import { chooseNode, COME_BACK_MS, type NodeStanding } from './node-choice.ts';

const NOW_MS = 1_000_000;
const work = (units: number) => units.toString(16).padStart(64, '0');

function node(
  name: string,
  units: number | undefined,
  change: Partial<NodeStanding> = {},
): NodeStanding {
  const tip = {
    hash: `block ${units}`,
    chainwork: units === undefined ? undefined : work(units),
    height: units,
  };
  return { name, isHealthy: true, healthySinceMs: 0, tip, ...change };
}

suite('chooseNode()', () => {
  const level = [node('a', 10), node('b', 10)];

  test('begins with the first of those with the most work', () => {
    assert.equal(chooseNode(level, undefined, 0, NOW_MS), 'a');
    assert.equal(chooseNode([node('a', 10), node('b', 11)], undefined, 0, NOW_MS), 'b');
  });

  test('gives none if none is healthy or none has a tip', () => {
    assert.isUndefined(chooseNode([], undefined, 0, NOW_MS));
    assert.isUndefined(chooseNode([node('a', 10, { isHealthy: false })], 'a', 0, NOW_MS));
    assert.isUndefined(chooseNode([node('a', 10, { tip: undefined })], 'a', 0, NOW_MS));
  });

  test('leaves a node that is not healthy or has less work', () => {
    assert.equal(
      chooseNode([node('a', 10, { isHealthy: false }), node('b', 9)], 'a', 0, NOW_MS),
      'b',
    );
    assert.equal(chooseNode([node('a', 10), node('b', 11)], 'a', NOW_MS, NOW_MS), 'b');
  });

  test('stays with a node whose new tip was not weighed yet', () => {
    assert.equal(chooseNode([node('a', undefined), node('b', 11)], 'a', NOW_MS, NOW_MS), 'a');
  });

  test('compares work as numbers of any length', () => {
    assert.equal(chooseNode([node('a', 9), node('b', 2 ** 40)], 'a', NOW_MS, NOW_MS), 'b');
  });

  test('stays with a node of lower rank until the better one has proved itself', () => {
    const stay = (nodes: readonly NodeStanding[], switchedMs: number) =>
      chooseNode(nodes, 'b', switchedMs, NOW_MS);
    assert.equal(stay(level, NOW_MS - COME_BACK_MS + 1), 'b', 'the last change is not long ago');
    assert.equal(stay(level, NOW_MS - COME_BACK_MS), 'a');
    const fresh = [node('a', 10, { healthySinceMs: NOW_MS - COME_BACK_MS + 1 }), node('b', 10)];
    assert.equal(stay(fresh, 0), 'b', 'it was not healthy for long');
    assert.equal(stay([node('a', 9), node('b', 10)], 0), 'b', 'it is behind');
    assert.equal(chooseNode(level, 'a', 0, NOW_MS), 'a', 'nobody goes down in rank');
  });

  test('takes a healthy one if there is one, and nothing moves it a second time', () => {
    const standing = fc.record({
      isHealthy: fc.boolean(),
      units: fc.integer({ min: 0, max: 3 }),
      healthySinceMs: fc.constantFrom(0, NOW_MS),
    });
    fc.assert(
      fc.property(
        fc.array(standing, { maxLength: 4 }),
        fc.option(fc.nat({ max: 4 })),
        (rows, used) => {
          const nodes = rows.map(({ units, ...rest }, index) => node(String(index), units, rest));
          const chosen = chooseNode(nodes, used === null ? undefined : String(used), 0, NOW_MS);
          assert.equal(
            chosen === undefined,
            nodes.every(({ isHealthy }) => !isHealthy),
          );
          if (chosen === undefined) return;
          const taken = nodes[Number(chosen)];
          assert.isTrue(taken?.isHealthy);
          assert.isTrue(
            nodes.every(
              (other) =>
                !other.isHealthy || (other.tip?.chainwork ?? '') <= (taken?.tip?.chainwork ?? ''),
            ),
          );
          assert.equal(chooseNode(nodes, chosen, NOW_MS, NOW_MS), chosen);
        },
      ),
    );
  });
});
