import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { expect, suite, test } from 'vitest';
import { waitFor } from '#test/harness/wait-for.ts';
import type { HandoverMessage } from '../core/handover-message.ts';
import { type Channel, openChannel } from './handover-channel.ts';
import { handoverPaths } from './handover-paths.ts';
import { Taker } from './handover-take.ts';

interface Giver extends Channel {
  readonly heard: readonly HandoverMessage[];
  readonly isLost: boolean;
}

async function startTaker(room = 100) {
  const folder = await mkdtemp(join(tmpdir(), 'seam-take-'));
  const paths = handoverPaths(folder, '00aa');
  const taker = new Taker({
    name: 'taker',
    folder,
    paths,
    room: () => room,
    connections: () => 7,
    adopt: () => undefined,
    onAdopted: () => undefined,
    log: pino({ enabled: false }),
  });
  await taker.listen();
  return {
    path: paths.control,
    open(): Giver {
      const heard: HandoverMessage[] = [];
      let isLost = false;
      const channel = openChannel(connect(paths.control), {
        onMessage: (message) => void heard.push(message),
        onLost: () => {
          isLost = true;
        },
      });
      return {
        ...channel,
        heard,
        get isLost() {
          return isLost;
        },
      };
    },
    async [Symbol.asyncDispose]() {
      await taker[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

suite('a taker', () => {
  test('says what it has room for, and refuses what is more', async () => {
    await using taker = await startTaker(10);
    const giver = taker.open();
    giver.send({ kind: 'hello', giver: 'g', versions: [1, 9] });
    giver.send({ kind: 'offer', slice: 1, count: 8 });
    giver.send({ kind: 'offer', slice: 2, count: 8 });
    await waitFor(() => giver.heard.length === 3);
    expect(giver.heard).toEqual([
      { kind: 'welcome', taker: 'taker', version: 1, room: 10, connections: 7 },
      { kind: 'accepted', slice: 1 },
      { kind: 'refused', slice: 2 },
    ]);
    giver.close();
  });

  test('asked about a slice by a new channel, it ends the old one first: discarded is final', async () => {
    await using taker = await startTaker();
    const old = taker.open();
    old.send({ kind: 'hello', giver: 'g', versions: [1] });
    old.send({ kind: 'offer', slice: 1, count: 1 });
    await waitFor(() => old.heard.length === 2);
    const fresh = taker.open();
    fresh.send({ kind: 'ask', giver: 'g', slice: 1 });
    await waitFor(() => fresh.heard.length === 1);
    expect(fresh.heard).toEqual([{ kind: 'verdict', slice: 1, isStarted: false }]);
    await waitFor(() => old.isLost, { what: 'the old channel to end' });
    fresh.close();
  });

  test('a go for a slice it does not have ends the channel', async () => {
    await using taker = await startTaker();
    const giver = taker.open();
    giver.send({ kind: 'hello', giver: 'g', versions: [1] });
    giver.send({ kind: 'go', slice: 3, states: [] });
    await waitFor(() => giver.isLost);
  });

  test('bytes that are no message end the channel, nothing else', async () => {
    await using taker = await startTaker();
    const stranger = connect(taker.path);
    stranger.end('GET / HTTP/1.1\r\n\r\n');
    stranger.resume();
    await new Promise((resolve) => stranger.once('close', resolve));
    const giver = taker.open();
    giver.send({ kind: 'hello', giver: 'g', versions: [] });
    await waitFor(() => giver.heard.length === 1);
    expect(giver.heard).toMatchObject([{ kind: 'welcome', version: 0 }]);
    giver.close();
  });
});
