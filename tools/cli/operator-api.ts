/** The operator API and the public API as the command line calls them. */
import { readdir } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { z } from 'zod';
import type { RunFolder } from './run-folder.ts';
import { CommandError, EXIT } from './terminal.ts';

const groupView = z.object({
  group: z.string(),
  desired: z.number(),
  source: z.string(),
  serving: z.number(),
  instances: z.array(z.object({ name: z.string(), condition: z.string(), startedMs: z.number() })),
  plan: z.array(z.object({ kind: z.string() }).loose()),
});
const groupsView = z.object({ groups: z.array(groupView) });
export type GroupsView = z.infer<typeof groupsView>;

const instancesView = z.object({
  instances: z.array(
    z.object({
      role: z.string(),
      id: z.string(),
      version: z.string(),
      state: z.string(),
      pid: z.number(),
      ageMs: z.number(),
      endpoints: z.object({ pub: z.string(), rpc: z.string(), link: z.string(), http: z.string() }),
      caps: z.record(z.string(), z.string()),
      load: z.record(z.string(), z.number()),
    }),
  ),
});
export type InstancesView = z.infer<typeof instancesView>;

interface Call {
  readonly method?: 'GET' | 'PUT' | 'POST' | 'DELETE';
  readonly path: string;
  readonly body?: unknown;
}

const CALL_TIMEOUT_MS = 10_000;

async function callSocket(
  socketPath: string,
  { method = 'GET', path, body }: Call,
): Promise<unknown> {
  const payload = body === undefined ? undefined : JSON.stringify(body);
  const headers =
    payload === undefined
      ? {}
      : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) };
  return await new Promise((resolve, reject) => {
    const call = request(
      { socketPath, method, path, headers, timeout: CALL_TIMEOUT_MS },
      (answer) => {
        const parts: Buffer[] = [];
        answer.on('data', (part: Buffer) => parts.push(part));
        answer.on('error', reject);
        answer.on('end', () => {
          const text = Buffer.concat(parts).toString();
          const status = answer.statusCode ?? 0;
          if (status >= 200 && status < 300) resolve(JSON.parse(text));
          else reject(new CommandError(`Cannot ${method} ${path}: ${status} ${errorText(text)}`));
        });
      },
    );
    call.on('timeout', () => call.destroy(new Error('no answer in time')));
    call.on('error', reject);
    call.end(payload);
  });
}

function errorText(text: string): string {
  try {
    return z.object({ error: z.string() }).parse(JSON.parse(text)).error;
  } catch {
    return text.slice(0, 200);
  }
}

/** Asks the first of this host's sockets of a kind (`api`: convergers, `http`: reporters) that answers. */
export async function callEdge(
  folder: RunFolder,
  kind: 'api' | 'http',
  call: Call,
): Promise<unknown> {
  const names = (await readdir(folder.edge).catch(() => [])).filter((name) =>
    new RegExp(`^${kind}\\.\\d+\\.sock$`).test(name),
  );
  let lastError: unknown;
  for (const name of names.toSorted()) {
    try {
      return await callSocket(join(folder.edge, name), call);
    } catch (error) {
      if (error instanceof CommandError) throw error;
      lastError = error; // Nobody behind that socket any more.
    }
  }
  throw new CommandError(
    `Cannot reach the mesh in ${folder.path}: is it up? (./seam up)`,
    EXIT.unavailable,
    { cause: lastError },
  );
}

export async function fetchGroups(folder: RunFolder): Promise<GroupsView> {
  return groupsView.parse(await callEdge(folder, 'api', { path: '/v1/groups' }));
}

export async function fetchInstances(folder: RunFolder): Promise<InstancesView> {
  return instancesView.parse(await callEdge(folder, 'api', { path: '/v1/instances' }));
}
