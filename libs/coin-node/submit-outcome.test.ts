import { assert, suite, test } from 'vitest';
import { RpcError } from './errors.ts';
import { outcomeOfAnswer, outcomeOfError } from './submit-outcome.ts';

const CALL = { method: 'submitblock', node: 'n' };

suite('outcomeOfAnswer()', () => {
  for (const [answer, outcome] of [
    [null, 'accepted'],
    ['duplicate', 'duplicate'],
    ['inconclusive', 'inconclusive'],
    ['duplicate-inconclusive', 'inconclusive'],
    ['duplicate-invalid', 'rejected'],
    ['high-hash', 'rejected'],
    ['bad-cb-amount', 'rejected'],
    ['stale-prevblk', 'rejected'],
    ['rejected', 'rejected'],
    ['mweb-missing', 'rejected'],
    [42, 'unavailable'],
  ] as const) {
    test(`${JSON.stringify(answer)} is ${outcome}`, () =>
      assert.equal(outcomeOfAnswer(answer).outcome, outcome));
  }

  test('cuts a reason that is too long', () => {
    assert.lengthOf(outcomeOfAnswer('x'.repeat(1_000)).reason, 256);
  });
});

suite('outcomeOfError()', () => {
  test('is a rejection only if the node could not read the block', () => {
    const unreadable = new RpcError('rpc', { ...CALL, rpcCode: -22 }, 'Block decode failed');
    assert.deepEqual(outcomeOfError(unreadable), {
      outcome: 'rejected',
      reason: 'Block decode failed',
    });
    assert.equal(
      outcomeOfError(new RpcError('rpc', { ...CALL, rpcCode: -28 }, 'Loading')).outcome,
      'unavailable',
    );
    assert.equal(outcomeOfError(new RpcError('timeout', CALL, 'late')).outcome, 'unavailable');
    assert.equal(outcomeOfError(new Error('?')).outcome, 'unavailable');
  });
});
