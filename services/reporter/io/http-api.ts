/** The public HTTP API and its page, reached through HAProxy. Reads only; every input is checked and bounded. */
import fastifySwagger from '@fastify/swagger';
import fastify, { type FastifyError, type FastifyInstance, type FastifyReply } from 'fastify';
import { z } from 'zod';
import {
  apiError,
  type BlockView,
  blocksPage,
  poolView,
  type PoolView,
  workerPage,
  workersPage,
  type WorkersPage,
  type WorkerView,
} from '#libs/contracts/public-api.ts';
import {
  blockViewOf,
  type ChainFacts,
  chainViewOf,
  isRealChain,
  noteOf,
  type Tip,
  workerViewOf,
} from '../core/views.ts';
import { type BooksReader, BooksUnavailableError } from './books-reader.ts';
import { createMemo, type Memo } from './memo.ts';
import { addPage } from './page.ts';

export interface HttpApiOptions {
  readonly poolName: string;
  readonly chains: readonly ChainFacts[];
  readonly books: BooksReader;
  readonly tip: (chain: string) => Tip | undefined;
  /** Miners connected to all stratum-servers, and whether that is known just now. */
  readonly miners: () => { readonly connected: number; readonly isFresh: boolean };
  readonly isStoreUp: () => boolean;
  readonly onResponse: (status: number) => void;
  readonly onError: (error: unknown) => void;
  readonly nowMs: () => number;
}

/** [ms] an answer is kept: the numbers change once a second */
const MEMO_MS = 1_000;
const MEMO_ENTRIES_MAX = 500;
const REQUEST_TIMEOUT_MS = 10_000;
const CONNECTIONS_MAX = 512;
const OFFSET_MAX = 100_000;

const chainQuery = z.string().max(32).optional().describe('Default: the first chain, or all');
const workersQuery = z.object({
  chain: chainQuery,
  offset: z.int().min(0).max(OFFSET_MAX).default(0),
  limit: z.int().min(1).max(100).default(50),
});
const blocksQuery = z.object({
  chain: chainQuery,
  limit: z.int().min(1).max(100).default(20),
  beforeMs: z.int().min(0).optional().describe('[ms] only blocks found before; for the next page'),
});
const workerQuery = z.object({ chain: chainQuery });
const workerParams = z.object({
  name: z
    .string()
    .min(1)
    .max(191)
    .regex(/^[\x21-\x7e]+$/)
    .describe('address or address.rig'),
});

type WorkersQuery = z.infer<typeof workersQuery>;
type BlocksQuery = z.infer<typeof blocksQuery>;
type WorkerQuery = z.infer<typeof workerQuery>;
type WorkerParams = z.infer<typeof workerParams>;

/** A request that asks for what is not there. */
class NotFoundError extends Error {
  override readonly name = 'NotFoundError';
}

/** A fastify that listens nowhere yet. */
export async function createHttpApi(options: HttpApiOptions): Promise<FastifyInstance> {
  const app = fastify({
    logger: false,
    bodyLimit: 1_024, // Nothing takes a body.
    routerOptions: { maxParamLength: 600 }, // 191 characters, percent-encoded.
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionTimeout: REQUEST_TIMEOUT_MS * 6,
    forceCloseConnections: true,
    frameworkErrors: (error, _request, reply) =>
      void sendProblem(reply, error.statusCode ?? 400, 'bad_request', error.message),
    ajv: { customOptions: { removeAdditional: false } },
  });
  app.server.maxConnections = CONNECTIONS_MAX;
  await app.register(fastifySwagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Seam public API', version: '1', description: noteOf(options.chains) },
    },
  });
  app.addHook('onResponse', async (_request, reply) => options.onResponse(reply.statusCode));
  app.setErrorHandler(async (error, _request, reply) => await sendError(options, error, reply));
  app.setNotFoundHandler(async (request, reply) =>
    sendProblem(
      reply,
      404,
      'not_found',
      `There is nothing at ${request.method} ${pathOf(request.url)}`,
    ),
  );
  addRoutes(app, options, createMemo(MEMO_MS, MEMO_ENTRIES_MAX, options.nowMs));
  await addPage(app, options.poolName, noteOf(options.chains));
  return app;
}

function pathOf(url: string): string {
  return (url.split('?')[0] ?? '').slice(0, 200);
}

async function sendError(options: HttpApiOptions, error: unknown, reply: FastifyReply) {
  if (error instanceof NotFoundError) return sendProblem(reply, 404, 'not_found', error.message);
  if (error instanceof BooksUnavailableError) {
    reply.header('retry-after', '2');
    return sendProblem(
      reply,
      503,
      'unavailable',
      'The books cannot be read now: Redis does not answer',
    );
  }
  const status = (error as Partial<FastifyError>).statusCode ?? 500; // fastify's errors carry theirs.
  if (status < 500 && error instanceof Error)
    return sendProblem(reply, status, 'bad_request', error.message);
  options.onError(error);
  return sendProblem(reply, 500, 'internal', 'Something went wrong here; it was logged');
}

function sendProblem(
  reply: FastifyReply,
  status: number,
  code: z.infer<typeof apiError>['error']['code'],
  message: string,
) {
  return reply.code(status).send({ error: { code, message } });
}

