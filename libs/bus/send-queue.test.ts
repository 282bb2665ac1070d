import fc from 'fast-check';
import { assert, describe as suite, test } from 'vitest';
import { SendQueue, type SendQueueOptions } from './send-queue.ts';

/** A socket whose sends end when the test says so. */
function gatedSocket() {
  const sent: number[] = [];
  const gates: PromiseWithResolvers<void>[] = [];
  let inFlight = 0;
  async function send(message: number): Promise<void> {
    inFlight += 1;
    assert.equal(inFlight, 1, 'EBUSY: one send at a time');
    sent.push(message);
    const gate = Promise.withResolvers<void>();
    gates.push(gate);
    try {
      await gate.promise;
    } finally {
      inFlight -= 1;
    }
  }
  /** Ends the send in flight and lets the queue go on. */
  async function finish(error?: Error): Promise<void> {
    const gate = gates.shift();
    if (error === undefined) gate?.resolve();
    else gate?.reject(error);
    await turns();
  }
  return { sent, send, finish };
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
}

function queueOn(options: Partial<SendQueueOptions<number>> = {}) {
  const socket = gatedSocket();
  const dropped: number[] = [];
  const queue = new SendQueue<number>({
    send: socket.send,
    capacity: 3,
    overflow: 'reject',
    onDropped: (message) => dropped.push(message),
    ...options,
  });
  return { queue, dropped, ...socket };
}

suite('SendQueue', () => {
  test('sends at once when the socket is free, and one at a time', async () => {
    const { queue, sent, finish } = queueOn();
    queue.push(1);
    assert.deepEqual(sent, [1], 'in the same turn');
    queue.push(2);
    queue.push(3);
    assert.deepEqual(sent, [1]);
    assert.equal(queue.length, 2);
    await finish();
    assert.deepEqual(sent, [1, 2]);
    await finish();
    assert.deepEqual(sent, [1, 2, 3]);
    assert.isFalse(queue.isIdle);
    await finish();
    assert.isTrue(queue.isIdle);
  });

  test('refuses the new one at the bound if told so', () => {
    const { queue, dropped } = queueOn();
    const taken = [1, 2, 3, 4, 5].map((message) => queue.push(message));
    assert.deepEqual(taken, [true, true, true, true, false]);
    assert.deepEqual(dropped, []);
  });

  test('drops the oldest at the bound if told so', async () => {
    const { queue, dropped, sent, finish } = queueOn({ overflow: 'drop_oldest' });
    for (const message of [1, 2, 3, 4, 5, 6]) assert.isTrue(queue.push(message));
    assert.deepEqual(dropped, [2, 3]);
    for (let n = 0; n < 4; n += 1) await finish();
    assert.deepEqual(sent, [1, 4, 5, 6]);
  });

  test('bounds bytes as well as messages, and refuses what never fits', () => {
    const { queue, dropped } = queueOn({
      overflow: 'drop_oldest',
      bytesMax: 10,
      sizeOf: (size) => size,
    });
    queue.push(1);
    for (const size of [6, 4, 5]) assert.isTrue(queue.push(size));
    assert.deepEqual(dropped, [6]);
    assert.isFalse(queue.push(11));
    assert.equal(queue.length, 0);
  });

  test('goes on after a send that failed', async () => {
    const failed: unknown[] = [];
    const { queue, sent, finish } = queueOn({ onFailed: (_, message) => failed.push(message) });
    queue.push(1);
    queue.push(2);
    await finish(new Error('EHOSTUNREACH'));
    assert.deepEqual([failed, sent], [[1], [1, 2]]);
  });

  test('drops what waits when it is closed, takes no more, and is idle', async () => {
    const { queue, dropped, sent, finish } = queueOn();
    queue.push(1);
    queue.push(2);
    const idle = queue.idle();
    queue.close();
    await idle;
    assert.deepEqual([dropped, queue.push(3)], [[2], false]);
    await finish();
    assert.deepEqual(sent, [1]);
  });

  test('drops just the same when nobody wants to know', () => {
    const { send } = gatedSocket();
    const queue = new SendQueue<number>({ send, capacity: 2, overflow: 'drop_oldest' });
    for (const message of [1, 2, 3, 4]) assert.isTrue(queue.push(message));
    assert.equal(queue.length, 2);
    queue.close();
    assert.equal(queue.length, 0);
  });

  test('tells when all is sent', async () => {
    const { queue, sent, finish } = queueOn();
    queue.push(1);
    queue.push(2);
    const idle = queue.idle();
    await finish();
    await finish();
    await idle;
    assert.deepEqual(sent, [1, 2]);
    await queue.idle();
  });

  /** Whatever is pushed and however sends end: order is kept, the bound holds, nothing is lost untold. */
  test('loses nothing untold, in order, within its bound', async () => {
    const action = fc.constantFrom('push', 'push', 'finish', 'fail');
    const overflow = fc.constantFrom('reject' as const, 'drop_oldest' as const);
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 40 }), overflow, async (actions, policy) => {
        const { queue, sent, dropped, finish } = queueOn({ overflow: policy });
        const taken: number[] = [];
        for (const [index, kind] of actions.entries()) {
          if (kind === 'push' && queue.push(index)) taken.push(index);
          else if (kind === 'finish') await finish();
          else if (kind === 'fail') await finish(new Error('sending'));
          assert.isAtMost(queue.length, 3);
        }
        while (!queue.isIdle) await finish();
        assert.deepEqual(
          sent,
          sent.toSorted((a, b) => a - b),
        );
        assert.sameMembers([...sent, ...dropped], taken);
      }),
    );
  });

  test('stays in order over thousands', async () => {
    const sent: number[] = [];
    const queue = new SendQueue<number>({
      send: async (message) => void sent.push(message),
      capacity: 10_000,
      overflow: 'reject',
    });
    for (let n = 0; n < 5_000; n += 1) queue.push(n);
    await queue.idle();
    assert.deepEqual(
      sent,
      Array.from({ length: 5_000 }, (_, n) => n),
    );
  });
});
