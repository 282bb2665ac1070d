/** Answers as ready bytes: one line of JSON with its LF. */
import { Buffer } from 'node:buffer';
import { errorOf, type RejectReason } from './codes.ts';

/** @param idJson the request's id as JSON text, echoed with its type */
export function resultReply(idJson: string, result: unknown): Buffer {
  return Buffer.from(`{"id":${idJson},"result":${JSON.stringify(result)},"error":null}\n`);
}

/** The answer of nearly every share: no JSON encoding. */
export function trueReply(idJson: string): Buffer {
  return Buffer.from(`{"id":${idJson},"result":true,"error":null}\n`);
}

/** The answer to mining.subscribe. @param extranonce1 lower-case hex */
export function subscribeReply(
  idJson: string,
  sessionId: string,
  extranonce1: string,
  extranonce2Size: number,
): Buffer {
  // cgminer takes the id beside mining.notify as the session id it resumes with.
  const subscriptions = [
    ['mining.set_difficulty', sessionId],
    ['mining.notify', sessionId],
  ];
  return resultReply(idJson, [subscriptions, extranonce1, extranonce2Size]);
}

/**
 * A refusal with `result: null`, for everything but authorize.
 *
 * @param detail follows the classic text after `: `
 */
export function errorReply(idJson: string, reason: RejectReason, detail = ''): Buffer {
  return Buffer.from(`{"id":${idJson},"result":null,"error":${errorJson(reason, detail)}}\n`);
}

/** A refusal with `result: false`: of mining.authorize and mining.extranonce.subscribe. */
export function falseReply(idJson: string, reason: RejectReason, detail = ''): Buffer {
  return Buffer.from(`{"id":${idJson},"result":false,"error":${errorJson(reason, detail)}}\n`);
}

function errorJson(reason: RejectReason, detail: string): string {
  const { code, message } = errorOf(reason);
  return JSON.stringify([code, detail === '' ? message : `${message}: ${detail}`, null]);
}
