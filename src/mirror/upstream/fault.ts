import type { UpstreamFault } from './errors.ts';

/** In characters. */
const maxMessage = 200;

/**
 * What went wrong in the upstream's own words: the first of the specification's `errors`, or what token servers write
 * instead (`details` of Docker Hub, `error` and `error_description` of RFC 6749, 5.2).
 *
 * @param secrets are cut out, as a server may repeat what it was sent
 * @returns nothing when the body is not JSON, or says nothing
 */
export function readFault(body: Buffer, secrets: readonly string[] = []): UpstreamFault {
  let json: unknown;
  try {
    json = JSON.parse(body.toString('utf8'));
  } catch {
    return {};
  }
  if (!isObject(json)) return {};
  const first: unknown = Array.isArray(json.errors) ? json.errors[0] : undefined;
  const [code, message] = isObject(first)
    ? [first.code, first.message]
    : [json.code ?? json.error, json.message ?? json.error_description ?? json.details];
  return {
    ...(typeof code === 'string' && /^\w{1,64}$/.test(code) && { code }),
    ...(typeof message === 'string' && message !== '' && { message: presentable(message, secrets) }),
  };
}

function presentable(text: string, secrets: readonly string[]): string {
  let clean = text;
  for (const secret of secrets) if (secret !== '') clean = clean.replaceAll(secret, '…');
  clean = clean.replaceAll(/[\p{C}\p{Z}]+/gu, ' ').trim();
  return clean.length > maxMessage ? `${clean.slice(0, maxMessage)}…` : clean;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
