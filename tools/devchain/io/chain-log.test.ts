import {
  appendFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, assert, beforeEach, suite, test } from 'vitest';
import { createNode, mineBlocks } from '../chain.fixture.ts';
import { ChainLogFile } from './chain-log.ts';

const PARAMETERS = '{"chain":"bitcoin"}';

suite('ChainLogFile', () => {
  let folder: string;
  let path: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'seam-chain-'));
    path = join(folder, 'chain.dat');
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  test('gives back everything that was appended, in order, after it was opened again', () => {
    const hash = 'ab'.repeat(32);
    {
      using file = new ChainLogFile(path, PARAMETERS);
      assert.deepEqual([...file.records()], []);
      const location = file.appendBlock(Uint8Array.of(1, 2, 3));
      file.appendMark('invalid', hash);
      file.appendMark('reconsidered', hash);
      assert.deepEqual([...file.read(location)], [1, 2, 3]);
    }
    using file = new ChainLogFile(path, PARAMETERS);
    const [block, ...marks] = [...file.records()];
    assert.equal(block?.kind, 'block');
    assert.deepEqual(marks, [
      { kind: 'invalid', hash },
      { kind: 'reconsidered', hash },
    ]);
    assert.equal(file.droppedBytes, 0);
  });

  test('drops a record that was cut off anywhere, and nothing else', () => {
    let whole: number;
    {
      using file = new ChainLogFile(path, PARAMETERS);
      file.appendBlock(new Uint8Array(20).fill(1));
      whole = file.bytes;
      file.appendBlock(new Uint8Array(30).fill(2));
    }
    const full = readFileSync(path);
    for (let length = full.length - 1; length >= whole; length -= 1) {
      writeFileSync(path, full.subarray(0, length));
      using file = new ChainLogFile(path, PARAMETERS);
      assert.lengthOf([...file.records()], 1, `cut at ${length}`);
      assert.equal(file.droppedBytes, length - whole);
      file.appendBlock(new Uint8Array(5));
      assert.lengthOf([...file.records()], 2);
    }
  });

  test('begins anew where not even the parameters were written', () => {
    {
      using file = new ChainLogFile(path, PARAMETERS);
      assert.isAbove(file.bytes, 8);
    }
    for (const length of [0, 3, 8, 12, 20]) {
      truncateSync(path, length);
      using file = new ChainLogFile(path, PARAMETERS);
      file.appendBlock(new Uint8Array(5));
      assert.lengthOf([...file.records()], 1);
    }
  });

  test('drops what follows a record whose bytes changed', () => {
    {
      using file = new ChainLogFile(path, PARAMETERS);
      file.appendBlock(new Uint8Array(20).fill(1));
    }
    const bytes = readFileSync(path);
    bytes[bytes.length - 1] = 9;
    writeFileSync(path, bytes);
    appendFileSync(path, Buffer.alloc(100));
    using file = new ChainLogFile(path, PARAMETERS);
    assert.lengthOf([...file.records()], 0);
  });

  test('refuses the file of another chain, and one that is not its own', () => {
    new ChainLogFile(path, PARAMETERS)[Symbol.dispose]();
    assert.throws(() => new ChainLogFile(path, '{"chain":"litecoin"}'), /another chain/);
    const other = join(folder, 'other');
    writeFileSync(other, 'something else entirely');
    assert.throws(() => new ChainLogFile(other, PARAMETERS), /not a file of devchain/);
    assert.equal(readFileSync(other, 'utf8'), 'something else entirely');
  });

  test('keeps a chain', () => {
    let tip: string;
    {
      using file = new ChainLogFile(path, PARAMETERS);
      const node = createNode(undefined, file);
      node.synthesize(3);
      mineBlocks(node, 5);
      tip = node.chain.tip.hash;
    }
    using file = new ChainLogFile(path, PARAMETERS);
    assert.equal(createNode(undefined, file).chain.tip.hash, tip);
  });
});
