import { execFile } from 'node:child_process';
import type { Credentials } from './authorization.ts';

export interface CredentialHelperOptions {
  /** A program, by its path or as it is found in PATH. */
  readonly command: string;
  /** How long what it says is used, in milliseconds. 0: it is asked each time; undefined: once. */
  readonly lifetime: number | undefined;
  /** A program that takes longer is ended. In milliseconds; default: 30 s. */
  readonly timeout?: number;
  readonly now?: () => number;
}

/** Of what it writes. In bytes. */
const maxBuffer = 64 * 1024;

/** Of what it says when it fails. In characters. */
const maxMessage = 200;

/** What helpers say of a server that they know nothing of (docker-credential-helpers). */
const notFound = 'credentials not found in native keychain';

/**
 * Credentials from a credential helper, as Docker has them: `<command> get` reads the server's address from its standard
 * input and writes `{"Username":…,"Secret":…}`. Who asks for the same server at the same time gets the same.
 *
 * @returns what is given to an upstream; it throws Error when the helper fails, with what that says of it
 */
export function createCredentialHelper({
  command,
  lifetime = Number.POSITIVE_INFINITY,
  timeout = 30_000,
  now = Date.now,
}: CredentialHelperOptions) {
  let kept: { readonly host: string; readonly credentials: Credentials; readonly until: number } | undefined;
  let running: { readonly host: string; readonly answer: Promise<Credentials | undefined> } | undefined;

  async function ask(host: string): Promise<Credentials | undefined> {
    const credentials = await run(command, host, timeout);
    if (credentials !== undefined) kept = { host, credentials, until: now() + lifetime };
    return credentials;
  }

  return async ({ host }: URL): Promise<Credentials | undefined> => {
    if (kept?.host === host && now() < kept.until) return kept.credentials;
    if (running?.host === host) return running.answer;
    const asked = { host, answer: ask(host) };
    running = asked;
    try {
      return await asked.answer;
    } finally {
      if (running === asked) running = undefined;
    }
  };
}

/** @returns undefined when it knows nothing of the server */
function run(command: string, host: string, timeout: number): Promise<Credentials | undefined> {
  return new Promise((resolve, reject) => {
    const child = execFile(command, ['get'], { maxBuffer }, (error, stdout) => {
      clearTimeout(timer);
      const fail = (reason: string) => reject(new Error(`the credential helper ${command} ${reason}`));
      const output = stdout.trim();
      if (error === null) {
        const credentials = read(output);
        return credentials === undefined ? fail('wrote no Username and Secret') : resolve(credentials);
      }
      if (output === notFound) return resolve(undefined);
      if (error.killed) return fail(`did not end within ${timeout} ms`);
      // Helpers say on their standard output what went wrong. What begins like an answer may have a secret in it.
      const said = output === '' || output.startsWith('{') ? '' : `: ${output.slice(0, maxMessage)}`;
      fail(`failed with ${error.code ?? error.signal}${said}`);
    });
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      // What it has started may still hold these open.
      child.stdout?.destroy();
      child.stderr?.destroy();
    }, timeout);
    // One that does not want to know closes it.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(host);
  });
}

function read(output: string): Credentials | undefined {
  try {
    const { Username: username, Secret: password } = JSON.parse(output) as Readonly<Record<string, unknown>>;
    return typeof username === 'string' && typeof password === 'string' ? { username, password } : undefined;
  } catch {
    return undefined;
  }
}
