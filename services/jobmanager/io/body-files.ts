/**
 * Template bodies in files, for the next jobmanager of this host.
 *
 * Note [Packs]
 * Templates of one parent share nearly all their transactions, so a transaction is written once per parent: into a
 * pack, a file of records (u32 little-endian length, bytes) that only its writer appends to. A body is a manifest:
 * the pack's name and which of its records make up the body. The manifest is written last and renamed into place, so
 * whoever sees it finds its records complete. A pack whose write failed is left and a new one begun.
 */
import { randomBytes } from 'node:crypto';
import {
  type FileHandle,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { bodyFromItems, encodeRecords, itemsOf, readRecords } from '../core/body-records.ts';
import type { TemplateBody } from '../core/model.ts';

const manifestSchema = z.object({
  format: z.literal(1),
  pack: z.string().regex(/^[0-9a-z-]{1,96}\.pack$/),
  height: z.int().min(0),
  createdMs: z.number(),
  isPinned: z.boolean(),
  /** Record numbers in the pack, in block order. */
  transactions: z.array(z.int().min(0)).max(100_000),
  mweb: z.int().min(0).nullable(),
});
type Manifest = z.infer<typeof manifestSchema>;

/** [bytes] No pack grows beyond; a new one is begun. */
const PACK_BYTES_MAX = 64 * 1024 * 1024;
/** [ms] and [blocks]: a body lives until both are over. */
const BODY_LIFE_MS = 24 * 3_600_000;
const BODY_LIFE_BLOCKS = 10;

/** The pack we append to. */
interface OpenPack {
  readonly name: string;
  readonly parent: string;
  readonly file: FileHandle;
  readonly numbers: Map<Uint8Array, number>;
  bytes: number;
}

export class BodyFiles implements AsyncDisposable {
  readonly #folder: string;
  readonly #nowMs: () => number;
  #pack: OpenPack | undefined;
  #line: Promise<unknown> = Promise.resolve();

  constructor(folder: string, nowMs: () => number) {
    this.#folder = folder;
    this.#nowMs = nowMs;
  }

  /**
   * Writes a body; it can be read when this resolves. One at a time.
   *
   * @param parent of the job, display byte order: bodies of one parent share a pack
   * @returns [bytes] written
   */
  async put(body: TemplateBody, height: number, parent: string): Promise<number> {
    return this.#inLine(() => this.#put(body, height, parent));
  }

  /** @returns undefined if there is none; the body is proved whole by its id */
  async get(bodyId: string): Promise<TemplateBody | undefined> {
    const manifest = await this.#readManifest(bodyId);
    if (manifest === undefined) return undefined;
    const records = readRecords(await readFile(join(this.#folder, manifest.pack)));
    const wanted = [...manifest.transactions, ...(manifest.mweb === null ? [] : [manifest.mweb])];
    const items = wanted.map((number) => records[number]).filter((item) => item !== undefined);
    return bodyFromItems(bodyId, items, manifest.mweb !== null);
  }

  /** Keeps a body without limit: a candidate names it. */
  async pin(body: TemplateBody, height: number): Promise<void> {
    await this.#inLine(async () => {
      const known = await this.#readManifest(body.bodyId);
      if (known?.isPinned) return;
      const name = `pinned-${body.bodyId}.pack`;
      const items = distinctItemsOf(body);
      await mkdir(this.#folder, { recursive: true });
      await writeAtomically(join(this.#folder, name), encodeRecords(items));
      const numbers = new Map(items.map((item, index) => [item, index]));
      await this.#writeManifest(body, { pack: name, height, isPinned: true, numbers });
    });
  }

  /** Removes what is older than a body lives. @param height [blocks] of the newest job */
  async sweep(height: number): Promise<void> {
    const names = await readdir(this.#folder).catch(() => []);
    const kept = new Set<string>();
    for (const name of names.filter((each) => each.endsWith('.json'))) {
      const manifest = await this.#readManifest(name.slice(0, -'.json'.length));
      if (manifest === undefined) continue;
      const isOld = this.#nowMs() - manifest.createdMs > BODY_LIFE_MS;
      const isDeep = manifest.height < height - BODY_LIFE_BLOCKS;
      if (isOld && isDeep && !manifest.isPinned)
        await rm(join(this.#folder, name), { force: true });
      else kept.add(manifest.pack);
    }
    for (const name of names.filter((each) => /\.(pack|tmp)$/.test(each))) {
      if (!kept.has(name)) await this.#removeIfOld(name);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#inLine(() => this.#closePack());
  }

  async #put(body: TemplateBody, height: number, parent: string): Promise<number> {
    if ((await this.#readManifest(body.bodyId)) !== undefined) return 0;
    const pack = await this.#packFor(parent, height);
    const fresh = distinctItemsOf(body).filter((item) => !pack.numbers.has(item));
    const bytes = encodeRecords(fresh);
    try {
      await writeWhole(pack.file, bytes);
    } catch (error) {
      await this.#closePack(); // Its end is unknown now. See Note [Packs].
      throw error;
    }
    for (const item of fresh) pack.numbers.set(item, pack.numbers.size);
    pack.bytes += bytes.length;
    const { name, numbers } = pack;
    await this.#writeManifest(body, { pack: name, height, isPinned: false, numbers });
    return bytes.length;
  }

  async #packFor(parent: string, height: number): Promise<OpenPack> {
    const current = this.#pack;
    if (current?.parent === parent && current.bytes < PACK_BYTES_MAX) return current;
    await this.#closePack();
    await mkdir(this.#folder, { recursive: true });
    const name = `${height}-${randomBytes(8).toString('hex')}.pack`;
    const file = await open(join(this.#folder, name), 'ax', 0o640);
    this.#pack = { name, parent, file, numbers: new Map(), bytes: 0 };
    return this.#pack;
  }

  async #closePack(): Promise<void> {
    const pack = this.#pack;
    this.#pack = undefined;
    await pack?.file.close();
  }

  async #writeManifest(
    body: TemplateBody,
    place: {
      readonly pack: string;
      readonly height: number;
      readonly isPinned: boolean;
      readonly numbers: ReadonlyMap<Uint8Array, number>;
    },
  ): Promise<void> {
    const { pack, height, isPinned, numbers } = place;
    const numberOf = (item: Uint8Array) => numbers.get(item) ?? -1; // -1 never passes the schema.
    const manifest: Manifest = {
      format: 1,
      pack,
      height,
      isPinned,
      createdMs: this.#nowMs(),
      transactions: body.transactions.map(numberOf),
      mweb: body.mweb === undefined ? null : numberOf(body.mweb),
    };
    await writeAtomically(this.#pathOf(body.bodyId), Buffer.from(JSON.stringify(manifest)));
  }

  async #readManifest(bodyId: string): Promise<Manifest | undefined> {
    const text = await readFile(this.#pathOf(bodyId), 'utf8').catch(noFile);
    if (text === undefined) return undefined;
    const parsed = manifestSchema.safeParse(parseJson(text));
    return parsed.success ? parsed.data : undefined;
  }

  async #removeIfOld(name: string): Promise<void> {
    const found = await stat(join(this.#folder, name)).catch(noFile);
    if (found === undefined || this.#nowMs() - found.mtimeMs <= BODY_LIFE_MS) return;
    await rm(join(this.#folder, name), { force: true });
  }

  #pathOf(bodyId: string): string {
    return join(this.#folder, `${bodyId}.json`);
  }

  #inLine<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#line.then(work);
    this.#line = done.catch(() => undefined); // The caller hears of it; the next one goes on.
    return done;
  }
}

function distinctItemsOf(body: TemplateBody): readonly Uint8Array[] {
  return [...new Set(itemsOf(body))];
}

async function writeWhole(file: FileHandle, bytes: Uint8Array): Promise<void> {
  let offset = 0;
  while (offset < bytes.length) offset += (await file.write(bytes, offset)).bytesWritten;
}

async function writeAtomically(path: string, bytes: Uint8Array): Promise<void> {
  const temp = `${path}.${randomBytes(4).toString('hex')}.tmp`;
  await writeFile(temp, bytes, { mode: 0o640 });
  await rename(temp, path);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // Not a manifest: the schema refuses it.
  }
}

function noFile(error: unknown): undefined {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
  throw error;
}
