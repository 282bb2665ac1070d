/** From the model to the text of haproxy.cfg. The same model gives the same text. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Eta } from 'eta';
import type { EdgeModel } from './model.ts';

const template = readFileSync(join(import.meta.dirname, 'haproxy.cfg.eta'), 'utf8');
const eta = new Eta({ autoEscape: false, autoTrim: ['nl', false] });

/** Characters that would end a word or begin a comment in haproxy.cfg. */
const UNSAFE = /[\s"'\\#{}]/;

/** @throws {RangeError} if a name or path cannot stand in the file */
export function renderHaproxy(model: EdgeModel): string {
  const words = [
    model.replica,
    model.edge,
    model.folder,
    model.publicBind,
    model.operatorBind,
    ...model.listeners.flatMap(({ name, bind }) => [name, bind]),
  ];
  const unsafe = words.find((word) => word === '' || UNSAFE.test(word));
  if (unsafe !== undefined)
    throw new RangeError(
      `Cannot render haproxy.cfg: ${JSON.stringify(unsafe)} must be one plain word`,
    );
  return `${eta
    .renderString(template, model)
    .replace(/\n{3,}/g, '\n\n')
    .trimEnd()}\n`;
}
