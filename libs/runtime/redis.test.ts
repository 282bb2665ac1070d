import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { startRedis } from '#test/harness/redis.ts';
import { waitFor } from '#test/harness/wait-for.ts';
import { connectRedis } from './redis.ts';

test('a connection that swallows everything is left for a new one', async () => {
  await using redis = await startRedis();
  const ends: Socket[] = [];
  const network = createServer((near) => {
    const far = connect(redis.port, '127.0.0.1');
    ends.push(near, far);
    for (const end of [near, far]) end.on('error', () => undefined);
    near.pipe(far).pipe(near);
  }).listen(0, '127.0.0.1');
  await once(network, 'listening');
  const address = network.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const client = connectRedis(`redis://127.0.0.1:${address.port}`, pino({ level: 'silent' }));
  await waitFor(() => client.ping(), { what: 'an answer' });
  for (const end of ends.splice(0)) end.unpipe(); // Cut: no end, no reset, no byte.
  await expect(client.ping()).rejects.toThrow();
  await waitFor(() => client.ping(), { what: 'an answer over another connection' });
  client.disconnect();
  for (const end of ends) end.destroy();
  network.close();
});

test('what is written while Redis is away fails at once and is not written later', async () => {
  await using redis = await startRedis();
  const client = connectRedis(redis.url, pino({ level: 'silent' }));
  await waitFor(() => client.ping(), { what: 'an answer' });
  await redis.kill();
  await expect(client.set('x', '1')).rejects.toThrow();
  await redis.start();
  await waitFor(() => client.ping(), { what: 'an answer again' });
  expect(await redis.client.get('x')).toBe(null);
  client.disconnect();
});
