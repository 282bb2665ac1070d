import { assert, describe as suite, test } from 'vitest';
import { curveKeyPair } from 'zeromq';
import vectors from '#test/vectors/mesh-keys.json' with { type: 'json' };
import { curveClientOptions, findKeyring, zapDomainOf } from './curve.ts';
import { deriveMeshKeys } from './derive-mesh-keys.ts';

suite('deriveMeshKeys()', () => {
  for (const { secret, note, ...expected } of vectors.valid) {
    test(`derives ${expected.keyId}: ${note}`, () => {
      assert.deepEqual(deriveMeshKeys([secret]).own, expected);
    });
  }
  for (const { secrets, note } of vectors.invalid) {
    test(`rejects ${note}`, () => {
      assert.throws(() => deriveMeshKeys(secrets), RangeError);
    });
  }
  test('gives keys of the form libzmq makes', () => {
    const { client, server } = deriveMeshKeys(['a secret of sixteen or more']).own;
    const { publicKey } = curveKeyPair();
    for (const { publicKey: ours, secretKey } of [client, server]) {
      assert.equal(ours.length, publicKey.length);
      assert.equal(secretKey.length, publicKey.length);
    }
    assert.notEqual(client.secretKey, server.secretKey);
  });
  test('keeps several secrets, ours first', () => {
    const { own, all } = deriveMeshKeys(['the newest secret of all', 'the secret before that']);
    assert.equal(all.length, 2);
    assert.equal(all[0], own);
    assert.notEqual(all[0]?.keyId, all[1]?.keyId);
  });
});

suite('curveClientOptions()', () => {
  const meshKeys = deriveMeshKeys(['the newest secret of all', 'the secret before that']);
  test('uses the keys of the secret the server uses', () => {
    const [, older] = meshKeys.all;
    const options = curveClientOptions(meshKeys, older?.keyId ?? '');
    assert.equal(options.curveServerKey, older?.server.publicKey);
    assert.equal(options.curvePublicKey, older?.client.publicKey);
  });
  test('throws for a key id of no secret we know', () => {
    assert.throws(() => curveClientOptions(meshKeys, '00000000'), RangeError);
    assert.isUndefined(findKeyring(meshKeys, '00000000'));
  });
  test('and the domain tells keys apart, not their order of arrival', () => {
    assert.notEqual(
      zapDomainOf(meshKeys),
      zapDomainOf(deriveMeshKeys(['the newest secret of all'])),
    );
  });
});
