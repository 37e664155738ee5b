import { inspect } from 'node:util';

/** What stands in the place of a secret wherever a configuration is shown. */
export const redacted = '<redacted>';

/**
 * A text that must not be seen. It prints as {@link redacted} wherever an object prints by itself: string conversion,
 * `JSON.stringify`, `util.inspect`, log lines. Only {@link reveal} gives it away.
 */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return redacted;
  }

  toJSON(): string {
    return redacted;
  }

  [inspect.custom](): string {
    return redacted;
  }
}

const secretName =
  /(?:secret|secretkey|secretaccesskey|password|passwd|passphrase|token|credentials|authorization|(?:account|private|api|license|signing)key)$/;

/**
 * Whether the value of a parameter of this name is a secret. Where berth has a type for the key, the type says it; this
 * list serves the parameters of storage drivers, which are handed through.
 */
export function isSecretName(name: string): boolean {
  return secretName.test(name.toLowerCase().replaceAll(/[-_]/g, ''));
}

/** The same value with every text below a secret name made a {@link Secret}. */
export function concealSecrets(value: unknown, inSecret = false): unknown {
  if (Array.isArray(value)) return value.map((item) => concealSecrets(item, inSecret));
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([key, child]) => [key, concealSecrets(child, inSecret || isSecretName(key))]),
    );
  }
  return inSecret && typeof value === 'string' ? new Secret(value) : value;
}

/** The reverse of {@link concealSecrets}: what a storage driver is given. */
export function revealSecrets(parameters: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(parameters).map(([key, value]) => [key, reveal(value)]));
}

function reveal(value: unknown): unknown {
  if (value instanceof Secret) return value.reveal();
  if (Array.isArray(value)) return value.map(reveal);
  if (typeof value === 'object' && value !== null) return revealSecrets({ ...value });
  return value;
}
