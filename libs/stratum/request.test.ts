import { describe, expect, test } from 'vitest';
import { parseRequest } from './request.ts';

const parse = (text: string) => parseRequest(Buffer.from(text));

describe('parseRequest()', () => {
  /** Lines as real miners send them; what is not compared here is checked by the types. */
  const requests: readonly [what: string, line: string, expected: object][] = [
    [
      'cgminer subscribes',
      '{"id": 0, "method": "mining.subscribe", "params": ["cgminer/4.10.0"]}',
      { idJson: '0', method: 'mining.subscribe', userAgent: 'cgminer/4.10.0', sessionId: '' },
    ],
    [
      'cgminer resumes',
      '{"id": 0, "method": "mining.subscribe", "params": ["cgminer/4.10.0", "9f00"]}',
      { method: 'mining.subscribe', sessionId: '9f00' },
    ],
    [
      'EthereumStratum style with host and port and no session',
      '{"id":1,"method":"mining.subscribe","params":["ua",null,"pool.example","3333"]}',
      { method: 'mining.subscribe', userAgent: 'ua', sessionId: '' },
    ],
    ['no params', '{"id":1,"method":"mining.subscribe"}', { userAgent: '', sessionId: '' }],
    ['params null', '{"id":1,"method":"mining.subscribe","params":null}', { userAgent: '' }],
    [
      'an agent with control characters',
      '{"id":1,"method":"mining.subscribe","params":["a\\u0000b\\né"]}',
      { userAgent: 'a?b??' },
    ],
    [
      'authorize',
      '{"params": ["addr.rig", "x,d=8"], "id": "auth", "method": "mining.authorize"}',
      { idJson: '"auth"', method: 'mining.authorize', username: 'addr.rig', password: 'x,d=8' },
    ],
    [
      'authorize without password',
      '{"id":2,"method":"mining.authorize","params":["addr"]}',
      { username: 'addr', password: '' },
    ],
    [
      'submit',
      '{"id":4,"method":"mining.submit","params":["a","0123456789abcdef","00","00","00"]}',
      { method: 'mining.submit', params: ['a', '0123456789abcdef', '00', '00', '00'] },
    ],
    [
      'suggest_difficulty as a string',
      '{"id":5,"method":"mining.suggest_difficulty","params":["0.5"]}',
      { method: 'mining.suggest_difficulty', difficulty: 0.5 },
    ],
    [
      'suggest_target',
      '{"id":5,"method":"mining.suggest_target","params":["00000000FFFF0000000000000000000000000000000000000000000000000000"]}',
      { method: 'mining.suggest_target', target: 0xffffn << 208n },
    ],
    ['extranonce.subscribe', '{"id":6,"method":"mining.extranonce.subscribe","params":[]}', {}],
    ['multi_version', '{"id":6,"method":"mining.multi_version","params":[1]}', { version: 1 }],
    ['ping', '{"id":7,"method":"mining.ping"}', { method: 'mining.ping' }],
    ['the pong of ESP-Miner', '{"id":7,"method":"pong","params":[]}', { method: 'pong' }],
    [
      'a transaction list',
      '{"id":7,"method":"mining.get_transactions","params":["ab"]}',
      { jobId: 'ab' },
    ],
    [
      'something unknown',
      '{"id":8,"method":"eth_getWork"}',
      { method: 'unknown', name: 'eth_getWork' },
    ],
  ];
  test.each(requests)('reads %s', (_, line, expected) => {
    expect(parse(line)).toMatchObject({ kind: 'request', ...expected });
  });

  test('reads the configure of BIP 310', () => {
    const request = parse(
      '{"method":"mining.configure","id":1,"params":[["minimum-difficulty","version-rolling"],' +
        '{"minimum-difficulty.value":2048,"version-rolling.mask":"1fffe000","version-rolling.min-bit-count":2}]}',
    );
    expect(request).toMatchObject({
      method: 'mining.configure',
      extensions: ['minimum-difficulty', 'version-rolling'],
      parameters: new Map<string, unknown>([
        ['minimum-difficulty.value', 2048],
        ['version-rolling.mask', '1fffe000'],
        ['version-rolling.min-bit-count', 2],
      ]),
    });
  });

  test('reads a configure whose parameters are missing or no object', () => {
    for (const rest of ['', ',null', ',[]', ',7']) {
      const request = parse(`{"id":1,"method":"mining.configure","params":[["x"]${rest}]}`);
      expect(request).toMatchObject({ method: 'mining.configure', extensions: ['x'] });
    }
  });

  test.each([
    ['1', '1'],
    ['-3', '-3'],
    ['"1"', '"1"'],
    ['"é\\n"', '"é\\n"'],
    ['null', 'null'],
    ['18446744073709551615', '18446744073709551615'],
    ['1.50', '1.50'],
    ['1e400', '1e400'],
  ])('echoes the id %s as it is', (id, idJson) => {
    expect(
      parse(`{"params":[{"id":5}],"id":${id},"method":"mining.ping","x":{"id":9}}`).idJson,
    ).toBe(idJson);
  });

  test('takes a missing id as null', () => {
    expect(parse('{"method":"mining.ping"}')).toMatchObject({ kind: 'request', idJson: 'null' });
  });

  test('tells an answer to our question from a request', () => {
    const line = '{"id":3,"result":"bmminer/1.0","error":null}';
    expect(parse(line)).toEqual({ kind: 'response', idJson: '3', result: 'bmminer/1.0' });
  });

  test.each([
    ['nothing', '', 'not_json'],
    ['half a line', '{"id":1,"method":"mining.sub', 'not_json'],
    ['HTTP', 'GET / HTTP/1.1', 'not_json'],
    ['bytes that are no UTF-8', '\u0000', 'not_json'],
    ['an array', '[1,2]', 'not_an_object'],
    ['a number', '7', 'not_an_object'],
    ['null', 'null', 'not_an_object'],
    ['an object as id', '{"id":{},"method":"mining.ping"}', 'bad_id'],
    ['a flag as id', '{"id":true,"method":"mining.ping"}', 'bad_id'],
    ['a huge id', `{"id":"${'x'.repeat(300)}","method":"mining.ping"}`, 'bad_id'],
    ['no method', '{"id":1}', 'no_method'],
    ['a method that is no string', '{"id":1,"method":5}', 'no_method'],
    ['a method by prototype', '{"id":1,"__proto__":{"method":"mining.ping"}}', 'no_method'],
    ['params as object', '{"id":1,"method":"mining.submit","params":{}}', 'bad_params'],
    [
      'too many params',
      `{"id":1,"method":"mining.submit","params":[${'1,'.repeat(16)}1]}`,
      'bad_params',
    ],
    ['authorize without a name', '{"id":1,"method":"mining.authorize","params":[]}', 'bad_params'],
    [
      'a long name',
      `{"id":1,"method":"mining.authorize","params":["${'a'.repeat(256)}"]}`,
      'bad_params',
    ],
    [
      'a negative difficulty',
      '{"id":1,"method":"mining.suggest_difficulty","params":[-1]}',
      'bad_params',
    ],
    ['difficulty of nothing', '{"id":1,"method":"mining.suggest_difficulty"}', 'bad_params'],
    [
      'an infinite difficulty',
      '{"id":1,"method":"mining.suggest_difficulty","params":[1e999]}',
      'bad_params',
    ],
    ['a target of 0', '{"id":1,"method":"mining.suggest_target","params":["00"]}', 'bad_params'],
    [
      'configure without a list',
      '{"id":1,"method":"mining.configure","params":["x"]}',
      'bad_params',
    ],
    ['configure of numbers', '{"id":1,"method":"mining.configure","params":[[1]]}', 'bad_params'],
  ])('calls %s malformed', (_, line, reason) => {
    expect(parse(line)).toMatchObject({ kind: 'malformed', reason });
  });

  test('answers malformed parameters under their id', () => {
    expect(parse('{"id":"q","method":"mining.authorize","params":[1]}').idJson).toBe('"q"');
  });

  test('survives deep nesting', () => {
    const deep = `{"id":1,"method":"x","params":${'['.repeat(8_000)}${']'.repeat(8_000)}}`;
    expect(parse(deep)).toMatchObject({ kind: 'request', method: 'unknown' });
    expect(parse(`{"id":1.5,"x":${'['.repeat(8_000)}${']'.repeat(8_000)}}`).kind).toBe('malformed');
  });
});
