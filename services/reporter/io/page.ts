/** The page at `/`: plain HTML with the numbers of the API, no build step. Its text is escaped by the template. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Eta } from 'eta';
import type { FastifyInstance } from 'fastify';

const FOLDER = join(import.meta.dirname, '..', 'page');
const SECURITY = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

export async function addPage(app: FastifyInstance, pool: string, note: string): Promise<void> {
  const template = await readFile(join(FOLDER, 'index.eta'), 'utf8');
  const html = new Eta({ autoEscape: true }).renderString(template, { pool, note });
  const files = [
    { path: '/', type: 'text/html; charset=utf-8', text: html },
    ...(await Promise.all(
      [
        { path: '/seam.css', type: 'text/css; charset=utf-8' },
        { path: '/seam.js', type: 'text/javascript; charset=utf-8' },
      ].map(async (file) => ({ ...file, text: await readFile(join(FOLDER, file.path), 'utf8') })),
    )),
  ];
  for (const { path, type, text } of files)
    app.get(path, { schema: { hide: true } }, async (_request, reply) =>
      reply
        .header('content-security-policy', SECURITY)
        .header('x-content-type-options', 'nosniff')
        .header('cache-control', 'no-cache')
        .type(type)
        .send(text),
    );
}
