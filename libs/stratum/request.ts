/**
 * One line of a miner as a value. Never throws: every line becomes a request, a response or `malformed`, each with an
 * id to answer to. Values of the wrong kind in places where real miners are sloppy are taken as absent.
 */
import { Buffer } from 'node:buffer';

interface Identified {
  readonly kind: 'request';
  /** The id as JSON text (`7`, `"a"`, `null`), so that it is echoed exactly, with its type. */
  readonly idJson: string;
}

export type SubscribeRequest = Identified & {
  readonly method: 'mining.subscribe';
  /** Printable ASCII, at most 128 characters; '' if absent. */
  readonly userAgent: string;
  /** Session id, or extranonce1, of a former connection; '' if absent. */
  readonly sessionId: string;
};
export type AuthorizeRequest = Identified & {
  readonly method: 'mining.authorize';
  readonly username: string;
  readonly password: string;
};
export type ConfigureRequest = Identified & {
  readonly method: 'mining.configure';
  readonly extensions: readonly string[];
  readonly parameters: ReadonlyMap<string, unknown>;
};
export type SubmitRequest = Identified & {
  readonly method: 'mining.submit';
  /** Not yet validated: see submit-params.ts. */
  readonly params: readonly unknown[];
};

/** A request by its method. `pong` is ESP-Miner's answer to a ping: nobody waits for an answer to it. */
export type Request =
  | SubscribeRequest
  | AuthorizeRequest
  | ConfigureRequest
  | SubmitRequest
  | (Identified & { readonly method: 'mining.suggest_difficulty'; readonly difficulty: number })
  | (Identified & { readonly method: 'mining.suggest_target'; readonly target: bigint })
  | (Identified & { readonly method: 'mining.multi_version'; readonly version: number })
  | (Identified & { readonly method: 'mining.get_transactions'; readonly jobId: string })
  | (Identified & {
      readonly method:
        | 'mining.extranonce.subscribe'
        | 'mining.ping'
        | 'client.get_version'
        | 'pong';
    })
  | (Identified & { readonly method: 'unknown'; readonly name: string });

/** The miner's answer to a question of ours (client.get_version, mining.ping). */
export interface Response {
  readonly kind: 'response';
  readonly idJson: string;
  readonly result: unknown;
}

export type MalformedReason = 'not_json' | 'not_an_object' | 'bad_id' | 'no_method' | 'bad_params';

/** To be answered with 20, and counted. */
export interface Malformed {
  readonly kind: 'malformed';
  readonly idJson: string;
  readonly reason: MalformedReason;
}

export type ParsedLine = Request | Response | Malformed;

/** [chars] of an id's JSON text */
const ID_CHARS_MAX = 256;
/** Submit has 6; more than this nobody sends. */
const PARAMS_MAX = 16;
/** [chars] longest name or password; the parts have bounds of their own. */
const NAME_CHARS_MAX = 255;
const USER_AGENT_CHARS_MAX = 128;
const SESSION_ID_CHARS_MAX = 64;
const EXTENSIONS_MAX = 16;
const METHOD_CHARS_MAX = 64;

type Shape = Readonly<Record<string, unknown>>;

/** @param line one line without its end; its length was bounded by the framer */
export function parseRequest(line: Uint8Array): ParsedLine {
  const text = textOf(line);
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return malformed('null', 'not_json');
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    return malformed('null', 'not_an_object');
  }
  const shape = parsed as Shape;
  const idJson = idJsonOf(own(shape, 'id'), text);
  return idJson === undefined ? malformed('null', 'bad_id') : parseShape(shape, idJson);
}

function parseShape(shape: Shape, idJson: string): ParsedLine {
  const method = own(shape, 'method');
  if (method === undefined && (Object.hasOwn(shape, 'result') || Object.hasOwn(shape, 'error'))) {
    return { kind: 'response', idJson, result: own(shape, 'result') };
  }
  if (typeof method !== 'string' || method === '') return malformed(idJson, 'no_method');
  const params = own(shape, 'params') ?? [];
  if (!Array.isArray(params) || params.length > PARAMS_MAX) return malformed(idJson, 'bad_params');
  return parseMethod(idJson, method, params) ?? malformed(idJson, 'bad_params');
}

/** The request, or undefined if the parameters make no sense. */
function parseMethod(
  idJson: string,
  method: string,
  params: readonly unknown[],
): Request | undefined {
  switch (method) {
    case 'mining.submit':
      return { kind: 'request', idJson, method, params };
    case 'mining.subscribe':
      return parseSubscribe(idJson, params);
    case 'mining.authorize':
      return parseAuthorize(idJson, params);
    case 'mining.configure':
      return parseConfigure(idJson, params);
    case 'mining.suggest_difficulty':
      return parseSuggestDifficulty(idJson, params);
    case 'mining.suggest_target':
      return parseSuggestTarget(idJson, params);
    case 'mining.multi_version':
      return { kind: 'request', idJson, method, version: Number(params[0]) === 1 ? 1 : 0 };
    case 'mining.get_transactions':
      return { kind: 'request', idJson, method, jobId: stringOf(params[0], NAME_CHARS_MAX) };
    case 'mining.extranonce.subscribe':
    case 'mining.ping':
    case 'client.get_version':
    case 'pong':
      return { kind: 'request', idJson, method };
    default:
      return {
        kind: 'request',
        idJson,
        method: 'unknown',
        name: printable(method, METHOD_CHARS_MAX),
      };
  }
}

