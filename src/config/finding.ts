import { redacted } from './secret.ts';

/** Something to say about one place of the configuration. Never holds a secret. */
export interface Finding {
  /** `file:line` (`file:line:column` for YAML that cannot be read), or the name of the environment variable. */
  readonly source: string;
  /** The dotted path, e.g. `http.tls.minimumtls` or `health.http.0.uri`; empty when the whole is meant. */
  readonly key: string;
  /** The value as it was written, where it is a single one and no secret. */
  readonly value?: string;
  /** Goes on after the key: what is allowed, or what follows, e.g. `must be tls1.2 or tls1.3`. */
  readonly message: string;
}

/** One line for people: `config.yml:7: http.addr "5000" must be …`. */
export function formatFinding({ source, key, value, message }: Finding): string {
  return `${source}: ${[key, value === undefined ? '' : JSON.stringify(value), message].filter((part) => part !== '').join(' ')}`;
}

/** The configuration cannot be used; says everything that is wrong with it at once. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly code = 'CONFIG_INVALID';
  /** Never empty. */
  readonly faults: readonly Finding[];

  constructor(faults: readonly Finding[]) {
    const count = faults.length === 1 ? 'a fault' : `${faults.length} faults`;
    super([`the configuration has ${count}:`, ...faults.map((fault) => `  ${formatFinding(fault)}`)].join('\n'));
    this.faults = faults;
  }
}

/** In characters; longer values add nothing to a message. */
const shownLength = 100;

/** A value as it may stand in a finding. */
export function shownValue(text: string, secret: boolean): string {
  if (secret) return redacted;
  const masked = text.replace(/\/\/[^/\s]*@/g, `//${redacted}@`);
  return masked.length > shownLength ? `${masked.slice(0, shownLength)}…` : masked;
}
