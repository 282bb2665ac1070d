/** A link server as a process of its own, to be killed and stopped. Tells what it sees on stdout, a line an event. */
import { pino } from 'pino';
import { Registry as MetricRegistry } from '@prometheus-io/client';
import { deriveMeshKeys } from '#libs/bus/derive-mesh-keys.ts';
import { createLinkServer } from './link-server.ts';

const [secret = '', id = '', bootId = ''] = process.argv.slice(2);
const say = (text: string) => process.stdout.write(`${text}\n`);

const server = await createLinkServer({
  identity: { id, bootId },
  bindAddress: '127.0.0.1',
  advertiseAddress: '127.0.0.1',
  portRange: [24_500, 24_999],
  meshKeys: deriveMeshKeys([secret]),
  log: pino({ enabled: false }),
  metrics: new MetricRegistry(),
  onSessionOpened: () => say('opened'),
  onMessage: (_peer, items) => say(`items ${items.length}`),
  onSessionEnded: (_peer, reason) => say(`ended ${reason}`),
  load: () => ({ load: 0, accepts: true }),
});
say(`endpoint ${server.endpoint}`);
