/**
 * A process for adoption tests: `own <folder> <count>` opens a journal, writes that many shares and waits to be killed;
 * `adopt <folder>` waits for a line on stdin, then adopts once, says how much, and waits.
 */
import { once } from 'node:events';
import { adoptJournals } from './adopt.ts';
import { openIn, settingsIn, writeShares } from './journal.fixture.ts';

const [, , role, folder = '', count = '0'] = process.argv;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

if (role === 'own') {
  const journal = await openIn(settingsIn(folder));
  writeShares(journal, 0, Number(count));
  say(`ready ${journal.id}`);
}
if (role === 'adopt') {
  say('ready');
  await once(process.stdin, 'data');
  const adopted = await adoptJournals(settingsIn(folder));
  say(`adopted ${adopted.map(({ id, nextIndex }) => `${id}:${nextIndex}`).join(',')}`);
}
process.stdin.resume();
