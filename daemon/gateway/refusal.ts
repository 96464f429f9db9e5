/**
 * The closed set of coded "no" answers of the gateway, with their HTTP status. Whatever the code: no tool was started.
 * An engine's own refusal is passed on under the engine's code.
 */
export const GATEWAY_REFUSALS = {
  'gateway.not_requester': 403,
  'gateway.already_used': 409,
  'gateway.too_old': 409,
  'gateway.permit_missing': 502,
  'gateway.permit_unverifiable': 403,
  'gateway.permit_unusable': 403,
  'gateway.action_differs': 403,
  'gateway.bundle_unverifiable': 403,
  'gateway.call_differs': 403,
  'gateway.redemption_refused': 409,
  'gateway.redemption_unverifiable': 403,
  'gateway.sensitive_differs': 403,
  'gateway.tool_changed': 503,
  'gateway.credential_missing': 503,
  'gateway.credential_unusable': 503,
  'gateway.engine_unreachable': 503,
  'gateway.engine_refused': 502,
  'gateway.journal_unavailable': 503,
  'gateway.overloaded': 503,
  'gateway.stopping': 503,
} as const;

export type GatewayRefusalCode = keyof typeof GATEWAY_REFUSALS;

export interface GatewayRefusal {
  readonly refused: GatewayRefusalCode;
  readonly status: number;
  /** What happened, what was not done, what to do next. Never holds a payload value. */
  readonly message: string;
  /** The engine's own code, when it was the engine that said no; the reason's code when verification did. */
  readonly because?: string;
}

/** A refusal with its code's status; `because` is the code of whoever refused first. */
export function refuse(code: GatewayRefusalCode, message: string, because?: string): GatewayRefusal {
  return {
    refused: code,
    status: GATEWAY_REFUSALS[code],
    message,
    ...(because === undefined ? {} : { because }),
  };
}

/** Tells a refusal from a step's result. */
export function isRefused(value: unknown): value is GatewayRefusal {
  return typeof value === 'object' && value !== null && 'refused' in value;
}
