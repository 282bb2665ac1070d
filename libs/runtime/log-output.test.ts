import { closeSync, openSync } from 'node:fs';
import { expect, test } from 'vitest';
import { LogOutput } from './log-output.ts';
import { createLogger } from './logger.ts';

test('a full disk costs the line, is counted, and throws nothing', () => {
  const fd = openSync('/dev/full', 'w');
  const output = new LogOutput(fd);
  let dropped = 0;
  output.onDropped(() => {
    dropped += 1;
  });
  const log = createLogger('info', { role: 'x' }, output);
  log.info('one');
  log.fatal({ err: new Error('two') }, 'our bug');
  closeSync(fd);
  log.info('three');
  expect(dropped).toBe(3);
});
