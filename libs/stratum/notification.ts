/** What the pool says unasked, as ready bytes: one line of JSON with its LF. */
import { Buffer } from 'node:buffer';

/**
 * The parameters of mining.notify in their order. All hex is lower case; `version`, `nbits` and `ntime` are 8 digits
 * of the number, most significant first.
 */
export type NotifyParams = readonly [
  jobId: string,
  /** Internal order with the bytes of each 4-byte word swapped: see libs/bitcoin/prevhash.ts. */
  prevhashStratum: string,
  coinb1: string,
  coinb2: string,
  /** Internal byte order. */
  merkleBranch: readonly string[],
  version: string,
  nbits: string,
  ntime: string,
  cleanJobs: boolean,
];

/** A job. Every field but the branch and the flag must be a string: ESP-Miner crashes on anything else. */
export function notify(params: NotifyParams): Buffer {
  return line('mining.notify', params);
}

/** Holds from the next notify on (cgminer), so a notify with a new id always follows. */
export function setDifficulty(difficulty: number): Buffer {
  return line('mining.set_difficulty', [difficulty]);
}

/** Holds from the next notify on, only for clients that asked for it. @param extranonce1 lower-case hex */
export function setExtranonce(extranonce1: string, extranonce2Size: number): Buffer {
  return line('mining.set_extranonce', [extranonce1, extranonce2Size]);
}

/** BIP 310: holds at once. Never before the answer to mining.configure and mining.subscribe (ESP-Miner#80). */
export function setVersionMask(versionMask: number): Buffer {
  return line('mining.set_version_mask', [(versionMask >>> 0).toString(16).padStart(8, '0')]);
}

/**
 * Asks a miner to come again. `same_host` sends no parameters; `with_wait` sends `["", 0, waitSec]`, for the agents
 * whose profile says they understand it.
 */
export function reconnect(form: 'same_host' | 'with_wait', waitSec: number): Buffer {
  return line('client.reconnect', form === 'same_host' ? [] : ['', 0, waitSec]);
}

/** A text for the miner's screen; gets no answer. */
export function showMessage(text: string): Buffer {
  return line('client.show_message', [text]);
}

/** Asks for the miner's version; its answer is a response with this id. */
export function getVersion(id: number): Buffer {
  return request(id, 'client.get_version');
}

/** A keep-alive for agents that answer it. */
export function ping(id: number): Buffer {
  return request(id, 'mining.ping');
}

function request(id: number, method: string): Buffer {
  return Buffer.from(`{"id":${id},"method":"${method}","params":[]}\n`);
}

function line(method: string, params: readonly unknown[]): Buffer {
  return Buffer.from(`{"id":null,"method":"${method}","params":${JSON.stringify(params)}}\n`);
}
