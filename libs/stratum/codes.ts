/** The errors a miner can be told: number, text, and whether the connection ends with it. */

/** Why a share was refused. */
export type ShareRejectReason =
  | 'unknown_job'
  | 'stale_job'
  | 'duplicate'
  | 'low_difficulty'
  | 'ntime_too_old'
  | 'ntime_too_new'
  | 'bad_version_bits'
  | 'bad_extranonce2_size'
  | 'malformed_submit'
  | 'not_recorded'
  | 'no_work';

/** Why a request was refused. */
export type RejectReason =
  | ShareRejectReason
  | 'unauthorized'
  | 'not_subscribed'
  | 'already_subscribed'
  | 'bad_username'
  | 'too_many_workers'
  | 'different_owner'
  | 'malformed'
  | 'unknown_method'
  | 'not_supported'
  | 'pool_full'
  | 'too_much_junk';

/** Numbers of the field; BIP 310 and everybody else define no others we could rely on. */
export type StratumErrorCode = 20 | 21 | 22 | 23 | 24 | 25;

export interface StratumError {
  readonly code: StratumErrorCode;
  /** Classic texts: miners' logs and statistics look for them. */
  readonly message: string;
  /** True: the answer is the last thing the connection gets. */
  readonly closes: boolean;
}

function error(code: StratumErrorCode, message: string, closes = false): StratumError {
  return { code, message, closes };
}

const ERRORS: Readonly<Record<RejectReason, StratumError>> = {
  unknown_job: error(21, 'Job not found (=stale)'),
  stale_job: error(21, 'Job not found (=stale)'),
  duplicate: error(22, 'Duplicate share'),
  low_difficulty: error(23, 'Low difficulty share'),
  unauthorized: error(24, 'Unauthorized worker'),
  not_subscribed: error(25, 'Not subscribed'),
  ntime_too_old: error(20, 'ntime too old'),
  ntime_too_new: error(20, 'ntime too new'),
  bad_version_bits: error(20, 'invalid version bits'),
  bad_extranonce2_size: error(20, 'invalid extranonce2 size'),
  malformed_submit: error(20, 'malformed submit'),
  not_recorded: error(20, 'share not recorded'),
  no_work: error(20, 'no work at present'),
  already_subscribed: error(20, 'already subscribed'),
  bad_username: error(24, 'Unauthorized worker'),
  too_many_workers: error(24, 'Unauthorized worker'),
  different_owner: error(24, 'Unauthorized worker'),
  malformed: error(20, 'malformed request'),
  unknown_method: error(20, 'unknown method'),
  not_supported: error(20, 'Not supported.'),
  pool_full: error(20, 'pool is full', true),
  too_much_junk: error(20, 'too many malformed requests', true),
};

/** What a miner is told for `reason`. */
export function errorOf(reason: RejectReason): StratumError {
  return ERRORS[reason];
}

/** All reasons, for metrics that want every label from the start. */
export const REJECT_REASONS = Object.keys(ERRORS) as readonly RejectReason[];
