import { Gauge, Registry } from '@prometheus-io/client';
import { afterEach, describe, expect, test } from 'vitest';
import { type HealthOptions, startHealthServer } from './health-server.ts';

let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

async function serve(change: Partial<HealthOptions> = {}) {
  const metrics = new Registry();
  new Gauge({ name: 'g', help: 'h', registers: [metrics] }).set(1);
  const readiness = () => ({ isReady: false, reason: 'because' });
  const base = { bindAddress: '127.0.0.1', port: undefined, metrics, readiness };
  const server = await startHealthServer({ ...base, portRange: [22_000, 22_999], ...change });
  return stack.use(server);
}

describe('startHealthServer()', () => {
  test('answers health, readiness and metrics', async () => {
    const { port } = await serve();
    const get = (path: string) => fetch(`http://127.0.0.1:${port}${path}`);
    expect((await get('/healthz')).status).toBe(200);
    const ready = await get('/readyz?verbose');
    expect([ready.status, await ready.json()]).toEqual([503, { ready: false, reason: 'because' }]);
    expect(await (await get('/metrics')).text()).toContain('g 1');
    expect((await get('/')).status).toBe(404);
  });

  test('takes the next free port of the range, and exactly the fixed one', async () => {
    const first = await serve();
    const second = await serve();
    expect(second.port).toBeGreaterThan(first.port);
    await expect(serve({ port: first.port })).rejects.toMatchObject({
      code: 'EADDRINUSE',
      port: first.port,
    });
  });
});
