import { validateHeaderName, validateHeaderValue } from 'node:http';
import { setFlagsFromString } from 'node:v8';
import { z } from 'zod';
import { parseAddress } from './address.ts';
import { formatByteSize, parseByteSize } from './byte-size.ts';
import { formatDuration, parseDuration } from './duration.ts';
import { redacted, Secret } from './secret.ts';

/*
 * The types of single keys. Each reads what the file says and can write it again (`z.encode`), which is how the
 * effective configuration is printed. A message goes on after the name of the key.
 */

export const text = z.string();

export const flag = z.boolean();

/** A whole number from `least` on. */
export function count(least = 0): z.ZodInt {
  return z.int().min(least, { error: `must be a whole number of at least ${least}` });
}

/** A whole number of which 0 means the default, as Go's zero value does for distribution; negative ones where `negative`. */
export function countOr(fallback: number, negative: 'as 0' | 'refused') {
  return z
    .codec(negative === 'refused' ? count() : z.int(), z.int(), {
      decode: (number) => (number <= 0 ? fallback : number),
      encode: (number) => number,
    })
    .default(fallback);
}

/** One of some words, in any case. */
export function choice<const Word extends string>(words: readonly [Word, ...Word[]], reason = '') {
  return z
    .string()
    .toLowerCase()
    .pipe(z.enum(words, { error: `must be one of ${words.join(', ')}${reason}` }));
}

/**
 * A span of time as {@link parseDuration} reads it; in milliseconds. It may be longer than `setTimeout` can wait
 * (`longestTimer`): whoever sets a timer must see to that.
 *
 * @param zero what 0 means: itself, nothing (it is refused), or this many milliseconds
 */
export function duration(zero: 'allowed' | 'refused' | number) {
  return z.codec(z.string(), z.number(), {
    decode: (input, context) => {
      const length = parseDuration(input);
      if (length === undefined || (length === 0 && zero === 'refused')) {
        const longer = zero === 'refused' ? ', longer than 0' : '';
        context.issues.push({
          code: 'custom',
          input,
          message: `must be a span of time with its unit, such as 168h, 1h30m, 10s or 500ms${longer}`,
        });
        return z.NEVER;
      }
      return length === 0 && typeof zero === 'number' ? zero : length;
    },
    encode: formatDuration,
  });
}

/** A number of bytes, at least 1, as {@link parseByteSize} reads it. */
export const byteSize = z.codec(z.string(), z.number(), {
  decode: (input, context) => {
    const bytes = parseByteSize(input);
    if (bytes !== undefined && bytes > 0) return bytes;
    const message = 'must be a number of bytes with its unit, such as 100GiB, 1.5TB or 500MiB, larger than 0';
    context.issues.push({ code: 'custom', input, message });
    return z.NEVER;
  },
  encode: formatByteSize,
});

/** A text that prints nowhere. */
export const secret = z.codec(z.string(), z.instanceof(Secret), {
  decode: (input, context) => {
    if (input !== redacted) return new Secret(input);
    context.issues.push({ code: 'custom', input, message: standInMessage });
    return z.NEVER;
  },
  encode: String,
});

/** A printed configuration that is used again would otherwise have a secret that everybody knows. */
export const standInMessage = 'is what a printed configuration shows in place of a secret: put the secret itself here';

/** `host:port` with a port of its own, of another server or to listen on, see {@link parseAddress}. */
export const address = z.string().refine((input) => (parseAddress(input)?.port ?? 0) > 0, {
  error: 'must be host:port with a number as port, such as 127.0.0.1:5000',
});

/** An http or https URL without user, password and fragment. */
export const httpUrl = z.string().refine((input) => parseHttpUrl(input) !== undefined, {
  error: 'must be a URL such as http://127.0.0.1:8080/health, without user, password and fragment',
});

