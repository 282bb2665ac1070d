import { assert, suite, test } from 'vitest';
import { CHAINS, chainParams } from '#libs/bitcoin/chains.ts';
import { wrongChain } from './chain-check.ts';

const BITCOIN_MAIN = '000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f';
const LITECOIN_MAIN = '12a765e31ffd4059bada1e25190f6e98c99d9714d334efa41a195a7e7e04bfe2';
const LITECOIN_REGTEST = '530827f38f93b43ed12af0b3ad25a288dc02ed74d6d7857862df51fc56c416f9';
const UNKNOWN = '11'.repeat(32);

suite('wrongChain()', () => {
  const bitcoin = chainParams('bitcoin', 'main');
  const litecoin = chainParams('litecoin', 'main');
  const regtest = chainParams('litecoin', 'regtest');

  test('accepts what is configured', () => {
    assert.isUndefined(wrongChain(bitcoin, 'main', BITCOIN_MAIN));
    assert.isUndefined(wrongChain(litecoin, 'main', LITECOIN_MAIN));
    assert.isUndefined(wrongChain(regtest, 'regtest', LITECOIN_REGTEST));
    assert.isUndefined(wrongChain(chainParams('bitcoin', 'test'), 'testnet4', UNKNOWN));
  });

  test('tells two coins apart that both call their network main', () => {
    assert.equal(wrongChain(bitcoin, 'main', LITECOIN_MAIN), 'litecoin main');
    assert.equal(wrongChain(litecoin, 'main', BITCOIN_MAIN), 'bitcoin main');
  });

  test('tells networks apart', () => {
    assert.equal(wrongChain(litecoin, 'regtest', LITECOIN_REGTEST), 'litecoin regtest');
    assert.equal(wrongChain(regtest, 'test', UNKNOWN), 'network "test"');
  });

  test('accepts a genesis nobody knows on test networks only: devchain has its own', () => {
    assert.isUndefined(wrongChain(chainParams('bitcoin', 'regtest'), 'regtest', UNKNOWN));
    assert.include(wrongChain(bitcoin, 'main', UNKNOWN), 'unknown chain');
  });

  test('accepts each genesis for one row of the chain table at most', () => {
    for (const genesis of [BITCOIN_MAIN, LITECOIN_MAIN, LITECOIN_REGTEST]) {
      const fitting = CHAINS.filter(
        (row) => wrongChain(row, row.nodeChains[0] ?? '', genesis) === undefined,
      );
      assert.lengthOf(fitting, 1);
    }
  });
});
