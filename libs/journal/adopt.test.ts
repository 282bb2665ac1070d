import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { assert, describe, test } from 'vitest';
import { waitFor } from '#test/harness/wait-for.ts';
import { adoptJournals } from './adopt.ts';
import {
  metricValue,
  openIn,
  range,
  readShares,
  settingsIn,
  type TempFolder,
  tempFolder,
  writeShares,
} from './journal.fixture.ts';
import { probeLive } from './live-socket.ts';

interface Owner extends AsyncDisposable {
  readonly process: ChildProcess;
  /** The next line it says. */
  next(): Promise<string>;
  kill(signal: NodeJS.Signals): Promise<void>;
}

function start(...parameters: string[]): Owner {
  const child = spawn(
    process.execPath,
    [join(import.meta.dirname, 'owner-process.fixture.ts'), ...parameters],
    {
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  );
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  async function kill(signal: NodeJS.Signals) {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill(signal);
    if (signal === 'SIGKILL') await gone;
  }
  return {
    process: child,
    next: async () => String((await lines.next()).value),
    kill,
    [Symbol.asyncDispose]: () => kill('SIGKILL'),
  };
}

async function ownerAndId(folder: TempFolder, count: number) {
  const owner = start('own', folder.path, String(count));
  const id = (await owner.next()).split(' ')[1] ?? '';
  assert.match(id, /^[0-9a-f]{32}$/);
  return { owner, id };
}

describe('adoptJournals()', () => {
  test('takes the journal of a killed process, and again that of a killed adopter', async () => {
    await using folder = await tempFolder();
    const { owner, id } = await ownerAndId(folder, 123);
    await using ownerLives = owner;
    assert.deepEqual(await adoptJournals(settingsIn(folder.path)), []);
    await ownerLives.kill('SIGKILL');

    await using adopter = start('adopt', folder.path);
    await adopter.next();
    adopter.process.stdin?.write('go\n');
    assert.equal(await adopter.next(), `adopted ${id}:123`);
    assert.deepEqual(await adoptJournals(settingsIn(folder.path)), []);
    await adopter.kill('SIGKILL');

    const [adopted] = await adoptJournals(settingsIn(folder.path));
    assert(adopted);
    assert.equal(adopted.id, id);
    assert.deepEqual(await readShares(adopted), range(0, 123));
    await adopted[Symbol.asyncDispose]();
    const sockets = (await readdir(folder.path)).filter((name) => name.endsWith('.live'));
    assert.deepEqual(sockets, []);
  });

  test('leaves a sleeping owner its journal, which it goes on writing', async () => {
    await using folder = await tempFolder();
    const { owner } = await ownerAndId(folder, 5);
    await using sleeper = owner;
    await sleeper.kill('SIGSTOP');
    await waitFor(async () => {
      const status = await readFile(`/proc/${sleeper.process.pid}/stat`, 'utf8');
      return status.split(' ')[2] === 'T';
    });
    for (let round = 0; round < 5; round += 1)
      assert.deepEqual(await adoptJournals(settingsIn(folder.path)), []);
    await sleeper.kill('SIGCONT');
    assert.deepEqual(await adoptJournals(settingsIn(folder.path)), []);
    await sleeper.kill('SIGKILL');
    assert.equal((await disposeAll(await adoptJournals(settingsIn(folder.path)))).length, 1);
  });

  test('gives each journal to exactly one of several adopters that race', async () => {
    await using folder = await tempFolder();
    const ids: string[] = [];
    for (let count = 1; count <= 3; count += 1) {
      const { owner, id } = await ownerAndId(folder, count);
      await owner.kill('SIGKILL');
      ids.push(`${id}:${count}`);
    }
    const adopters = Array.from({ length: 4 }, () => start('adopt', folder.path));
    try {
      for (const adopter of adopters) await adopter.next();
      for (const adopter of adopters) adopter.process.stdin?.write('go\n');
      const said = await Promise.all(adopters.map((adopter) => adopter.next()));
      const adopted = said.flatMap((line) =>
        line
          .replace(/^adopted /, '')
          .split(',')
          .filter(Boolean),
      );
      assert.deepEqual(adopted.toSorted(), ids.toSorted());
    } finally {
      for (const adopter of adopters) await adopter[Symbol.asyncDispose]();
    }
  });

  test('needs no proof for a journal that was let go, and looks at wanted chains only', async () => {
    await using folder = await tempFolder();
    for (const chain of ['btc', 'ltc']) {
      const journal = await openIn(settingsIn(folder.path), chain);
      writeShares(journal, 0, 4);
      await journal[Symbol.asyncDispose]();
    }
    const adopted = await adoptJournals({ ...settingsIn(folder.path), chains: ['ltc'] });
    assert.deepEqual(
      adopted.map(({ chain }) => chain),
      ['ltc'],
    );
    await disposeAll(adopted);
  });

  test('leaves alone whose socket is missing, unless the host was booted since', async () => {
    await using folder = await tempFolder();
    const { owner } = await ownerAndId(folder, 4);
    await owner.kill('SIGKILL');
    const names = await readdir(folder.path);
    const [socket = '', file = ''] = ['.live', '.owner'].map((end) =>
      names.find((name) => name.endsWith(end)),
    );
    await rm(join(folder.path, socket));
    const settings = settingsIn(folder.path);
    assert.deepEqual(await adoptJournals(settings), []);
    assert.equal(await metricValue(settings, 'seam_journal_unproved_owners_total'), 1);
    await writeFile(join(folder.path, file), 'another boot\n');
    assert.equal((await disposeAll(await adoptJournals(settings))).length, 1);
  });

  test('removes the socket of who died before it created its file', async () => {
    await using folder = await tempFolder();
    const { owner } = await ownerAndId(folder, 0);
    await owner.kill('SIGKILL');
    const names = await readdir(folder.path);
    const socket = names.find((name) => name.endsWith('.live')) ?? '';
    for (const name of names) if (name !== socket) await rm(join(folder.path, name));
    assert.equal(await probeLive(join(folder.path, socket)), 'dead');
    await adoptJournals(settingsIn(folder.path));
    assert.deepEqual(await readdir(folder.path), []);
  });
});

async function disposeAll<T extends AsyncDisposable>(things: readonly T[]): Promise<readonly T[]> {
  for (const thing of things) await thing[Symbol.asyncDispose]();
  return things;
}
