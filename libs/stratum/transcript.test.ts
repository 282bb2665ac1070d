/** Lines of the pool byte by byte, as a transcript shows them: replies and notifications. */
import { describe, expect, test } from 'vitest';
import {
  getVersion,
  notify,
  ping,
  reconnect,
  setDifficulty,
  setExtranonce,
  setVersionMask,
  showMessage,
} from './notification.ts';
import { errorReply, falseReply, resultReply, subscribeReply, trueReply } from './reply.ts';
import { parseRequest } from './request.ts';

const idOf = (line: string) => parseRequest(Buffer.from(line)).idJson;

describe('replies', () => {
  test.each([
    [
      '{"id":1,"method":"mining.subscribe"}',
      (id: string) => subscribeReply(id, '9f', '0000002a', 8),
      '{"id":1,"result":[[["mining.set_difficulty","9f"],["mining.notify","9f"]],"0000002a",8],"error":null}\n',
    ],
    ['{"id":"x","method":"mining.submit"}', trueReply, '{"id":"x","result":true,"error":null}\n'],
    [
      '{"id":2,"method":"mining.submit"}',
      (id: string) => errorReply(id, 'unauthorized'),
      '{"id":2,"result":null,"error":[24,"Unauthorized worker",null]}\n',
    ],
    [
      '{"id":3,"method":"mining.authorize"}',
      (id: string) => falseReply(id, 'bad_username', 'not a "litecoin" address'),
      '{"id":3,"result":false,"error":[24,"Unauthorized worker: not a \\"litecoin\\" address",null]}\n',
    ],
    [
      '{"method":"mining.ping"}',
      (id: string) => resultReply(id, 'pong'),
      '{"id":null,"result":"pong","error":null}\n',
    ],
  ])('to %s', (line, reply, expected) => {
    expect(reply(idOf(line)).toString()).toBe(expected);
  });
});

describe('notifications', () => {
  const params = [
    '00112233445566ff',
    'ab',
    'c1',
    'c2',
    ['m1', 'm2'],
    '20000000',
    '1d00ffff',
    '65a1b2c3',
    true,
  ] as const;
  test.each([
    [
      'a job',
      notify(params),
      '{"id":null,"method":"mining.notify","params":["00112233445566ff","ab","c1","c2",["m1","m2"],"20000000","1d00ffff","65a1b2c3",true]}\n',
    ],
    [
      'a difficulty',
      setDifficulty(0.001),
      '{"id":null,"method":"mining.set_difficulty","params":[0.001]}\n',
    ],
    [
      'an extranonce',
      setExtranonce('0000002a', 8),
      '{"id":null,"method":"mining.set_extranonce","params":["0000002a",8]}\n',
    ],
    [
      'a mask',
      setVersionMask(0xe000),
      '{"id":null,"method":"mining.set_version_mask","params":["0000e000"]}\n',
    ],
    [
      'a mask with bit 31',
      setVersionMask(0x80000000 | 0),
      '{"id":null,"method":"mining.set_version_mask","params":["80000000"]}\n',
    ],
    [
      'come again',
      reconnect('same_host', 5),
      '{"id":null,"method":"client.reconnect","params":[]}\n',
    ],
    [
      'come again later',
      reconnect('with_wait', 5),
      '{"id":null,"method":"client.reconnect","params":["",0,5]}\n',
    ],
    [
      'a text',
      showMessage('hi "you"'),
      '{"id":null,"method":"client.show_message","params":["hi \\"you\\""]}\n',
    ],
    ['a question', getVersion(7), '{"id":7,"method":"client.get_version","params":[]}\n'],
    ['a ping', ping(8), '{"id":8,"method":"mining.ping","params":[]}\n'],
  ])('%s', (_, bytes, expected) => {
    expect(bytes.toString()).toBe(expected);
  });
});
