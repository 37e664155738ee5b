/** Something about one key of a driver's section in the configuration. */
export interface OptionFinding {
  readonly key: string;
  /** As it was given. Never a secret: a driver that reads secrets leaves it undefined. */
  readonly value: unknown;
  /** Goes on after the key and its value: what is allowed, e.g. `must be a whole number`. Never holds the value. */
  readonly message: string;
}

export type ParsedOptions<Options> =
  | { readonly options: Options; readonly warnings: readonly OptionFinding[] }
  | { readonly faults: readonly OptionFinding[]; readonly warnings: readonly OptionFinding[] };

/** The driver's section cannot be used; `faults` has all that is wrong with it. */
export class DriverOptionsError extends Error {
  override readonly name = 'DriverOptionsError';
  readonly driver: string;
  readonly faults: readonly OptionFinding[];

  constructor(driver: string, faults: readonly OptionFinding[]) {
    super(faults.map(({ key, message }) => `storage.${driver}${key && `.${key}`} ${message}`).join('; '));
    this.driver = driver;
    this.faults = faults;
  }
}

/**
 * Reads a driver's parameters key by key and gathers every fault instead of stopping at the first. Values come from
 * YAML and from the environment, so a number may arrive as a string.
 */
export class OptionReader {
  readonly #parameters: Readonly<Record<string, unknown>>;
  readonly #known = new Set<string>();
  readonly #faults: OptionFinding[] = [];
  readonly #warnings: OptionFinding[] = [];

  constructor(parameters: Readonly<Record<string, unknown>>) {
    this.#parameters = parameters;
  }

  /** A text that is not empty. YAML may have read it as a number or a truth value. */
  text(key: string, fallback: string): string {
    const value = this.#take(key);
    if (value === undefined) return fallback;
    if (typeof value === 'number' || typeof value === 'boolean') return String(value);
    if (typeof value === 'string' && value !== '') return value;
    this.fault(key, value, 'must be a text that is not empty');
    return fallback;
  }

  /** A whole number from 0 up to 2^53 - 1. */
  wholeNumber(key: string, fallback: number): number {
    const value = this.#take(key);
    if (value === undefined) return fallback;
    const number = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value;
    if (typeof number === 'number' && Number.isSafeInteger(number) && number >= 0) return number;
    this.fault(key, value, 'must be a whole number');
    return fallback;
  }

  /** `true` or `false`; from the environment also `1`, `0`, `yes`, `no`, as YAML 1.1 and Go spell them. */
  truth(key: string, fallback: boolean): boolean {
    const value = this.#take(key);
    if (value === undefined) return fallback;
    const text = String(value).toLowerCase();
    if (['true', '1', 'yes', 'on', 't'].includes(text)) return true;
    if (['false', '0', 'no', 'off', 'f'].includes(text)) return false;
    this.fault(key, value, 'must be true or false');
    return fallback;
  }

  /** A text that nobody may see; empty counts as absent. */
  secret(key: string): string | undefined {
    const value = this.#take(key);
    if (value === undefined || value === '') return undefined;
    if (typeof value === 'string' || typeof value === 'number') return String(value);
    this.fault(key, undefined, 'must be a text');
    return undefined;
  }

  /** A text, or undefined when it is absent or empty. */
  optional(key: string): string | undefined {
    const value = this.#take(key);
    if (value === undefined || value === '') return undefined;
    if (['string', 'number', 'boolean'].includes(typeof value)) return String(value);
    this.fault(key, value, 'must be a text');
    return undefined;
  }

  fault(key: string, value: unknown, rule: string): void {
    this.#faults.push({ key, value, message: rule });
  }

  warn(key: string, value: unknown, rule: string): void {
    this.#warnings.push({ key, value, message: rule });
  }

  /** @param options what was read; only used when nothing was wrong. */
  finish<Options>(options: Options): ParsedOptions<Options> {
    const known = [...this.#known].join(', ');
    for (const [key, value] of Object.entries(this.#parameters)) {
      if (this.#known.has(key)) continue;
      this.warn(key, value, known === '' ? 'is not known and ignored' : `is not known and ignored; known are ${known}`);
    }
    const warnings = this.#warnings;
    return this.#faults.length === 0 ? { options, warnings } : { faults: this.#faults, warnings };
  }

  /** An absent key, and one without a value (`rootdirectory:` alone in YAML is null), take the default. */
  #take(key: string): unknown {
    this.#known.add(key);
    return this.#parameters[key] ?? undefined;
  }
}