/** `[]`, `[userAgent]`, `[userAgent, sessionId]`, or with host and port; null where there is none. */
function parseSubscribe(idJson: string, params: readonly unknown[]): SubscribeRequest {
  return {
    kind: 'request',
    idJson,
    method: 'mining.subscribe',
    userAgent: printable(stringOf(params[0], Infinity), USER_AGENT_CHARS_MAX),
    sessionId: stringOf(params[1], SESSION_ID_CHARS_MAX),
  };
}

function parseAuthorize(idJson: string, params: readonly unknown[]): AuthorizeRequest | undefined {
  const [username, password] = params;
  if (typeof username !== 'string' || username.length > NAME_CHARS_MAX) return undefined;
  const taken = typeof password === 'string' ? password.slice(0, NAME_CHARS_MAX) : '';
  return { kind: 'request', idJson, method: 'mining.authorize', username, password: taken };
}

/** BIP 310: `[[extensions], {parameters}]`. Must lead to an answer whenever the extensions can be read. */
function parseConfigure(idJson: string, params: readonly unknown[]): ConfigureRequest | undefined {
  const [names, values] = params;
  if (!Array.isArray(names) || names.length > EXTENSIONS_MAX) return undefined;
  const isName = (name: unknown) => typeof name === 'string' && name.length <= METHOD_CHARS_MAX;
  if (!names.every(isName)) return undefined;
  const isMap = typeof values === 'object' && values !== null && !Array.isArray(values);
  const entries = isMap ? Object.entries(values).slice(0, 4 * EXTENSIONS_MAX) : [];
  return {
    kind: 'request',
    idJson,
    method: 'mining.configure',
    extensions: names as string[],
    parameters: new Map<string, unknown>(entries),
  };
}

function parseSuggestDifficulty(idJson: string, params: readonly unknown[]): Request | undefined {
  const difficulty = Number(params[0]);
  if (params.length === 0 || !Number.isFinite(difficulty) || difficulty <= 0) return undefined;
  return { kind: 'request', idJson, method: 'mining.suggest_difficulty', difficulty };
}

/** A 256-bit target, most significant digit first. */
function parseSuggestTarget(idJson: string, params: readonly unknown[]): Request | undefined {
  const [hex] = params;
  if (typeof hex !== 'string' || !/^(?:0x)?[0-9a-f]{1,64}$/i.test(hex)) return undefined;
  const target = BigInt(`0x${hex.replace(/^0x/i, '')}`);
  if (target === 0n) return undefined;
  return { kind: 'request', idJson, method: 'mining.suggest_target', target };
}

function malformed(idJson: string, reason: MalformedReason): Malformed {
  return { kind: 'malformed', idJson, reason };
}

/** Own properties only: `{"__proto__": …}` says nothing about method or id. */
function own(shape: Shape, key: string): unknown {
  return Object.hasOwn(shape, key) ? shape[key] : undefined;
}

function idJsonOf(id: unknown, text: string): string | undefined {
  if (typeof id === 'number') return Number.isSafeInteger(id) ? String(id) : idSource(text);
  if (id === undefined || id === null) return 'null';
  if (typeof id !== 'string') return undefined;
  const json = JSON.stringify(id);
  return json.length <= ID_CHARS_MAX ? json : undefined;
}

/** The digits of an id that a double does not hold, as the miner wrote them. */
function idSource(text: string): string | undefined {
  const sources = new Map<unknown, string>();
  let root: unknown;
  try {
    JSON.parse(text, function (key, value: unknown, context?: { readonly source?: string }) {
      if (key === 'id' && context?.source !== undefined) sources.set(this, context.source);
      if (key === '') root = value; // The outermost object comes last.
      return value;
    });
  } catch {
    return undefined; // With a reviver JSON.parse recurses, and deep nesting overflows the stack.
  }
  const source = sources.get(root);
  return source !== undefined && source.length <= ID_CHARS_MAX ? source : undefined;
}

function textOf(line: Uint8Array): string {
  return Buffer.from(line.buffer, line.byteOffset, line.byteLength).toString('utf8');
}

function stringOf(value: unknown, charsMax: number): string {
  return typeof value === 'string' && value.length <= charsMax ? value : '';
}

function printable(text: string, charsMax: number): string {
  return text.slice(0, charsMax).replace(/[^\x20-\x7e]/g, '?');
}
