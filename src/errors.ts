// Every way a request can fail, on one page: the code, its HTTP status, what it says in Korean and in English.
// `graphql/response.ts` is the only place that puts these on the wire. No message echoes a value.

import { StacklessError } from './platform/stackless.ts'

/** One row: the status holds for clients that ask for `application/graphql-response+json`. */
interface ErrorRow {
  readonly status: number
  readonly meaning: string
  readonly ko: string
  readonly en: string
}

/** The closed table of error codes. `meaning` becomes the description in the schema. */
export const ERRORS = {
  GRAPHQL_PARSE_FAILED: {
    status: 400,
    meaning: 'The text of the operation is not GraphQL.',
    ko: 'GraphQL 문법에 맞지 않는 요청입니다.',
    en: 'The request is not valid GraphQL.',
  },
  GRAPHQL_VALIDATION_FAILED: {
    status: 400,
    meaning: 'The operation does not fit this schema.',
    ko: '스키마에 맞지 않는 요청입니다.',
    en: 'The request does not fit the schema.',
  },
  BAD_USER_INPUT: {
    status: 400,
    meaning:
      'The request is malformed: its JSON, its envelope, its choice of operation or a variable.',
    ko: '요청 형식이 올바르지 않습니다.',
    en: 'The request is malformed.',
  },
  QUERY_TOO_COMPLEX: {
    status: 400,
    meaning: 'The operation is larger than this server executes; `limit` names the limit.',
    ko: '요청이 허용된 크기나 복잡도를 초과했습니다.',
    en: 'The request exceeds a size or complexity limit.',
  },
  NOT_FOUND: {
    status: 404,
    meaning: 'There is nothing at this path.',
    ko: '존재하지 않는 경로입니다.',
    en: 'There is nothing at this address.',
  },
  METHOD_NOT_ALLOWED: {
    status: 405,
    meaning: 'Operations are sent by POST, queries too.',
    ko: '조회를 포함한 모든 요청은 POST로 보내 주십시오.',
    en: 'Send operations, queries included, by POST.',
  },
  PAYLOAD_TOO_LARGE: {
    status: 413,
    meaning: 'The body is larger than 100 KiB.',
    ko: '요청 본문이 너무 큽니다.',
    en: 'The request body is too large.',
  },
  UNSUPPORTED_MEDIA_TYPE: {
    status: 415,
    meaning: 'The body must be `application/json` in UTF-8, not compressed.',
    ko: '요청 본문은 압축하지 않은 UTF-8 application/json이어야 합니다.',
    en: 'The body must be application/json in UTF-8, not compressed.',
  },
  INVALID_EMAIL: {
    status: 200,
    meaning: 'This e-mail address is not accepted; `reason` says why.',
    ko: '올바른 이메일 주소가 아닙니다.',
    en: 'This is not a valid e-mail address.',
  },
  WEAK_PASSWORD: {
    status: 200,
    meaning:
      'This password is not accepted; `reason` says why, and `minLength` or `maxLength` how long it may be.',
    ko: '사용할 수 없는 비밀번호입니다.',
    en: 'This password cannot be used.',
  },
  EMAIL_TAKEN: {
    status: 200,
    meaning: 'A user with this e-mail address exists.',
    ko: '이미 가입된 이메일 주소입니다.',
    en: 'This e-mail address is already in use.',
  },
  INVALID_CREDENTIALS: {
    status: 200,
    meaning:
      'The credentials are refused, for whatever reason. Where only a password was asked for, `field` names it.',
    ko: '이메일 또는 비밀번호가 올바르지 않습니다.',
    en: 'The e-mail address or the password is wrong.',
  },
  UNAUTHENTICATED: {
    status: 200,
    meaning: 'The field needs a valid access token in the `Authorization` header.',
    ko: '로그인이 필요합니다.',
    en: 'Log in first.',
  },
  INVALID_REFRESH_TOKEN: {
    status: 200,
    meaning: 'The refresh token is unknown, expired, reused or ended.',
    ko: '다시 로그인해 주십시오.',
    en: 'Log in again.',
  },
  RATE_LIMITED: {
    status: 429,
    meaning: 'Too many attempts; try again after `retryAfter` seconds.',
    ko: '시도 횟수가 너무 많습니다. 나중에 다시 시도해 주십시오.',
    en: 'Too many attempts. Try again later.',
  },
  OVERLOADED: {
    status: 503,
    meaning: 'The server is busy; try again after `retryAfter` seconds.',
    ko: '요청이 많아 처리하지 못했습니다. 잠시 후 다시 시도해 주십시오.',
    en: 'The server is busy. Try again shortly.',
  },
  SERVICE_UNAVAILABLE: {
    status: 503,
    meaning:
      'A part that the request needs cannot be reached or takes too long; try again after `retryAfter` seconds. A mutation may have been carried out.',
    ko: '지금은 서비스를 이용할 수 없습니다. 잠시 후 다시 시도해 주십시오.',
    en: 'The service is unavailable right now. Try again shortly.',
  },
  INTERNAL_SERVER_ERROR: {
    status: 500,
    meaning: 'A fault of the server; find it in the log by its `requestId`.',
    ko: '서버 오류가 발생했습니다.',
    en: 'Something went wrong on the server.',
  },
} as const satisfies Record<string, ErrorRow>

/** Why an e-mail address or a password was refused: the `reason` beside `INVALID_EMAIL` and `WEAK_PASSWORD`. */
export const INPUT_FAULTS = {
  too_short: 'Shorter than this server accepts.',
  too_long: 'Longer than this server accepts.',
  common: 'Among the passwords that attackers try first.',
  breached: 'Known from a breach elsewhere.',
  context: 'Made from the e-mail address or the name of the service.',
  malformed: 'Not a well-formed e-mail address or password.',
} as const

/** A code of the table. */
export type ErrorCode = keyof typeof ERRORS
/** A reason of the table. */
export type InputFault = keyof typeof INPUT_FAULTS
/** The languages that messages exist in. */
export type Language = 'ko' | 'en'

/** What may accompany a code on the wire. */
export interface ErrorDetails {
  /** The argument, variable or property at fault: a name, never its value. */
  readonly field?: string
  readonly reason?: InputFault
  /** Of a password that is too short, or too long: how many code points it must or may have. */
  readonly minLength?: number
  readonly maxLength?: number
  /** Whole seconds until it is worth trying again. */
  readonly retryAfter?: number
  /** The limit of the request that was exceeded. */
  readonly limit?: string
}

/** A failure that the client may know about. Anything else that is thrown leaves as `INTERNAL_SERVER_ERROR`. */
export class AuthError extends StacklessError {
  override readonly name = 'AuthError'
  readonly code: ErrorCode
  readonly details: ErrorDetails

  constructor(code: ErrorCode, details: ErrorDetails = {}) {
    super(code)
    this.code = code
    this.details = details
  }
}

/** The client has hung up while waiting in line: nobody reads this answer, and nobody is at fault. */
export class ClientLeft extends AuthError {
  constructor() {
    super('OVERLOADED', { retryAfter: 1 })
  }
}

/** The sentence for a code in a language. */
export function messageOf(code: ErrorCode, language: Language): string {
  return ERRORS[code][language]
}
