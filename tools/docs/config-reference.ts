/** docs/config.md from the schema of `seam.yml`: every setting with its kind, default and meaning. */
import { z } from 'zod';
import { poolConfig } from '#libs/contracts/pool-config.ts';

interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly items?: JsonSchema;
  readonly enum?: readonly unknown[];
  readonly default?: unknown;
  readonly description?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly pattern?: string;
  readonly required?: readonly string[];
}

function kindOf(schema: JsonSchema): string {
  if (schema.enum !== undefined)
    return schema.enum.map((value) => `\`${String(value)}\``).join(', ');
  const range =
    schema.minimum !== undefined || schema.maximum !== undefined
      ? ` ${schema.minimum ?? '…'} – ${schema.maximum ?? '…'}`
      : '';
  return `${String(schema.type ?? 'any')}${range}`;
}

function* rowsOf(schema: JsonSchema, path: string): Generator<string> {
  for (const [name, child] of Object.entries(schema.properties ?? {})) {
    const at = path === '' ? name : `${path}.${name}`;
    if (child.properties !== undefined) yield* rowsOf(child, at);
    else if (child.items?.properties !== undefined) {
      yield `| \`${at}\` | list | | ${child.description ?? ''} |`;
      yield* rowsOf(child.items, `${at}[]`);
    } else {
      const standard = child.default === undefined ? '' : `\`${JSON.stringify(child.default)}\``;
      yield `| \`${at}\` | ${kindOf(child)} | ${standard} | ${child.description ?? ''} |`;
    }
  }
}

/** The whole file. */
export function configReference(): string {
  const schema = z.toJSONSchema(poolConfig, { io: 'input' }) as JsonSchema; // JSON Schema is what zod gives here.
  return [
    '# seam.yml',
    '',
    'Generated from `libs/contracts/pool-config.ts` by `npm run docs`. Everything may be left out: an empty file runs',
    '(on devchain, which is not real coins). `./seam config check` says everything that is wrong at once;',
    '`./seam config print` shows the whole configuration with its defaults.',
    '',
    '| setting | values | default | meaning |',
    '|---|---|---|---|',
    ...rowsOf(schema, ''),
    '',
  ].join('\n');
}
