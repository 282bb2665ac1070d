import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '#test/harness/wait-for.ts';
import { ConfigError } from './errors.ts';
import { isServing, listenUnix } from './listen-unix.ts';

/** Listens, accepts nobody, and connects to itself until the kernel takes no more. */
const FULL_BACKLOG = `
import socket, sys, time
listener = socket.socket(socket.AF_UNIX); listener.bind(sys.argv[1]); listener.listen(1)
held = []
while True:
    one = socket.socket(socket.AF_UNIX); one.setblocking(False); held.append(one)
    try: one.connect(sys.argv[1])
    except BlockingIOError: break
open(sys.argv[1] + '.full', 'w').close()
time.sleep(60)
`;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'seam-runtime-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('listenUnix()', () => {
  test('takes over a path somebody left behind', async () => {
    const path = join(folder, 'a.sock');
    writeFileSync(path, '');
    expect(await isServing(path)).toBe(false);
    await using _listening = await listenUnix(
      createServer((socket) => socket.end()),
      path,
    );
    expect(await isServing(path)).toBe(true);
  });

  test('leaves the path alone that a successor has taken over', async () => {
    const path = join(folder, 'b.sock');
    const old = await listenUnix(createServer(), path);
    await using _next = await listenUnix(createServer(), `${path}.next`);
    renameSync(`${path}.next`, path);
    await old[Symbol.asyncDispose]();
    expect(await isServing(path)).toBe(true);
  });

  test('removes its own path when it ends', async () => {
    const path = join(folder, 'c.sock');
    const listening = await listenUnix(createServer(), path);
    await listening[Symbol.asyncDispose]();
    expect(existsSync(path)).toBe(false);
    expect(await isServing(path)).toBe(false);
  });

  test('names a path that is too long for a socket', async () => {
    const path = join(folder, 'x'.repeat(120));
    await expect(listenUnix(createServer(), path)).rejects.toBeInstanceOf(ConfigError);
  });
});

describe('isServing()', () => {
  test('takes a busy listener for alive: its backlog is full', async () => {
    const path = join(folder, 'busy.sock');
    const child = spawn('python3', ['-c', FULL_BACKLOG, path], { stdio: 'inherit' });
    try {
      await waitFor(() => existsSync(`${path}.full`), { what: 'a full backlog' });
      expect(await isServing(path)).toBe(true);
    } finally {
      child.kill('SIGKILL');
    }
  });
});
