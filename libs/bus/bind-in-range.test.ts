import { afterEach, assert, beforeEach, describe as suite, test } from 'vitest';
import { Publisher } from 'zeromq';
import { bindInRange, tcpEndpoint } from './bind-in-range.ts';

suite('bindInRange()', () => {
  let sockets: Publisher[];
  const socket = () => {
    const created = new Publisher({ linger: 0 });
    sockets.push(created);
    return created;
  };
  beforeEach(() => {
    sockets = [];
  });
  afterEach(() => {
    for (const open of sockets) open.close();
  });

  test('takes the first free port, and the next one next', async () => {
    const first = await bindInRange(socket(), '127.0.0.1', [23_100, 23_199]);
    const second = await bindInRange(socket(), '127.0.0.1', [first, 23_199]);
    assert.isAbove(second, first);
  });
  test('fails when all are taken: a fixed port is a range of one', async () => {
    const taken = await bindInRange(socket(), '127.0.0.1', [23_100, 23_199]);
    const failure = await bindInRange(socket(), '127.0.0.1', [taken, taken]).catch(String);
    assert.match(String(failure), /every port in .* is taken/);
  });
  test('skips taken ports though a monitor spoils the error', async () => {
    const taken = await bindInRange(socket(), '127.0.0.1', [23_100, 23_199]);
    for (let n = 0; n < 20; n += 1) {
      const watched = socket();
      watched.events.on('bind:error', () => undefined);
      assert.isAbove(await bindInRange(watched, '127.0.0.1', [taken, 23_199]), taken);
    }
  });
  test('fails at once when the address is not ours', async () => {
    const failure = await bindInRange(socket(), '192.0.2.1', [23_100, 23_199]).catch(String);
    assert.match(String(failure), /Cannot bind to tcp:\/\/192\.0\.2\.1:23100/);
  });
});

test('tcpEndpoint() puts IPv6 in brackets', () => {
  assert.equal(tcpEndpoint('::1', 1), 'tcp://[::1]:1');
  assert.equal(tcpEndpoint('host', 2), 'tcp://host:2');
});
