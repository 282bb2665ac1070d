/** The operator API: reads the mesh, writes wishes, tells the converger. Starts nothing itself. */
import fastifySwagger from '@fastify/swagger';
import fastify, { type FastifyInstance } from 'fastify';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import type { ResolvedConfig } from '#libs/contracts/pool-config.ts';
import { redactedConfig } from '#libs/contracts/redacted-config.ts';
import type { Registry } from '#libs/registry/registry.ts';
import type { Iteration } from '../core/converger.ts';
import { COUNT_MAX } from '../core/groups.ts';
import type { GroupName } from '../core/model.ts';
import { CLIENTS_MAX, readClients } from './clients.ts';
import type { DesiredStore } from './desired-store.ts';
import type { InProcessConverger } from './in-process-converger.ts';

export interface ApiOptions {
  readonly servedBy: string;
  readonly registry: Registry;
  readonly desired: DesiredStore;
  readonly converger: InProcessConverger;
  readonly history: (group: GroupName) => readonly Iteration[];
  readonly tell: (group: GroupName, cause: string) => void;
  readonly nowMs: () => number;
  readonly config: ResolvedConfig;
  /** Of the configuration this converger started with. */
  readonly configVersion: number;
  readonly state: Redis;
}

const wish = z.strictObject({ desired: z.int().min(0).max(COUNT_MAX) });
const BODY_BYTES_MAX = 65_536;

export async function createApi(options: ApiOptions): Promise<FastifyInstance> {
  const app = fastify({ bodyLimit: BODY_BYTES_MAX, logger: false });
  await app.register(fastifySwagger, {
    openapi: { info: { title: 'Seam operator API', version: '1' } },
  });
  app.addHook(
    'onSend',
    async (_request, reply) => void reply.header('served-by', options.servedBy),
  );
  app.setErrorHandler(async (error, _request, reply) => {
    const status =
      error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number'
        ? error.statusCode
        : 500;
    return await reply
      .code(status)
      .send({ error: error instanceof Error ? error.message : 'unknown' });
  });
  addRoutes(app, options);
  return app;
}

function addRoutes(app: FastifyInstance, options: ApiOptions): void {
  app.get('/healthz', async () => ({ ok: true }));
  app.get('/v1/openapi.json', { schema: { hide: true } }, async () => app.swagger());

  app.get('/v1/instances', async () => {
    const { view, isViewFresh } = options.registry;
    return {
      isViewFresh,
      instances: view.map((record) => ({ ...record, ageMs: options.nowMs() - record.startedMs })),
    };
  });

  app.get('/v1/config', async () => ({
    version: options.configVersion,
    ...redactedConfig(options.config),
  }));

  app.get('/v1/clients', async (_request, reply) => {
    try {
      return await readClients(options.state, CLIENTS_MAX);
    } catch {
      return await reply
        .code(503)
        .send({ error: 'Cannot read the connections: Redis does not answer' });
    }
  });

  app.get('/v1/groups', async () => {
    const { groups } = await options.desired.read();
    return { groups: await Promise.all(groups.map(({ group }) => describe(group, options))) };
  });

  // A group's name holds a slash (`jobmanager/ltc`), so the rest of the path is the name.
  app.get('/v1/groups/*', async (request, reply) => {
    const group = groupOf(request.params);
    if (!options.desired.known.has(group))
      return await reply.code(404).send(unknownGroup(group, options));
    return { ...(await describe(group, options)), iterations: options.history(group) };
  });

  app.put('/v1/groups/*', async (request, reply) => {
    const group = groupOf(request.params);
    if (!options.desired.known.has(group))
      return await reply.code(404).send(unknownGroup(group, options));
    const parsed = wish.safeParse(request.body);
    if (!parsed.success) {
      return await reply.code(400).send({
        error: parsed.error.issues
          .map((issue) => `${issue.path.join('.') || 'body'}: ${issue.message}`)
          .join('; '),
      });
    }
    try {
      await options.desired.set(group, parsed.data.desired, options.nowMs());
    } catch {
      return await reply
        .code(503)
        .send({ error: 'Cannot keep the wish: Redis does not answer; nothing was changed' });
    }
    options.tell(group, `api: desired ${parsed.data.desired}`);
    return await reply.code(202).send({ group, desired: parsed.data.desired });
  });
}

function groupOf(params: unknown): GroupName {
  return z.object({ '*': z.string() }).parse(params)['*'];
}

function unknownGroup(group: string, options: ApiOptions) {
  return { error: `There is no group ${group}; known: ${[...options.desired.known].join(', ')}` };
}

async function describe(group: GroupName, options: ApiOptions) {
  const { desired, observed, planned } = await options.converger.preview(group);
  return {
    group,
    desired: desired.count,
    source: desired.source,
    serving: observed.instances.filter((instance) => instance.condition === 'serving').length,
    isViewComplete: observed.isComplete,
    instances: observed.instances.toSorted((a, b) =>
      a.name.localeCompare(b.name, 'en', { numeric: true }),
    ),
    plan: planned,
  };
}