/** An http or https URL to which paths are added: no query either, and the trailing slash is taken off. */
export const baseUrl = z.codec(z.string(), z.string(), {
  decode: (input, context) => {
    const url = parseHttpUrl(input);
    if (url !== undefined && url.search === '') return url.href.replace(/\/+$/, '');
    const message = 'must be a URL such as https://registry.example:5000, without user, password, query and fragment';
    context.issues.push({ code: 'custom', input, message });
    return z.NEVER;
  },
  encode: (url) => url,
});

function parseHttpUrl(input: string): URL | undefined {
  const url = /^https?:\/\//i.test(input) && URL.canParse(input) ? new URL(input) : undefined;
  return url !== undefined && `${url.username}${url.password}${url.hash}` === '' ? url : undefined;
}

/**
 * A regular expression of Go (RE2), in so far as it means the same in JavaScript. Flags for the whole (`(?i)…`) are
 * understood; what JavaScript would silently read as something else, and what Go does not know, is refused.
 *
 * As in Go, what clients send is judged in a time that grows with its length only; excepted are `(?i)` and counts above
 * 16 (`{1,63}`), which V8 can only do by backtracking.
 */
export const regularExpression = z.string().refine((input) => tryCompile(input) !== undefined, {
  error:
    'must be a regular expression that Go and JavaScript read alike (no \\A, \\z, \\p, \\Q, [[:class:]], (?P<name>), (?=a), (?!a), \\1)',
});

/**
 * What a key of type {@link regularExpression} says, for use.
 *
 * @throws TypeError when `expression` did not come out of a validated configuration
 */
export function compileExpression(expression: string): RegExp {
  const compiled = tryCompile(expression);
  if (compiled === undefined) throw new TypeError(`not a regular expression: ${expression}`);
  return compiled;
}

/** Escapes that are ordinary letters for JavaScript, and two forms of brackets. */
const onlyInGo = /(?<!\\)(?:\\\\)*(?:\\[AzpPQECa]|\[\[:|\(\?P<)/;

/** Look-around and references to groups, which only backtracking can do. */
const onlyInJavaScript = /(?<!\\)(?:\\\\)*(?:\(\?<?[=!]|\\[1-9k])/;

function tryCompile(expression: string): RegExp | undefined {
  if (onlyInGo.test(expression) || onlyInJavaScript.test(expression)) return undefined;
  // Patterns are written for RE2, which takes linear time, and are matched with what clients send. By backtracking, one
  // such as `^https?://([^/]+\.)*example\.com/` takes time exponential in the number of dots. With this flag V8 goes over
  // to its own linear engine when it has gone back too often; it counts for what is compiled from now on.
  setFlagsFromString('--enable-experimental-regexp-engine-on-excessive-backtracks');
  const [, flags = '', rest = expression] = /^\(\?([ims]+)\)(.*)$/s.exec(expression) ?? [];
  try {
    return new RegExp(rest, [...new Set(flags)].join(''));
  } catch {
    return undefined;
  }
}

/** Header names to lists of values. */
export const headers = z.record(z.string(), z.array(z.string())).superRefine((map, context) => {
  for (const [name, values] of Object.entries(map)) checkHeader(name, values, context);
});

/** The same for headers that may carry credentials. */
export const secretHeaders = z.record(z.string(), z.array(secret)).superRefine((map, context) => {
  for (const [name, values] of Object.entries(map)) checkHeader(name, values.map(String), context, values);
});

function checkHeader(name: string, shown: readonly string[], context: z.RefinementCtx, secrets?: readonly Secret[]) {
  const values = secrets?.map((value) => value.reveal()) ?? shown;
  if (!isValid(() => validateHeaderName(name))) {
    context.addIssue({ code: 'custom', path: [name], message: 'is not the name of a header' });
    return;
  }
  values.forEach((value, index) => {
    if (isValid(() => validateHeaderValue(name, value))) return;
    context.addIssue({
      code: 'custom',
      path: [name, index],
      message: 'must not hold line breaks and control characters',
    });
  });
}

function isValid(check: () => void): boolean {
  try {
    check();
    return true;
  } catch {
    return false;
  }
}
