import { startTestDevchain } from '#test/harness/devchain.ts';
await using d = await startTestDevchain({ longPollMempoolMs: 20 });
const t: any = await d.call('getblocktemplate', [{ rules: ['segwit'] }]);
const t0 = performance.now();
const held = d.call('getblocktemplate', [{ rules: ['segwit'], longpollid: t.longpollid }]);
await new Promise((r) => setTimeout(r, 500));
await d.call('devmempool', [3]);
const a: any = await held;
console.log(performance.now() - t0, t.longpollid, a.longpollid, a.transactions.length);
