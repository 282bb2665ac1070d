import { assert, suite, test } from 'vitest';
import fixture from './block-template.fixture.json' with { type: 'json' };
import { type BlockTemplate, blockTemplate } from './block-template.ts';
import { RpcError } from './errors.ts';
import { longPoll } from './long-poll.ts';

const good = blockTemplate.parse(fixture.template);
const CALL = { method: 'getblocktemplate', node: 'n' };
type Reply = Partial<BlockTemplate> | Error;

/** Runs the loop over replies; the signal is aborted with the last one. */
async function run(replies: readonly Reply[], longPollId: string | undefined = 'id0') {
  const stop = new AbortController();
  const asked: string[] = [];
  const parents: string[] = [];
  let failures = 0;
  const left = [...replies];
  await longPoll({
    longPollId,
    signal: stop.signal,
    random: () => 0,
    request: async (id) => {
      asked.push(id);
      const reply = left.shift();
      if (reply === undefined) stop.abort();
      if (reply instanceof Error) throw reply;
      return { ...good, ...reply };
    },
    onTemplate: ({ previousblockhash }) => parents.push(previousblockhash),
    onFailure: () => (failures += 1),
  });
  return { asked, parents, failures };
}

suite('longPoll()', () => {
  test('asks with the id of the last template', async () => {
    const replies = [
      { previousblockhash: 'a', longpollid: 'id1' },
      { previousblockhash: 'b', longpollid: 'id2' },
    ];
    const { asked, parents } = await run(replies);
    assert.deepEqual(asked, ['id0', 'id1', 'id2']);
    assert.deepEqual(parents, ['a', 'b']);
  });

  test('does not run for a node that has no long poll', async () => {
    const ends = await run([{ longpollid: undefined }, { longpollid: 'never' }] as Reply[]);
    assert.lengthOf(ends.asked, 1);
  });

  test('goes on after a failure, and takes a timeout for a quiet chain', async () => {
    const { asked, failures } = await run([
      new RpcError('timeout', CALL, 'late'),
      new RpcError('unreachable', CALL, 'gone'),
      { previousblockhash: 'a', longpollid: 'id1' },
    ]);
    assert.deepEqual(asked, ['id0', 'id0', 'id0', 'id1']);
    assert.equal(failures, 1);
  });
});
