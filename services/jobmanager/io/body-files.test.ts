import {
  appendFile,
  mkdtemp,
  readdir,
  rm,
  stat,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, suite, test } from 'vitest';
import { payments, withMweb } from '../core/jobs.fixture.ts';
import type { TemplateBody } from '../core/model.ts';
import { readBody } from '../core/template-body.ts';
import { BodyFiles } from './body-files.ts';

const DAY_MS = 86_400_000;
const PARENT = payments.previousblockhash;

function bodyOf(template: typeof payments, known = new Map<string, Uint8Array>()): TemplateBody {
  const { body } = readBody(template, known);
  if (body === undefined) throw new Error('no body');
  return body;
}

async function temporary(nowMs = { now: Date.now() }) {
  const folder = await mkdtemp(join(tmpdir(), 'seam-bodies-'));
  const files = new BodyFiles(folder, () => nowMs.now);
  return {
    folder,
    files,
    nowMs,
    names: async (end: string) =>
      (await readdir(folder)).filter((name) => name.endsWith(end)).toSorted(),
    async [Symbol.asyncDispose]() {
      await files[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    },
  };
}

suite('BodyFiles', () => {
  test('gives back what was put, also to another process', async () => {
    await using t = await temporary();
    const [a, b] = [bodyOf(payments), bodyOf(withMweb)];
    expect(await t.files.put(a, 151, PARENT)).toBeGreaterThan(1_000);
    await t.files.put(b, 432, withMweb.previousblockhash);
    const other = new BodyFiles(t.folder, () => t.nowMs.now);
    for (const files of [t.files, other]) {
      expect(await files.get(a.bodyId)).toEqual(a);
      expect(await files.get(b.bodyId)).toEqual(b);
      expect(await files.get('00'.repeat(16))).toBeUndefined();
    }
  });

  test('writes a transaction once per parent', async () => {
    await using t = await temporary();
    const first = readBody(payments, new Map());
    const fewer = { ...payments, transactions: payments.transactions.slice(2) };
    const next = readBody(fewer, first.known);
    if (first.body === undefined || next.body === undefined) throw new Error('no body');
    const bytes = await t.files.put(first.body, 151, PARENT);
    expect(await t.files.put(next.body, 151, PARENT)).toBe(0);
    expect(await t.files.get(next.body.bodyId)).toEqual(next.body);
    expect((await t.names('.pack')).length).toBe(1);
    expect(await t.files.put(first.body, 151, PARENT)).toBe(0);
    const [pack = ''] = await t.names('.pack');
    expect((await stat(join(t.folder, pack))).size).toBe(bytes);
  });

  test('begins a new pack for a new parent', async () => {
    await using t = await temporary();
    await t.files.put(bodyOf(payments), 151, PARENT);
    await t.files.put(bodyOf(withMweb), 152, '22'.repeat(32));
    expect((await t.names('.pack')).length).toBe(2);
  });

  test('puts one after the other, whoever calls', async () => {
    await using t = await temporary();
    const bodies = [0, 1, 2, 3].map((skip) =>
      bodyOf({ ...payments, transactions: payments.transactions.slice(skip) }),
    );
    await Promise.all(bodies.map((body) => t.files.put(body, 151, PARENT)));
    for (const body of bodies) expect(await t.files.get(body.bodyId)).toEqual(body);
  });

  test('never gives a body that is not whole', async () => {
    await using t = await temporary();
    const body = bodyOf(payments);
    await t.files.put(body, 151, PARENT);
    const [pack = ''] = await t.names('.pack');
    const path = join(t.folder, pack);
    await truncate(path, (await stat(path)).size - 1);
    expect(await t.files.get(body.bodyId)).toBeUndefined();
    await appendFile(path, Uint8Array.of(0xee)); // As long as before, but another last byte.
    expect(await t.files.get(body.bodyId)).toBeUndefined();
    await writeFile(join(t.folder, `${body.bodyId}.json`), '{"format":1');
    expect(await t.files.get(body.bodyId)).toBeUndefined();
  });

  test('says that a folder cannot be written, and goes on when it can', async () => {
    await using t = await temporary();
    await using files = new BodyFiles(join(t.folder, 'file', 'bodies'), () => 0);
    await writeFile(join(t.folder, 'file'), '');
    await expect(files.put(bodyOf(payments), 151, PARENT)).rejects.toThrow();
    await rm(join(t.folder, 'file'));
    await files.put(bodyOf(payments), 151, PARENT);
    expect(await files.get(bodyOf(payments).bodyId)).toEqual(bodyOf(payments));
  });

  test('keeps a body for a day and for ten blocks, a pinned one for ever', async () => {
    await using t = await temporary();
    const [plain, pinned, deep] = [0, 1, 2].map((skip) =>
      bodyOf({ ...payments, transactions: payments.transactions.slice(skip) }),
    ) as [TemplateBody, TemplateBody, TemplateBody];
    await t.files.put(plain, 151, PARENT);
    await t.files.put(pinned, 151, '33'.repeat(32));
    await t.files.put(deep, 160, '44'.repeat(32));
    await t.files.pin(pinned, 151);
    await t.files.pin(pinned, 151); // Again, as every jobmanager of the host does.
    for (const name of await t.names('.pack')) await utimes(join(t.folder, name), 0, 0);
    await t.files.sweep(10_000);
    expect(await t.files.get(plain.bodyId)).toEqual(plain); // Younger than a day.
    t.nowMs.now += 2 * DAY_MS;
    await t.files.sweep(161);
    expect(await t.files.get(plain.bodyId)).toEqual(plain); // Within ten blocks.
    await t.files.sweep(165);
    expect(await t.files.get(plain.bodyId)).toBeUndefined();
    expect(await t.files.get(deep.bodyId)).toEqual(deep);
    expect(await t.files.get(pinned.bodyId)).toEqual(pinned);
    expect((await t.names('.json')).length).toBe(2);
    expect((await t.names('.pack')).length).toBe(2); // Packs nobody names any more are gone.
  });

  test('sweeps a folder that is not there', async () => {
    const files = new BodyFiles('/nonexistent/bodies', () => 0);
    await files.sweep(1);
    expect(await files.get('00'.repeat(16))).toBeUndefined();
  });
});