function addRoutes(app: FastifyInstance, options: HttpApiOptions, memo: Memo): void {
  const { nowMs, books, chains } = options;

  app.get('/healthz', { schema: { hide: true } }, async () => ({
    ok: true,
    redis: options.isStoreUp() ? 'up' : 'away',
  }));

  app.get('/api/v1/openapi.json', { schema: { hide: true } }, async () => app.swagger());

  app.get(
    '/api/v1/pool',
    { schema: { summary: 'The pool and its chains', response: responses(poolView) } },
    async () => await memo.get('pool', () => readPool(options)),
  );

  app.get<{ Querystring: WorkersQuery }>(
    '/api/v1/workers',
    {
      schema: {
        summary: 'Workers of a chain, latest share first',
        querystring: inputSchema(workersQuery),
        response: responses(workersPage),
      },
    },
    async ({ query: { chain, offset, limit } }) => {
      const { id } = oneChain(chains, chain);
      return await memo.get(`workers ${id} ${offset} ${limit}`, async (): Promise<WorkersPage> => {
        const { total, workers } = await books.workers(id, offset, limit, nowMs());
        const views = workers.map((worker) => workerViewOf(id, worker, nowMs()));
        return {
          chain: id,
          total,
          offset,
          limit,
          workers: views.filter((view) => view !== undefined),
        };
      });
    },
  );

  app.get<{ Params: WorkerParams; Querystring: WorkerQuery }>(
    '/api/v1/workers/:name',
    {
      schema: {
        summary: 'One worker, on each chain it mines',
        params: inputSchema(workerParams),
        querystring: inputSchema(workerQuery),
        response: responses(workerPage),
      },
    },
    async ({ params: { name }, query: { chain } }) => {
      const wanted = someChains(chains, chain);
      const found = await memo.get(`worker ${chain ?? ''} ${name}`, () =>
        readWorker(options, wanted, name),
      );
      if (found.length === 0)
        throw new NotFoundError('There is no such worker, or it is long gone');
      return { worker: name, chains: found };
    },
  );

  app.get<{ Querystring: BlocksQuery }>(
    '/api/v1/blocks',
    {
      schema: {
        summary: 'Blocks the pool found, latest first',
        querystring: inputSchema(blocksQuery),
        response: responses(blocksPage),
      },
    },
    async ({ query: { chain, limit, beforeMs } }) => {
      const wanted = someChains(chains, chain);
      const before = beforeMs ?? Number.MAX_SAFE_INTEGER;
      const key = `blocks ${chain ?? ''} ${before} ${limit}`;
      return await memo.get(key, async () => ({
        blocks: await readBlocks(options, wanted, before, limit),
      }));
    },
  );
}

async function readPool({
  poolName,
  chains,
  books,
  tip,
  miners,
  nowMs,
}: HttpApiOptions): Promise<PoolView> {
  const timeMs = nowMs();
  const views = await Promise.all(
    chains.map(async (chain) =>
      chainViewOf(chain, await books.chain(chain.id, timeMs), tip(chain.id), timeMs),
    ),
  );
  return {
    ...{ pool: poolName, isReal: chains.every(isRealChain), note: noteOf(chains), timeMs },
    miners: miners(),
    chains: views,
  };
}

async function readWorker(
  { books, nowMs }: HttpApiOptions,
  chains: readonly ChainFacts[],
  name: string,
): Promise<WorkerView[]> {
  const views = await Promise.all(
    chains.map(async ({ id }) => workerViewOf(id, await books.worker(id, name, nowMs()), nowMs())),
  );
  return views.filter((view) => view !== undefined);
}

async function readBlocks(
  { books }: HttpApiOptions,
  chains: readonly ChainFacts[],
  beforeMs: number,
  limit: number,
): Promise<BlockView[]> {
  const lists = await Promise.all(
    chains.map(async ({ id }) => {
      const blocks = await books.blocks(id, beforeMs, limit);
      return blocks.map((block) => blockViewOf(id, block));
    }),
  );
  const latestFirst = lists.flat().toSorted((a, b) => (b.foundMs ?? 0) - (a.foundMs ?? 0));
  return latestFirst.slice(0, limit);
}

/** @throws {NotFoundError} if the pool has no such chain */
function someChains(
  chains: readonly ChainFacts[],
  wanted: string | undefined,
): readonly ChainFacts[] {
  return wanted === undefined ? chains : [oneChain(chains, wanted)];
}

/** @throws {NotFoundError} if the pool has no such chain */
function oneChain(chains: readonly ChainFacts[], wanted: string | undefined): ChainFacts {
  const chain = wanted === undefined ? chains[0] : chains.find(({ id }) => id === wanted);
  if (chain !== undefined) return chain;
  throw new NotFoundError(
    `There is no chain ${wanted ?? ''}; known: ${chains.map(({ id }) => id).join(', ')}`,
  );
}

/** JSON schema of an answer and of the errors in its place, for checking, writing and the description. */
function responses(schema: z.ZodType) {
  const error = jsonSchema(apiError, 'output');
  return { 200: jsonSchema(schema, 'output'), '4xx': error, '5xx': error };
}

function inputSchema(schema: z.ZodType) {
  return jsonSchema(schema, 'input');
}

function jsonSchema(schema: z.ZodType, io: 'input' | 'output') {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { target: 'draft-07', io });
  return rest;
}
