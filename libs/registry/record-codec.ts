/** An instance record as the fields of a Redis hash, each a JSON value. */
import { type InstanceRecord, instanceRecord } from '#libs/contracts/instance-record.ts';

/** `field, value, field, value, …` as HSET takes it. */
export function encodeRecord(record: InstanceRecord): readonly string[] {
  return Object.entries(record).flatMap(([field, value]) => [field, JSON.stringify(value)]);
}

/** @returns undefined if the fields are not a record, such as one of a later version that we cannot read */
export function decodeRecord(flat: readonly string[]): InstanceRecord | undefined {
  const fields: Record<string, unknown> = {};
  try {
    for (let index = 0; index + 1 < flat.length; index += 2)
      fields[flat[index] ?? ''] = JSON.parse(flat[index + 1] ?? '');
  } catch {
    return undefined; // Not ours: the caller counts it.
  }
  const parsed = instanceRecord.safeParse(fields);
  return parsed.success ? parsed.data : undefined;
}
