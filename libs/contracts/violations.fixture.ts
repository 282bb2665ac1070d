/** Values a schema must refuse, found from the schema itself: one field wrong at a time. */
import { z } from 'zod';

interface JsonSchema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: JsonSchema | boolean;
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly maxItems?: number;
}

export interface Violation {
  /** `job.coinbase.valueSat: below its minimum` */
  readonly what: string;
  readonly value: unknown;
}

type Path = readonly (string | number)[];

/** Each field of `example` in turn missing, of another type, or just out of its bounds. */
export function violationsOf(schema: z.ZodType, example: unknown): readonly Violation[] {
  const found: Violation[] = [];
  const note = (path: Path, how: string, value: unknown) =>
    found.push({ what: `${path.join('.')}: ${how}`, value: replaced(example, path, value) });

  function visit(path: Path, node: JsonSchema, value: unknown): void {
    if (path.length > 0)
      note(path, 'of another type', typeof value === 'number' ? 'text' : 4.5e300);
    for (const branch of [node, ...(node.anyOf ?? [])]) {
      for (const [how, wrong] of outOfBounds(branch, value)) note(path, how, wrong);
      visitInside(path, branch, value);
    }
  }
  function visitInside(path: Path, node: JsonSchema, value: unknown): void {
    if (Array.isArray(value)) {
      value.forEach((item, index) => visit([...path, index], node.items ?? {}, item));
    } else if (typeof value === 'object' && value !== null) {
      for (const [name, child] of Object.entries(value)) {
        const inside = node.properties?.[name] ?? recordOf(node);
        if (inside === undefined) continue; // Of another branch of a union.
        if (node.required?.includes(name) === true) note([...path, name], 'missing', undefined);
        visit([...path, name], inside, child);
      }
    }
  }
  visit([], jsonSchemaOf(schema), example);
  return found;
}

function recordOf(node: JsonSchema): JsonSchema | undefined {
  return typeof node.additionalProperties === 'object' ? node.additionalProperties : undefined;
}

function* outOfBounds(node: JsonSchema, value: unknown): Generator<readonly [string, unknown]> {
  const { minimum, maximum, minLength, maxLength, maxItems } = node;
  if (node.enum !== undefined) yield ['none of its values', 'no_such_value'];
  if (node.pattern !== undefined) yield ['not of its pattern', '(*)'];
  if (node.type === 'integer') yield ['not whole', 0.5];
  if (minimum !== undefined && minimum > Number.MIN_SAFE_INTEGER)
    yield ['below its minimum', minimum - 1];
  if (maximum !== undefined) yield ['above its maximum', maximum + 1];
  if (minLength !== undefined && minLength > 0) yield ['too short', 'x'.repeat(minLength - 1)];
  if (maxLength !== undefined) yield ['too long', 'x'.repeat(maxLength + 1)];
  if (maxItems !== undefined && Array.isArray(value)) {
    yield ['too many', Array.from({ length: maxItems + 1 }, () => value[0])];
  }
}

/** A copy of `whole` with another value at `path`; `undefined` takes the field away. */
function replaced(whole: unknown, path: Path, value: unknown): unknown {
  const [step, ...rest] = path;
  if (step === undefined) return value;
  if (Array.isArray(whole))
    return whole.with(Number(step), replaced(whole[Number(step)], rest, value));
  const object = whole as Readonly<Record<string, unknown>>; // The path was made by walking this value.
  const { [step]: old, ...others } = object;
  const changed = replaced(old, rest, value);
  return changed === undefined ? others : { ...others, [step]: changed };
}

/** A copy with a field of a later release in every object, but not in records, whose names are values. */
export function withUnknownFields(schema: z.ZodType, example: unknown): unknown {
  function extend(node: JsonSchema, value: unknown): unknown {
    if (Array.isArray(value)) return value.map((item) => extend(branchOf(node).items ?? {}, item));
    if (typeof value !== 'object' || value === null) return value;
    const { properties } = branchOf(node);
    if (properties === undefined) return value;
    const entries = Object.entries(value).map(([name, child]) => [
      name,
      extend(properties[name] ?? {}, child),
    ]);
    return { ...Object.fromEntries(entries), fieldOfLater: { n: 1 } };
  }
  return extend(jsonSchemaOf(schema), example);
}

/** Of a union with null, the other branch. */
function branchOf(node: JsonSchema): JsonSchema {
  return node.anyOf?.find(({ type }) => type !== 'null') ?? node;
}

function jsonSchemaOf(schema: z.ZodType): JsonSchema {
  return z.toJSONSchema(schema, { io: 'input' }) as JsonSchema; // The part of JSON Schema that zod writes here.
}
