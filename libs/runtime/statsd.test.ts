import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { Counter, Gauge, Histogram, Registry } from '@prometheus-io/client';
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { waitFor } from '#test/harness/wait-for.ts';
import { mirrorToStatsd, parseStatsdAddress } from './statsd.ts';
import { StatsdSamples } from './statsd-samples.ts';

describe('parseStatsdAddress()', () => {
  for (const [text, address] of [
    ['statsd', { host: 'statsd', port: 8_125 }],
    ['10.0.0.1:9', { host: '10.0.0.1', port: 9 }],
    ['[::1]:9', { host: '::1', port: 9 }],
    ['a b', undefined],
    ['a/b', undefined],
    ['', undefined],
  ] as const)
    test(`"${text}"`, () => expect(parseStatsdAddress(text)).toEqual(address));
});

describe('StatsdSamples', () => {
  test('tells what counters grew by, what gauges are and what was timed', async () => {
    const registers = [new Registry()];
    const [registry = new Registry()] = registers;
    const counter = new Counter({ name: 'c_total', help: 'h', labelNames: ['k'], registers });
    const gauge = new Gauge({ name: 'g', help: 'h', registers });
    const labelNames = ['k'] as const;
    const buckets = [0.25, 1];
    const timer = new Histogram({ name: 't_seconds', help: 'h', labelNames, buckets, registers });
    const samples = new StatsdSamples();
    const next = async () =>
      samples
        .next(await registry.getMetricsAsJSON())
        .map(({ kind, key, value, times }) => `${kind} ${key} ${value} x${times}`);
    counter.inc({ k: 'a b' }, 3);
    gauge.set(7);
    for (const seconds of [0.125, 0.125, 0.5]) timer.observe({ k: 'x' }, seconds);
    timer.observe({ k: 'y' }, 5);
    expect(await next()).toEqual([
      'count c_total.a_b 3 x1',
      'gauge g 7 x1',
      'timing t_seconds.x 250 x2',
      'timing t_seconds.x 1000 x1',
      'count t_seconds_sum.x 0.75 x1',
      'count t_seconds_count.x 3 x1',
      'timing t_seconds.y 1000 x1',
      'count t_seconds_sum.y 5 x1',
      'count t_seconds_count.y 1 x1',
    ]);
    counter.inc({ k: 'a b' }, 2);
    timer.observe({ k: 'x' }, 0.5);
    expect(await next()).toEqual([
      'count c_total.a_b 2 x1',
      'gauge g 7 x1',
      'timing t_seconds.x 1000 x1',
      'count t_seconds_sum.x 0.5 x1',
      'count t_seconds_count.x 1 x1',
    ]);
  });
});

test('mirrorToStatsd() sends by UDP, and its last words when disposed', async () => {
  const server = createSocket('udp4').bind(0, '127.0.0.1');
  await once(server, 'listening');
  let text = '';
  server.on('message', (message) => {
    text += `${message.toString()}\n`;
  });
  const registry = new Registry();
  const counter = new Counter({ name: 'c_total', help: 'h', registers: [registry] });
  const address = { host: '127.0.0.1', port: server.address().port };
  const mirror = mirrorToStatsd(registry, address, pino({ level: 'silent' }));
  counter.inc(3);
  await mirror[Symbol.asyncDispose]();
  await waitFor(() => text.includes('c_total:3|c'), { what: 'the counter' });
  server.close();
});
