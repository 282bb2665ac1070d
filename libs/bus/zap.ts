/**
 * The ZAP handler: decides for every CURVE server socket of this process which client keys are let in.
 * libzmq knows one handler per process, at a fixed name; `ensureZap` may be called by everyone who binds.
 *
 * @see https://rfc.zeromq.org/spec/27/
 */
import { Reply } from 'zeromq';
import { isAddressInUse } from './bind-in-range.ts';
import { zapDomainOf } from './curve.ts';
import type { MeshKeys } from './mesh-keys.ts';
import { countRefusal, type RefusalSink } from './refusals.ts';
import { encodeZ85 } from './z85.ts';

const ENDPOINT = 'inproc://zeromq.zap.01';
const VERSION = '1.0';

/** One user of the handler. Several of one domain (bus and link of a process) share its keys. */
interface Admission {
  readonly domain: string;
  readonly clientKeys: ReadonlySet<string>;
  readonly sink: RefusalSink;
}

const admissions = new Set<Admission>();
let handler: { readonly socket: Reply; readonly bound: Promise<void> } | undefined;

/**
 * Lets the clients of these keys in to sockets made with `curveServerOptions(meshKeys)`, and nobody else. A refused
 * one is counted `seam_bus_refused_total`. The handler goes with its last user: dispose after your sockets are closed.
 *
 * @throws {Error} if the handler cannot be bound
 */
export async function ensureZap(meshKeys: MeshKeys, sink: RefusalSink): Promise<Disposable> {
  const admission: Admission = {
    domain: zapDomainOf(meshKeys),
    clientKeys: new Set(meshKeys.all.map((keyring) => keyring.client.publicKey)),
    sink,
  };
  admissions.add(admission);
  try {
    await startHandler();
  } catch (error) {
    admissions.delete(admission);
    throw error;
  }
  return { [Symbol.dispose]: () => leave(admission) };
}

/** Resolves when the handler answers; callers at the same time wait for the same one. */
async function startHandler(): Promise<void> {
  if (handler === undefined) {
    const socket = new Reply({ linger: 0 });
    handler = { socket, bound: bindHandler(socket) };
  }
  const { socket, bound } = handler;
  try {
    await bound;
  } catch (error) {
    if (handler?.socket === socket) handler = undefined;
    socket.close();
    throw error;
  }
}

/** The name of a handler just closed is free only when libzmq's reaper was there. */
async function bindHandler(socket: Reply): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      socket.bindSync(ENDPOINT);
      void answerAll(socket);
      return;
    } catch (error) {
      if (!isAddressInUse(error) || attempt >= 200) throw error;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

function leave(admission: Admission): void {
  admissions.delete(admission);
  if (admissions.size > 0) return;
  handler?.socket.close();
  handler = undefined;
}

async function answerAll(socket: Reply): Promise<void> {
  try {
    for await (const frames of socket) await socket.send(answer(frames));
  } catch (error) {
    if (!socket.closed) throw error; // Closing ends the pending receive; anything else is our bug.
  }
}

/** RFC 27: version, request id, domain, address, identity, mechanism, credentials. */
function answer(frames: readonly Buffer[]): string[] {
  const [, requestId = '', domain, address, , mechanism, credentials] = frames.map(String);
  const clientKey = frames[6];
  const candidates = [...admissions].filter((admission) => admission.domain === domain);
  const isKnown =
    credentials !== undefined &&
    mechanism === 'CURVE' &&
    clientKey?.length === 32 &&
    candidates.some(({ clientKeys }) => clientKeys.has(encodeZ85(clientKey)));
  if (isKnown) return [VERSION, requestId, '200', 'OK', 'mesh', ''];
  const sink = candidates[0]?.sink;
  if (sink !== undefined) countRefusal(sink, 'unknown_key', address ?? '');
  return [VERSION, requestId, '400', 'unknown key', '', ''];
}
